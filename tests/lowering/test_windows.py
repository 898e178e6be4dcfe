"""Windows over one tensor: any two of them may read a region's input, each with a layout of its own."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import pytest
from graphs import U8, Pair, constant, every_level, graph, sparse_weights
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


def far(kind: str, kernel: tuple[int, int], groups: int, **window: list[int]) -> onnx.ModelProto:
    """A window whose taps lie far apart, behind a layer that computes its input in the region."""
    rng = np.random.default_rng(11)
    if kind == "Conv":
        layer = helper.make_node("Conv", ["a", "w"], ["b"], group=groups, **window)
    else:
        layer = helper.make_node(kind, ["a"], ["b"], kernel_shape=kernel, **window)
    nodes = [helper.make_node("Conv", ["x", "w1"], ["a"]), layer, helper.make_node("Conv", ["b", "w1"], ["y"])]
    weights = [
        constant(sparse_weights(rng, CHANNELS, CHANNELS // groups, *kernel), "w"),
        constant(sparse_weights(rng, CHANNELS, CHANNELS, 1, 1), "w1"),
    ]
    return graph(nodes, {"x": ["n", CHANNELS, "h", "w"]}, ["y"], weights)


@every_level
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("dilation", "pad"), [((40, 40), 40), ((17, 19), 0), ((500, 500), 500), ((1, 300), 300)])
@pytest.mark.parametrize(("kind", "groups"), [("Conv", 1), ("Conv", CHANNELS), ("MaxPool", 1)])
def test_taps_that_lie_far_apart(
    kind: str, groups: int, dilation: tuple[int, int], pad: int, stride: int, level: str
) -> None:
    pads = [min(pad, d) for d in dilation] * 2
    if kind == "MaxPool":  # onnxruntime wants pads below the kernel's size
        pads = [0] * 4
    model = far(kind, (3, 3), groups, dilations=list(dilation), pads=pads, strides=[stride] * 2)
    pair = Pair(model, level)
    for height, width in ((5, 5), (40, 41), (90, 77)):
        reach = [2 * d + 1 - 2 * p for d, p in zip(dilation, pads, strict=False)]
        if height < reach[0] or width < reach[1]:
            continue
        x = np.random.default_rng(height).standard_normal((2, CHANNELS, height, width)).astype(np.float32)
        pair.run(x=x)


@every_level
@pytest.mark.parametrize("dilation", [16, 40, 256])
def test_samples_far_apart(dilation: int, level: str) -> None:
    """One axis of samples, as in networks for audio: padded on both sides, or before alone."""
    for pads in ([dilation, dilation], [2 * dilation, 0]):
        rng = np.random.default_rng(dilation)
        nodes = [
            helper.make_node("Conv", ["x", "w"], ["a"], dilations=[dilation], pads=pads),
            helper.make_node("Conv", ["a", "w"], ["y"], dilations=[2 * dilation], pads=[2 * p for p in pads]),
        ]
        weights = [constant(sparse_weights(rng, CHANNELS, CHANNELS, 3), "w")]
        pair = Pair(graph(nodes, {"x": ["n", CHANNELS, "t"]}, ["y"], weights), level)
        assert len(claimed(pair.sparse, "Conv")) == 2
        for samples in (1, 100, 513):
            pair.run(x=rng.standard_normal((1, CHANNELS, samples)).astype(np.float32))


def far_bytes(dilation: int, zero: int) -> onnx.ModelProto:
    rng = np.random.default_rng(2)
    q = ["scale", "zero"]
    nodes = [
        helper.make_node(
            "QLinearConv", ["x", *q, "w", "scale", "none", *q], ["y"], dilations=[dilation] * 2, pads=[dilation] * 4
        )
    ]
    constants = [
        constant(0.05, "scale"),
        constant(zero, "zero", np.uint8),
        constant(rng.integers(0, 2, (8, 6, 3, 3)) * rng.integers(0, 4, (8, 6, 3, 3)), "w", np.uint8),
        constant(0, "none", np.uint8),
    ]
    return graph(nodes, {"x": ["n", 6, "h", "w"]}, ["y"], constants, dtype=U8)


@every_level
@pytest.mark.parametrize("dilation", [20, 40, 500])
def test_bytes_far_apart(dilation: int, level: str) -> None:
    pair = Pair(far_bytes(dilation, 7), level)
    assert claimed(pair.sparse, "QLinearConv")
    for height, width in ((5, 5), (33, 50)):
        pair.run(x=np.random.default_rng(height).integers(0, 256, (1, 6, height, width)).astype(np.uint8))
