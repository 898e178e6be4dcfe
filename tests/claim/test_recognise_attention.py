"""Attention and its neighbours: the forms that exporters write, and why others are left alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from describe import Network
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto
from onnxruntime_ep_sparsecpu import _native

claim = _native.claim
HEADS, WIDTH, BATCH, LENGTH = 4, 8, 2, 6
CHANNELS = HEADS * WIDTH
GELU_TANH, SILU = 8, 4  # UnaryKind of base/elementwise.h


class Writer(Network):
    """Attention over tokens of fixed (`static`) or symbolic sizes."""

    def __init__(self, static: bool = True, opset: int = 17) -> None:
        super().__init__(opset)
        self.sizes: list[int | str] = [BATCH, LENGTH] if static else ["batch", "sequence"]
        self.static = static

    def tokens(self, name: str, channels: int = CHANNELS, length: int | str | None = None) -> str:
        return self.input(name, [self.sizes[0], length or self.sizes[1], channels])

    def target(self, x: str, *dims: int | None) -> str:
        """A Reshape target; None stands for the batch, then for the length, of x."""
        axes = [i for i, dim in enumerate(dims) if dim is None]
        if self.static:
            sizes = [BATCH, LENGTH]
            return self.constant([sizes[axes.index(i)] if d is None else d for i, d in enumerate(dims)], np.int64)
        shape = self.add("Shape", x)
        parts = []
        for i, dim in enumerate(dims):
            if dim is None:
                index = self.constant(axes.index(i), np.int64)
                one = self.add("Gather", shape, index, axis=0)
                parts.append(self.add("Unsqueeze", one, self.constant([0], np.int64)))
            else:
                parts.append(self.constant([dim], np.int64))
        return self.add("Concat", *parts, axis=0)

    def reshape(self, x: str, like: str, *dims: int | None) -> str:
        return self.add("Reshape", x, self.target(like, *dims))

    def split(self, x: str, perm: tuple[int, ...] = (0, 2, 1, 3)) -> str:
        return self.add("Transpose", self.reshape(x, x, None, None, HEADS, WIDTH), perm=list(perm))

    def join(self, y: str, like: str) -> str:
        return self.reshape(self.add("Transpose", y, perm=[0, 2, 1, 3]), like, None, None, CHANNELS)

    def scaled(self, x: str, scale: float, divide: bool = False) -> str:
        return self.add("Div", x, self.constant(1 / scale)) if divide else self.add("Mul", self.constant(scale), x)


def attention(g: Network, *outputs: str) -> dict[str, Any]:
    """The last node's Attention; fails with the reason if there is none."""
    nodes = claim.recognise(g.describe(*outputs))
    found = [op for op in nodes[-1]["ops"] if op["kind"] == "attention"]
    assert len(found) == 1, [node["reason"] for node in nodes]
    op: dict[str, Any] = found[0]
    return op


def reason(g: Network, *outputs: str) -> str:
    nodes = claim.recognise(g.describe(*outputs))
    assert all(op["kind"] != "attention" for node in nodes for op in node["ops"])
    return next(str(node["reason"]) for node in nodes if node["pattern"] == "attention" and node["reason"])


def keys_by_reshape(g: Writer, k: str) -> str:
    """Keys transposed as torch's newer exporter does: heads and batch joined, transposed, parted again."""
    heads = g.split(k)
    if g.static:
        joined = g.reshape(heads, k, -1, LENGTH, WIDTH)
        return g.reshape(g.add("Transpose", joined, perm=[0, 2, 1]), k, BATCH, HEADS, WIDTH, LENGTH)
    shape = g.add("Shape", heads)
    part = [g.add("Slice", shape, g.constant([i], np.int64), g.constant([i + 1], np.int64)) for i in range(4)]
    joined = g.add("Reshape", heads, g.add("Concat", g.constant([-1], np.int64), part[2], part[3], axis=0))
    back = g.add("Concat", part[0], part[1], part[3], part[2], axis=0)
    return g.add("Reshape", g.add("Transpose", joined, perm=[0, 2, 1]), back)


