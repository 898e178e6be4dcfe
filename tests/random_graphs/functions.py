"""Functions of single numbers, in every form that exporters write, for images and for lists of tokens."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st
from network import MICROSOFT, Draw, Network

# Each with the opset it is from, and its attributes.
PLAIN: dict[str, tuple[int, dict[str, list[float]]]] = {
    "Relu": (6, {}), "Sigmoid": (6, {}), "Tanh": (6, {}), "Softsign": (6, {}), "Softplus": (6, {}), "Abs": (6, {}),
    "Neg": (6, {}), "Erf": (9, {}), "Identity": (1, {}), "Dropout": (7, {}), "HardSwish": (14, {}),
    "LeakyRelu": (6, {"alpha": [0.2, -0.5, 1.5, 0.0]}),
    "HardSigmoid": (6, {"alpha": [0.3, -0.2], "beta": [0.4]}),
    "Elu": (6, {"alpha": [0.5, 2.0]}),
    "Selu": (6, {"alpha": [0.5], "gamma": [1.5]}),
    "Celu": (12, {"alpha": [0.5, 2.0]}),
    "ThresholdedRelu": (10, {"alpha": [-0.5, 0.3]}),
}  # fmt: skip
FUSED: dict[str, dict[str, list[float]]] = {"Gelu": {}, "FastGelu": {}, "QuickGelu": {"alpha": [1.0, 0.5]}}


def clip(draw: Draw, g: Network, x: str) -> str:
    low = draw(st.sampled_from([None, -0.5, 0.0, 0.25]))
    high = draw(st.sampled_from([None, 1.5, 6.0, -1.0] if g.opset >= 11 else [None, 1.5, 6.0]))
    if g.opset < 11:
        return g.op("Clip", [x], **{key: b for key, b in (("min", low), ("max", high)) if b is not None})
    inputs = [x, *("" if bound is None else g.scalar(bound) for bound in (low, high))]
    return g.op("Clip", inputs[:2] if high is None and draw(st.booleans()) else inputs)


def square(draw: Draw, g: Network, x: str) -> str:
    return g.op("Pow", [x, g.number(2)]) if draw(st.booleans()) else g.op("Mul", [x, x])


def silu(draw: Draw, g: Network, x: str) -> str:
    inner = g.op("Mul", [x, g.number(draw(st.sampled_from([1.702, 0.5])))]) if draw(st.booleans()) else x
    return g.op("Mul", draw(st.permutations([x, g.op("Sigmoid", [inner])])))


def gelu(draw: Draw, g: Network, x: str) -> str:
    """With Erf or Tanh, and the half anywhere in the product."""
    if draw(st.booleans()):
        inner = g.op("Erf", [g.op("Div", [x, g.number(2**0.5)])])
    else:
        cube = g.op("Pow", [x, g.number(3)]) if draw(st.booleans()) else g.op("Mul", [x, g.op("Mul", [x, x])])
        poly = g.op("Add", draw(st.permutations([x, g.op("Mul", [cube, g.number(0.044715)])])))
        inner = g.op("Tanh", [g.op("Mul", [poly, g.number((2 / np.pi) ** 0.5)])])
    gate = g.op("Add", [inner, g.number(1)])
    half, where = g.number(0.5), draw(st.sampled_from(["x", "gate", "product"]))
    x = g.op("Mul", [x, half]) if where == "x" else x
    gate = g.op("Mul", [gate, half]) if where == "gate" else gate
    product = g.op("Mul", draw(st.permutations([x, gate])))
    return g.op("Mul", [product, half]) if where == "product" else product


def of_positive(draw: Draw, g: Network, x: str) -> str:
    """Functions that are not defined or not tame everywhere."""
    kind = draw(st.sampled_from(["Sqrt", "Reciprocal", "Exp"]))
    size = g.op("Abs", [x])
    if kind == "Exp":
        return g.op(kind, [g.op("Neg", [size])])
    return g.op(kind, [g.op("Add", [size, g.number(0.5)])])


def fused(draw: Draw, g: Network, x: str) -> str:
    if g.opset >= 20 and draw(st.booleans()):
        forms = {"approximate": draw(st.sampled_from(["none", "tanh"]))} if draw(st.booleans()) else {}
        return g.op("Gelu", [x], **forms)
    kind = draw(st.sampled_from(sorted(FUSED)))
    return g.op(kind, [x], domain=MICROSOFT, **g.some(FUSED[kind]))


WRITTEN: list[Callable[[Draw, Network, str], str]] = [clip, clip, square, silu, gelu, of_positive, fused]


def function(draw: Draw, g: Network, x: str) -> str:
    if draw(st.booleans()):
        return draw(st.sampled_from(WRITTEN))(draw, g, x)
    kind = draw(st.sampled_from([kind for kind, (since, _) in PLAIN.items() if since <= g.opset]))
    return g.op(kind, [x], **g.some(PLAIN[kind][1]))


def beside(draw: Draw, g: Network, kind: str, x: str, shape: tuple[int, ...]) -> str:
    """An operator of two with a constant, on either side; a divisor is far from zero."""
    other = g.floats(shape, 0.3, draw(st.sampled_from([1.0, 0.0, -1.0])))
    other = np.copysign(np.abs(other) + np.float32(0.5), other) if kind == "Div" else other
    sides = [x, g.constant(other)]
    return g.op(kind, sides if kind == "Div" else draw(st.permutations(sides)))
