"""The quantized Ops of op.h in numpy, as their comments define them: what recognition promises about a model."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

F = np.float32
Array = npt.NDArray[Any]


def fma(a: Any, b: Any, c: Any) -> Array:
    """Products of these operands are exact in float64; the sum is rounded to float64 first, which no test here meets."""
    return np.asarray(np.asarray(a, np.float64) * np.float64(b) + np.asarray(c, np.float64)).astype(F)


def limits(signed: bool) -> tuple[int, int]:
    return (-128, 127) if signed else (0, 255)


def to_bytes(values: Array, signed: bool) -> Array:
    low, high = limits(signed)
    return np.clip(values, low, high).astype(np.int8 if signed else np.uint8)


def sums(op: dict[str, Any], x: Array, window: dict[str, Any]) -> Array:
    """Exact sums, bias included; x as stored."""
    weight = op["weight"].astype(np.int64)
    bias = np.asarray(op["bias"] or [0], np.int64)
    centred = x.astype(np.int64) - op["x"][1]
    if op["axes"] == "tokens":
        return np.asarray(centred @ weight[:, :, 0].T + bias)
    pads, strides = window.get("pads", [0] * 4), window.get("strides", [1, 1])
    kh, kw = window["kernel_shape"]
    groups = op["groups"]
    padded = np.pad(centred, ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
    out_h, out_w = (padded.shape[2] - kh) // strides[0] + 1, (padded.shape[3] - kw) // strides[1] + 1
    result = np.zeros((x.shape[0], weight.shape[0], out_h, out_w), np.int64)
    for g in range(groups):
        rows = slice(g * weight.shape[0] // groups, (g + 1) * weight.shape[0] // groups)
        channels = slice(g * weight.shape[1], (g + 1) * weight.shape[1])
        for t in range(kh * kw):
            i, j = divmod(t, kw)
            pixels = padded[
                :, channels, i : i + strides[0] * out_h : strides[0], j : j + strides[1] * out_w : strides[1]
            ]
            result[:, rows] += np.einsum("nchw,rc->nrhw", pixels, weight[rows, :, t])
    return result + bias.reshape(1, -1, 1, 1)


def quantized_linear(op: dict[str, Any], x: Array, window: dict[str, Any]) -> Array:
    shape = (1, -1, 1, 1) if op["axes"] == "image" else (-1,)
    scaled = sums(op, x, window).astype(F) * np.asarray(op["multiplier"], F).reshape(shape)
    if not op["bytes"]:
        return scaled + np.asarray(op["float_bias"], F).reshape(shape) if op["float_bias"] else scaled
    _, zero, signed = op["y"]
    low, high = limits(signed)
    y = np.rint(np.clip(scaled, F(low - zero), F(high - zero))).astype(np.int64) + zero
    return to_bytes(np.clip(y, *op["clamp"]), signed)


def operands(op: dict[str, Any], inputs: list[Array]) -> tuple[Array, Array]:
    """The two operands, a constant one with its channels on x's channel axis."""
    if "constant" not in op:
        return inputs[0], inputs[1]
    x, constant = inputs[0], op["constant"]
    axis = 1 if constant["axes"] == "image" else x.ndim - 1
    values = np.frombuffer(constant["values"], x.dtype)
    other = values.reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    return (other, x) if constant["first"] else (x, other)


def exchanges(a: Array, b: Array) -> bool:
    """Whether a is one number to each run of b, as in op.h, for operands of one rank."""
    for size_a, size_b in zip(reversed(a.shape), reversed(b.shape), strict=True):
        if max(size_a, size_b) > 1:
            return bool(size_a == 1)
    return True


def quantized_add(op: dict[str, Any], a: Array, b: Array) -> Array:
    (sa, za, _), (sb, zb, _), (sy, zy, signed) = op["a"], op["b"], op["y"]
    if exchanges(a, b):
        (sa, za), (sb, zb), a, b = (sb, zb), (sa, za), b, a
    ra, rb = F(F(sa) / F(sy)), F(F(sb) / F(sy))
    fix = F(F(zy) - F(np.float64(ra) * za + np.float64(F(rb * F(zb)))))
    return to_bytes(np.clip(np.rint(fma(a, ra, fma(b, rb, fix))), *op["clamp"]), signed)


def quantized_mul(op: dict[str, Any], a: Array, b: Array) -> Array:
    (sa, za, _), (sb, zb, _), (sy, zy, signed) = op["a"], op["b"], op["y"]
    product = ((a.astype(np.int64) - za) * (b.astype(np.int64) - zb)).astype(F)
    return to_bytes(np.rint(product * F(F(F(sa) * F(sb)) / F(sy)) + F(zy)), signed)


def average(op: dict[str, Any], x: Array) -> Array:
    """GlobalAverage of bytes."""
    (sx, zx, _), (sy, zy, signed) = op["x"], op["y"]
    n = x.shape[2] * x.shape[3]
    total = (x.astype(np.int64) - zx).sum((2, 3), keepdims=True).astype(F)
    return to_bytes(np.rint(total * F(F(sx) / (F(sy) * F(n)))) + zy, signed)


def run(op: dict[str, Any], inputs: list[Array], window: dict[str, Any]) -> Array:
    kind, x = op["kind"], inputs[0]
    if kind == "quantize":
        scale, zero, signed = op["y"]
        return to_bytes(np.rint(x / F(scale)).astype(np.float64) + zero, signed)
    if kind == "dequantize":
        return (x.astype(np.int64) - op["x"][1]).astype(F) * F(op["x"][0])
    if kind == "quantized_linear":
        return quantized_linear(op, x, window)
    if kind == "quantized_add":
        return quantized_add(op, *operands(op, inputs))
    if kind == "quantized_mul":
        return quantized_mul(op, *operands(op, inputs))
    if kind == "global_average":
        return average(op, x)
    if kind == "lookup":
        return np.frombuffer(op["table"], np.int8 if op["output_signed"] else np.uint8)[x.view(np.uint8)]
    if kind == "concat":
        return np.concatenate(inputs, 1 if op["axes"] == "image" else -1)
    raise NotImplementedError(kind)
