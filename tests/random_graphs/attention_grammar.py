"""A grammar of attention between pruned layers, in the forms of exporters and as ONNX's operator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from hypothesis import strategies as st
from network import Draw, Network
from onnx import TensorProto
from token_grammar import Tokens, norm

WIDTHS = st.one_of(st.integers(1, 20), st.sampled_from([4, 8, 16, 20]))  # of bytes, multiples of 4 run here
Feeds = list[dict[str, np.ndarray]]
MASKS: dict[str, list[int | str]] = {
    "keys": ["n", 1, 1, "k"],
    "queries and keys": [1, 1, "s", "k"],
    "heads": [1, "heads", "s", "k"],
    "of each sequence": ["n", 1, "s", "k"],
    "two axes": ["s", "k"],
}


@dataclass
class Form:
    """What attention is drawn with. joined: heads and sequences in one axis."""

    heads: int
    width: int
    value_width: int
    features: int
    cross: bool
    one_layer: bool
    operator: bool
    joined: bool
    mask: str  # of MASKS, or ""
    flags: bool  # the mask is one of bools
    drops: bool  # they say what is dropped
    guard: bool  # a row of NaN becomes zeros


@st.composite
def forms(draw: Draw) -> Form:
    heads, width, cross = draw(st.integers(1, 5)), draw(WIDTHS), draw(st.booleans())
    one_layer = not cross and draw(st.booleans())
    operator = draw(st.integers(0, 3)) == 0
    joined = not operator and draw(st.integers(0, 4)) == 0
    mask = "" if joined else draw(st.sampled_from(["", *MASKS]))
    return Form(
        heads=heads,
        width=width,
        value_width=width if one_layer else draw(st.one_of(st.just(width), WIDTHS)),
        features=draw(st.integers(1, 40)),
        cross=cross,
        one_layer=one_layer,
        operator=operator,
        joined=joined,
        mask=mask,
        flags=mask != "" and draw(st.booleans()),
        drops=not operator and draw(st.booleans()),
        guard=not operator and draw(st.booleans()),
    )


def heads_of(g: Network, x: str, f: Form, width: int, transposed: bool = False) -> str:
    parted = g.op("Reshape", [x, g.ints(0, 0, f.heads, width)])
    if f.joined or g.draw(st.booleans()):
        parted = g.op("Transpose", [parted], perm=[0, 2, 1, 3])
        if f.joined:  # of three axes
            sizes = g.op("Slice", [g.op("Shape", [parted]), g.ints(2), g.ints(4)])
            parted = g.op("Reshape", [parted, g.op("Concat", [g.ints(-1), sizes], axis=0)])
        perm = [0, 2, 1] if f.joined else [0, 1, 3, 2]
        return g.op("Transpose", [parted], perm=perm) if transposed else parted
    return g.op("Transpose", [parted], perm=[0, 2, 3, 1] if transposed else [0, 2, 1, 3])


def linear(g: Network, x: str, inputs: int, outputs: int) -> str:
    y = g.op("MatMul", [x, g.weight((inputs, outputs), inputs)])
    return g.op("Add", [y, g.constant(g.floats((outputs,), 0.1))])


def sides(draw: Draw, g: Network, f: Form) -> list[str]:
    """Queries, keys (turned, unless an operator turns them) and values by heads: of a layer each, or all of one."""
    channels, memory = f.heads * f.width, "memory" if f.cross else "x"
    if not f.one_layer:
        widths = [f.width, f.width, f.value_width]
        lists = [linear(g, x, f.features, f.heads * w) for x, w in zip(("x", memory, memory), widths, strict=True)]
    else:
        whole, form = linear(g, "x", f.features, 3 * channels), draw(st.sampled_from(["Split", "Gather", "Slice"]))
        if form == "Gather" and not f.joined:
            stacked = g.op("Reshape", [whole, g.ints(0, 0, 3, f.heads, f.width)])
            stacked = g.op("Transpose", [stacked], perm=[2, 0, 3, 1, 4])
            q, k, v = (g.op("Gather", [stacked, g.constant(np.array(i, np.int64))], axis=0) for i in range(3))
            return [q, k if f.operator else g.op("Transpose", [k], perm=[0, 1, 3, 2]), v]
        if form == "Slice":
            lists = [
                g.op("Slice", [whole, g.ints(i * channels), g.ints((i + 1) * channels), g.ints(-1)]) for i in range(3)
            ]
        else:
            lists = g.multi("Split", [whole, g.ints(*[channels] * 3)], 3, axis=draw(st.sampled_from([2, -1])))
    q, k, v = lists
    return [heads_of(g, q, f, f.width), heads_of(g, k, f, f.width, not f.operator), heads_of(g, v, f, f.value_width)]


def scaled(draw: Draw, g: Network, x: str, factor: float) -> str:
    if draw(st.booleans()):
        return g.op("Div", [x, g.number(1 / factor)])
    return g.op("Mul", draw(st.permutations([x, g.number(factor)])))


def written_out(draw: Draw, g: Network, f: Form, q: str, k: str, v: str) -> str:
    where, factor = draw(st.sampled_from(["queries", "both", "scores", "nowhere"])), float(f.width**-0.5)
    if where == "queries":
        q = scaled(draw, g, q, factor)
    elif where == "both":
        q, k = scaled(draw, g, q, factor**0.5), scaled(draw, g, k, factor**0.5)
    scores = g.op("MatMul", [q, k])
    scores = scaled(draw, g, scores, factor) if where == "scores" else scores
    if f.flags:
        masked = g.number(draw(st.sampled_from([-np.inf, -1e9, -50.0])))
        scores = g.op("Where", ["mask", masked, scores] if f.drops else ["mask", scores, masked])
    elif f.mask:
        scores = g.op("Add", draw(st.permutations([scores, "mask"])))
    weights = g.op("Softmax", [scores], axis=draw(st.sampled_from([-1, 2 if f.joined else 3])))
    if f.guard:
        weights = g.op("Where", [g.op("IsNaN", [weights]), g.scalar(0), weights])
    return g.op("MatMul", [weights, v])


def attention(draw: Draw, g: Network, f: Form) -> str:
    """Its heads joined again."""
    q, k, v = sides(draw, g, f)
    if f.operator:
        y = g.op("Attention", [q, k, v, *(["mask"] if f.mask else [])], **g.some({"scale": [0.3]}))
    else:
        y = written_out(draw, g, f, q, k, v)
    if f.joined:
        sizes = g.op("Slice", [g.op("Shape", [y]), g.ints(1), g.ints(3)])
        y = g.op("Reshape", [y, g.op("Concat", [g.ints(-1, f.heads), sizes], axis=0)])
    y = g.op("Transpose", [y], perm=[0, 2, 1, 3])
    return g.op("Reshape", [y, g.ints(0, 0, f.heads * f.value_width)])


def feed_of(
    f: Form, rng: np.random.Generator, inputs: dict[str, list[int | str]], sizes: dict[str, int]
) -> dict[str, np.ndarray]:
    """Masks leave each query its first key."""
    shapes = {name: [sizes[d] if isinstance(d, str) else d for d in dims] for name, dims in inputs.items()}
    feed = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    if f.flags:
        masked = feed["mask"] > 0.5
        masked[..., 0] = False
        feed["mask"] = masked if f.drops else ~masked
    elif f.mask:
        feed["mask"] = np.where(feed["mask"] > 0.5, np.float32(-1e9), feed["mask"])
    return feed


@st.composite
def blocks(draw: Draw) -> tuple[onnx.ModelProto, Feeds]:
    """Self- or cross-attention over [batch, tokens, features] with or without a mask, a norm, the choice of a token."""
    f = draw(forms())
    g = Network(draw, draw(st.integers(0, 99)), draw(st.sampled_from([0.5, 0.9])), 23 if f.operator else 17)
    y = linear(g, attention(draw, g, f), f.heads * f.value_width, f.features)
    y = norm(draw, g, Tokens(g.op("Add", [y, "x"]), [[1, 2], [1, 2]], f.features)).name
    shape: list[int | str] = ["n", "s", f.features]
    if draw(st.booleans()):
        y = g.op("Gather", [y, g.constant(np.array(draw(st.sampled_from([0, -1])), np.int64))], axis=1)
        shape = ["n", f.features]
    inputs: dict[str, list[int | str]] = {"x": ["n", "s", f.features]}
    if f.cross:
        inputs["memory"] = ["n", "k", f.features]
    if f.mask:
        named = {"heads": f.heads, "k": "k" if f.cross else "s"}
        inputs["mask"] = [named.get(axis, axis) if isinstance(axis, str) else axis for axis in MASKS[f.mask]]
    rng = np.random.default_rng(0)
    feeds = []
    for _ in range(3):
        sizes = {"n": draw(st.integers(1, 4)), "s": draw(st.integers(1, 40)), "k": draw(st.integers(1, 40))}
        feeds.append(feed_of(f, rng, inputs, sizes))
    model = g.model(inputs, {y: shape}, opset=g.opset)
    if f.flags:
        model.graph.input[-1].type.tensor_type.elem_type = TensorProto.BOOL
    return model, feeds
