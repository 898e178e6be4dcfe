"""Operators of bytes of any rank, whose constants and second operands lie along any axes."""

from __future__ import annotations

from typing import Any

import numpy as np
from byte_chain import MICROSOFT, Bytes, Chain
from grammar import draw_window
from hypothesis import assume
from hypothesis import strategies as st
from network import Value


def binary(c: Chain, x: Bytes) -> Bytes:
    sides = [x, c.operand(x)]
    if c.draw(st.booleans()):
        sides.reverse()
    kind = c.draw(st.sampled_from(["QLinearAdd", "QLinearMul"]))
    return c.quantized(kind, c.sides(*sides), x.shape, x.dtype, domain=MICROSOFT)


def product(c: Chain, x: Bytes) -> Bytes:
    if len(x.shape) == 2 and c.draw(st.booleans()):
        return qgemm(c, x)
    columns = c.draw(st.integers(1, 24))
    weight = c.weight((x.shape[-1], columns), x.dtype, 1)
    return c.quantized("QLinearMatMul", [*c.sides(x), *weight], (*x.shape[:-1], columns), x.dtype)


def int_bias(c: Chain, rows: int) -> list[str]:
    return [c.constant(c.random.integers(-500, 500, rows), np.int32)] if c.draw(st.booleans()) else []


def turned_weight(c: Chain, x: Bytes, columns: int) -> tuple[dict[str, int], list[str], int]:
    """The attributes of a Gemm, its weights, and its rows."""
    trans_a, trans_b = c.draw(st.integers(0, 4)) == 0, c.draw(st.booleans())
    rows, inner = (x.shape[1], x.shape[0]) if trans_a else x.shape
    weight = c.weight((columns, inner) if trans_b else (inner, columns), x.dtype, 0 if trans_b else 1)
    return {"transA": int(trans_a), "transB": int(trans_b)}, weight, rows


def qgemm(c: Chain, x: Bytes) -> Bytes:
    columns = c.draw(st.integers(1, 24))
    attributes, weight, rows = turned_weight(c, x, columns)
    inputs = [*c.sides(x), *weight, *(int_bias(c, columns) or [""])]
    alpha = {"alpha": 0.5} if c.draw(st.booleans()) else {}
    if c.draw(st.booleans()):
        floats = c.emit("QGemm", inputs, domain=MICROSOFT, **attributes, **alpha)
        return c.quantized("QuantizeLinear", [floats], (rows, columns), x.dtype)
    return c.quantized("QGemm", inputs, (rows, columns), x.dtype, domain=MICROSOFT, **attributes, **alpha)


def window(
    c: Chain, x: Bytes, pads: list[int], dilated: bool, ceil_mode: bool
) -> tuple[dict[str, Any], tuple[int, ...]]:
    attributes, sizes = draw_window(c.draw, Value("", 1, [[size] for size in x.shape[2:]]), 3, pads, dilated, ceil_mode)
    return attributes, tuple(axis[0] for axis in sizes)


