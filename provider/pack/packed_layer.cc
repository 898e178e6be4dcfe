#include "pack/packed_layer.h"

namespace sparsecpu {
namespace {

struct FormOf {
  LayerForm operator()(const PackedDepthwise&) const { return LayerForm::kDepthwise; }
  LayerForm operator()(const PackedDense&) const { return LayerForm::kDense; }
  LayerForm operator()(const PackedSpmm&) const { return LayerForm::kStream; }
  LayerForm operator()(const PackedJit&) const { return LayerForm::kCode; }
  LayerForm operator()(const PackedFewRows& p) const { return few_rows(p.view.columns != nullptr); }
  LayerForm operator()(const PackedQDepthwise&) const { return LayerForm::kDepthwise; }
  LayerForm operator()(const PackedQDense&) const { return LayerForm::kDense; }
  LayerForm operator()(const PackedQSpmm&) const { return LayerForm::kStream; }
  LayerForm operator()(const PackedQJit&) const { return LayerForm::kCode; }
  LayerForm operator()(const PackedQFewRows& p) const { return few_rows(p.view.masks != nullptr); }

  static LayerForm few_rows(bool sparse) { return sparse ? LayerForm::kFewRowsSparse : LayerForm::kFewRowsDense; }
};

struct BytesOf {
  size_t operator()(const PackedJit& packed) const { return packed.code_bytes; }
  size_t operator()(const PackedQJit& packed) const { return packed.code.code_bytes; }
  template <class Packed>
  size_t operator()(const Packed& packed) const {
    return packed.memory.bytes();
  }
};

}  // namespace

LayerForm PackedLayer::form() const { return std::visit(FormOf{}, weights_); }
int64_t PackedLayer::bytes() const { return static_cast<int64_t>(std::visit(BytesOf{}, weights_)); }

const PackedJit* PackedLayer::code() const {
  if (const auto* floats = std::get_if<PackedJit>(&weights_)) return floats;
  const auto* bytes = std::get_if<PackedQJit>(&weights_);
  return bytes != nullptr ? &bytes->code : nullptr;
}

}  // namespace sparsecpu
