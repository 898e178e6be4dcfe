"""Shapes that a file declares and that do not hold: the values are right, or the run ends with an error.

ONNX Runtime does not check the declared shape of a value inside the graph. Here that value comes out of a Reshape whose
target only the run knows. Left out: what makes the CPU provider itself wrong, which reuses memory by declared shapes
(one number a channel next to an image that is declared as one pixel)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from graphs import I64, Pair, constant, every_level, graph, sparse_weights
from harness import assert_close
from onnx import helper

C = 8
RNG = np.random.default_rng(0)
node = helper.make_node

CHAINS: dict[str, list[onnx.NodeProto]] = {
    "conv": [node("Conv", ["r", "w1"], ["y"])],
    "conv, window": [node("Conv", ["r", "w3"], ["y"], pads=[1] * 4, strides=[2, 2])],
    "matmul": [node("MatMul", ["r", "m"], ["y"])],
    "one vector, matmul": [node("MatMul", ["r", "m"], ["a"]), node("Sigmoid", ["a"], ["y"])],
    "matmul, vector": [node("MatMul", ["r", "m"], ["a"]), node("Add", ["a", "v"], ["y"])],
    "gemm": [node("Gemm", ["r", "m", "v"], ["y"])],
    "gemm, norm": [node("Gemm", ["r", "m"], ["a"]), node("LayerNormalization", ["a", "v", "v"], ["y"])],
    "matmul of integers": [
        node("DynamicQuantizeLinear", ["r"], ["q", "q_scale", "q_zero"]),
        node("MatMulInteger", ["q", "bytes", "q_zero"], ["i"]),
        node("Cast", ["i"], ["f"], to=1),
        node("Mul", ["f", "q_scale"], ["y"]),
    ],
    "conv, channels": [node("Conv", ["r", "w1"], ["a"]), node("Mul", ["a", "column"], ["y"])],
    "channels, conv": [node("Mul", ["r", "column"], ["a"]), node("Conv", ["a", "w1"], ["y"])],
    "conv, sum": [node("Conv", ["r", "w1"], ["a"]), node("Add", ["a", "r"], ["y"])],
    "matmul, sum": [node("MatMul", ["r", "m"], ["a"]), node("Add", ["r", "a"], ["y"])],
    "conv, split": [
        node("Conv", ["r", "w1"], ["a"]),
        node("Split", ["a"], ["l", "t"], axis=1),
        node("Concat", ["t", "l"], ["y"], axis=1),
    ],
    "split, conv": [
        node("Split", ["r"], ["l", "t"], axis=1),
        node("Concat", ["t", "l"], ["a"], axis=1),
        node("Relu", ["a"], ["b"]),
        node("Conv", ["b", "w1"], ["y"]),
    ],
    "slice, matmul": [node("Slice", ["r", "from", "until", "last"], ["a"]), node("MatMul", ["a", "m"], ["y"])],
    "matmul, norm": [node("MatMul", ["r", "m"], ["a"]), node("LayerNormalization", ["a", "v", "v"], ["y"])],
    "conv, mean": [node("Conv", ["r", "w1"], ["a"]), node("ReduceMean", ["a"], ["y"], axes=[2, 3], keepdims=0)],
    "conv, flatten": [node("Conv", ["r", "w1"], ["a"]), node("Flatten", ["a"], ["f"]), node("Relu", ["f"], ["y"])],
}
CONSTANTS = [
    constant(sparse_weights(RNG, C, C, 1, 1), "w1"),
    constant(sparse_weights(RNG, C, C, 3, 3), "w3"),
    constant(sparse_weights(RNG, C, C), "m"),
    constant(np.arange(1, C + 1), "v"),
    constant(np.arange(C * C).reshape(C, C) % 7 // 4 * 3, "bytes", np.int8),
    constant([-C], "from", np.int64),
    constant([2**31], "until", np.int64),
    constant([-1], "last", np.int64),
    constant(np.arange(1, C + 1).reshape(C, 1, 1), "column"),
]
DECLARED: list[list[int | str]] = [
    [1, C, 1, 1],
    [4, C, 1, 1],
    [1, C, 7, 5],
    [2, C, 8, 8],
    ["n", C, "h", "w"],
    [1, 1, 3, C],
    [2, 5, C],
    [1, 1, C],
    ["n", "s", C],
    [5, C],
    [1, C],
    [C, C, C, C],
    [C, C, C],
    [2, 2 * C, 3, 3],
    [2, 5, 2 * C],
]
REAL: list[Sequence[int]] = [
    (C,),
    (1, C, 17, 16),
    (3, C, 1, 1),
    (2, C, 8, 8),
    (C, C, C, C),
    (2, 2 * C, 3, 3),
    (2, 5, 3 * C),
    (3, 20, C),
    (C, C, C),
    (17, C),
    (2, 1, 3, 4, C),
]


@every_level
@pytest.mark.parametrize("chain", CHAINS)
def test_a_declared_shape_never_changes_values(chain: str, level: str) -> None:
    used = {name for made in CHAINS[chain] for name in made.input}
    constants = [value for value in CONSTANTS if value.name in used]
    nodes = [node("Reshape", ["x", "shape"], ["r"]), *CHAINS[chain]]
    ran = 0
    for declared in DECLARED:
        inputs = {"x": ["count"], "shape": ["rank"]}
        model = graph(nodes, inputs, ["y"], constants, types={"shape": I64}, value_info={"r": declared})
        try:
            pair = Pair(model, level)
        except (ort.capi.onnxruntime_pybind11_state.Fail, ort.capi.onnxruntime_pybind11_state.InvalidGraph):
            continue  # the CPU provider takes no such file either
        for real in REAL:
            size = int(np.prod(real))
            x = np.random.default_rng(size).standard_normal(size).astype(np.float32)
            feed = {"x": x, "shape": np.array(real, np.int64)}
            if not pair.accepts(**feed):
                continue
            assert_close(pair.sparse.run(None, feed), pair.cpu.run(None, feed))
            ran += 1
    assert ran
