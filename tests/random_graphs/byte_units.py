"""Operators of floats between bytes: units of DequantizeLinear, an operator, QuantizeLinear; chains of integers; inputs
that are quantized at run time."""

from __future__ import annotations

import numpy as np
from byte_chain import Bytes, Chain
from byte_operators import int_bias, reshaped, turned_weight, window, window_of_conv
from hypothesis import strategies as st
from onnx import TensorProto, numpy_helper

FUNCTIONS: dict[str, dict[str, float]] = {
    "Relu": {}, "Sigmoid": {}, "HardSwish": {}, "Tanh": {}, "LeakyRelu": {"alpha": 0.2}, "HardSigmoid": {"alpha": 0.3},
    "Elu": {"alpha": 0.5}, "Selu": {}, "Softplus": {}, "Softsign": {}, "Erf": {}, "Exp": {}, "Sqrt": {}, "Reciprocal": {},
    "Abs": {}, "Round": {}, "Floor": {}, "Ceil": {}, "Neg": {}, "Softmax": {},
}  # fmt: skip


def dequantized_weight(c: Chain, weight: list[str], axis: int) -> str:
    return c.emit("DequantizeLinear", weight, axis=axis)


def bias_of_unit(c: Chain, x: Bytes, weight: list[str], rows: int) -> list[str]:
    """None, int32 in units of both scales, or float."""
    kind = c.draw(st.sampled_from(["none", "int32", "float"]))
    if kind == "none":
        return []
    if kind == "float":
        return [c.constant(c.random.normal(0, 0.5, rows), np.float32)]
    scale = next(numpy_helper.to_array(tensor) for tensor in c.constants if tensor.name == weight[1])
    unit = c.constant(np.float32(x.scale) * scale, np.float32)
    values = c.constant(c.random.integers(-500, 500, rows), np.int32)
    return [c.emit("DequantizeLinear", [values, unit, c.constant(np.zeros(scale.shape), np.int32)], axis=0)]


def layer(c: Chain, x: Bytes, floats: str) -> tuple[str, tuple[int, ...]]:
    """Conv, Gemm or MatMul of dequantized weights."""
    kinds = ["MatMul"] + ["Gemm"] * 2 * (len(x.shape) == 2) + ["Conv"] * 3 * (len(x.shape) in (3, 4))
    kind, columns = c.draw(st.sampled_from(kinds)), c.draw(st.integers(1, 24))
    if kind == "Conv":
        attributes, weights, shape = window_of_conv(c, x)
        weight = c.weight(weights, x.dtype, 0)
        inputs = [floats, dequantized_weight(c, weight, 0), *bias_of_unit(c, x, weight, shape[1])]
        return c.emit(kind, inputs, **attributes), shape
    if kind == "Gemm":
        attributes, weight, rows = turned_weight(c, x, columns)
        wide = dequantized_weight(c, weight, 0 if attributes["transB"] else 1)
        return c.emit(kind, [floats, wide, *bias_of_unit(c, x, weight, columns)], **attributes), (rows, columns)
    weight = c.weight((x.shape[-1], columns), x.dtype, 1)
    return c.emit(kind, [floats, dequantized_weight(c, weight, 1)]), (*x.shape[:-1], columns)


def operator(c: Chain, x: Bytes, floats: str) -> tuple[str, tuple[int, ...]]:
    kinds = ["function", "Add", "Mul", "Concat", "Flatten", "Reshape", "Squeeze", "Unsqueeze"]
    kinds += ["MaxPool", "AveragePool", "GlobalAveragePool", "Resize"] * (len(x.shape) in (3, 4))
    kind = c.draw(st.sampled_from(kinds))
    if kind == "function":
        name = c.draw(st.sampled_from(sorted(FUNCTIONS)))
        return c.emit(name, [floats], **FUNCTIONS[name]), x.shape
    if kind in ("Add", "Mul"):
        return c.emit(kind, c.draw(st.permutations([floats, c.dequantized(c.operand(x))]))), x.shape
    if kind == "Concat":
        axis = c.draw(st.integers(0, len(x.shape) - 1))
        shape = tuple(size * (2 if i == axis else 1) for i, size in enumerate(x.shape))
        return c.emit(kind, [floats, c.dequantized(x)], axis=axis), shape
    if kind in ("MaxPool", "AveragePool"):
        attributes, sizes = window(c, x, [-1], kind == "MaxPool", True)
        return c.emit(kind, [floats], **attributes), (*x.shape[:2], *sizes)
    if kind == "GlobalAveragePool":
        return c.emit(kind, [floats]), (*x.shape[:2], *[1] * len(x.shape[2:]))
    if kind == "Resize":
        factors = [c.draw(st.integers(1, 2)) for _ in x.shape[2:]]
        scales = c.constant([1, 1, *factors], np.float32)
        form = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        sizes = tuple(size * factor for size, factor in zip(x.shape[2:], factors, strict=True))
        return c.emit(kind, [floats, "", scales], mode="nearest", **form), (*x.shape[:2], *sizes)
    moved = reshaped(c, x, floats, kind)
    return moved.name, moved.shape


