"""A single token lies row-major: ranges of its channels, and functions of them, need no lanes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from graphs import Pair, constant, every_level, graph, sparse_weights
from harness import nodes as nodes_of
from onnx import helper

WIDTH = 24


def lstm_cell(*, gates_are_outputs: bool) -> onnx.ModelProto:
    """One step of an LSTM written out, then a layer, for any number of rows."""
    rng = np.random.default_rng(8)
    node = helper.make_node
    nodes = [
        node("Gemm", ["h", "w", "b"], ["from_h"]),
        node("MatMul", ["x", "v"], ["from_x"]),
        node("Add", ["from_h", "from_x"], ["gates"]),
        node("Split", ["gates"], ["i", "f", "g", "o"], axis=-1),
        *(node("Sigmoid", [gate], [f"s{gate}"]) for gate in "ifo"),
        node("Tanh", ["g"], ["tg"]),
        node("Mul", ["sf", "c"], ["kept"]),
        node("Mul", ["si", "tg"], ["new"]),
        node("Add", ["kept", "new"], ["next"]),
        node("Tanh", ["next"], ["tnext"]),
        node("Mul", ["so", "tnext"], ["out"]),
        node("MatMul", ["out", "u"], ["y"]),
        node("MatMul", ["g", "u"], ["z"]),
    ]
    weights = {"w": (WIDTH, 4 * WIDTH), "v": (10, 4 * WIDTH), "u": (WIDTH, WIDTH)}
    constants = [constant(sparse_weights(rng, *shape), name) for name, shape in weights.items()]
    constants.append(constant(rng.standard_normal(4 * WIDTH), "b"))
    inputs = {"h": ["N", WIDTH], "x": ["N", 10], "c": ["N", WIDTH]}
    return graph(nodes, inputs, ["y", "z", "next", *("if" if gates_are_outputs else "")], constants)


@every_level
@pytest.mark.parametrize("gates_are_outputs", [False, True])
def test_gates_of_an_lstm(gates_are_outputs: bool, level: str) -> None:
    pair = Pair(lstm_cell(gates_are_outputs=gates_are_outputs), level, assume="N=1")
    assert all(node["region"] >= 0 for node in nodes_of(pair.sparse))
    rng = np.random.default_rng(2)
    for rows in (1, 3, 16, 17, 0, 1):
        sizes = {"h": WIDTH, "x": 10, "c": WIDTH}
        pair.run(**{name: rng.standard_normal((rows, size)).astype(np.float32) for name, size in sizes.items()})
