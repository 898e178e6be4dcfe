// Which form onnxruntime's CPU provider gives to a QDQ unit (x64, all optimizations, default QDQ options): the
// integer operator, whose bits are followed exactly, or the float operator between DequantizeLinear and
// QuantizeLinear, which integer arithmetic follows within rounding: a byte may differ by 1 where the float result
// is next to a tie, a float by about 1e-6 of the largest.
//
//   unit                          integer, exact                                    float, within rounding
//   Conv -> Q                     QLinearConv: u8 activations                        s8 activations
//   Conv (float output)                                                              always
//   MatMul -> Q                   QLinearMatMul: u8 activations                      s8 activations
//   MatMul (float output)         MatMulIntegerToFloat: u8 activations               s8 activations
//   Gemm -> Q                     QGemm: int32 bias or none; s8 x with s8 weights    float bias
//   Gemm (float output)           QGemm: int32 bias or none; s8 x with s8 weights    float bias
//   Add, Mul, Concat -> Q         QLinearAdd, QLinearMul, QLinearConcat
//   AveragePool,                  QLinearAveragePool, QLinearGlobalAveragePool
//     GlobalAveragePool -> Q
//   Sigmoid, LeakyRelu -> Q       QLinearSigmoid, QLinearLeakyRelu
//   Softmax -> Q                  QLinearSoftmax: both sides of one type (here: inside attention)
//   Relu, Clip -> Q               float in onnxruntime, and exact: a table of its formula
//   MaxPool, Resize, Reshape,...  moved as bytes, or float and exact: rescaling keeps the order
//   other activations -> Q                                                           always
//
// A Relu or Clip before Q leaves the integer form only if it is redundant there: Relu with y's zero point at the
// type's minimum, Clip with bounds at or beyond y's range. Otherwise the unit is float. All activations of a unit have
// one type, else it is float too.
//
// Not QDQ, and exact: the QLinear operators and QGemm of either type, ConvInteger and MatMulInteger with the scales
// that follow them, constant or of a DynamicQuantizeLinear, and the float bias after those (multiplied, then added).
//
// Float operators between quantized ones (layer normalization, GELU, softmax and averages of floats) have their own
// order of roundings, and onnxruntime has several: where its provider has both an Add and the layer normalization after
// it, it fuses them at ORT_ENABLE_EXTENDED. One rounding more or less turns a byte over at the next QuantizeLinear, and
// deep networks carry it on: of an int8 BERT of 12 layers its own results with and without that fusion differ by 4 % of
// the largest value. Blocks of a transformer are worth running whole, so those here differ as much; with neighbours=off
// float operators stay with the CPU provider, and the outputs are its bits.
#pragma once
#include "base/quantized.h"

namespace sparsecpu {

enum class UnitOperator { kConv, kMatMul, kGemm, kElementwise };

struct UnitTraits {
  UnitOperator op = UnitOperator::kConv;
  bool x_signed = false, w_signed = true;
  bool float_bias = false;
  bool to_bytes = true, y_signed = false;
  bool activation = false, redundant_activation = true;
};

inline bool onnxruntime_is_integer(const UnitTraits& unit) {
  if (unit.to_bytes && unit.x_signed != unit.y_signed) return false;
  if (unit.activation && !(unit.to_bytes && unit.redundant_activation)) return false;
  switch (unit.op) {
    case UnitOperator::kConv:
      return !unit.x_signed && unit.to_bytes && !unit.float_bias;
    case UnitOperator::kMatMul:
      return !unit.x_signed;
    case UnitOperator::kGemm:
      return !unit.float_bias && (!unit.x_signed || unit.w_signed);
    case UnitOperator::kElementwise:
      return true;
  }
  return false;
}

}  // namespace sparsecpu
