// The price of a node: what the files of this folder fill.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "pack/layer_form.h"
#include "price/cpu_layout.h"

namespace sparsecpu {

// What a node loses on the CPU provider if any of these nodes runs here: see form_loss.h.
struct FormLoss {
  std::vector<int> neighbours;
  double us = 0;
};

// Products of bytes, by the kernel that the CPU provider has for them.
enum class CpuProducts { kUsual, kSigned, kIntegerConv };

// What a node takes: of all the Ops that it means together.
struct NodeCost {
  bool known = false;  // false: no shapes, nothing can be said
  bool finite = true;  // its weights, or its scales together
  double cpu_us = 0;   // on its own
  double here_us = 0;  // with its first input in our layout
  // Elementwise nodes run inside the kernel of the node before them if both are on the same side.
  int before = -1;  // that node
  bool fuses_on_cpu = false, fuses_here = false;
  double fused_cpu_us = 0, fused_here_us = 0;
  LayoutLoss layout;  // on the CPU provider
  FormLoss form_loss;
  bool linear = false;
  bool sparse_wins = false;  // the sparse kernel beats the CPU provider, edges aside
  bool dense_wins = false;   // it has a slow kernel only, and the layer is faster here whatever its zeros, edges aside
  CpuProducts products = CpuProducts::kUsual;
  bool wins() const { return sparse_wins || dense_wins; }
  double sparsity = -1;
  int64_t dense_bytes = 0;
  double multiply_adds = 0;            // of linear layers and attention
  double needed_sparsity = 1;          // from here on sparse_wins
  double group_density = -1;           // quantized: share of the groups of 4 input channels with a nonzero weight
  double needed_density = 0;           // up to here sparse_wins
  LayerForm form = LayerForm::kDense;  // that runs here, of a linear one
  std::string situation;               // "a 3x3 convolution at 56x56"
};
}  // namespace sparsecpu
