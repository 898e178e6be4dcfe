// Of every op: form(), which decides how its output lies, and emit(), which adds its steps.
#pragma once
#include "lower/ops/attention.h"
#include "lower/ops/elementwise.h"
#include "lower/ops/layer.h"
#include "lower/ops/norm.h"
#include "lower/ops/quantized.h"
#include "lower/ops/shape.h"
#include "lower/ops/window.h"
