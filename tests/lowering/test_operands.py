"""Operands that are smaller than the output: whatever shapes broadcast gives what the CPU provider gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from graphs import U8, Pair, Shape, constant, cross_attention, every_level, graph, sparse_weights
from harness import claimed
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper
from random_checks import CHECKS

MICROSOFT = "com.microsoft"
QUANTIZATION = ["scale", "zero"]


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def broadcasts_to(draw: st.DrawFn, full: tuple[int, ...]) -> tuple[int, ...]:
    """A shape that broadcasts to `full`, of its rank or a lower one."""
    shape = tuple(1 if draw(st.booleans()) else size for size in full)
    return shape[draw(st.integers(0, len(full))) if draw(st.booleans()) else 0 :]


@st.composite
def sums(draw: st.DrawFn) -> tuple[str, tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """How `x` and `s` are combined, whether tokens or an image; the shapes of a layer's input and of its addend."""
    images = draw(st.booleans())
    rank = 4 if images else draw(st.integers(2, 4))
    full = tuple(draw(st.sampled_from((1, 2, 3, 5, 17, 33))) for _ in range(rank))
    small = broadcasts_to(draw, full)
    kept = broadcasts_to(draw, full)
    x = full if draw(st.booleans()) else (1,) * (rank - len(kept)) + kept
    return draw(st.sampled_from(("Add", "Mul", "Sub"))), x, small, (1,) if images else ()


def sum_after_a_layer(kind: str, x: tuple[int, ...], small: tuple[int, ...], images: bool) -> onnx.ModelProto:
    """The sum's operands have unknown sizes under equal names: they are taken to be equal."""
    rng = np.random.default_rng(3)
    channels = x[1] if images else x[-1]
    names: list[int | str] = [f"d{axis}" for axis in range(len(x))]
    names[1 if images else -1] = channels
    layer, weights = ("Conv", (channels, channels, 1, 1)) if images else ("MatMul", (channels, channels))
    addend: Shape = names if len(small) == len(x) else list(small)
    nodes = [
        helper.make_node(layer, ["x", "w"], ["m"]),
        helper.make_node("Relu", ["m"], ["r"]),
        helper.make_node("Sigmoid", ["r"], ["p"]),
        helper.make_node(kind, ["p", "s"], ["t"]),
        helper.make_node("Add", ["s", "t"], ["y"]),
    ]
    return graph(nodes, {"x": names, "s": addend}, ["y"], [constant(sparse_weights(rng, *weights), "w")])


@every_level
@CHECKS
@given(case=sums())
def test_any_sizes_that_broadcast(case: Any, level: str) -> None:
    kind, x, small, image = case
    pair = Pair(sum_after_a_layer(kind, x, small, bool(image)), level)
    rng = np.random.default_rng(5)
    feed = {"x": normal(rng, x), "s": normal(rng, small)}
    if pair.accepts(**feed):
        pair.run(**feed)


TOKENS = [
    ((3, 17, 4, 7), 12, (3, 17, 1, 1)),
    ((2, 4, 16, 32), 32, (2, 4, 1, 1)),
    ((2, 4, 16, 32), 32, (2, 1, 1, 32)),
    ((2, 4, 16, 32), 32, (2, 4, 1, 32)),
    ((2, 17, 32), 32, (2, 1, 1)),
    ((2, 17, 32), 32, (17, 1)),
    ((2, 17, 32), 32, (2, 17, 1)),
]


@every_level
@pytest.mark.parametrize(("shape", "channels", "small"), TOKENS)
def test_an_addend_next_to_a_product_of_tokens(
    shape: tuple[int, ...], channels: int, small: tuple[int, ...], level: str
) -> None:
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("Add", ["m", "b"], ["p"]),
        helper.make_node("Add", ["s", "p"], ["y"]),
    ]
    constants = [constant(sparse_weights(rng, shape[-1], channels), "w"), constant(normal(rng, (channels,)), "b")]
    pair = Pair(graph(nodes, {"x": shape, "s": small}, ["y"], constants), level)
    assert claimed(pair.sparse, "MatMul", "Gemm")
    pair.run(x=normal(rng, shape), s=normal(rng, small))


