"""What surrounds attention: normalization, GELU, the choice of a token, fused products."""

from __future__ import annotations

import numpy as np
import pytest
from attention_writer import CHANNELS, LENGTH, Writer, claim
from hypothesis import given, settings
from hypothesis import strategies as st
from random_checks import examples

RELU, LEAKY_RELU, GELU_TANH, SILU = 0, 2, 8, 4  # UnaryKind of base/elementwise.h


@settings(max_examples=examples(100), deadline=None)
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


@settings(max_examples=examples(60), deadline=None)
@given(
    inverse=st.sampled_from(["Reciprocal", "quotient of 1", "none"]),
    square=st.sampled_from(["Pow", "Mul"]),
    swap=st.booleans(),
    difference=st.booleans(),
)
def test_rms_norm_written_out(inverse: str, square: str, swap: bool, difference: bool) -> None:
    g = Writer(static=False)
    x = g.tokens("x")
    if difference:
        x = g.add("Sub", x, g.tokens("z"))
    squares = g.add("Pow", x, g.constant(2.0)) if square == "Pow" else g.add("Mul", x, x)
    mean = g.add("ReduceMean", squares, axes=[-1], keepdims=1)
    deviation = g.add("Sqrt", g.add("Add", mean, g.constant(1e-6)))
    if inverse == "Reciprocal":
        y = g.add("Mul", x, g.add("Reciprocal", deviation))
    elif inverse == "quotient of 1":
        y = g.add("Mul", x, g.add("Div", g.constant(1.0), deviation))
    else:
        y = g.add("Div", x, deviation)
    scale = np.arange(CHANNELS)
    sides = [y, g.constant(scale)]
    nodes = claim.recognise(g.describe(g.add("Mul", *(sides[::-1] if swap else sides))))
    (op,) = nodes[-1]["ops"]
    assert (op["kind"], op["centred"], op["epsilon"]) == ("layer_norm", False, pytest.approx(1e-6))
    assert op["scale"] == scale.tolist() and op["shift"] == [0.0] * CHANNELS
    assert {node["unit"] for node in nodes[difference:]} == {0}


@pytest.mark.parametrize(
    ("operator", "opset"), [("SimplifiedLayerNormalization", 17), ("RMSNormalization", 23), ("skip", 17)]
)
def test_rms_norm_operators(operator: str, opset: int) -> None:
    g = Writer(static=False, opset=opset)
    scale = g.constant(np.arange(CHANNELS))
    if operator == "skip":
        inputs = [g.tokens("x"), g.tokens("skip"), scale, g.constant(np.ones(CHANNELS))]
        y = g.add("SkipSimplifiedLayerNormalization", *inputs, domain="com.microsoft", epsilon=1e-6)
    else:
        y = g.add(operator, g.tokens("x"), scale, axis=-1, epsilon=1e-6)
    ops = claim.recognise(g.describe(y))[-1]["ops"]
    assert [op["kind"] for op in ops] == (["binary", "affine"] if operator == "skip" else []) + ["layer_norm"]
    assert (ops[-1]["centred"], ops[-1]["epsilon"]) == (False, pytest.approx(1e-6))
    assert ops[-1]["scale"] == list(range(CHANNELS))


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


@settings(max_examples=examples(100), deadline=None)
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


@pytest.mark.parametrize(
    "activation, numbers, unary", [("Relu", {}, RELU), ("LeakyRelu", {"activation_alpha": 0.25}, LEAKY_RELU)]
)
@pytest.mark.parametrize("addend", ["none", "vector", "activation"])
def test_fused_gemm(activation: str, numbers: dict[str, float], unary: int, addend: str) -> None:
    g = Writer()
    sides = [g.input("x", [LENGTH, CHANNELS]), g.constant(np.ones((CHANNELS, 3)))]
    sides += {
        "none": list,
        "vector": lambda: [g.constant([1.0, 2.0, 3.0])],
        "activation": lambda: [g.input("c", [LENGTH, 3])],
    }[addend]()
    y = g.add("FusedGemm", *sides, domain="com.microsoft", activation=activation, beta=0.5, **numbers)
    ops = claim.recognise(g.describe(y))[-1]["ops"]
    sums = ["affine", "binary"] if addend == "activation" else []
    assert [op["kind"] for op in ops] == ["linear", *sums, "unary"]
    assert (ops[-1]["unary"], ops[-1]["a"]) == (unary, numbers.get("activation_alpha", 0))
    assert ops[0]["bias"] == ([0.5, 1, 1.5] if addend == "vector" else [])
