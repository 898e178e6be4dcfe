// What the prices of float and quantized layers share.
#pragma once
#include <string>

#include "claim/cost.h"

namespace sparsecpu {

struct Layer {
  int64_t positions = 0;  // output pixels or tokens, batch included
  double waste = 1;       // lanes computed / lanes used
  int64_t vectors = 0;    // position vectors
  int64_t nonzeros = 0, weights = 0;
};

// A layer's geometry is given as a Linear; its weights are not looked at.
void place_layer(const Linear& linear, const Shape& output, Layer* layer);
std::string situation(const Linear& linear, const Layer& layer, const Shape& output);
bool is_depthwise(const Linear& linear);

// A pass over so many floats, read and written ones alike.
double pass_us(int64_t values, Isa isa);

// What a convolution costs on the CPU provider beside its multiply-adds, or a matrix product. output_ns: a value.
double conv_call_us(const Linear& linear, const Layer& layer, double output_ns);

// What a sparse layer may take to be worth a claim.
double worth_us(double cpu_us, Target target, bool bytes);

// Adds to the cost of what is neither a layer nor a plain pass: attention, normalization. False if it is one of those.
bool price_tokens(const Op& op, const std::vector<Shape>& inputs, Isa isa, NodeCost* cost);

// Counts the weights (into cost), then prices the layer if `output` is known.
void price_quantized_linear(const QuantizedLinear& linear, const Shape* output, Target target, NodeCost* cost,
                            WeightCounts* counts);

// `also`: what the count depends on beside the view.
template <class View>
std::array<int64_t, 7> weight_key(const View& w, int64_t also) {
  return {reinterpret_cast<intptr_t>(w.data), w.rows, w.channels, w.taps, w.row_stride, w.channel_stride, also};
}

}  // namespace sparsecpu
