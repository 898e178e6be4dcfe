// The weights of a layer, of floats or of bytes, packed for the kernel that was chosen.
#pragma once
#include <type_traits>
#include <utility>
#include <variant>

#include "pack/jit.h"
#include "pack/layer_form.h"
#include "pack/pack.h"
#include "pack/quantized.h"

namespace sparsecpu {

class PackedLayer {
 public:
  using Weights = std::variant<PackedDepthwise, PackedDense, PackedSpmm, PackedJit, PackedFewRows, PackedQDepthwise,
                               PackedQDense, PackedQSpmm, PackedQJit, PackedQFewRows>;

  template <class Packed>
    requires std::is_constructible_v<Weights, Packed>
  PackedLayer(Packed packed) : weights_(std::move(packed)) {}

  const Weights& weights() const { return weights_; }
  LayerForm form() const;
  bool of_bytes() const { return weights_.index() >= 5; }
  const char* name() const { return form_name(form(), of_bytes()); }
  int64_t bytes() const;
  // Generated code; null: none.
  const PackedJit* code() const;
  PackedJit* code() { return const_cast<PackedJit*>(std::as_const(*this).code()); }

 private:
  Weights weights_;
};

}  // namespace sparsecpu
