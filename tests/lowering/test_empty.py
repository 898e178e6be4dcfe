"""Tensors without elements, as inputs, inside a region and as outputs: what the CPU provider computes is computed."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from graphs import I64, Pair, constant, cross_attention, every_level, graph, sparse_weights
from harness import claimed
from onnx import helper

C = 8
RNG = np.random.default_rng(0)
W3, W1 = sparse_weights(RNG, C, C, 3, 3), sparse_weights(RNG, C, C, 1, 1)
WEIGHTS = [constant(W3, "w3"), constant(W1, "w1"), constant(np.arange(1, C + 1), "b")]
IMAGE = ["n", C, "h", "w"]
node = helper.make_node


def ints(values: Sequence[int], name: str) -> onnx.TensorProto:
    return constant(values, name, np.int64)


CHAINS: dict[str, list[onnx.NodeProto]] = {
    "conv, pads 2": [node("Conv", ["x", "w3", "b"], ["y"], pads=[2] * 4)],
    "conv, pads 1 and 4": [node("Conv", ["x", "w3", "b"], ["y"], pads=[1, 4, 4, 1])],
    "conv, strided": [node("Conv", ["x", "w3", "b"], ["y"], pads=[3] * 4, strides=[2, 2])],
    "conv, far": [node("Conv", ["x", "w3", "b"], ["y"], pads=[41] * 4, dilations=[40, 40])],
    "conv, same": [node("Conv", ["x", "w3", "b"], ["y"], auto_pad="SAME_UPPER")],
    "depthwise": [node("Conv", ["x", "wd", "b"], ["a"], pads=[2] * 4, group=C), node("Conv", ["a", "w1"], ["y"])],
    "pad, conv": [node("Pad", ["x", "p", "v"], ["a"]), node("Conv", ["a", "w3"], ["y"])],
    "conv, pad": [node("Conv", ["x", "w1"], ["a"]), node("Pad", ["a", "p", "v"], ["y"])],
    "conv, mean": [node("Conv", ["x", "w1"], ["a"]), node("ReduceMean", ["a"], ["y"], axes=[2, 3])],
    "conv, average": [node("Conv", ["x", "w1"], ["a"]), node("GlobalAveragePool", ["a"], ["y"])],
    "conv, pool": [
        node("Conv", ["x", "w3"], ["a"], pads=[2] * 4),
        node("MaxPool", ["a"], ["y"], kernel_shape=[2, 2], pads=[1] * 4),
    ],
    "pool, conv": [
        node("MaxPool", ["x"], ["a"], kernel_shape=[2, 2], pads=[1] * 4),
        node("Conv", ["a", "w3"], ["y"], pads=[1] * 4),
    ],
    "resize, conv": [
        node("Resize", ["x", "", "twice"], ["a"], mode="nearest"),
        node("Conv", ["a", "w3"], ["y"], pads=[2] * 4),
    ],
    "residual": [
        node("Conv", ["x", "w3"], ["a"], pads=[1] * 4),
        node("Add", ["a", "x"], ["r"]),
        node("Conv", ["r", "w3", "b"], ["y"], pads=[2] * 4),
    ],
    "concat": [
        node("Conv", ["x", "w1"], ["a"]),
        node("Sigmoid", ["a"], ["s"]),
        node("Concat", ["a", "s"], ["c"], axis=1),
        node("Split", ["c", "halves"], ["l", "r"], axis=1),
        node("Mul", ["l", "r"], ["m"]),
        node("Conv", ["m", "w3", "b"], ["y"], pads=[2] * 4),
    ],
}
CONSTANTS = [
    *WEIGHTS,
    constant(W3[:, :1], "wd"),
    ints([0, 0, 2, 2, 0, 0, 2, 2], "p"),
    constant(7, "v"),
    constant([1, 1, 2, 2], "twice"),
    ints([C, C], "halves"),
]


@every_level
@pytest.mark.parametrize("chain", CHAINS)
def test_an_image_without_pixels(chain: str, level: str) -> None:
    used = {name for made in CHAINS[chain] for name in made.input}
    constants = [value for value in CONSTANTS if value.name in used]
    pair = Pair(graph(CHAINS[chain], {"x": IMAGE}, ["y"], constants), level)
    assert claimed(pair.sparse, "Conv")
    ran = 0
    for n, h, w in itertools.product((0, 1, 2, 17), (0, 1, 5), (0, 1, 6)):
        feed = {"x": np.random.default_rng(n).standard_normal((n, C, h, w)).astype(np.float32)}
        if pair.accepts(**feed):
            pair.run(**feed)
            ran += 1
    assert ran


@every_level
def test_parts_of_no_channels(level: str) -> None:
    nodes = [
        node("Conv", ["x", "w3"], ["c"], pads=[1] * 4),
        node("Split", ["c", "parts"], ["a", "b", "d"], axis=1),
        node("Relu", ["a"], ["r"]),
        node("Concat", ["b", "r", "d"], ["y"], axis=1),
    ]
    for parts in ([0, C, 0], [3, 0, C - 3], [0, 0, C]):
        model = graph(nodes, {"x": IMAGE}, ["y", "r"], [constant(W3, "w3"), ints(parts, "parts")])
        pair = Pair(model, level)
        assert claimed(pair.sparse, "Split", "Concat")
        pair.run(x=RNG.standard_normal((2, C, 5, 6)).astype(np.float32))


@every_level
def test_attention_to_nothing(level: str) -> None:
    pair = Pair(cross_attention(4, 16), level)
    assert claimed(pair.sparse, "Softmax")
    for batch, queries, keys in itertools.product((0, 1, 3), (0, 1, 5, 40), (0, 1, 7)):
        pair.run(
            x=RNG.standard_normal((batch, queries, 64)).astype(np.float32),
            m=RNG.standard_normal((batch, keys, 64)).astype(np.float32),
        )


@every_level
def test_tokens_without_rows(level: str) -> None:
    nodes = [
        node("MatMul", ["x", "w"], ["a"]),
        node("Add", ["a", "b"], ["s"]),
        node("LayerNormalization", ["s", "b", "b"], ["l"]),
        node("Reshape", ["l", "to"], ["r"]),
        node("MatMul", ["r", "w"], ["y"]),
    ]
    constants = [constant(sparse_weights(RNG, C, C), "w"), constant(np.arange(1, C + 1), "b")]
    model = graph(nodes, {"x": ["n", "s", C], "to": [2]}, ["y"], constants, types={"to": I64})
    pair = Pair(model, level)
    assert claimed(pair.sparse, "MatMul", "Gemm")
    for n, s in itertools.product((0, 1, 3), (0, 1, 20)):
        feed = {
            "x": RNG.standard_normal((n, s, C)).astype(np.float32),
            "to": np.array([n * s, C], np.int64),  # a size of 0 stands for the input's
        }
        if pair.accepts(**feed):
            pair.run(**feed)
