// The parts of the module _native, one function per file.
#pragma once
#include <pybind11/pybind11.h>

void bind_kernels(pybind11::module_& module);  // kernels.cc: what the kernel tests call
void bind_machine(pybind11::module_& module);  // machine.cc: what the machine has and can do at best
