"""Random image networks of the supported patterns: SparseCPUProvider against the CPU provider."""

from __future__ import annotations

import grammar
import numpy as np
import onnx
from harness import Variant, assert_close, claimed, cpu_session, float_variants, sparse_session
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnxruntime_ep_sparsecpu.models import GraphBuilder
from random_checks import CHECKS, EXAMPLES

VARIANTS = st.sampled_from(list(float_variants().values()))


def feeds_for(shapes: list[tuple[int, ...]]) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(len(shapes))
    return [{"x": rng.standard_normal(shape).astype(np.float32)} for shape in shapes]


def check(model: onnx.ModelProto, shapes: list[tuple[int, ...]], variant: Variant, neighbours: str = "on") -> None:
    cpu = cpu_session(model)
    sparse = sparse_session(model, **variant, min_sparsity=0, neighbours=neighbours)
    for feed in feeds_for(shapes):
        assert_close(sparse.run(None, feed), cpu.run(None, feed))
    assert claimed(sparse), "nothing was claimed: the comparison says nothing"


@CHECKS
@given(network=grammar.networks(), variant=VARIANTS)
def test_random_network(network: tuple[onnx.ModelProto, list[tuple[int, ...]]], variant: Variant) -> None:
    check(*network, variant)


@settings(CHECKS, max_examples=max(1, EXAMPLES // 3))
@given(network=grammar.networks(), variant=VARIANTS)
def test_random_network_without_neighbours(
    network: tuple[onnx.ModelProto, list[tuple[int, ...]]], variant: Variant
) -> None:
    check(*network, variant, neighbours="off")


@settings(CHECKS, max_examples=max(1, EXAMPLES // 2))
@given(data=st.data(), variant=VARIANTS)
def test_random_signal_network(data: st.DataObject, variant: Variant) -> None:
    """1-D convolutions and pools."""
    draw = data.draw
    g = GraphBuilder(draw(st.integers(0, 99)), 0.8)
    length, channels, x = draw(st.integers(1, 90)), draw(st.integers(1, 12)), "x"
    shape = (draw(st.integers(1, 4)), channels, length)
    for _ in range(draw(st.integers(1, 3))):
        kernel, stride, dilation = draw(st.integers(1, 5)), draw(st.integers(1, 3)), draw(st.integers(1, 2))
        pads = [draw(st.integers(0, kernel - 1)), draw(st.integers(0, kernel - 1))]
        assume(length + sum(pads) > dilation * (kernel - 1))
        length = (length + sum(pads) - dilation * (kernel - 1) - 1) // stride + 1
        outputs = draw(st.integers(1, 20))
        weight = g.weight((outputs, channels, kernel), channels * kernel)
        window = {"kernel_shape": [kernel], "strides": [stride], "dilations": [dilation], "pads": pads}
        x = g.op("Relu", [g.op("Conv", [x, weight], **window)])
        channels = outputs
    model = g.model({"x": ["n", shape[1], "length"]}, {x: ["n", channels, "length_out"]})
    check(model, [shape, (1, *shape[1:])], variant)
