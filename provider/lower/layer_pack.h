// The packed weights of one Linear stage, in the forms its shapes can need.
#pragma once
#include <memory>
#include <utility>
#include <vector>

#include "base/content_hash.h"
#include "lower/stage.h"
#include "pack/kernel_times.h"
#include "pack/packed_layer.h"
#include "pack/speeds.h"

namespace sparsecpu {

struct LayerPack {
  std::vector<PackedLayer> forms;            // the one that reports name first; a row-major one last
  std::vector<float> float_bias;             // QuantizedLinear to floats; padded like QuantizedRows
  std::shared_ptr<const CodeMemory> memory;  // of generated code

  const PackedLayer& main() const { return forms.front(); }
  // For so many vectors of positions in lanes, or row-major; null: there is none.
  const PackedLayer* in_lanes(int64_t vectors) const;
  const PackedLayer* row_major() const;
  const PackedJit* code() const { return main().code(); }
  PackedJit* code() { return forms.empty() ? nullptr : forms.front().code(); }
  int64_t bytes() const;
};

// Of several layers. Shared with layers of the same content.
using LayerPacks = std::vector<std::shared_ptr<const LayerPack>>;

// All that a LayerPack depends on. Pointers are into the stage and the Graph.
struct LayerSource {
  LinearShape shape;
  int64_t rows = -1;  // output pixels times images where the model fixes them, else -1 (then both forms are packed)
  Target target;
  // Linear
  LayerWeights floats;
  Clamp clamp{};
  // QuantizedLinear
  bool quantized = false;
  QuantizedLayer bytes;
  const std::vector<float>* float_bias = nullptr;
  JitFinishForm finish;         // what generated code does with the sums
  bool unsigned_bytes = false;  // as row-major kernels need x, and y unless that is floats

  // The stored weights, and the content of everything, given the hash of those.
  std::pair<const void*, size_t> stored() const;
  Digest content(const Digest& stored) const;
};
// certain_sum: the stage's sum, if it has one, has the product's shape in every run. Else the code of floats must do
// without the clamp that follows the sum.
LayerSource layer_source(const Stage& stage, bool certain_sum, int64_t rows, Target target);

// What generated code can do with the sums of a layer of bytes.
JitFinishForm finish_form(const Stage& stage, const QuantizedLinear& linear);

// With the kernels that are predicted to be fastest on the target. Code is yet to be placed.
LayerPack pack_layer(const LayerSource& source);

// A 1x1 layer with stride 1 and no pads: the only one that may run row-major.
bool is_pointwise(const LinearShape& linear);

}  // namespace sparsecpu
