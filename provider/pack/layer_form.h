// The forms in which the weights of a layer may be packed: prices choose among them (kernel_times.h), lowering packs
// what was chosen (packed_layer.h).
#pragma once

namespace sparsecpu {

// On lanes: kDepthwise, kDense, kStream (sparse, read as a stream), kCode (sparse, as generated code). Row-major, for
// few rows: kFewRowsDense, kFewRowsSparse.
enum class LayerForm { kDepthwise, kDense, kStream, kCode, kFewRowsDense, kFewRowsSparse };

constexpr bool is_row_major(LayerForm form) {
  return form == LayerForm::kFewRowsDense || form == LayerForm::kFewRowsSparse;
}
constexpr bool skips_zeros(LayerForm form) {
  return form == LayerForm::kStream || form == LayerForm::kCode || form == LayerForm::kFewRowsSparse;
}

// As reports name its kernel.
const char* form_name(LayerForm form, bool bytes);

}  // namespace sparsecpu
