"""ONNX Attention (opset 23) between pruned layers: SparseCPUProvider against the CPU provider."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from harness import assert_claimed, assert_close, claimed, cpu_session, float_variants, sparse_session
from onnxruntime_ep_sparsecpu.models import GraphBuilder

CHANNELS, HEADS = 64, 4
FLOATS = [variant for variant in float_variants().values()]


def tokens(g: GraphBuilder) -> list[str]:
    return [g.op("MatMul", ["x", g.weight((CHANNELS, CHANNELS), CHANNELS)]) for _ in range(3)]


def projections(g: GraphBuilder) -> list[str]:
    parted, sides = g.ints(0, 0, HEADS, CHANNELS // HEADS), tokens(g)
    return [g.op("Transpose", [g.op("Reshape", [side, parted])], perm=[0, 2, 1, 3]) for side in sides]


def joined(g: GraphBuilder, attention: str) -> str:
    return g.op("Reshape", [g.op("Transpose", [attention], perm=[0, 2, 1, 3]), g.ints(0, 0, CHANNELS)])


@pytest.mark.parametrize("splits_heads", [False, True])
@pytest.mark.parametrize("masked", [False, -np.inf, np.finfo(np.float32).min])
def test_query_without_a_key(masked: float, splits_heads: bool) -> None:
    """Left padding under a causal mask: the operator gives zeros, not NaN and not the average of the values."""
    n = 6
    g = GraphBuilder(seed=1, sparsity=0.85)
    if splits_heads:
        y = g.op("Attention", [*tokens(g), "mask"], q_num_heads=HEADS, kv_num_heads=HEADS)
    else:
        y = joined(g, g.op("Attention", [*projections(g), "mask"]))
    y = g.op("MatMul", [y, g.weight((CHANNELS, CHANNELS), CHANNELS)])
    keep = np.tril(np.ones((1, 1, n, n), bool))
    keep[..., :2] = False
    mask = np.where(keep, 0, masked).astype(np.float32) if masked else keep
    model = g.model({"x": [1, n, CHANNELS], "mask": [1, 1, n, n]}, {y: [1, n, CHANNELS]}, opset=23)
    model.graph.input[1].type.tensor_type.elem_type = onnx.helper.np_dtype_to_tensor_dtype(mask.dtype)
    feeds = {"x": g.floats((1, n, CHANNELS)), "mask": mask}
    expected = cpu_session(model).run(None, feeds)
    assert (expected[0][0, :2] == 0).all()
    for variant in FLOATS:
        session = sparse_session(model, min_sparsity=0, **variant)
        assert_claimed(session, 1.0, "Attention")
        assert_close(session.run(None, feeds), expected)


@pytest.mark.parametrize("n", [7, 17, 128])
def test_quantized_result(n: int) -> None:
    """Its floats are quantized behind it; onnxruntime moves that in front of the join of the heads."""
    g = GraphBuilder(seed=2, sparsity=0.85)
    numbers = [g.constant(np.float32(0.02)), g.constant(np.uint8(128))]
    y = g.op("QuantizeLinear", [joined(g, g.op("Attention", projections(g))), *numbers])
    y = g.op("DequantizeLinear", [y, *numbers])
    model = g.model({"x": [1, n, CHANNELS]}, {y: [1, n, CHANNELS]}, opset=23)
    feeds = {"x": g.floats((1, n, CHANNELS))}
    (expected,) = cpu_session(model).run(None, feeds)
    for variant in FLOATS:
        session = sparse_session(model, min_sparsity=0, **variant)
        assert len(claimed(session, "MatMul")) == 3
        (floats,) = session.run(None, feeds)
        assert np.abs(np.rint((floats - expected) / 0.02)).max() <= 1
