"""Which nodes are recognised as what, and why others are not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sparsecpu_testing as claim
from describe import Network, describe

IMAGE, TOKENS = ["n", 8, "h", "w"], ["n", "s", 8]
# UnaryKind of base/elementwise.h
RELU, CLIP, LEAKY, SIGMOID, SILU, HARD_SIGMOID, HARD_SWISH, GELU, GELU_TANH, TANH, ERF = range(11)
EXP, SOFTPLUS, ELU, SOFTSIGN, SQRT, RECIPROCAL, SQUARE, ABS, ROUND, FLOOR, CEIL = range(11, 22)


def last(g: Network, output: str) -> dict[str, Any]:
    result: dict[str, Any] = claim.recognise(g.describe(output))[-1]
    return result


def single(g: Network, output: str) -> dict[str, Any]:
    node = last(g, output)
    assert len(node["ops"]) == 1, node["reason"]
    op: dict[str, Any] = node["ops"][0]
    return op


@pytest.mark.parametrize("trans", [0, 1])
@pytest.mark.parametrize("c", [None, 3.0, [1.0, 2.0, 3.0], [[1.0, 2.0, 3.0]], [4.0]])
def test_gemm(trans: int, c: Any) -> None:
    g = Network()
    weight = np.arange(12, dtype=np.float32).reshape(4, 3)
    inputs = [g.input("x", ["m", 4]), g.constant(weight.T if trans else weight)]
    if c is not None:
        inputs.append(g.constant(c))
    op = single(g, g.add("Gemm", *inputs, transB=trans, alpha=0.5, beta=2.0))
    np.testing.assert_array_equal(op["weight"][:, :, 0], 0.5 * weight.T)
    expected = [] if c is None else np.broadcast_to(2 * np.array(c, np.float32), (1, 3))[0].tolist()
    assert op["bias"] == expected


@pytest.mark.parametrize("shape, ops", [(["m", 3], ["linear", "binary"]), (["k", 3], []), ([1, 3], []), ([3], [])])
def test_gemm_with_an_activation_as_c(shape: list[int | str], ops: list[str]) -> None:
    g = Network()
    x, c = g.input("x", ["m", 4]), g.input("c", shape)
    node = last(g, g.add("Gemm", x, g.weight((4, 3), 0.5), c))
    assert [op["kind"] for op in node["ops"]] == ops
    assert ops or "not known to have the shape" in node["reason"]


def test_transposed_input() -> None:
    g = Network()
    y = g.add("Gemm", g.input("x", [4, "m"]), g.weight((4, 3), 0.5), transA=1)
    assert claim.infer_shapes(g.describe(y), {"x": [4, 7]})[y] == [7, 3]


@pytest.mark.parametrize(
    "x, y, reason",
    [
        (["n", 4], ["k", 4], "both sides are activations"),
        ([4], np.ones((4, 3)), "has rank 1; at least 2"),
        (["n", 5], np.ones((4, 3)), "5 channels, its weights expect 4"),
        (["n", 4], np.ones((2, 4, 3)), "rank 2 is expected"),
        (["n", 4], np.ones((4, 0)), "empty"),
        (np.ones((3, 4)), [4, "n"], "only a constant right side"),
    ],
)
def test_matmul_declined(x: Any, y: Any, reason: str) -> None:
    g = Network()
    inputs = [g.constant(v) if isinstance(v, np.ndarray) else g.input(f"i{i}", v) for i, v in enumerate((x, y))]
    assert reason in last(g, g.add("MatMul", *inputs))["reason"]


@pytest.mark.parametrize(
    "x, weight, attributes, reason",
    [
        (["n", 4, "h", "w", "d"], (8, 4, 3, 3, 3), {}, "3-D convolutions"),
        (IMAGE, (8, 4, 3, 3), {}, "8 channels, its weights expect 4"),
        (IMAGE, (8, 8, 3), {}, "rank 4, its weights have rank 3"),
        (IMAGE, (9, 4, 3, 3), {"group": 2}, "2 groups do not divide 9"),
        (IMAGE, (8, 8, 3, 3), {"kernel_shape": [5, 5]}, "kernel_shape does not fit"),
        (IMAGE, (8, 8, 3, 3), {"pads": [1, 1]}, "pads is malformed"),
        (IMAGE, (8, 8, 3, 3), {"strides": [0, 1]}, "strides is malformed"),
        (IMAGE, (8, 8, 3, 3), {"group": 0}, "0 groups"),
        (IMAGE, (0, 8, 3, 3), {}, "empty"),
        (IMAGE, (8, 8, 1, 1), {"auto_pad": "SAME_UPPER", "strides": [4, 4]}, "stride beyond the window"),
    ],
)
def test_conv_declined(x: Any, weight: tuple[int, ...], attributes: dict[str, Any], reason: str) -> None:
    g = Network()
    model = g.model(g.add("Conv", g.input("x", x), g.constant(np.ones(weight)), **attributes))
    description = describe(model)
    assert reason in claim.recognise(description)[0]["reason"]


def test_conv_with_dynamic_parts_is_declined() -> None:
    g = Network()
    x, w = g.input("x", IMAGE), g.input("w", [8, 8, 3, 3])
    assert "not constant" in last(g, g.add("Conv", x, w))["reason"]
    bias = g.input("b", [8])
    assert "bias cannot be used" in last(g, g.add("Conv", x, g.weight((8, 8, 3, 3), 0.5), bias))["reason"]


def test_short_weights_are_declined() -> None:
    g = Network()
    description = g.describe(g.add("Conv", g.input("x", IMAGE), g.weight((8, 8, 3, 3), 0.5)))
    description["values"][1]["bytes"] = 100
    assert "malformed: 100 bytes for shape [8,8,3,3]" in claim.recognise(description)[0]["reason"]


@pytest.mark.parametrize(
    "op, attributes, opset, kind, a, b",
    [
        ("Relu", {}, 17, RELU, 0, 0),
        ("Clip", {"min": -1.0, "max": 6.0}, 10, CLIP, -1, 6),
        ("LeakyRelu", {}, 17, LEAKY, 0.01, 0),
        ("LeakyRelu", {"alpha": 0.25}, 17, LEAKY, 0.25, 0),
        ("Sigmoid", {}, 17, SIGMOID, 0, 0),
        ("HardSigmoid", {"alpha": 0.125}, 17, HARD_SIGMOID, 0.125, 0.5),
        ("HardSwish", {}, 17, HARD_SWISH, 0, 0),
        ("Gelu", {}, 20, GELU, 0, 0),
        ("Gelu", {"approximate": "tanh"}, 20, GELU_TANH, 0, 0),
        ("Tanh", {}, 17, TANH, 0, 0),
        ("Erf", {}, 17, ERF, 0, 0),
        ("Exp", {}, 17, EXP, 0, 0),
        ("Softplus", {}, 17, SOFTPLUS, 0, 0),
        ("Softsign", {}, 17, SOFTSIGN, 0, 0),
        ("Elu", {"alpha": 0.5}, 17, ELU, 0.5, 1),
        ("Selu", {}, 17, ELU, 1.7580993, 1.0507010),
        ("Selu", {"alpha": 2.0, "gamma": 3.0}, 17, ELU, 6, 3),
        ("Celu", {}, 17, ELU, 1, 1),
        ("Sqrt", {}, 17, SQRT, 0, 0),
        ("Reciprocal", {}, 17, RECIPROCAL, 0, 0),
        ("Abs", {}, 17, ABS, 0, 0),
        ("Round", {}, 17, ROUND, 0, 0),
        ("Floor", {}, 17, FLOOR, 0, 0),
        ("Ceil", {}, 17, CEIL, 0, 0),
    ],
)
def test_activations(op: str, attributes: dict[str, Any], opset: int, kind: int, a: float, b: float) -> None:
    g = Network(opset)
    found = single(g, g.add(op, g.input("x", IMAGE), **attributes))
    assert (found["unary"], found["a"], found["b"]) == (kind, pytest.approx(a), pytest.approx(b))


@pytest.mark.parametrize(
    ("shape", "slope", "kind"),
    [
        (IMAGE, (8, 1, 1), "prelu"),
        (IMAGE, (1, 8, 1, 1), "prelu"),
        (TOKENS, (8,), "prelu"),
        (IMAGE, (1,), "unary"),
        (IMAGE, (1, 1, 1), "unary"),
        (IMAGE, (8,), "does not fit the channels of its input"),
        (IMAGE, (1, 1, 1, 1, 1), "has a higher rank than its input"),
        (IMAGE, (4, 1, 1), "does not fit the channels of its input"),
        (IMAGE, None, "its slope is not constant"),
    ],
)
def test_prelu(shape: list[int | str], slope: tuple[int, ...] | None, kind: str) -> None:
    g = Network()
    x = g.input("x", shape)
    slopes = g.input("slope", [8, 1, 1]) if slope is None else g.constant(np.full(slope, 0.25))
    node = claim.recognise(g.describe(g.add("PRelu", x, slopes)))[0]
    if kind == "prelu":
        assert node["ops"][0]["kind"] == kind and node["ops"][0]["slope"] == [0.25] * 8
    elif kind == "unary":
        assert (node["ops"][0]["unary"], node["ops"][0]["a"]) == (LEAKY, 0.25)
    else:
        assert kind in node["reason"]


def test_celu_scales_what_its_exponential_takes() -> None:
    g = Network()
    scaled, elu = claim.recognise(g.describe(g.add("Celu", g.input("x", IMAGE), alpha=2.0)))[0]["ops"]
    assert scaled["scale"] == [0.5]
    assert (elu["unary"], elu["a"], elu["b"]) == (ELU, 2, 2)


def test_powers() -> None:
    for exponent, kind in ((2.0, SQUARE), (3.0, None), (np.ones((1, 1, 1, 1, 1)) * 2, None)):
        g = Network()
        node = claim.recognise(g.describe(g.add("Pow", g.input("x", IMAGE), g.constant(exponent))))[0]
        assert [op["unary"] for op in node["ops"]] == ([] if kind is None else [kind])
        assert kind is not None or "is not the number 2" in node["reason"]


@pytest.mark.parametrize(
    ("op", "number", "kind"), [("Max", 2.0, (2.0, np.inf)), ("Min", -1.0, (-np.inf, -1.0)), ("Sum", 1.0, None)]
)
def test_several_operands(op: str, number: float, kind: tuple[float, float] | None) -> None:
    g = Network()
    a, b, c = (g.input(name, IMAGE) for name in "abc")
    numbers = [g.constant(value) for value in (2.0, -1.0)]
    ops = claim.recognise(g.describe(g.add(op, a, numbers[0], b, c, numbers[1])))[0]["ops"]
    assert [o["kind"] for o in ops[:2]] == ["binary", "binary"]
    if kind is None:
        assert ops[2]["shift"] == [number]
    else:
        assert (ops[2]["unary"], ops[2]["a"], ops[2]["b"]) == (CLIP, *kind)


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        (lambda g: [g.input("a", IMAGE)], "it has one input"),
        (lambda g: [g.input("a", IMAGE), g.constant(np.ones((8, 1, 1)))], "is not one number"),
        (lambda g: [g.input("a", IMAGE), g.constant(np.nan)], "is not one number"),
        (lambda g: [g.input("a", IMAGE), g.constant(np.ones((1, 1, 1, 1, 1)))], "is not one number"),
        (lambda g: [g.input("a", IMAGE), g.input("b", ["n", 8, 1, 1]), g.input("c", IMAGE)], "more than two inputs"),
        (lambda g: [g.input("a", IMAGE), g.input("b", ["n", 8, "w"])], "not known to be equal"),
        (lambda g: [g.constant(1.0), g.constant(2.0)], "all its inputs are constant"),
    ],
)
def test_several_operands_that_do_not_fit(inputs: Callable[[Network], list[str]], reason: str) -> None:
    g = Network()
    assert reason in claim.recognise(g.describe(g.add("Max", *inputs(g))))[0]["reason"]


def test_microsoft_activations() -> None:
    for op, kind, attributes in (
        ("Gelu", GELU, {}),
        ("FastGelu", GELU_TANH, {}),
        ("QuickGelu", SILU, {}),
    ):
        g = Network()
        x = g.input("x", TOKENS)
        found = single(g, g.add(op, x, domain="com.microsoft", **attributes))
        assert (found["unary"], found["a"]) == (kind, pytest.approx(1.702) if op == "QuickGelu" else 0)
    g = Network()
    y = g.add("QuickGelu", g.input("x", TOKENS), domain="com.microsoft", alpha=-1.0)
    assert "positive alpha" in last(g, y)["reason"]


@pytest.mark.parametrize("low, high", [(None, 6.0), (0.0, None), (0.0, 6.0), (None, None)])
def test_clip_bounds_as_inputs(low: float | None, high: float | None) -> None:
    g = Network()
    bounds = ["" if v is None else g.constant(v) for v in (low, high)]
    op = single(g, g.add("Clip", g.input("x", IMAGE), *bounds))
    largest = float(np.finfo(np.float32).max)
    assert op["a"] == (-largest if low is None else low) and op["b"] == (largest if high is None else high)


@pytest.mark.parametrize(
    "x, shape, axes",
    [
        (IMAGE, (), None),
        (IMAGE, (1,), None),
        (IMAGE, (1, 1, 1, 1), None),
        (IMAGE, (8, 1, 1), "image"),
        (IMAGE, (1, 8, 1, 1), "image"),
        (TOKENS, (8,), "tokens"),
        (TOKENS, (1, 1, 8), "tokens"),
        (["n", 8], (8,), "tokens"),
        (["a", "b", "c", 8], (8,), "tokens"),
        (["n", 8, "w"], (8, 1), "image"),
    ],
)
def test_constants_per_channel(x: list[int | str], shape: tuple[int, ...], axes: str | None) -> None:
    values = np.arange(1, 1 + np.prod(shape, dtype=int), dtype=np.float32)
    for op, scale, shift in (
        ("Add", np.ones(1), values),
        ("Sub", np.ones(1), -values),
        ("Mul", values, np.zeros(1)),
        ("Div", 1 / values, np.zeros(1)),
    ):
        g = Network()
        found = single(g, g.add(op, g.input("x", x), g.constant(values.reshape(shape))))
        assert found["kind"] == "affine" and found.get("axes") == axes
        np.testing.assert_allclose(found["scale"], scale, rtol=1e-7)
        np.testing.assert_allclose(found["shift"], shift)


def test_constant_minus_activation() -> None:
    g = Network()
    op = single(g, g.add("Sub", g.constant(np.ones((8, 1, 1))), g.input("x", IMAGE)))
    assert op["scale"] == [-1.0] and op["shift"] == [1.0] * 8
    g = Network()
    assert "divided by an activation" in last(g, g.add("Div", g.constant(1.0), g.input("x", IMAGE)))["reason"]


@pytest.mark.parametrize(
    "shape, reason",
    [
        ((1, 1, 1, 1, 1), "higher rank"),
        ((8, 8, 1), "neither a scalar nor a vector over channels"),
        ((5, 1, 1), "does not fit the channels"),
        ((8, 1), "not a vector over channels"),
    ],
)
def test_other_constants_are_declined(shape: tuple[int, ...], reason: str) -> None:
    g = Network()
    assert reason in last(g, g.add("Add", g.input("x", IMAGE), g.constant(np.ones(shape))))["reason"]


def test_a_vector_over_the_width_of_an_image_is_not_per_channel() -> None:
    g = Network()
    y = g.conv(g.input("x", [1, 8, 8, 8]), 8, 8)
    assert "width of an image" in last(g, g.add("Add", y, g.constant(np.ones(8))))["reason"]


def test_two_activations() -> None:
    g = Network()
    x, same, gate = g.input("x", IMAGE), g.input("y", IMAGE), g.input("g", ["n", 8, 1, 1])
    for op in ("Add", "Sub", "Mul", "Div", "Max", "Min", "Sum"):
        assert single(g, g.add(op, x, same))["inputs"] == [0, 1]
    for sides in ((gate, x), (x, gate)):
        g = Network()
        x, gate = g.input("x", IMAGE), g.input("g", ["n", 8, 1, 1])
        description = g.describe(g.add("Mul", *sides))
        names = [v["name"] for v in description["values"]]
        (op,) = claim.recognise(description)[0]["ops"]
        assert tuple(names[i] for i in op["inputs"]) == sides
    g = Network()
    other = g.input("y", ["n", 8, "h2", "w"])
    assert "are not known to be equal" in last(g, g.add("Add", g.input("x", IMAGE), other))["reason"]


def test_residual_shapes_are_proved_through_strides() -> None:
    g = Network()
    x = g.input("x", ["n", 8, "h", "w"])
    main = g.conv(g.conv(x, 8, 8), 8, 8, 3, strides=[2, 2])
    assert single(g, g.add("Add", main, g.conv(x, 8, 8, 1, strides=[2, 2])))["kind"] == "binary"
    wrong = g.conv(x, 8, 8, 1)
    assert last(g, g.add("Add", main, wrong))["ops"] == []


def test_batch_norm() -> None:
    g = Network()
    scale, shift, mean, variance = np.abs(np.random.default_rng(0).standard_normal((4, 8))).astype(np.float32)
    constants = [g.constant(v) for v in (scale, shift, mean, variance)]
    op = single(g, g.add("BatchNormalization", g.input("x", IMAGE), *constants, epsilon=1e-3))
    factor = scale / np.sqrt(variance + 1e-3)
    np.testing.assert_allclose(op["scale"], factor, rtol=1e-6)
    np.testing.assert_allclose(op["shift"], shift - mean * factor, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("opset", [13, 18])
@pytest.mark.parametrize("axes, accepted", [([2, 3], True), ([-1, -2], True), ([1], False), ([2], False)])
def test_reduce_mean(opset: int, axes: list[int], accepted: bool) -> None:
    g = Network(opset)
    x = g.input("x", IMAGE)
    if opset < 18:
        y = g.add("ReduceMean", x, axes=axes, keepdims=0)
    else:
        y = g.add("ReduceMean", x, g.constant(axes, np.int64), keepdims=0)
    node = last(g, y)
    assert bool(node["ops"]) == accepted and (accepted or "image axes" in node["reason"])


def test_mean_over_the_channels_of_tokens_is_declined() -> None:
    g = Network()
    assert "channels of tokens" in last(g, g.add("ReduceMean", g.input("x", TOKENS), axes=[2]))["reason"]


def test_split_and_slice_of_channels() -> None:
    g = Network()
    x = g.input("x", IMAGE)
    g.add("Split", x, g.constant([2, 6], np.int64), outputs=2, axis=1)
    node = claim.recognise(g.describe("value0_0", "value0_1"))[0]
    assert [op["channels"] for op in node["ops"]] == [(0, 2), (2, 8)]
    g = Network()
    bounds = [g.constant(v, np.int64) for v in ([-6], [2**62], [1])]
    assert single(g, g.add("Slice", g.input("x", IMAGE), *bounds))["channels"] == (-6, 2**62)  # a run resolves them
    g = Network()
    bounds = [g.constant(v, np.int64) for v in ([0], [1], [2])]
    assert "does not slice channels" in last(g, g.add("Slice", g.input("x", IMAGE), *bounds))["reason"]


def test_concat() -> None:
    g = Network()
    a, b = g.input("a", IMAGE), g.input("b", ["n", 3, "h", "w"])
    op = single(g, g.add("Concat", a, b, axis=-3))
    assert op["axes"] == "image" and len(op["inputs"]) == 2
    assert "join channels" in last(g, g.add("Concat", a, a, axis=2))["reason"]


def test_pools() -> None:
    g = Network()
    x = g.input("x", IMAGE)
    assert single(g, g.add("MaxPool", x, kernel_shape=[3, 3]))["kind"] == "pool"
    assert single(g, g.add("AveragePool", x, kernel_shape=[3, 3], count_include_pad=1))["kind"] == "pool"
    g.add("MaxPool", x, kernel_shape=[3, 3], outputs=2)
    assert "indices" in claim.recognise(g.describe("value2_0", "value2_1"))[-1]["reason"]


def test_operators_outside_the_table_are_named() -> None:
    g = Network()
    assert last(g, g.add("LogSoftmax", g.input("x", IMAGE)))["reason"] == "LogSoftmax is not an operator that runs here"