def window_of_conv(c: Chain, x: Bytes) -> tuple[dict[str, Any], tuple[int, ...], tuple[int, ...]]:
    """Attributes, the shape of the weights, and that of the result."""
    attributes, sizes = window(c, x, [0, 0, 0, 2], True, False)
    groups = c.draw(st.sampled_from([1, 1, 1, *(d for d in range(2, x.shape[1] + 1) if x.shape[1] % d == 0)]))
    rows = c.draw(st.integers(1, 24)) if groups == 1 else groups * c.draw(st.integers(1, 2))
    weights = (rows, x.shape[1] // groups, *attributes["kernel_shape"])
    return {**attributes, "group": groups}, weights, (x.shape[0], rows, *sizes)


def convolution(c: Chain, x: Bytes) -> Bytes:
    if len(x.shape) not in (3, 4):
        return product(c, x)
    attributes, weights, shape = window_of_conv(c, x)
    inputs = [*c.sides(x), *c.weight(weights, x.dtype, 0)]
    return c.quantized("QLinearConv", inputs, shape, x.dtype, int_bias(c, shape[1]), **attributes)


def unary(c: Chain, x: Bytes) -> Bytes:
    kind = c.draw(st.sampled_from(["QLinearLeakyRelu", "QLinearSigmoid"]))
    attributes = {"alpha": c.draw(st.sampled_from([0.1, -0.3, 1.5]))} if kind == "QLinearLeakyRelu" else {}
    return c.quantized(kind, c.sides(x), x.shape, x.dtype, domain=MICROSOFT, **attributes)


def pool(c: Chain, x: Bytes) -> Bytes:
    if len(x.shape) not in (3, 4):
        return unary(c, x)
    kind = c.draw(st.sampled_from(["MaxPool", "MaxPool", "QLinearAveragePool", "QLinearGlobalAveragePool"]))
    if kind == "QLinearGlobalAveragePool":
        ones = [1] * len(x.shape[2:])
        return c.quantized(kind, c.sides(x), (*x.shape[:2], *ones), x.dtype, domain=MICROSOFT)
    attributes, sizes = window(c, x, [-1], kind == "MaxPool", True)
    shape = (*x.shape[:2], *sizes)
    if kind == "MaxPool":
        return x.named(c.emit(kind, [x.name], **attributes), shape)
    attributes["count_include_pad"] = c.draw(st.integers(0, 1))
    return c.quantized(kind, c.sides(x), shape, x.dtype, domain=MICROSOFT, **attributes)


def concat(c: Chain, x: Bytes) -> Bytes:
    axis = c.draw(st.integers(0, len(x.shape) - 1))
    counted = c.draw(st.sampled_from([axis, axis - len(x.shape)]))
    if c.draw(st.booleans()):
        return x.named(c.emit("Concat", [x.name, x.name], axis=counted), larger(x.shape, axis, x.shape[axis]))
    more = c.draw(st.integers(1, 6))
    parts = c.draw(st.permutations([x, c.input(larger(x.shape, axis, more - x.shape[axis]), x.dtype)]))
    scale, zero = c.numbers(x.dtype)
    inputs = [*c.parameters(scale, zero, x.dtype), *c.sides(*parts)]
    name = c.emit("QLinearConcat", inputs, domain=MICROSOFT, axis=counted)
    return Bytes(name, larger(x.shape, axis, more), scale, zero, x.dtype)


def larger(shape: tuple[int, ...], axis: int, by: int) -> tuple[int, ...]:
    return tuple(size + (by if i == axis else 0) for i, size in enumerate(shape))


def part(c: Chain, x: Bytes) -> Bytes:
    """Some of an axis."""
    axis = c.draw(st.integers(0, len(x.shape) - 1))
    size = x.shape[axis]
    begin = c.draw(st.integers(0, size - 1))
    end = c.draw(st.integers(begin + 1, size))
    counted = c.draw(st.sampled_from([axis, axis - len(x.shape)]))
    if size > end and c.draw(st.booleans()):
        return x.named(
            c.emit("Split", [x.name, c.ints(end, size - end)], 2, axis=counted), larger(x.shape, axis, end - size)
        )
    ends = [end, end - size] if end < size else [end, 2**63 - 1]
    lists = [begin, c.draw(st.sampled_from(ends)), counted]
    return x.named(c.emit("Slice", [x.name, *(c.ints(n) for n in lists)]), larger(x.shape, axis, end - begin - size))


def border(c: Chain, x: Bytes) -> Bytes:
    if len(x.shape) < 3:
        return part(c, x)
    spatial = range(2, len(x.shape))
    pads = [[c.draw(st.integers(-1, 2)) for _ in spatial] for _ in range(2)]
    shape = (*x.shape[:2], *(x.shape[i] + pads[0][i - 2] + pads[1][i - 2] for i in spatial))
    assume(min(shape) >= 1)
    value = [c.constant(c.draw(st.sampled_from([0, 100])), x.dtype)] if c.draw(st.booleans()) else []
    return x.named(c.emit("Pad", [x.name, c.ints(0, 0, *pads[0], 0, 0, *pads[1]), *value]), shape)


def reorder(c: Chain, x: Bytes) -> Bytes:
    kind = c.draw(st.sampled_from(["Transpose", "Flatten", "Reshape", "Squeeze", "Unsqueeze"]))
    if kind == "Transpose":
        order = c.draw(st.permutations(range(len(x.shape))))
        return x.named(c.emit(kind, [x.name], perm=list(order)), [x.shape[i] for i in order])
    return reshaped(c, x, x.name, kind)


def reshaped(c: Chain, x: Bytes, name: str, kind: str) -> Bytes:
    """x or its floats in another shape, whose numbers stay x's."""
    rank, shape = len(x.shape), x.shape
    if kind == "Flatten":
        axis = c.draw(st.integers(0, rank))
        sizes = int(np.prod(shape[:axis])), int(np.prod(shape[axis:]))
        return x.named(
            c.emit(kind, [name], axis=c.draw(st.sampled_from([axis, axis - rank])) if axis < rank else axis), sizes
        )
    ones = [i for i, size in enumerate(shape) if size == 1]
    if kind == "Squeeze" and ones:
        axis = c.draw(st.sampled_from(ones))
        return x.named(
            c.emit(kind, [name, c.ints(c.draw(st.sampled_from([axis, axis - rank])))]),
            (*shape[:axis], *shape[axis + 1 :]),
        )
    if kind == "Unsqueeze" and rank < 5:
        axis = c.draw(st.integers(0, rank))
        counted = c.draw(st.sampled_from([axis, axis - rank - 1]))
        return x.named(c.emit(kind, [name, c.ints(counted)]), (*shape[:axis], 1, *shape[axis:]))
    target = c.draw(st.sampled_from([(*[0] * (rank - 1), -1), (-1, shape[-1]), shape, (1, -1, *[1] * 2)]))
    sizes = {(-1, shape[-1]): (int(np.prod(shape[:-1])), shape[-1]), (1, -1, 1, 1): (1, int(np.prod(shape)), 1, 1)}
    return x.named(c.emit("Reshape", [name, c.ints(*target)]), sizes.get(target, shape))
