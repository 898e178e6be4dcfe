"""INT8 spmm, dense and depthwise: every level bit for bit what int64 sums and the contract's float32 formulas give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lane_arrays import LANES, LEVELS, aligned
from quantized_cases import F, QuantizedConv, from_byte_lanes, q, requantized, run, summed, to_byte_lanes

KINDS = ("spmm", "dense", "depthwise")
Form = q.Form


def weights_of(rng: np.random.Generator, shape: tuple[int, int, int], density: float, extreme: bool) -> np.ndarray:
    values = (
        rng.choice(np.array([-128, -127, 127], np.int8), shape) if extreme else rng.integers(-128, 128, shape, np.int8)
    )
    values[rng.random(shape) >= density] = 0
    return values


@st.composite
def convs(draw: st.DrawFn, kind: str) -> QuantizedConv:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kernel = draw(st.sampled_from([(1, 1), (1, 1), (3, 3), (1, 3), (3, 1), (2, 2), (5, 5)]))
    dilation = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    depthwise = kind == "depthwise"
    groups = draw(st.integers(1, 40)) if depthwise else draw(st.integers(1, 3)) if kind == "spmm" else 1
    rows = groups * (1 if depthwise else draw(st.sampled_from([1, 2, 3, 5, 16, 19])))
    channels = 1 if depthwise else draw(st.sampled_from([1, 2, 3, 4, 7, 16, 41]))
    shape = (rows, channels, kernel[0] * kernel[1])
    weights = weights_of(rng, shape, draw(st.sampled_from([0.0, 0.05, 0.3, 1.0])), draw(st.booleans()))
    size = tuple((k - 1) * d + draw(st.integers(1, n)) for k, d, n in zip(kernel, dilation, (2, 9), strict=True))
    stride, pad = draw(st.integers(1, 2)), draw(st.integers(0, 2))
    zero_point = draw(st.sampled_from([0, 1, 114, 128, 255]))
    unsigned = draw(st.booleans())
    return QuantizedConv(rng, weights, kernel, groups, dilation, stride, (size[0], size[1]), pad, zero_point, unsigned)


def spread(rng: np.random.Generator, acc: np.ndarray) -> np.ndarray:
    """Multipliers [row] that put most sums inside the byte range; some are powers of two, which make ties."""
    size = np.abs(acc).max(axis=(0, 2)) + 1.0
    multiplier = 200 / size * rng.uniform(0.2, 3, len(size))
    ties = rng.random(len(size)) < 0.4
    return np.where(ties, 2.0 ** np.round(np.log2(multiplier)), multiplier).astype(F)


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_bytes(kind: str, data: st.DataObject) -> None:
    conv = data.draw(convs(kind))
    acc = conv.sums()
    multiplier = spread(conv.rng, acc)
    zero_point = data.draw(st.sampled_from([0, 3, 128, 255]))
    want = requantized(acc, multiplier[:, None], zero_point)
    residual = sums = None
    residual_is_a = data.draw(st.booleans())
    if data.draw(st.booleans()):
        sign = data.draw(st.sampled_from([0, 128]))
        ratios = tuple(
            float(F(v)) for v in (*conv.rng.choice([0.5, 0.25, 0.731, 1.37, 1e6], 2), conv.rng.normal(0, 60))
        )
        residual = conv.rng.integers(0, 256, acc.shape, np.uint8)
        sums = (*ratios, sign)
        first, second = (residual, want) if residual_is_a else (want, residual)
        want = summed(first, second, ratios, sign)
    lookup = None
    if data.draw(st.booleans()):
        lookup = conv.rng.integers(0, 256, 256, np.uint8)
        want = lookup[want]
    output = q.Output(Form.bytes, zero_point, sum=sums, residual_is_a=residual_is_a, lookup=lookup)
    tile, chunk = data.draw(st.integers(1, 8)), data.draw(st.sampled_from([1, 3, 16, 128]))
    split, in_place = data.draw(st.integers(0, 3)), data.draw(st.booleans())
    for level in LEVELS:
        added = None if residual is None else to_byte_lanes(residual)
        y = added if in_place else None
        got = run(kind, conv, level, output, multiplier, tile=tile, chunk=chunk, split=split, residual=added, y=y)
        np.testing.assert_array_equal(from_byte_lanes(got, conv.rows), want, err_msg=level)


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_floats_and_ints(kind: str, data: st.DataObject) -> None:
    conv = data.draw(convs(kind))
    acc = conv.sums()
    multiplier = conv.rng.uniform(-1e-3, 1e-3, conv.rows).astype(F)
    padded = -(-conv.rows // q.ROWS) * q.ROWS
    float_bias = conv.rng.standard_normal(padded).astype(F) if data.draw(st.booleans()) else None
    limits = (0.0, 1.5) if data.draw(st.booleans()) else (-np.inf, np.inf)
    want = acc.astype(F) * multiplier[:, None]
    if float_bias is not None:
        want = want + float_bias[: conv.rows, None]
    want = np.clip(want, *limits)
    tile = data.draw(st.integers(1, 8))
    for level in LEVELS:
        output = q.Output(Form.floats, float_bias=float_bias, clamp=limits)
        np.testing.assert_array_equal(run(kind, conv, level, output, multiplier, tile=tile, floats=True), want)
        got = run(kind, conv, level, q.Output(Form.ints), multiplier, tile=tile, floats=True)
        np.testing.assert_array_equal(got.view(np.int32), acc)


@pytest.mark.parametrize("level", LEVELS)
def test_scales_that_overflow_int32_saturate(level: str) -> None:
    conv = QuantizedConv(np.random.default_rng(3), np.full((5, 8, 1), 127, np.int8))
    conv.weights[::2] = -128
    multiplier = np.array([1e9, 1e9, 3e38, 3e38, 1e-38], F)
    want = requantized(conv.sums(), multiplier[:, None], 100)
    for kind in ("spmm", "dense"):
        got = run(kind, conv, level, q.Output(Form.bytes, 100), multiplier)
        np.testing.assert_array_equal(from_byte_lanes(got, 5), want)


@pytest.mark.parametrize("level", LEVELS)
def test_only_the_output_is_written(level: str) -> None:
    conv = QuantizedConv(np.random.default_rng(4), np.ones((18, 5, 1), np.int8), size=(1, 3))
    multiplier = np.full(18, 0.1, F)
    guard = aligned((5, 5, LANES), 7.0)
    run("spmm", conv, level, q.Output(Form.bytes), multiplier, y=guard[1:4])
    assert (guard[0] == 7).all() and (guard[4] == 7).all()
    guard = aligned((5, 18, LANES), 7.0)
    run("dense", conv, level, q.Output(Form.ints), multiplier, y=guard[1:4], floats=True)
    assert (guard[0] == 7).all() and (guard[4] == 7).all()


def test_pairs_that_saturate_are_split() -> None:
    heavy = np.array([[127, 127, 1, 1]], np.int8).reshape(1, 4, 1)
    assert q.Spmm(q.Layer(heavy.view(np.uint8)), 1, 1, 64, True).groups == 2
    assert q.Spmm(q.Layer(heavy.view(np.uint8)), 1, 1, 64, False).groups == 1
    light = np.array([[64, 64, -64, -64]], np.int8).reshape(1, 4, 1)
    assert q.Spmm(q.Layer(light.view(np.uint8)), 1, 1, 64, True).groups == 1


def test_refuses_what_may_overflow() -> None:
    wide = np.full((1, 70000, 1), 127, np.int8).view(np.uint8)
    for pack in (lambda layer: q.Spmm(layer, 1, 17500, 64, False), q.Dense, lambda layer: q.FewRows(layer, True)):
        with pytest.raises(RuntimeError, match="does not fit 32 bits"):
            pack(q.Layer(wide))
    fits = np.full((1, 60000, 1), 127, np.int8).view(np.uint8)
    q.Dense(q.Layer(fits))
    with pytest.raises(RuntimeError, match="does not fit 32 bits"):
        q.Dense(q.Layer(fits, bias=np.array([2**31 - 1], np.int32)))


def test_refuses_weights_that_are_no_s8_without_their_zero_point() -> None:
    weights = np.array([[[0], [255]]], np.uint8)
    with pytest.raises(RuntimeError, match=r"input channel 1 is 255 without its zero point"):
        q.Dense(q.Layer(weights, is_signed=False))
    q.Dense(q.Layer(weights, is_signed=False, zero_points=np.array([128], np.uint8)))


def test_zero_points_of_rows() -> None:
    rng = np.random.default_rng(5)
    weights, zeros = rng.integers(100, 150, (6, 9, 1), np.uint8), rng.integers(100, 150, 6, np.uint8)
    packed = q.Dense(q.Layer(weights, is_signed=False, zero_points=zeros))
    want = (weights.astype(np.int64) - zeros[:, None, None]).sum((1, 2))
    np.testing.assert_array_equal(packed.row_sum[:6], want)
