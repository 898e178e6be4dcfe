"""Attention in the nodes that exporters write, and why other forms are left alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from attention_writer import BATCH, CHANNELS, HEADS, LENGTH, WIDTH, Writer, attention, claim, reason
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto
from random_checks import examples


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


@settings(max_examples=examples(100), deadline=None)
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
    assert op["replaces"] == (mask in ("keep", "drop"))
    kind = {"none": "none", "keep": "keeps", "drop": "drops"}.get(mask, "added")
    assert (op["mask"], op["unattended"]) == (kind, -np.inf if guard else None)
    shapes = {name: [BATCH, LENGTH, CHANNELS] for name in "qkv"} | {"mask": [BATCH, 1, 1, LENGTH]}
    assert claim.infer_shapes(g.describe(y), shapes)[y] == (
        [BATCH * LENGTH, CHANNELS] if flat else [BATCH, LENGTH, CHANNELS]
    )


def core(g: Writer, q: str, turned: str, v: str) -> str:
    return g.add("MatMul", g.add("Softmax", g.add("MatMul", q, turned), axis=-1), v)


@settings(max_examples=examples(100), deadline=None)
@given(static=st.booleans(), turned=st.tuples(*[st.booleans()] * 3), mask=st.booleans(), divided=st.booleans())
def test_fused_products(static: bool, turned: tuple[bool, bool, bool], mask: bool, divided: bool) -> None:
    """As onnxruntime saves an optimized file: products with a factor, whose sides are transposed or not."""

    def product(a: str, b: str, **attributes: float) -> str:
        return g.add("FusedMatMul", a, b, domain="com.microsoft", **attributes)

    g = Writer(static)
    q, k, v = (g.split(g.tokens(name), (0, 2, 3, 1) if side else (0, 2, 1, 3)) for name, side in zip("qkv", turned))
    scores = product(q, k, transA=int(turned[0]), transB=int(not turned[1]), alpha=0.5)
    if divided:
        scores = g.scaled(scores, 0.25, divide=True)
    if mask:
        scores = g.add("Add", scores, g.input("mask", [g.sizes[0], 1, 1, g.sizes[1]]))
    op = attention(g, g.join(product(g.add("Softmax", scores), v, transB=int(turned[2])), "q"))
    assert (op["heads"], op["scale"], op["mask"]) == (HEADS, 0.125 if divided else 0.5, "added" if mask else "none")


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
        ("mask value", "a negative number"),
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
        scores = g.add("Where", keep, scores, g.constant(1.0))
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

    assert attention(*masked(np.zeros((LENGTH, LENGTH), np.float32)))["mask"] == "added"
    assert attention(*masked(np.ones((LENGTH, LENGTH), bool)))["mask"] == "none"  # it masks nothing
    assert "bool constant" in reason(*masked(np.tri(LENGTH, dtype=bool)))
