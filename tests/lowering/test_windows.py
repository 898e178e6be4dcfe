"""Windows over one tensor: any two of them may read a region's input, each with a layout of its own."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import pytest
from graphs import Pair, constant, every_level, graph, sparse_weights
from harness import claimed
from onnx import helper

CHANNELS = 16
SIZES = [*range(5, 14), 16, 17, 21, 32, 33]


def two_windows(kernels: tuple[int, int], strides: tuple[int, int], pads: tuple[int, int]) -> onnx.ModelProto:
    """A convolution and a pool of the same input, a convolution behind the pool."""
    rng = np.random.default_rng(7)
    window = [{"strides": [s] * 2, "pads": [p] * 4} for s, p in zip(strides, pads, strict=True)]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], **window[0]),
        helper.make_node("MaxPool", ["x"], ["b"], kernel_shape=[kernels[1]] * 2, **window[1]),
        helper.make_node("Conv", ["b", "w2"], ["c"]),
    ]
    weights = [
        constant(sparse_weights(rng, CHANNELS, CHANNELS, kernels[0], kernels[0]), "w"),
        constant(sparse_weights(rng, CHANNELS, CHANNELS, 1, 1), "w2"),
    ]
    return graph(nodes, {"x": ["n", CHANNELS, "h", "w"]}, ["a", "c"], weights)


@every_level
@pytest.mark.parametrize("kernels", list(itertools.product((1, 3, 5), (2, 3))))
@pytest.mark.parametrize("strides", [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1)])
def test_a_region_input_under_two_windows(kernels: tuple[int, int], strides: tuple[int, int], level: str) -> None:
    for pads in ((0, 0), (kernels[0] // 2, 0), (0, kernels[1] // 2)):
        pair = Pair(two_windows(kernels, strides, pads), level)
        assert len(claimed(pair.sparse, "Conv", "MaxPool")) == 3
        for size in SIZES:
            width = size + size % 3
            x = np.random.default_rng(size).standard_normal((1, CHANNELS, size, width)).astype(np.float32)
            pair.run(x=x)