@settings(deadline=None)
@given(
    static=st.booleans(),
    scale=st.sampled_from(["none", "queries and keys", "queries", "scores", "scores by division"]),
    keys=st.sampled_from(["perm", "two perms", "reshape"]),
    mask=st.sampled_from(["none", "add", "add first", "keep", "drop"]),
    guard=st.booleans(),
    flat=st.booleans(),
)
def test_forms_of_exporters(static: bool, scale: str, keys: str, mask: str, guard: bool, flat: bool) -> None:
    g = Writer(static)
    q, k, v = (g.tokens(name) for name in "qkv")
    queries = g.split(q)
    if keys == "perm":
        turned = g.split(k, (0, 2, 3, 1))
    elif keys == "two perms":
        turned = g.add("Transpose", g.split(k), perm=[0, 1, 3, 2])
    else:
        turned = keys_by_reshape(g, k)
    expected = 1.0
    if scale.startswith("queries"):
        queries, expected = g.scaled(queries, 0.5), 0.5
    if scale == "queries and keys":
        turned, expected = g.scaled(turned, 0.5), 0.25
    scores = g.add("MatMul", queries, turned)
    if scale.startswith("scores"):
        scores, expected = g.scaled(scores, 0.125, "division" in scale), 0.125
    if mask != "none":
        kind = TensorProto.FLOAT if "add" in mask else TensorProto.BOOL
        m = g.input("mask", [g.sizes[0], 1, 1, g.sizes[1]], kind)
        if mask == "add":
            scores = g.add("Add", scores, m)
        elif mask == "add first":
            scores = g.add("Add", m, scores)
        else:
            masked = g.constant(-np.inf)
            scores = g.add("Where", m, scores, masked) if mask == "keep" else g.add("Where", m, masked, scores)
    p = g.add("Softmax", scores, axis=-1)
    if guard:
        p = g.add("Where", g.add("IsNaN", p), g.constant(0.0), p)
    y = g.add("Transpose", g.add("MatMul", p, g.split(v)), perm=[0, 2, 1, 3])
    if flat:  # the tokens of all sequences in one axis, for a Gemm
        y = g.add("Reshape", y, g.constant([-1, CHANNELS], np.int64))
    else:
        y = g.reshape(y, q, None, None, CHANNELS)
    op = attention(g, y)
    assert (op["heads"], op["scale"]) == (HEADS, pytest.approx(expected))
    assert (op["has_mask"], op["mask_drops"], op["zero_nan"]) == (mask != "none", mask == "drop", guard)
    shapes = {name: [BATCH, LENGTH, CHANNELS] for name in "qkv"} | {"mask": [BATCH, 1, 1, LENGTH]}
    assert claim.infer_shapes(g.describe(y), shapes)[y] == (
        [BATCH * LENGTH, CHANNELS] if flat else [BATCH, LENGTH, CHANNELS]
    )


def core(g: Writer, q: str, turned: str, v: str) -> str:
    return g.add("MatMul", g.add("Softmax", g.add("MatMul", q, turned), axis=-1), v)


@pytest.mark.parametrize("static", [True, False])
def test_keys_of_another_length(static: bool) -> None:
    g = Writer(static)
    q = g.tokens("q")
    g.sizes[1] = LENGTH if static else "keys"
    k, v = g.tokens("k"), g.tokens("v")
    assert attention(g, g.join(core(g, g.split(q), g.split(k, (0, 2, 3, 1)), g.split(v)), q))["heads"] == HEADS


