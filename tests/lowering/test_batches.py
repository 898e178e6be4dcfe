"""Batches of images, which may run image by image: every number of images gives what the CPU provider gives."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from graphs import Pair, constant, every_level, graph, sparse_weights
from harness import claimed
from onnx import helper

C = 8
RNG = np.random.default_rng(0)
node = helper.make_node

TAILS: dict[str, list[onnx.NodeProto]] = {
    "flatten, relu": [node("Flatten", ["a"], ["f"]), node("Relu", ["f"], ["y"])],
    "reshape, sigmoid": [node("Reshape", ["a", "flat"], ["f"]), node("Sigmoid", ["f"], ["y"])],
    "reshape, relu, matmul": [
        node("Reshape", ["a", "tokens"], ["f"]),
        node("Relu", ["f"], ["g"]),
        node("MatMul", ["g", "m"], ["y"]),
    ],
    "relu, conv, flatten, relu": [
        node("Relu", ["a"], ["b"]),
        node("Conv", ["b", "w"], ["c"]),
        node("Flatten", ["c"], ["f"]),
        node("Relu", ["f"], ["y"]),
    ],
    "gate": [
        node("GlobalAveragePool", ["a"], ["g"]),
        node("Conv", ["g", "w1"], ["h"]),
        node("Sigmoid", ["h"], ["s"]),
        node("Mul", ["a", "s"], ["y"]),
    ],
    "pool, flatten, gemm": [
        node("MaxPool", ["a"], ["p"], kernel_shape=[7, 5]),
        node("Flatten", ["p"], ["f"]),
        node("Gemm", ["f", "m"], ["g"]),
        node("Relu", ["g"], ["y"]),
    ],
}
CONSTANTS = [
    constant(sparse_weights(RNG, C, C, 3, 3), "w"),
    constant(sparse_weights(RNG, C, C, 1, 1), "w1"),
    constant(sparse_weights(RNG, C, C), "m"),
    constant([0, -1], "flat", np.int64),
    constant([-1, C], "tokens", np.int64),
]


@every_level
@pytest.mark.parametrize("tail", TAILS)
def test_any_number_of_images(tail: str, level: str) -> None:
    nodes = [node("Conv", ["x", "w"], ["a"]), *TAILS[tail]]
    used = {name for made in nodes for name in made.input}
    constants = [value for value in CONSTANTS if value.name in used]
    pair = Pair(graph(nodes, {"x": ["n", C, 9, 7]}, ["y"], constants), level)
    assert claimed(pair.sparse, "Conv")
    for images in (1, 2, 3, 4, 6, 8, 16, 17):
        pair.run(x=np.random.default_rng(images).standard_normal((images, C, 9, 7)).astype(np.float32))
