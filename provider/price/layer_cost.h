// Prices of layers of floats, and what they share with those of bytes.
#pragma once
#include <string>

#include "pack/kernel_times.h"
#include "pack/speeds.h"
#include "price/node_cost.h"
#include "price/weight_counts.h"

namespace sparsecpu {

struct Layer {
  int64_t positions = 0;      // output pixels or tokens, batch included
  double waste = 1;           // lanes computed / lanes used
  int64_t vectors = 0;        // position vectors
  double border_vectors = 0;  // of all input channels, floats: copies that a wide window needs
  int64_t nonzeros = 0, weights = 0;
  bool open = false;  // the model leaves the positions open
};

// A layer's geometry is given as a Linear; its weights are not looked at.
void place_layer(const Linear& linear, const Shape& output, Layer* layer);
std::string situation(const Linear& linear, const Layer& layer, const Shape& output);
// Row-major kernels want channels last: an image of several pixels is lane-blocked however small it is.
bool runs_few_rows(const Linear& linear, const Layer& layer, const Shape& output);

// A pass over so many floats, read and written ones alike.
double pass_us(int64_t values, Isa isa);

double border_us(const Layer& layer, Isa isa);  // bytes: four channels in a vector

// What a convolution costs on the CPU provider beside its multiply-adds, or a matrix product. output_ns: a value.
double conv_call_us(const Linear& linear, const Layer& layer, double output_ns);

// What a sparse layer may take to be worth a claim.
double worth_us(double cpu_us, Target target, bool bytes);

// What its weights are, into both.
void count_weights(const Linear& linear, WeightCounts* counts, Layer* layer, NodeCost* cost);
// Adds the price of a layer whose weights have been counted.
void price_linear(const Linear& linear, Layer layer, const Shape& output, Target target, NodeCost* cost);

}  // namespace sparsecpu