@pytest.mark.parametrize("static", [True, False])
@pytest.mark.parametrize("select", ["gather", "split"])
def test_queries_keys_and_values_of_one_layer(static: bool, select: str) -> None:
    g = Writer(static)
    x = g.tokens("x", 3 * CHANNELS)
    stacked = g.add("Transpose", g.reshape(x, x, None, None, 3, HEADS, WIDTH), perm=[2, 0, 3, 1, 4])
    if select == "gather":
        q, k, v = (g.add("Gather", stacked, g.constant(i, np.int64), axis=0) for i in range(3))
    else:
        g.add("Split", stacked, g.constant([1, 1, 1], np.int64), axis=0, outputs=3)
        parts = list(g.nodes[-1].output)
        q, k, v = (g.add("Squeeze", part, g.constant([0], np.int64)) for part in parts)
    y = g.join(core(g, q, g.add("Transpose", k, perm=[0, 1, 3, 2]), v), x)
    ops = claim.recognise(g.describe(y))[-1]["ops"]
    ranges = [op["channels"] for op in ops if op["kind"] == "split"]
    assert ranges == [(0, CHANNELS), (CHANNELS, 2 * CHANNELS), (2 * CHANNELS, 3 * CHANNELS)]


def test_channels_of_one_layer_parted_before_the_heads() -> None:
    g = Writer(static=False)
    x = g.tokens("x", 3 * CHANNELS)
    g.add("Split", x, g.constant([CHANNELS] * 3, np.int64), axis=-1, outputs=3)
    q, k, v = list(g.nodes[-1].output)
    y = g.join(core(g, g.split(q), g.split(k, (0, 2, 3, 1)), g.split(v)), q)
    assert attention(g, y)["heads"] == HEADS


def test_tokens_in_one_axis() -> None:
    g = Writer()
    sides = [g.input(name, [BATCH * LENGTH, CHANNELS]) for name in "qkv"]
    perms = [(0, 2, 1, 3), (0, 2, 3, 1), (0, 2, 1, 3)]
    q, k, v = (g.split(side, perm) for side, perm in zip(sides, perms, strict=True))
    y = g.join(core(g, q, k, v), sides[0])
    assert attention(g, y)["heads"] == HEADS
    assert claim.infer_shapes(g.describe(y), {name: [BATCH * LENGTH, CHANNELS] for name in "qkv"})[y] == [
        BATCH,
        LENGTH,
        CHANNELS,
    ]


def test_heads_and_sequences_in_one_axis() -> None:
    g = Writer()
    q, k, v = (g.reshape(g.split(g.tokens(name)), name, BATCH * HEADS, LENGTH, WIDTH) for name in "qkv")
    y = core(g, q, g.add("Transpose", k, perm=[0, 2, 1]), v)
    assert attention(g, g.join(g.reshape(y, "q", BATCH, HEADS, LENGTH, WIDTH), "q"))["heads"] == HEADS


@pytest.mark.parametrize(
    "change, expected",
    [
        ("axis", "not over the last axis"),
        ("not joined", "not joined to channels"),
        ("inner output", "used outside of it"),
        ("mask shape", "not known to fit"),
        ("mask type", "neither float32 nor bool"),
        ("mask value", "large negative number"),
        ("scaled after the mask", "scaled and masked products"),
        ("scaled values", "values are scaled"),
        ("crossed heads", "not known to be the heads"),
        ("unequal heads", "different numbers of heads"),
    ],
)
def test_declined(change: str, expected: str) -> None:
    g = Writer()
    q, k, v = (g.tokens(name) for name in "qkv")
    queries = g.split(q)
    if change == "crossed heads":  # channels of a head lie apart
        queries = g.add("Transpose", g.reshape(q, q, None, None, WIDTH, HEADS), perm=[0, 3, 1, 2])
    turned = g.split(k, (0, 2, 3, 1))
    values = g.split(v)
    if change == "unequal heads":
        values = g.add("Transpose", g.reshape(v, v, None, None, 1, CHANNELS), perm=[0, 2, 1, 3])
    if change == "scaled values":
        values = g.scaled(values, 0.5)
    product = scores = g.add("MatMul", queries, turned)
    if change.startswith("mask shape"):
        scores = g.add("Add", scores, g.input("mask", [BATCH, 1, 1, "other"]))
    if change == "mask type":
        scores = g.add("Add", scores, g.input("mask", [BATCH, 1, 1, LENGTH], TensorProto.DOUBLE))
    if change == "mask value":
        keep = g.input("mask", [BATCH, 1, 1, LENGTH], TensorProto.BOOL)
        scores = g.add("Where", keep, scores, g.constant(-1.0))
    if change == "scaled after the mask":
        scores = g.scaled(g.add("Add", scores, g.input("mask", [BATCH, 1, 1, LENGTH])), 0.5)
    p = g.add("Softmax", scores, axis=2 if change == "axis" else -1)
    y = g.add("MatMul", p, values)
    if change == "not joined":
        y = g.reshape(y, q, None, None, CHANNELS)
    elif change == "unequal heads":
        y = g.reshape(y, q, None, HEADS * LENGTH, CHANNELS)
    else:
        y = g.join(y, q)
    assert expected in reason(g, y, *([product] if change == "inner output" else []))


