"""Reshape to sizes that the model computes: alone, and around a Gemm as exporters write a layer over tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from attention_writer import CHANNELS, HEADS, WIDTH, Writer, claim
from describe import Network
from onnx import TensorProto

OUT = 5


def last_ops(g: Network, *outputs: str) -> list[dict[str, Any]]:
    ops: list[dict[str, Any]] = claim.recognise(g.describe(*outputs))[-1]["ops"]
    return ops


def product_of_sizes(g: Writer, x: str) -> str:
    """[batch * sequence] of tokens x."""
    shape = g.add("Shape", x)
    sizes = [g.add("Gather", shape, g.constant([i], np.int64), axis=0) for i in (0, 1)]
    return g.add("Mul", *sizes)


@pytest.mark.parametrize("rest", [(HEADS, WIDTH), (1, -1)])
def test_sizes_of_the_input(rest: tuple[int, int]) -> None:
    g = Writer(static=False)
    x = g.tokens("x")
    y = g.reshape(x, x, None, None, *rest)
    (op,) = last_ops(g, y)
    assert op["kind"] == "reshape"
    assert claim.infer_shapes(g.describe(y), {"x": [3, 7, CHANNELS]})[y] == [3, 7, rest[0], CHANNELS // rest[0]]


def test_one_size_that_is_none_of_the_input() -> None:
    g = Writer(static=False)
    x = g.tokens("x")
    y = g.add("Reshape", x, g.add("Concat", product_of_sizes(g, x), g.constant([CHANNELS], np.int64), axis=0))
    assert [op["kind"] for op in last_ops(g, y)] == ["reshape"]
    assert claim.infer_shapes(g.describe(y), {"x": [3, 7, CHANNELS]})[y] == [21, CHANNELS]


def test_two_sizes_that_are_none_of_the_input() -> None:
    g = Writer(static=False)
    flat = g.input("flat", ["tokens", CHANNELS])
    y = g.reshape(flat, g.tokens("x"), None, None, CHANNELS)
    node = claim.recognise(g.describe(y))[-1]
    assert not node["ops"] and "not made of constant integers" in node["reason"]


def layer(g: Writer, x: str, computed: bool = True) -> tuple[str, str]:
    """Reshape, Gemm, Reshape; the Gemm's result, and the whole one's."""
    size = product_of_sizes(g, x) if computed else g.constant([-1], np.int64)
    flat = g.add("Reshape", x, g.add("Concat", size, g.constant([CHANNELS], np.int64), axis=0))
    inner = g.add("Gemm", flat, g.weight((CHANNELS, OUT), 0.5), g.constant(np.ones(OUT)))
    return inner, g.reshape(inner, x, None, None, OUT)


@pytest.mark.parametrize("computed", [False, True])
def test_layer_over_tokens(computed: bool) -> None:
    g = Writer(static=False)
    _, y = layer(g, g.tokens("x"), computed)
    graph = g.describe(y)
    nodes = claim.recognise(graph)
    (op,) = nodes[-1]["ops"]
    assert (op["kind"], op["bias"]) == ("linear", [1] * OUT)
    assert [graph["values"][i]["name"] for i in op["inputs"]] == ["x"]
    assert len({node["unit"] for node in nodes}) == 1, "what computes the sizes serves nothing else"
    assert claim.infer_shapes(g.describe(y), {"x": [3, 7, CHANNELS]})[y] == [3, 7, OUT]


def test_layer_whose_inner_value_is_used() -> None:
    g = Writer(static=False)
    inner, y = layer(g, g.tokens("x"))
    nodes = claim.recognise(g.describe(y, inner))
    kinds = [op["kind"] for node in nodes for op in node["ops"]]
    assert kinds == ["reshape", "linear"] and not nodes[-1]["ops"]


def test_layer_that_ends_in_another_shape() -> None:
    g = Writer(static=False)
    x = g.tokens("x")
    inner, _ = layer(g, x)
    turned = g.target(x, None, None)
    sizes = [g.add("Gather", turned, g.constant([i], np.int64), axis=0) for i in (1, 0)]
    y = g.add("Reshape", inner, g.add("Concat", *sizes, g.constant([OUT], np.int64), axis=0))
    assert not last_ops(g, y)


def test_layer_behind_attention() -> None:
    """Attention gives it the tokens of all sequences in one axis; other inputs of the model tell their number."""
    g = Writer(static=False)
    q, k, v = (g.tokens(name) for name in "qkv")
    scores = g.add("MatMul", g.split(q), g.split(k, (0, 2, 3, 1)))
    y = g.add("Transpose", g.add("MatMul", g.add("Softmax", scores), g.split(v)), perm=[0, 2, 1, 3])
    flat = g.add("Reshape", y, g.constant([-1, CHANNELS], np.int64))
    inner = g.add("Gemm", flat, g.weight((CHANNELS, OUT), 0.5))
    y = g.reshape(inner, g.input("ids", [*g.sizes], TensorProto.INT64), None, None, OUT)
    nodes = claim.recognise(g.describe(y))
    assert [op["kind"] for op in nodes[-1]["ops"]] == ["attention", "linear"]
    assert nodes[-1]["pattern"] == "attention, gemm"
    shapes = {name: [3, 7, CHANNELS] for name in "qkv"} | {"ids": [3, 7]}
    assert claim.infer_shapes(g.describe(y), shapes)[y] == [3, 7, OUT]
