// Bindings of the kernels, for tests and benchmarks.
#include "bindings.h"

void bind_kernels(pybind11::module_& module) { (void)module; }