def test_shapes_of_an_inner_value_that_others_use_keep_it_outside() -> None:
    g = Writer(static=False)
    q, k, v = (g.tokens(name) for name in "qkv")
    queries = g.split(q)
    other = g.add("Shape", queries)
    y = g.join(core(g, queries, g.split(k, (0, 2, 3, 1)), g.split(v)), q)
    assert "used outside of it" in reason(g, y, other)


def test_constant_masks() -> None:
    def masked(mask: np.ndarray[Any, Any]) -> tuple[Writer, str]:
        g = Writer()
        q, k, v = (g.tokens(name) for name in "qkv")
        scores = g.add("MatMul", g.split(q), g.split(k, (0, 2, 3, 1)))
        constant = g.constant(mask, mask.dtype)
        scores = (
            g.add("Where", constant, scores, g.constant(-np.inf))
            if mask.dtype == bool
            else g.add("Add", scores, constant)
        )
        return g, g.join(g.add("MatMul", g.add("Softmax", scores), g.split(v)), q)

    assert attention(*masked(np.zeros((LENGTH, LENGTH), np.float32)))["has_mask"]
    assert not attention(*masked(np.ones((LENGTH, LENGTH), bool)))["has_mask"]  # it masks nothing
    assert "bool constant" in reason(*masked(np.tri(LENGTH, dtype=bool)))


@pytest.mark.parametrize("rank", [3, 4])
@pytest.mark.parametrize("mask", [None, TensorProto.FLOAT, TensorProto.BOOL])
def test_onnx_attention(rank: int, mask: int | None) -> None:
    g = Writer(static=False, opset=23)
    q, k, v = (g.tokens(name) for name in "qkv")
    inputs = [g.split(x) for x in (q, k, v)] if rank == 4 else [q, k, v]
    if mask is not None:
        inputs.append(g.input("mask", [1, 1, "sequence", "sequence"], mask))
    heads = {} if rank == 4 else {"q_num_heads": HEADS, "kv_num_heads": HEADS}
    y = g.add("Attention", *inputs, scale=0.5, **heads)
    op = attention(g, g.join(y, q) if rank == 4 else y)
    assert (op["heads"], op["scale"], op["has_mask"]) == (HEADS, 0.5, mask is not None)


@pytest.mark.parametrize("attributes", [{"is_causal": 1}, {"softcap": 5.0}, {"kv_num_heads": 2}])
def test_onnx_attention_declined(attributes: dict[str, Any]) -> None:
    g = Writer(opset=23)
    sides = [g.tokens(name) for name in "qkv"]
    assert reason(g, g.add("Attention", *sides, **({"q_num_heads": HEADS, "kv_num_heads": HEADS} | attributes)))


