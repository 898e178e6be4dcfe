// A Graph described in Python as a plain dictionary, and the options of a claim.
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "claim/claim.h"

// Owns the arrays that the constants of `graph` point into.
struct DescribedGraph {
  sparsecpu::Graph graph;
  std::vector<pybind11::array> arrays;
};

DescribedGraph to_graph(const pybind11::dict& description);

sparsecpu::ClaimOptions to_options(int isa, std::optional<double> min_sparsity, bool neighbours,
                                   std::map<std::string, int64_t> assume);

void bind_plans(pybind11::module_& module);  // plans.cc
