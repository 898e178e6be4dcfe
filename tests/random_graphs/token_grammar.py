"""A grammar of random networks over lists of tokens of any rank: layers in the forms that exporters write, and what
lies between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import onnx
from functions import beside, function
from grammar import parts_of, sliced
from hypothesis import assume
from hypothesis import strategies as st
from network import MICROSOFT, OPSETS, Draw, Network, Sizes, draw_sizes

SPARSITIES = st.sampled_from([0.0, 0.6, 0.9, 0.98, 1.0])
WIDTHS = st.one_of(st.integers(1, 70), st.integers(1, 70), st.sampled_from([128, 200, 300]))


@dataclass
class Tokens:
    """[*leading, features]"""

    name: str
    leading: list[Sizes]
    features: int

    @property
    def rank(self) -> int:
        return len(self.leading) + 1

    def named(self, name: str) -> Tokens:
        return replace(self, name=name)


def vector(draw: Draw, g: Network, x: Tokens, size: int, offset: float = 0.0) -> str:
    """One number a channel, with any axes of 1 in front."""
    ones = [1] * draw(st.sampled_from([0, 0, *range(x.rank)]))
    return g.constant(g.floats((*ones, size), 0.2, offset))


def layer(draw: Draw, g: Network, x: Tokens, outputs: int | None = None) -> Tokens:
    width = outputs or draw(st.one_of(WIDTHS, st.just(x.features)))
    g.sparsity = draw(SPARSITIES)
    forms: list[LayerForm] = [
        matmul,
        matmul,
        *([gemm] * 2 if x.rank == 2 else []),
        *([flat_gemm] if x.rank > 2 else []),
    ]
    y = draw(st.sampled_from(forms))(draw, g, x, width)
    assume(outputs is None or y.leading == x.leading)  # no Gemm that transposes x
    return y


def matmul(draw: Draw, g: Network, x: Tokens, outputs: int) -> Tokens:
    """MatMul or FusedMatMul (+ Add)."""
    if draw(st.integers(0, 4)) == 0 and x.rank > 1:
        turned = draw(st.booleans())
        weight = g.weight((outputs, x.features) if turned else (x.features, outputs), x.features)
        y = g.op("FusedMatMul", [x.name, weight], domain=MICROSOFT, transB=int(turned), **g.some({"alpha": [0.5]}))
    else:
        y = g.op("MatMul", [x.name, g.weight((x.features, outputs), x.features)])
    if draw(st.booleans()):
        y = g.op("Add", draw(st.permutations([y, vector(draw, g, x, outputs)])))
    return Tokens(y, x.leading, outputs)


def gemm(draw: Draw, g: Network, x: Tokens, outputs: int) -> Tokens:
    """transA, transB, alpha, beta; C absent, one number, of rows, of columns, full, or an activation."""
    static = len(set(x.leading[0])) == 1
    trans_a, trans_b = static and draw(st.integers(0, 4)) == 0, draw(st.booleans())
    rows, inner = ([x.features] * len(x.leading[0]), x.leading[0][0]) if trans_a else (x.leading[0], x.features)
    inputs = [x.name, g.weight((outputs, inner) if trans_b else (inner, outputs), inner)]
    shapes = [None, (1,), (outputs,), (1, outputs)] + (
        [(), (rows[0], 1), (rows[0], outputs)] if len(set(rows)) == 1 else []
    )
    shape = draw(st.sampled_from([*(shapes if g.opset >= 11 else shapes[1:]), "activation"]))
    if shape == "activation":
        zeros = g.constant(np.zeros(outputs, np.float32))
        other = g.op("Gemm", [*inputs, zeros], transA=int(trans_a), transB=int(trans_b))
        inputs.append(g.op("Relu", [other]))
    elif shape is not None:
        inputs.append(g.constant(g.floats(shape)))
    y = g.op(
        "Gemm",
        inputs,
        transA=int(trans_a),
        transB=int(trans_b),
        **g.some({"alpha": [0.5, 1.0], "beta": [2.0, -0.5, 0.0]}),
    )
    return Tokens(y, [rows], outputs)


def flat_gemm(draw: Draw, g: Network, x: Tokens, outputs: int) -> Tokens:
    """A Gemm of the tokens of all sequences in one axis, whose sizes the model computes."""
    sizes = g.listed("Slice", g.op("Shape", [x.name]), 10, starts=[0], ends=[x.rank - 1])[0]
    count = g.op("ReduceProd", [sizes], keepdims=1) if draw(st.booleans()) and g.opset < 18 else g.ints(-1)
    flat = g.op("Reshape", [x.name, g.op("Concat", [count, g.ints(x.features)], axis=0)])
    y = gemm(draw, g, Tokens(flat, [[int(np.prod(run)) for run in zip(*x.leading, strict=True)]], x.features), outputs)
    assume(y.leading[0][0] == int(np.prod([axis[0] for axis in x.leading])) and y.features == outputs)
    return Tokens(g.op("Reshape", [y.name, g.op("Concat", [sizes, g.ints(outputs)], axis=0)]), x.leading, outputs)


LayerForm = Callable[[Draw, Network, Tokens, int], Tokens]


def activation(draw: Draw, g: Network, x: Tokens) -> Tokens:
    kind = draw(st.sampled_from(["any", "any", "any", "BiasGelu", "FastGelu", "PRelu"]))
    if kind == "any":
        return x.named(function(draw, g, x.name))
    if kind == "PRelu":
        return x.named(g.op(kind, [x.name, vector(draw, g, x, draw(st.sampled_from([x.features, 1])))]))
    return x.named(g.op(kind, [x.name, g.constant(g.floats((x.features,), 0.2))], domain=MICROSOFT))


def rescale(draw: Draw, g: Network, x: Tokens) -> Tokens:
    """A constant next to x: one number, one a channel, seldom one a token."""
    kind = draw(st.sampled_from(["Add", "Mul", "Sub", "Div", "Max", "Min", "Sum"]))
    shapes: list[tuple[int, ...]] = [(), (1,), (x.features,), (x.features,), (*[1] * (x.rank - 1), x.features)]
    if x.leading and len(set(x.leading[-1])) == 1:
        shapes += [(x.leading[-1][0], 1), (x.leading[-1][0], x.features)]
    return x.named(beside(draw, g, kind, x.name, draw(st.sampled_from(shapes))))


def norm(draw: Draw, g: Network, x: Tokens) -> Tokens:
    """Layer or RMS normalization as one operator."""
    scale, shift = g.constant(g.floats((x.features,), 0.2, 1.0)), g.constant(g.floats((x.features,), 0.2))
    vectors, epsilon = [scale, *([shift] if draw(st.booleans()) else [])], g.some({"epsilon": [1e-3]})
    kinds = ["SkipLayerNormalization", "SkipSimplifiedLayerNormalization"] if x.rank in (2, 3) else []
    kinds += ["LayerNormalization"] * 2 if g.opset >= 17 else []
    kinds += ["RMSNormalization"] * 2 if g.opset >= 23 else []
    kind = draw(st.sampled_from([*kinds, "written out", "written out"]))
    if kind == "written out":
        return x.named(written_norm(draw, g, x.name, x.rank, vectors))
    if kind.startswith("Skip"):
        skip = g.op("Relu", [layer(draw, g, x, x.features).name])
        vectors = vectors if kind == "SkipLayerNormalization" else [scale]
        bias = [
            *([""] if len(vectors) == 1 and "Simplified" not in kind else []),
            g.constant(g.floats((x.features,), 0.2)),
        ]
        inputs = [*draw(st.permutations([x.name, skip])), *vectors, *(bias if draw(st.booleans()) else [])]
        return x.named(g.op(kind, inputs, domain=MICROSOFT, **epsilon))
    axes = {"axis": g.axis(x.rank - 1, x.rank)} if draw(st.booleans()) else {}
    return x.named(g.op(kind, [x.name, *(vectors if kind == "LayerNormalization" else [scale])], **axes, **epsilon))


def written_norm(draw: Draw, g: Network, x: str, rank: int, vectors: list[str]) -> str:
    """As a graph of simple operators; without the mean it is an RMS normalization."""
    last = [g.axis(rank - 1, rank)]
    centred = x if draw(st.booleans()) else g.op("Sub", [x, g.reduce_mean(x, last, 1)])
    squares = g.op("Pow", [centred, g.number(2)]) if draw(st.booleans()) else g.op("Mul", [centred, centred])
    variance = g.reduce_mean(squares, last, 1)
    deviation = g.op("Sqrt", [g.op("Add", draw(st.permutations([variance, g.number(1e-4)])))])
    form = draw(st.sampled_from(["Div", "Reciprocal", "one over"]))
    if form == "Div":
        y = g.op(form, [centred, deviation])
    else:
        inverse = g.op("Reciprocal", [deviation]) if form == "Reciprocal" else g.op("Div", [g.number(1), deviation])
        y = g.op("Mul", draw(st.permutations([centred, inverse])))
    for kind, vector in zip(("Mul", "Add"), vectors, strict=False):
        y = g.op(kind, draw(st.permutations([y, vector])))
    return y


def batch_norm(draw: Draw, g: Network, x: Tokens) -> Tokens:
    """Of [rows, channels]."""
    if x.rank != 2:
        return rescale(draw, g, x)
    vectors = [g.constant(np.abs(g.floats((x.features,))) + np.float32(0.5)) for _ in range(4)]
    return x.named(g.op("BatchNormalization", [x.name, *vectors]))


def residual(draw: Draw, g: Network, x: Tokens) -> Tokens:
    y = layer(draw, g, x, x.features)
    kind = draw(st.sampled_from(["Add", "Add", "Mul", "Sub", "Max", "Min", "Sum"]))
    more = [g.op("Sigmoid", [x.name])] if kind in ("Max", "Min", "Sum") and draw(st.booleans()) else []
    return x.named(g.op(kind, draw(st.permutations([x.name, y.name, *more]))))


def concat(draw: Draw, g: Network, x: Tokens) -> Tokens:
    other = layer(draw, g, x, draw(WIDTHS))
    parts = draw(st.permutations([x, other]))
    name = g.op("Concat", [part.name for part in parts], axis=g.axis(x.rank - 1, x.rank))
    return Tokens(name, x.leading, sum(part.features for part in parts))


def split(draw: Draw, g: Network, x: Tokens) -> Tokens:
    parts = parts_of(draw, g, x.name, x.features, g.axis(x.rank - 1, x.rank))
    first, second = draw(st.permutations(parts))[:2]
    if draw(st.booleans()):
        return Tokens(first[0], x.leading, first[1])
    name = g.op("Concat", [second[0], g.op("Relu", [first[0]])], axis=x.rank - 1)
    return Tokens(name, x.leading, first[1] + second[1])


def channel_slice(draw: Draw, g: Network, x: Tokens) -> Tokens:
    name, features = sliced(draw, g, x.name, x.features, x.rank - 1, x.rank)
    return Tokens(name, x.leading, features)


def softmax(draw: Draw, g: Network, x: Tokens) -> Tokens:
    """What runs elsewhere, between regions."""
    return x.named(g.op("Softmax", [x.name], axis=draw(st.integers(0, x.rank - 1))))


def choose_token(draw: Draw, g: Network, x: Tokens) -> Tokens:
    if x.rank != 3:
        return activation(draw, g, x)
    least = min(x.leading[1])
    index = g.constant(np.array(draw(st.integers(-least, least - 1)), np.int64))
    return Tokens(g.op("Gather", [x.name, index], axis=g.axis(1, 3)), x.leading[:1], x.features)


def regroup(draw: Draw, g: Network, x: Tokens) -> Tokens:
    """Other leading axes."""
    joined = [int(np.prod(run)) for run in zip(*x.leading, strict=True)]
    kind = draw(st.sampled_from(["Flatten", "Reshape", "Unsqueeze", "Reshape 0"]))
    if kind == "Unsqueeze" and x.rank < 5:
        axis = draw(st.integers(0, x.rank - 1))
        name = g.listed(kind, x.name, 13, axes=[g.axis(axis, x.rank + 1) if g.opset >= 11 else axis])[0]
        return (
            Tokens(name, [*x.leading[:axis], [1] * len(joined or [1]), *x.leading[axis:]], x.features)
            if x.leading
            else x
        )
    if x.rank < 2:
        return x
    if kind == "Flatten" and g.opset >= 11:
        return Tokens(g.op(kind, [x.name], axis=g.axis(x.rank - 1, x.rank)), [joined], x.features)
    if kind == "Reshape 0" or x.rank > 3:
        return x.named(
            g.op("Reshape", [x.name, g.ints(*[0] * (x.rank - 1), draw(st.sampled_from([0, -1, x.features])))])
        )
    return Tokens(g.op("Reshape", [x.name, g.ints(-1, x.features)]), [joined], x.features)


Rule = Callable[[Draw, Network, Tokens], Tokens]
RULES: list[Rule] = [
    layer, layer, activation, activation, residual, residual, rescale, norm, norm, concat, split, channel_slice,
    softmax, choose_token, regroup, batch_norm,
]  # fmt: skip


@st.composite
def token_networks(draw: Draw) -> tuple[onnx.ModelProto, list[tuple[int, ...]]]:
    """A model with input "x" of [*leading, features], symbolic or static, and the shapes of x to run it with."""
    g = Network(draw, draw(st.integers(0, 99)), 0.9, draw(st.sampled_from(OPSETS)))
    rank, features = draw(st.sampled_from([1, 2, 2, 3, 3, 3, 4, 5])), draw(WIDTHS)
    runs = draw(st.integers(1, 3))
    symbolic, sizes = draw_sizes(draw, {1: [], 2: [70], 3: [4, 40], 4: [3, 4, 9], 5: [2, 2, 3, 5]}[rank], runs)
    x = layer(draw, g, Tokens("x", sizes, features))
    for rule in draw(st.lists(st.sampled_from(RULES), min_size=0, max_size=6)):
        assume(x.features <= 600)
        x = rule(draw, g, x)
    dims = [f"axis_{i}" if free else axis[0] for i, (free, axis) in enumerate(zip(symbolic, sizes, strict=True))]
    outputs: list[int | str] = [f"out_{i}" for i in range(x.rank - 1)]
    model = g.model({"x": [*dims, features]}, {x.name: [*outputs, x.features]}, opset=g.opset)
    return model, [(*(axis[run] for axis in sizes), features) for run in range(runs)]