def unit(c: Chain, x: Bytes) -> Bytes:
    """Bytes of either type leave it; seldom a function of floats lies between the operator and them."""
    floats = c.dequantized(x)
    name, shape = c.draw(st.sampled_from([layer, operator]))(c, x, floats)
    after = c.draw(st.sampled_from(["none", "none", "Relu", "Clip", "Softplus"]))
    if after == "Clip":
        low, high = c.draw(st.sampled_from([(0.0, 6.0), (-100.0, 100.0), (0.5, 2.0)]))
        name = c.emit(after, [name, c.constant(low, np.float32), c.constant(high, np.float32)])
    elif after != "none":
        name = c.emit(after, [name])
    dtype = c.draw(st.sampled_from([x.dtype, x.dtype, x.dtype, np.uint8, np.int8]))
    return c.quantized("QuantizeLinear", [name], shape, dtype)


def sums(c: Chain, x: Bytes, quantized: str, zero: list[str]) -> tuple[str, tuple[int, ...], int]:
    """ConvInteger or MatMulInteger: sums, their shape, and its axis of channels."""
    if len(x.shape) in (3, 4) and x.dtype is np.uint8 and c.draw(st.booleans()):
        attributes, weights, shape = window_of_conv(c, x)
        weight = c.weight(weights, x.dtype, 0, per_channel=False)
        return c.emit("ConvInteger", [quantized, weight[0], *(zero or [""]), weight[2]], **attributes), shape, 1
    columns = c.draw(st.integers(1, 24))
    weight = c.weight((x.shape[-1], columns), x.dtype, 1)
    inputs = [quantized, weight[0], *(zero or [""]), weight[2]]
    return c.emit("MatMulInteger", inputs), (*x.shape[:-1], columns), len(x.shape) - 1


def scales(c: Chain, shape: tuple[int, ...], channel: int) -> str:
    """One for all sums, or one a channel."""
    each = [1] * (len(shape) - channel)
    each[0] = shape[channel]
    return c.constant(c.random.uniform(0.001, 0.002, c.draw(st.sampled_from([(), (1,), each]))), np.float32)


def integers(c: Chain, x: Bytes) -> Bytes:
    """Sums of integers (+ bias), cast, scaled; of bytes, or of floats that are quantized at run time (+ bias behind)."""
    dynamic = c.draw(st.booleans())
    if dynamic:
        quantized = c.emit("DynamicQuantizeLinear", [c.dequantized(x)], 3)
        x = Bytes(quantized, x.shape, x.scale, x.zero, np.uint8)
        total, shape, channel = sums(c, x, quantized, [f"{quantized}_2"])
        factor = c.emit("Mul", c.draw(st.permutations([f"{quantized}_1", scales(c, shape, channel)])))
    else:
        zero = [c.constant(x.zero, x.dtype)] if c.draw(st.booleans()) else []
        total, shape, channel = sums(c, x, x.name, zero)
        each = [1] * (len(shape) - channel - 1)
        if bias := int_bias(c, shape[channel]):
            c.constants[-1].dims[:] = [shape[channel], *each]
            total = c.emit("Add", c.draw(st.permutations([total, *bias])))
        factor = scales(c, shape, channel)
    floats = c.emit("Mul", c.draw(st.permutations([c.emit("Cast", [total], to=TensorProto.FLOAT), factor])))
    if c.draw(st.booleans()):
        each = [shape[channel], *[1] * (len(shape) - channel - 1)]
        floats = c.emit("Add", [floats, c.constant(c.random.normal(0, 0.5, each), np.float32)])
    return c.quantized("QuantizeLinear", [floats], shape, c.draw(st.sampled_from([np.uint8, np.int8])))