def test_microsoft_attention() -> None:
    g = Writer(static=False)
    weight, bias = g.weight((CHANNELS, 3 * CHANNELS), 0.5), g.constant(np.ones(3 * CHANNELS))
    y = g.add("Attention", g.tokens("x"), weight, bias, domain="com.microsoft", num_heads=HEADS)
    kinds = [op["kind"] for op in claim.recognise(g.describe(y))[-1]["ops"]]
    assert kinds == ["linear", "split", "split", "split", "attention"]
    assert attention(g, y)["scale"] == pytest.approx(WIDTH**-0.5)


@pytest.mark.parametrize("bias", [False, True])
def test_microsoft_multi_head_attention(bias: bool) -> None:
    g = Writer(static=False)
    inputs = [g.tokens(name) for name in "qkv"]
    inputs.append(g.constant(np.ones(3 * CHANNELS)) if bias else "")
    inputs += ["", g.input("mask", ["batch", 1, "sequence", "sequence"])]
    y = g.add("MultiHeadAttention", *inputs, domain="com.microsoft", num_heads=HEADS, scale=0.25)
    kinds = [op["kind"] for op in claim.recognise(g.describe(y))[-1]["ops"]]
    assert kinds == ["affine"] * (3 * bias) + ["attention"]


def test_a_mask_by_length_is_declined() -> None:
    g = Writer(static=False)
    inputs = [*(g.tokens(name) for name in "qkv"), "", g.input("lengths", ["batch"], TensorProto.INT32)]
    y = g.add("MultiHeadAttention", *inputs, domain="com.microsoft", num_heads=HEADS)
    assert "by length" in reason(g, y)


@settings(deadline=None)
@given(
    square=st.sampled_from(["Pow", "Mul"]),
    inverse=st.booleans(),
    twice=st.booleans(),
    shift=st.booleans(),
    opset=st.sampled_from([13, 18]),
    swap=st.booleans(),
)
def test_layer_norm_in_arithmetic(square: str, inverse: bool, twice: bool, shift: bool, opset: int, swap: bool) -> None:
    g = Writer(static=False, opset=opset)
    x = g.tokens("x")

    def mean(value: str) -> str:
        if opset < 18:
            return g.add("ReduceMean", value, axes=[-1], keepdims=1)
        return g.add("ReduceMean", value, g.constant([-1], np.int64), keepdims=1)

    centred = g.add("Sub", x, mean(x))
    again = g.add("Sub", x, mean(x)) if twice else centred
    squares = g.add("Pow", again, g.constant(2.0)) if square == "Pow" else g.add("Mul", again, again)
    deviation = g.add("Sqrt", g.add("Add", mean(squares), g.constant(1e-6)))
    y = g.add("Mul", centred, g.add("Reciprocal", deviation)) if inverse else g.add("Div", centred, deviation)
    scale, offset = np.arange(CHANNELS), np.ones(CHANNELS)
    sides = [y, g.constant(scale)]
    y = g.add("Mul", *(sides[::-1] if swap else sides))
    if shift:
        y = g.add("Add", y, g.constant(offset))
    nodes = claim.recognise(g.describe(y))
    (op,) = nodes[-1]["ops"]
    assert (op["kind"], op["epsilon"]) == ("layer_norm", pytest.approx(1e-6))
    assert op["scale"] == scale.tolist() and op["shift"] == (offset * shift).tolist()
    assert {node["unit"] for node in nodes} == {0}


def test_a_norm_whose_mean_is_used_is_left_in_arithmetic() -> None:
    g = Writer()
    x = g.tokens("x")
    mean = g.add("ReduceMean", x, axes=[-1], keepdims=1)
    centred = g.add("Sub", x, mean)
    variance = g.add("ReduceMean", g.add("Mul", centred, centred), axes=[-1], keepdims=1)
    y = g.add("Div", centred, g.add("Sqrt", g.add("Add", variance, g.constant(1e-6))))
    y = g.add("Mul", y, g.constant(np.ones(CHANNELS)))
    assert [op["kind"] for op in claim.recognise(g.describe(y, mean))[-1]["ops"]] == ["affine"]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("sum_is_used", [False, True])
