"""Random attention between pruned layers: SparseCPUProvider against the CPU provider."""

from __future__ import annotations

import numpy as np
import onnx
from harness import Variant, compare, float_variants, nodes
from hypothesis import given, settings
from hypothesis import strategies as st
from onnxruntime_ep_sparsecpu.models import GraphBuilder
from random_checks import CHECKS, EXAMPLES

VARIANTS = st.sampled_from(list(float_variants().values()))
Feeds = list[dict[str, np.ndarray]]


def heads_of(g: GraphBuilder, x: str, heads: int, width: int, transposed: bool = False) -> str:
    parted = g.op("Reshape", [x, g.ints(0, 0, heads, width)])
    return g.op("Transpose", [parted], perm=[0, 2, 3, 1] if transposed else [0, 2, 1, 3])


def layer_norm(draw: st.DrawFn, g: GraphBuilder, x: str, channels: int) -> str:
    scale, shift = g.constant(g.floats((channels,), 0.2, 1.0)), g.constant(g.floats((channels,), 0.2))
    if draw(st.booleans()):
        return g.op("LayerNormalization", [x, scale, shift], axis=-1, epsilon=1e-5)
    centred = x if draw(st.booleans()) else g.op("Sub", [x, g.op("ReduceMean", [x], axes=[-1])])
    variance = g.op("ReduceMean", [g.op("Mul", [centred, centred])], axes=[-1])
    deviation = g.op("Sqrt", [g.op("Add", [variance, g.constant(np.float32(1e-5))])])
    return g.op("Add", [g.op("Mul", [g.op("Div", [centred, deviation]), scale]), shift])


@st.composite
def blocks(draw: st.DrawFn) -> tuple[onnx.ModelProto, Feeds]:
    """Self- or cross-attention over [batch, tokens, features] with or without a mask, a norm, the choice of a token."""
    g = GraphBuilder(draw(st.integers(0, 99)), draw(st.sampled_from([0.5, 0.9])))
    heads, width = draw(st.integers(1, 5)), draw(st.integers(1, 20))
    value_width = draw(st.one_of(st.just(width), st.integers(1, 20)))
    features, cross = draw(st.integers(1, 40)), draw(st.booleans())
    memory = "memory" if cross else "x"

    def linear(x: str, inputs: int, outputs: int) -> str:
        y = g.op("MatMul", [x, g.weight((inputs, outputs), inputs)])
        return g.op("Add", [y, g.constant(g.floats((outputs,), 0.1))])

    q = heads_of(g, linear("x", features, heads * width), heads, width)
    k = heads_of(g, linear(memory, features, heads * width), heads, width, transposed=True)
    v = heads_of(g, linear(memory, features, heads * value_width), heads, value_width)
    scores = g.op("Mul", [g.op("MatMul", [q, k]), g.constant(np.float32(width**-0.5))])
    mask = draw(st.sampled_from([None, "keys", "queries and keys", "heads"]))
    axes = {"keys": ["n", 1, 1, "k"], "queries and keys": [1, 1, "s", "k"], "heads": [1, heads, "s", "k"]}
    if mask is not None:
        scores = g.op("Add", [scores, "mask"])
    y = g.op("MatMul", [g.op("Softmax", [scores], axis=-1), v])
    y = g.op("Reshape", [g.op("Transpose", [y], perm=[0, 2, 1, 3]), g.ints(0, 0, heads * value_width)])
    y = g.op("Add", [linear(y, heads * value_width, features), "x"])
    y = layer_norm(draw, g, y, features)
    shape: list[int | str] = ["n", "s", features]
    if draw(st.booleans()):
        y = g.op("Gather", [y, g.constant(np.array(draw(st.sampled_from([0, -1])), np.int64))], axis=1)
        shape = ["n", features]
    inputs: dict[str, list[int | str]] = {"x": ["n", "s", features]}
    if cross:
        inputs["memory"] = ["n", "k", features]
    if mask is not None:
        inputs["mask"] = [axis if cross or axis != "k" else "s" for axis in axes[mask]]
    rng = np.random.default_rng(0)
    feeds = []
    for _ in range(3):
        sizes = {"n": draw(st.integers(1, 4)), "s": draw(st.integers(1, 40)), "k": draw(st.integers(1, 40))}
        feed = {
            name: rng.standard_normal([sizes.get(d, d) if isinstance(d, str) else d for d in dims]).astype(np.float32)
            for name, dims in inputs.items()
        }
        if "mask" in feed:
            feed["mask"] = np.where(feed["mask"] > 0.5, np.float32(-1e9), feed["mask"])
        feeds.append(feed)
    return g.model(inputs, {y: shape}), feeds


@settings(CHECKS, max_examples=EXAMPLES)
@given(block=blocks(), variant=VARIANTS)
def test_random_attention(block: tuple[onnx.ModelProto, Feeds], variant: Variant) -> None:
    model, feeds = block
    session = compare(model, feeds, **variant, min_sparsity=0)
    softmax = nodes(session, "Softmax")
    assert [node["pattern"] for node in softmax] == ["attention"], softmax[0]["reason"]
    assert all(node["region"] >= 0 for node in softmax)
