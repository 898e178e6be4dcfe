"""Attention as onnxruntime's optimizer writes it, Attention and MultiHeadAttention of com.microsoft between pruned
layers, with every mask that they take: SparseCPUProvider against the CPU provider."""

from __future__ import annotations

import numpy as np
import onnx
from harness import Variant, compare, float_variants, nodes
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto
from onnxruntime_ep_sparsecpu.models import GraphBuilder
from random_checks import CHECKS, EXAMPLES

VARIANTS = st.sampled_from(list(float_variants().values()))
Shape = list[int | str]
MASKS: dict[str, Shape] = {
    "lengths": ["n"],
    "padding": ["n", "k"],
    "padding of each query": ["n", "s", "k"],
    "scores": ["n", "heads", "s", "k"],
    "scores of all": [1, "heads", "s", "k"],
}


def masked_somewhere(rng: np.random.Generator, kind: str, shape: list[int], keys: int) -> np.ndarray:
    """A mask that leaves each query a key, as numbers around -10000 are too coarse to tell scores apart."""
    if kind == "lengths":
        return rng.integers(1, keys + 3, shape, np.int32)
    if kind.startswith("scores"):
        return rng.standard_normal(shape).astype(np.float32)
    mask = rng.integers(-1, 3, shape, np.int32)
    mask[..., rng.integers(keys)] = 1
    return mask


@st.composite
def blocks(draw: st.DrawFn) -> tuple[onnx.ModelProto, list[dict[str, np.ndarray]]]:
    g = GraphBuilder(draw(st.integers(0, 99)), sparsity=draw(st.sampled_from([0.5, 0.9])))
    heads, width, features = draw(st.integers(1, 5)), draw(st.integers(1, 12)), draw(st.integers(1, 40))
    channels, joined = heads * width, draw(st.booleans())
    cross = not joined and draw(st.booleans())
    kind = draw(st.sampled_from(["none", *MASKS]))
    has_bias = joined or draw(st.booleans())
    bias = g.constant(g.floats((3 * channels,), 0.2)) if has_bias else ""
    attributes = {"num_heads": heads, "domain": "com.microsoft"}
    if draw(st.booleans()):
        attributes["mask_filter_value"] = -50.0
    if joined:
        x = g.linear("x", features, features)
        inputs = [x, g.weight((features, 3 * channels), features), bias]
    else:
        memory = "memory" if cross else "x"
        inputs = [g.linear(side, features, channels) for side in ("x", memory, memory)] + [bias]
    if kind.startswith("scores"):
        inputs += [""] * (5 - len(inputs)) + ["mask"]
    elif kind != "none":
        inputs.append("mask")
    operator = "Attention" if joined else "MultiHeadAttention"
    y = g.linear(g.op(operator, inputs, **attributes), channels, features)
    shapes: dict[str, Shape] = {"x": ["n", "s", features]}
    if cross:
        shapes["memory"] = ["n", "k", features]
    if kind != "none":
        named = {"heads": heads, "k": "k" if cross else "s"}
        shapes["mask"] = [named.get(axis, axis) if isinstance(axis, str) else axis for axis in MASKS[kind]]
    model = g.model(shapes, {y: ["n", "s", features]})
    if kind != "none" and not kind.startswith("scores"):
        model.graph.input[-1].type.tensor_type.elem_type = TensorProto.INT32
    rng = np.random.default_rng(0)
    feeds = []
    for _ in range(3):
        sizes = {"n": draw(st.integers(1, 4)), "s": draw(st.integers(1, 40)), "k": draw(st.integers(1, 40))}
        feed = {}
        for name, dims in shapes.items():
            shape = [sizes[d] if isinstance(d, str) else d for d in dims]
            keys = sizes["k" if cross else "s"]
            floats = rng.standard_normal(shape).astype(np.float32)
            feed[name] = masked_somewhere(rng, kind, shape, keys) if name == "mask" else floats
        feeds.append(feed)
    return model, feeds


@settings(CHECKS, max_examples=EXAMPLES)
@given(block=blocks(), variant=VARIANTS)
def test_random_fused_attention(block: tuple[onnx.ModelProto, list[dict[str, np.ndarray]]], variant: Variant) -> None:
    model, feeds = block
    session = compare(model, feeds, **variant, min_sparsity=0)
    (attention,) = nodes(session, "Attention", "MultiHeadAttention")
    assert attention["region"] >= 0, attention["reason"]
