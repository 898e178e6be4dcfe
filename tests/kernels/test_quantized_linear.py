"""INT8 spmm, dense and depthwise: every level bit for bit what int64 sums and the contract's float32 formulas give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lane_arrays import LANES, LEVELS, aligned
from quantized_cases import F, QuantizedConv, byte_cases, convs, from_byte_lanes, q, requantized, run, to_byte_lanes
from random_checks import examples

KINDS = ("spmm", "dense", "depthwise")
Form = q.Form


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=examples(60))
@given(data=st.data())
def test_bytes(kind: str, data: st.DataObject) -> None:
    case = data.draw(byte_cases(kind))
    conv = case.conv
    tile, chunk = data.draw(st.integers(1, 16)), data.draw(st.sampled_from([1, 3, 16, 128]))
    split, in_place = data.draw(st.integers(0, 3)), data.draw(st.booleans())
    for level in LEVELS:
        added = None if case.residual is None else to_byte_lanes(case.residual)
        y = added if in_place else None
        options = {"tile": tile, "chunk": chunk, "split": split, "residual": added, "y": y}
        got = run(kind, conv, level, case.output, case.multiplier, **options)
        np.testing.assert_array_equal(from_byte_lanes(got, conv.rows), case.want, err_msg=level)


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=examples(25))
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
    tile = data.draw(st.integers(1, 16))
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
