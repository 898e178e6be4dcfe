"""Elementwise functions behind one another: one pass with the values of the CPU provider, in every layout."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from graphs import Pair, constant, every_level, graph, sparse_weights
from harness import nodes as nodes_of
from onnx import helper

C = 40
RNG = np.random.default_rng(3)
node = helper.make_node
CONSTANTS = [
    constant(2.0, "two"),
    constant(3.0, "three"),
    constant(6.0, "six"),
    constant(0.0, "zero"),
    constant(0.7, "most"),
    constant(np.linspace(0.5, 1.5, C), "last"),
    constant(np.linspace(0.5, 1.5, C).reshape(C, 1, 1), "column"),
    constant(sparse_weights(RNG, C, C, 1, 1), "w1"),
    constant(sparse_weights(RNG, C, C), "m"),
]

# From x to y; the first layer's result is x.
WRITTEN_OUT = {
    "HardSwish": [
        node("Add", ["x", "three"], ["a"]),
        node("Clip", ["a", "zero", "six"], ["b"]),
        node("Mul", ["x", "b"], ["c"]),
        node("Div", ["c", "six"], ["y"]),
    ],
    "a difference from the input": [node("Tanh", ["x"], ["a"]), node("Sub", ["a", "x"], ["y"])],
    "the input less it": [node("Tanh", ["x"], ["a"]), node("Sub", ["x", "a"], ["y"])],
    "functions": [
        node("Tanh", ["x"], ["a"]),
        node("Clip", ["a", "zero", "most"], ["b"]),
        node("Sigmoid", ["b"], ["y"]),
    ],
    "Mish": [node("Softplus", ["x"], ["a"]), node("Tanh", ["a"], ["b"]), node("Mul", ["x", "b"], ["y"])],
    "Softsign": [node("Abs", ["x"], ["a"]), node("Add", ["a", "three"], ["b"]), node("Div", ["x", "b"], ["y"])],
    "Relu6 of Max and Min": [node("Max", ["x", "zero"], ["a"]), node("Min", ["six", "a"], ["y"])],
    "exponentials": [
        node("Exp", ["x"], ["a"]),
        node("Selu", ["a"], ["b"]),
        node("Elu", ["b"], ["c"]),
        node("Celu", ["c"], ["y"], alpha=0.5),
    ],
    "roots": [
        node("Pow", ["x", "two"], ["a"]),
        node("Sqrt", ["a"], ["b"]),
        node("Neg", ["b"], ["c"]),
        node("Sum", ["c", "x", "three"], ["d"]),
        node("Reciprocal", ["d"], ["e"]),
        node("Softsign", ["e"], ["y"]),
    ],
    "the larger of two": [node("Max", ["x", "other"], ["a"]), node("Min", ["a", "x", "six"], ["y"])],
    "numbers behind a sum": [
        node("Tanh", ["x"], ["a"]),
        node("Add", ["a", "other"], ["b"]),
        node("Mul", ["b", "three"], ["c"]),
        node("Sigmoid", ["c"], ["y"]),
    ],
}


def run(
    nodes: Sequence[onnx.NodeProto], shapes: Sequence[Sequence[int]], level: str, layer: str, per_channel: str
) -> None:
    """Between two layers, for inputs of these shapes; also with a number a channel in the middle."""
    multiply = [node("Sigmoid", ["x"], ["p"]), node("Mul", ["p", per_channel], ["q"]), node("Relu", ["q"], ["y"])]
    slopes = [node("Tanh", ["x"], ["p"]), node("PRelu", ["p", per_channel], ["q"]), node("Add", ["q", "x"], ["y"])]
    for made in (nodes, multiply, slopes):
        weight = "w1" if layer == "Conv" else "m"
        every = [node(layer, ["in", weight], ["x"]), *made, node(layer, ["y", weight], ["out"])]
        used = {name for n in every for name in n.input}
        symbols: list[int | str] = [f"axis{i}" for i in range(len(shapes[0]))]
        symbols[1 if layer == "Conv" else -1] = C
        inputs = {name: symbols for name in ("in", "other") if name in used}
        pair = Pair(graph(every, inputs, ["out"], [c for c in CONSTANTS if c.name in used]), level)
        for shape in shapes:
            pair.run(**{name: RNG.standard_normal(shape).astype(np.float32) for name in inputs})
        left = [n["op_type"] for n in nodes_of(pair.sparse) if n["region"] < 0]
        assert not left and nodes_of(pair.sparse, layer), left


@every_level
@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_images(name: str, level: str) -> None:
    run(WRITTEN_OUT[name], [(1, C, 9, 7), (17, C, 3, 3), (1, C, 1, 1), (0, C, 3, 3)], level, "Conv", "column")


@every_level
@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_tokens(name: str, level: str) -> None:
    run(WRITTEN_OUT[name], [(1, 33, C), (2, 5, C), (1, 1, C), (1, 0, C), (1, 3, C)], level, "MatMul", "last")