def byte_chain(kind: str, channels: int, first: bool) -> onnx.ModelProto:
    """Two tensors of bytes, combined without an axis of their own, then with a vector along the last one."""
    q = QUANTIZATION
    weights = np.arange(channels * 4).reshape(channels, 4) % 5
    operands = ["v", *q, "a", *q] if first else ["a", *q, "v", *q]
    nodes = [
        helper.make_node("QLinearMul", ["x", *q, "x", *q, *q], ["a"], domain=MICROSOFT),
        helper.make_node("QLinearMatMul", ["a", *q, "w", "scale", "none", *q], ["m"]),
        helper.make_node(kind, [*operands, *q], ["b"], domain=MICROSOFT),
        helper.make_node("QLinearLeakyRelu", ["b", *q, *q], ["y"], domain=MICROSOFT, alpha=0.1),
    ]
    constants = [
        constant(0.05, "scale"),
        constant(100, "zero", np.uint8),
        constant(np.arange(1, channels + 1) * 7 % 256, "v", np.uint8),
        constant(weights, "w", np.uint8),
        constant(0, "none", np.uint8),
    ]
    return graph(nodes, {"x": ["n", "s", channels]}, ["y", "m"], constants, dtype=U8)


@every_level
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("kind", ["QLinearAdd", "QLinearMul"])
def test_a_vector_of_bytes_along_the_last_axis(kind: str, first: bool, level: str) -> None:
    for channels in (8, 15, 16):
        pair = Pair(byte_chain(kind, channels, first), level)
        assert claimed(pair.sparse, kind)
        for tokens in (1, 8, 15, 16, 33, 500):
            x = np.random.default_rng(tokens).integers(0, 256, (2, tokens, channels)).astype(np.uint8)
            pair.run(x=x)


@every_level
@CHECKS
@given(data=st.data())
def test_bytes_of_any_sizes_that_broadcast(data: st.DataObject, level: str) -> None:
    """QLinearAdd and QLinearMul of two tensors that are taken to be equal, behind a layer."""
    rank = data.draw(st.integers(2, 4))
    full = tuple(data.draw(st.sampled_from((1, 2, 3, 5, 17))) for _ in range(rank))
    small = tuple(1 if data.draw(st.booleans()) else size for size in full)
    kind = data.draw(st.sampled_from(("QLinearAdd", "QLinearMul")))
    operands = ["m", "s"] if data.draw(st.booleans()) else ["s", "m"]
    q, names = QUANTIZATION, [f"d{axis}" for axis in range(rank - 1)] + [full[-1]]
    nodes = [
        helper.make_node("QLinearMatMul", ["x", *q, "w", "scale", "none", *q], ["m"]),
        helper.make_node(kind, [operands[0], *q, operands[1], *q, *q], ["y"], domain=MICROSOFT),
    ]
    rng = np.random.default_rng(1)
    constants = [
        constant(0.05, "scale"),
        constant(100, "zero", np.uint8),
        constant(rng.integers(0, 4, (full[-1], full[-1])), "w", np.uint8),
        constant(0, "none", np.uint8),
    ]
    pair = Pair(graph(nodes, {"x": names, "s": names[:-1] + ["last"]}, ["y"], constants, dtype=U8), level)
    pair.run(
        x=rng.integers(0, 256, full).astype(np.uint8),
        s=rng.integers(0, 256, small).astype(np.uint8),
    )


@every_level
def test_attention_of_batches_that_broadcast(level: str) -> None:
    """Both batches have one name, so they are taken to be equal."""
    pair = Pair(cross_attention(4, 16), level)
    assert claimed(pair.sparse, "Softmax")
    rng = np.random.default_rng(9)
    for queries, keys in ((2, 1), (1, 2), (3, 3), (1, 17)):
        for length in (1, 5, 20):
            pair.run(x=normal(rng, (queries, length, 64)), m=normal(rng, (keys, 7, 64)))
