// Marks what the plugin library exports: the two functions ORT looks up, and what the Python module calls.
#pragma once

#define SPARSECPU_EXPORT __attribute__((visibility("default")))