def test_skip_layer_norm(bias: bool, sum_is_used: bool) -> None:
    g = Writer(static=False)
    vectors = [g.constant(np.ones(CHANNELS)) for _ in range(2 + bias)]
    y = g.add("SkipLayerNormalization", g.tokens("x"), g.tokens("skip"), *vectors, outputs=4, domain="com.microsoft")
    total = g.nodes[-1].output[3]
    del g.nodes[-1].output[3 if not sum_is_used else 4 :]
    for unused in (1, 2):
        g.nodes[-1].output[unused] = ""
    ops = claim.recognise(g.describe(y, *([total] if sum_is_used else [])))[-1]["ops"]
    assert [op["kind"] for op in ops] == ["binary", *["affine"] * bias, "layer_norm"]
    assert (ops[-2]["output"] >= 0) == sum_is_used


@settings(deadline=None)
@given(power=st.booleans(), half=st.sampled_from(["last", "first", "gate"]), swap=st.booleans())
def test_gelu_of_tanh(power: bool, half: str, swap: bool) -> None:
    g = Writer(static=False)
    x = g.tokens("x")
    cube = g.add("Pow", x, g.constant(3.0)) if power else g.add("Mul", x, g.add("Mul", x, x))
    inner = g.add("Add", x, g.add("Mul", cube, g.constant(0.044715)))
    gate = g.add("Add", g.add("Tanh", g.add("Mul", inner, g.constant(0.7978845608))), g.constant(1.0))
    left = x
    if half == "gate":
        gate = g.scaled(gate, 0.5)
    elif half == "first":
        left = g.scaled(x, 0.5)
    y = g.add("Mul", *((gate, left) if swap else (left, gate)))
    if half == "last":
        y = g.scaled(y, 0.5)
    (op,) = claim.recognise(g.describe(y))[-1]["ops"]
    assert op["unary"] == GELU_TANH and op["inputs"] == [0]


def test_quick_gelu_in_arithmetic() -> None:
    g = Writer(static=False)
    x = g.tokens("x")
    (op,) = claim.recognise(g.describe(g.add("Mul", x, g.add("Sigmoid", g.scaled(x, 1.702)))))[-1]["ops"]
    assert (op["unary"], op["a"]) == (SILU, pytest.approx(1.702))


@pytest.mark.parametrize("name", ["BiasGelu", "FastGelu"])
def test_gelu_with_a_bias(name: str) -> None:
    g = Writer(static=False)
    y = g.add(name, g.tokens("x"), g.constant(np.ones(CHANNELS)), domain="com.microsoft")
    assert [op["kind"] for op in claim.recognise(g.describe(y))[-1]["ops"]] == ["affine", "unary"]


@pytest.mark.parametrize(
    "index, axis, expected",
    [(0, 1, True), (-1, 1, True), (LENGTH - 1, -2, True), (LENGTH, 1, False), (0, 0, False), ([0], 1, False)],
)
def test_choice_of_a_token(index: int | list[int], axis: int, expected: bool) -> None:
    g = Writer()
    y = g.add("Gather", g.tokens("x"), g.constant(index, np.int64), axis=axis)
    assert [op["kind"] for op in claim.recognise(g.describe(y))[-1]["ops"]] == ["select_token"] * expected


@pytest.mark.parametrize("transposed", [0, 1])
def test_fused_matmul(transposed: int) -> None:
    g = Writer(static=False)
    weight = np.arange(CHANNELS * 3, dtype=np.float32).reshape(CHANNELS, 3)
    constant = g.constant(weight.T if transposed else weight)
    y = g.add("FusedMatMul", g.tokens("x"), constant, domain="com.microsoft", alpha=0.5, transB=transposed)
    (op,) = claim.recognise(g.describe(y))[-1]["ops"]
    np.testing.assert_array_equal(op["weight"][:, :, 0], 0.5 * weight.T)
