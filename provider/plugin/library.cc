// What ONNX Runtime looks up in this library.
#include "base/export.h"
