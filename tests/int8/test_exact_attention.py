"""Attention of bytes from end to end, softmax and mask included: nothing in it is computed in float, so that its bytes
are the CPU provider's on every level."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from byte_models import S8, U8, ByteGraph, Shape, exact, random_bytes

HEADS, WIDTH = 2, 12
CHANNELS = HEADS * WIDTH
Q = tuple[float, int]  # scale, zero point of u8
# Of the layer's input, queries, keys, values, their products, what scales and masks make of those, weights, result.
X, QUERIES, KEYS, VALUES, SCORES = (0.02, 120), (0.021, 117), (0.019, 130), (0.03, 99), (0.05, 131)
SCALED, MASK, MASKED, WEIGHTS, Y = (0.02, 131), (0.04, 255), (0.031, 180), (1 / 256, 0), (0.025, 128)


class Attention(ByteGraph):
    def __init__(self, operators: bool, dtype: Any) -> None:
        super().__init__()
        self.operators, self.dtype = operators, dtype

    def parameters(self, q: Q) -> tuple[str, str]:
        return self.numbers(q[0], q[1] - (128 if self.dtype is S8 else 0), self.dtype)

    def between(self, kind: str, operator: str, y: Q, *sides: tuple[str, Q], **attributes: Any) -> str:
        """An operator on bytes: of its own kind, or on floats."""
        if not self.operators:
            floats = [self.op("DequantizeLinear", x, *self.parameters(q)) for x, q in sides]
            return str(self.op("QuantizeLinear", self.op(kind, *floats, **attributes), *self.parameters(y)))
        inputs = [name for x, q in sides for name in (x, *self.parameters(q))]
        domain = "" if operator == "QLinearMatMul" else "com.microsoft"
        if operator == "QLinearSoftmax":
            attributes["opset"] = 17
        return str(self.op(operator, *inputs, *self.parameters(y), domain=domain, **attributes))

    def layer(self, x: str, y: Q) -> str:
        weight = self.pruned((CHANNELS, CHANNELS))
        if self.operators:
            scaled = (x, *self.parameters(X), weight, *self.numbers(0.005, 0, S8))
            return str(self.op("QLinearMatMul", *scaled, *self.parameters(y)))
        product = self.op(
            "MatMul", self.op("DequantizeLinear", x, *self.parameters(X)), self.dequantize(weight, 0.005, 0, S8)
        )
        return str(self.op("QuantizeLinear", product, *self.parameters(y)))

    def moved(self, x: str, shape: list[int], perm: list[int]) -> str:
        return str(self.op("Transpose", self.op("Reshape", x, self.constant(shape, np.int64)), perm=perm))

    def run(self, scaled: bool, mask: Shape | None, mask_first: bool) -> str:
        x = self.input("x", ["batch", "tokens", CHANNELS], self.dtype)
        queries, keys, values = (self.layer(x, y) for y in (QUERIES, KEYS, VALUES))
        split = [0, 0, HEADS, WIDTH]
        sides = [(self.moved(queries, split, [0, 2, 1, 3]), QUERIES), (self.moved(keys, split, [0, 2, 3, 1]), KEYS)]
        scores, now = self.between("MatMul", "QLinearMatMul", SCORES, *sides), SCORES
        if scaled:
            byte = self.constant(255 if self.dtype is U8 else 127, self.dtype)
            scores, now = self.between("Mul", "QLinearMul", SCALED, (scores, now), (byte, (0.37 / 255, 0))), SCALED
        if mask is not None:
            sides = [(scores, now), (self.input("mask", mask, self.dtype), MASK)]
            scores, now = self.between("Add", "QLinearAdd", MASKED, *sides[:: -1 if mask_first else 1]), MASKED
        weights = self.between("Softmax", "QLinearSoftmax", WEIGHTS, (scores, now), axis=-1)
        sides = [(weights, WEIGHTS), (self.moved(values, split, [0, 2, 1, 3]), VALUES)]
        joined = self.op("Transpose", self.between("MatMul", "QLinearMatMul", Y, *sides), perm=[0, 2, 1, 3])
        return str(self.op("Reshape", joined, self.constant([0, 0, CHANNELS], np.int64)))


@pytest.mark.parametrize(
    ("mask", "mask_first"),
    [(None, False), (["batch", 1, 1, "tokens"], False), (["batch", 1, "tokens", "tokens"], False),
     (["batch", 1, 1, "tokens"], True)],
    ids=["no mask", "of keys", "of queries and keys", "mask first"],
)  # fmt: skip
@pytest.mark.parametrize("scaled", [False, True], ids=["as they are", "scaled"])
@pytest.mark.parametrize(("operators", "dtype"), [(True, U8), (True, S8), (False, U8)], ids=["u8", "s8", "qdq u8"])
def test_attention(operators: bool, dtype: Any, scaled: bool, mask: Shape | None, mask_first: bool) -> None:
    g = Attention(operators, dtype)
    model = g.model({g.run(scaled, mask, mask_first): dtype})
    feeds = []
    for batch, tokens in [(1, 1), (2, 2), (3, 3), (1, 16), (2, 17), (1, 50)]:
        sizes = {"batch": batch, "tokens": tokens}
        feed = {"x": random_bytes(g.random, (batch, tokens, CHANNELS), dtype)}
        if mask is not None:
            feed["mask"] = random_bytes(g.random, [sizes.get(str(d), d) for d in mask], dtype)
        feeds.append(feed)
    exact(model, feeds, "QLinearSoftmax" if operators else "Softmax")
