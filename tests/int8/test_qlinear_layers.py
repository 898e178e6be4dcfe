"""QLinearConv, QLinearMatMul and QGemm: the CPU provider's bits on every instruction-set level."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from byte_models import S8, U8, assert_same_bits, exact, random_bytes
from harness import cpu_session
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_models import Image, Numbers, gemm_model, matmul_model, numbers
from random_checks import CHECKS, EXAMPLES

CONVS: dict[str, Image] = {
    "1x1": Image(kernel=(1, 1)),
    "1x1 on 1x1": Image(kernel=(1, 1), size=(1, 1), channels=40, rows=24),
    "3x3 padded": Image(attributes={"pads": [1] * 4}),
    "3x3 stride 2": Image(size=(15, 14), attributes={"pads": [1] * 4, "strides": [2, 2]}),
    "uneven pads": Image(size=(10, 7), attributes={"pads": [0, 1, 2, 1], "strides": [2, 1]}),
    "SAME_UPPER": Image(size=(10, 7), attributes={"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "dilated": Image(size=(17, 16), attributes={"pads": [2] * 4, "dilations": [2, 2]}),
    "5x3": Image(kernel=(5, 3), attributes={"pads": [2, 1, 2, 1]}),
    "7x7 stem": Image(channels=3, rows=32, size=(33, 31), kernel=(7, 7), attributes={"pads": [3] * 4, "strides": [2, 2]}),
    "odd channels": Image(channels=13, rows=19, attributes={"pads": [1] * 4}),
    "one channel": Image(channels=1, rows=1, size=(20, 20)),
    "groups": Image(channels=24, rows=16, attributes={"group": 4, "pads": [1] * 4}),
    "groups of 3": Image(channels=9, rows=15, attributes={"group": 3, "pads": [1] * 4}),
    "depthwise": Image(channels=18, rows=18, size=(14, 14), attributes={"group": 18, "pads": [1] * 4}),
    "depthwise 5x5 stride 2": Image(
        channels=16, rows=16, size=(15, 15), kernel=(5, 5), attributes={"group": 16, "pads": [2] * 4, "strides": [2, 2]}
    ),
    "1-D": Image(size=(50,), kernel=(3,), attributes={"pads": [1, 1]}),
    "1-D depthwise": Image(size=(50,), kernel=(3,), attributes={"pads": [1, 1], "group": 8}),
    "batch 5": Image(batch=5, size=(6, 5), attributes={"pads": [1] * 4}),
    "batch 33 of 1x1": Image(batch=33, size=(1, 1), kernel=(1, 1)),
    "large": Image(channels=64, rows=48, size=(28, 28), attributes={"pads": [1] * 4}),
}  # fmt: skip
WEIGHTS = {"s8": (S8, 0), "s8, zero point 5": (S8, 5), "u8, zero point 128": (U8, 128), "u8, zero point 113": (U8, 113)}


def variants() -> list[Any]:
    found = []
    for name, (w_type, w_zero) in WEIGHTS.items():
        for x_type in (U8, S8):
            if x_type is S8 and w_type is U8:
                continue  # onnxruntime has no such kernel
            for per_channel in (False, True):
                n = Numbers(x_type, x_type, x_zero=7, y_zero=12, w_type=w_type, w_zero=w_zero, per_channel=per_channel)
                label = f"{'u8' if x_type is U8 else 's8'} by {name}{' per channel' if per_channel else ''}"
                found.append(pytest.param(n, id=label))
    return found


@pytest.mark.parametrize("n", variants())
@pytest.mark.parametrize("name", CONVS)
def test_conv(name: str, n: Numbers) -> None:
    image = CONVS[name]
    for density, extreme in ((0.3, False), (1.0, True)):
        model, feeds = replace(image, n=replace(n, density=density, extreme=extreme)).model()
        exact(model, [feeds], "QLinearConv")


@pytest.mark.parametrize("n", variants())
@pytest.mark.parametrize("m", [1, 2, 3, 7, 15, 16, 17, 20, 65])
def test_matmul(m: int, n: Numbers) -> None:
    for k, columns, density in ((64, 32, 0.3), (37, 21, 1.0), (5, 3, 0.5)):
        model, feeds = matmul_model(replace(n, density=density), (m, k), columns)
        exact(model, [feeds], "QLinearMatMul")


@pytest.mark.parametrize("zero", [0, 113, 255])
def test_weights_beyond_int8_are_taken_in_two_parts(zero: int) -> None:
    """In every form that a layer may have: few rows, many, rows that nobody knows, groups, depthwise."""
    n = Numbers(w_type=U8, w_zero=zero, seed=3)
    feeds = [{"x": random_bytes(np.random.default_rng(m), (m, 36))} for m in (1, 3, 16, 40)]
    model, _ = matmul_model(n, (1, 36), 20, symbolic=True)
    exact(model, feeds, "QLinearMatMul")
    for name in ("1x1", "3x3 padded", "groups of 3", "depthwise", "one channel"):
        for seed in range(4):
            model, feed = replace(CONVS[name], n=replace(n, seed=seed, per_channel=seed % 2 == 1)).model()
            exact(model, [feed], "QLinearConv")


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_matmul_with_symbolic_axes(axes: int) -> None:
    model, _ = matmul_model(Numbers(), (*[1] * axes, 36), 20, symbolic=True)
    shapes = [(*[2] * (axes - 1), rows, 36) for rows in (1, 5, 20, 33, 128, 5)]
    exact(model, [{"x": random_bytes(np.random.default_rng(0), s)} for s in shapes], "QLinearMatMul")


def test_conv_with_symbolic_axes() -> None:
    model, _ = Image(symbolic=True, attributes={"pads": [1] * 4, "strides": [2, 2]}).model()
    shapes = [(1, 8, 9, 9), (3, 8, 20, 11), (1, 8, 40, 33), (5, 8, 3, 3), (1, 8, 9, 9)]
    exact(model, [{"x": random_bytes(np.random.default_rng(0), s)} for s in shapes], "QLinearConv")


@pytest.mark.parametrize("to_float", [False, True])
@pytest.mark.parametrize("n", variants())
def test_gemm(n: Numbers, to_float: bool) -> None:
    if n.x_type is S8 and n.w_zero != 0:
        pytest.skip("onnxruntime has no such kernel")
    for m, trans, alpha in ((1, (0, 1), 1.0), (9, (0, 0), 0.7), (40, (0, 1), 0.7), (20, (1, 1), 1.0)):
        model, feeds = gemm_model(n, m, 36, 21, trans, alpha, to_float)
        exact(model, [feeds], "QGemm")


@settings(CHECKS, max_examples=4 * EXAMPLES)
@given(data=st.data(), n=numbers())
def test_random_conv(data: st.DataObject, n: Numbers) -> None:
    draw = data.draw
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    depthwise = draw(st.booleans()) and groups == 1
    rows = groups * draw(st.integers(1, 20))
    channels = rows if depthwise else groups * draw(st.integers(1, 20))
    kernel = (draw(st.sampled_from([1, 2, 3, 5])), draw(st.sampled_from([1, 3, 4])))
    dilations = [draw(st.integers(1, 2)), draw(st.integers(1, 2))]
    size = tuple(dilations[i] * (kernel[i] - 1) + draw(st.integers(1, 20)) for i in range(2))
    pads = [draw(st.integers(0, kernel[i % 2] - 1)) for i in range(4)]
    strides = [draw(st.integers(1, 2)), draw(st.integers(1, 3))]
    attributes = {"group": rows if depthwise else groups, "dilations": dilations, "pads": pads, "strides": strides}
    model, feeds = Image(
        n, draw(st.integers(1, 4)), channels, rows, size, kernel, attributes, draw(st.booleans())
    ).model()
    exact(model, [feeds], "QLinearConv")


@settings(CHECKS, max_examples=4 * EXAMPLES)
@given(
    n=numbers(matmul=True),
    m=st.integers(1, 40),
    k=st.integers(1, 150),
    columns=st.integers(1, 70),
    symbolic=st.booleans(),
)
def test_random_matmul(n: Numbers, m: int, k: int, columns: int, symbolic: bool) -> None:
    model, feeds = matmul_model(n, (m, k), columns, symbolic)
    exact(model, [feeds], "QLinearMatMul")


@settings(CHECKS, max_examples=2 * EXAMPLES)
@given(n=numbers(), m=st.integers(1, 40), k=st.integers(1, 150), columns=st.integers(1, 70), to_float=st.booleans())
def test_random_gemm(n: Numbers, m: int, k: int, columns: int, to_float: bool) -> None:
    if n.x_type is S8:
        n = replace(n, w_zero=0)
    model, feeds = gemm_model(n, m, k, columns, (0, 1), 1.0, to_float)
    exact(model, [feeds], "QGemm")


def test_comparison_sees_one_wrong_byte() -> None:
    model, feeds = matmul_model(Numbers(), (4, 16), 8)
    (expected,) = cpu_session(model).run(None, feeds)
    wrong = expected.copy()
    wrong[2, 3] ^= 1
    assert assert_same_bits([expected], [expected]) == expected.size
    with pytest.raises(AssertionError, match="1 of 32 differ"):
        assert_same_bits([wrong], [expected])
