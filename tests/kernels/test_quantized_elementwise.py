"""INT8 kernels without weights, on every level: conversions, sums and products against the contract's formulas, tables,
pools, row transposes next to unreadable memory, channel copies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lane_arrays import LANES, LEVELS, aligned, aligned_copy
from linear_cases import kernels
from quantized_cases import F, from_byte_lanes, guarded_bytes, q, requantized, summed, to_byte_lanes, vectors
from random_checks import examples

COUNTS = st.sampled_from([0, 1, 15, 16, 17, 63, 64, 65, 200])
ZEROS = st.sampled_from([0, 1, 128, 255])
SIGNS = st.sampled_from([0, 128])
ALL_A, ALL_B = (grid.reshape(-1).astype(np.uint8) for grid in np.meshgrid(np.arange(256), np.arange(256)))


def quantized(x: np.ndarray, scale: float, zero: int) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.where(np.isnan(x), F(-zero), x / F(scale))
    return (np.rint(np.clip(scaled, F(-zero), F(255 - zero))) + zero).astype(np.uint8)


def values(rng: np.random.Generator, shape: tuple[int, ...], scale: float) -> np.ndarray:
    """Floats around the byte range, a third of them ties, some not finite."""
    x = (rng.uniform(-300, 300, shape) * scale).astype(F)
    ties = rng.random(shape) < 0.3
    x[ties] = (rng.integers(-300, 300, ties.sum()) + 0.5).astype(F) * F(scale)
    x[rng.random(shape) < 0.02] = rng.choice([np.inf, -np.inf, np.nan, 3e38, -3e38])
    return x


@settings(deadline=None, max_examples=examples(60))
@given(COUNTS, ZEROS, SIGNS, st.sampled_from([0.25, 0.1, 1e-6, 3e5]), st.integers(0, 2**32 - 1))
def test_quantize_and_back(count: int, zero: int, sign: int, scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = values(rng, (count,), scale)
    lanes = values(rng, (count // 8 + 1, LANES), scale)
    for level in LEVELS:
        y = guarded_bytes(np.zeros(count, np.uint8)) if count else np.zeros(0, np.uint8)
        q.quantize(level, scale, zero, sign, x, y)
        np.testing.assert_array_equal(y ^ sign, quantized(x, scale, zero), err_msg=level)
        back = np.zeros(count, F)
        q.dequantize(level, scale, zero, sign, y, back)
        np.testing.assert_array_equal(back, ((y ^ sign).astype(np.int32) - zero).astype(F) * F(scale))
        channels = lanes.shape[0]
        byte_lanes = aligned((vectors(channels), LANES))
        q.quantize_lanes(level, scale, zero, aligned_copy(lanes), byte_lanes, channels)
        got = from_byte_lanes(byte_lanes, channels)
        np.testing.assert_array_equal(got, quantized(lanes, scale, zero), err_msg=level)
        pads = from_byte_lanes(byte_lanes, vectors(channels) * 4)[channels:]
        assert (pads == zero).all()
        out = aligned((channels + 1, LANES), 7.0)
        q.dequantize_lanes(level, scale, zero, byte_lanes, out, channels)
        np.testing.assert_array_equal(out[:channels], (got.astype(np.int32) - zero).astype(F) * F(scale))
        assert (out[channels] == 7).all()


@settings(deadline=None, max_examples=examples(40))
@given(COUNTS, ZEROS, SIGNS, st.sampled_from([0.5, 0.25, 1e-3, 1e9]), st.integers(0, 2**32 - 1))
def test_requantize(count: int, zero: int, sign: int, multiplier: float, seed: int) -> None:
    acc = np.random.default_rng(seed).integers(-(2**31), 2**31, count, np.int32) >> np.int32(seed % 25)
    want = requantized(acc, F(multiplier), zero) ^ sign
    for level in LEVELS:
        y = np.zeros(count, np.uint8)
        q.requantize(level, multiplier, zero, sign, acc, y)
        np.testing.assert_array_equal(y, want, err_msg=level)


@settings(deadline=None, max_examples=examples(60))
@given(st.integers(0, 70), st.booleans(), st.integers(0, 2**32 - 1))
def test_min_max(count: int, with_nan: bool, seed: int) -> None:
    x = np.random.default_rng(seed).standard_normal(count).astype(F)
    if with_nan and count:
        x[seed % count] = np.nan
    finite = x[~np.isnan(x)]
    for level in LEVELS:
        got = q.min_max(level, x, 0.1, -0.1)
        assert got == (min([F(0.1), *finite]), max([F(-0.1), *finite]))


@settings(deadline=None, max_examples=examples(40))
@given(st.data(), SIGNS, st.integers(0, 2**32 - 1))
def test_add_and_multiply_all_pairs(data: st.DataObject, sign: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scales = [F(2.0 ** rng.integers(-6, 3) if data.draw(st.booleans()) else rng.uniform(0.01, 1)) for _ in range(3)]
    zeros = [int(z) for z in rng.integers(0, 256, 3)]
    ratios = q.quantized_sum(*((float(s), z - sign) for s, z in zip(scales, zeros, strict=True)))
    added = summed(ALL_A, ALL_B, ratios, sign)
    factor = q.product_multiplier(*map(float, scales))
    products = (ALL_A.astype(np.int64) - zeros[0]) * (ALL_B.astype(np.int64) - zeros[1])
    own = np.rint(products.astype(F) * F(factor) + F(zeros[2] - sign))
    multiplied = np.clip(own, -sign, 255 - sign) + sign
    scalar = slice(None, None, 256)
    for level in LEVELS:
        y = np.zeros(ALL_A.size, np.uint8)
        q.add(level, (*ratios, sign), ALL_A, ALL_B, y)
        np.testing.assert_array_equal(y, added, err_msg=level)
        q.multiply(level, factor, zeros, sign, ALL_A, ALL_B, y)
        np.testing.assert_array_equal(y, multiplied, err_msg=level)
        column, short = np.ascontiguousarray(ALL_B[scalar][:77]), np.zeros(77, np.uint8)
        q.add(level, (*ratios, sign), column, np.array([200], np.uint8), short)
        np.testing.assert_array_equal(short, summed(column, np.full(77, 200), ratios, sign))


@settings(deadline=None, max_examples=examples(30))
@given(COUNTS, st.integers(0, 2**32 - 1))
def test_lookup(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    table, x = rng.integers(0, 256, 256, np.uint8), rng.integers(0, 256, count, np.uint8)
    for level in LEVELS:
        y = x.copy()
        q.lookup(level, table, y, y)
        np.testing.assert_array_equal(y, table[x])
        every = np.arange(256, dtype=np.uint8)
        q.lookup(level, table, every, every)
        np.testing.assert_array_equal(every, table)


@settings(deadline=None, max_examples=examples(60))
@given(st.integers(1, 9), st.integers(1, 5), SIGNS, st.integers(0, 2**32 - 1))
def test_pools(taps: int, count: int, sign: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    channels = 4 * count
    x = rng.integers(0, 256, (taps, channels, LANES), np.uint8)
    lanes = to_byte_lanes(x).reshape(taps, -1)
    divisor = rng.integers(1, taps + 1, LANES).astype(F)
    scales, zeros = [F(rng.uniform(0.01, 0.1)) for _ in range(2)], rng.integers(0, 256, 2)
    total = np.zeros((channels, LANES), F)
    for tap in x:
        total = total + (tap.astype(np.int32) - zeros[0]).astype(F) * scales[0]
    own = np.rint(total / divisor / scales[1] + F(zeros[1] - sign))
    average = np.clip(own, -sign, 255 - sign) + sign
    for level in LEVELS:
        y = aligned((count, LANES))
        q.pool_max(level, lanes, y)
        np.testing.assert_array_equal(from_byte_lanes(y, channels), x.max(0))
        parameters = [(float(s), int(z)) for s, z in zip(scales, zeros, strict=True)]
        q.pool_average(level, *parameters, sign, divisor, lanes, y)
        np.testing.assert_array_equal(from_byte_lanes(y, channels), average, err_msg=level)
        masks, sums = rng.integers(0, 1 << LANES, taps), np.full((channels, LANES), -1, np.int32)
        offsets = [t * lanes.shape[1] for t in range(taps)]
        q.sum_positions(level, lanes, offsets, masks.tolist(), 1, count, sums)
        inside = (masks[:, None] >> np.arange(LANES) & 1).astype(bool)
        np.testing.assert_array_equal(sums[4:], (x.astype(np.int32) * inside[:, None]).sum(0)[4:])
        assert (sums[:4] == -1).all()


@settings(deadline=None, max_examples=examples(80))
@given(st.integers(1, 70), st.integers(1, 4), SIGNS, st.booleans(), st.integers(0, 2**32 - 1))
def test_planes_to_lanes_and_back(count: int, planes: int, sign: int, ragged: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, count + 1, LANES).tolist() if ragged else [count] * LANES
    fill = rng.integers(0, 256, 4, np.uint8)
    x = rng.integers(0, 256, (LANES, planes, count), np.uint8)
    stored = [guarded_bytes(x[lane, :, :n]) if n else None for lane, n in enumerate(lengths)]
    for level in LEVELS:
        # All rows of a call share the distance between planes, so rows of unequal lengths are cut from wide ones.
        rows = [np.ascontiguousarray(x[lane]).reshape(-1) if n else None for lane, n in enumerate(lengths)]
        if not ragged:
            rows = [row.reshape(-1) if row is not None else None for row in stored]
        args = q.ByteRows(sign, int(fill.view(np.uint32)[0]), planes, count)
        y = aligned((count, 2, LANES))
        q.load_planes(level, args, rows, lengths, count, y, 2 * LANES)
        want = np.broadcast_to(fill[:, None], (count, 4, LANES)).copy()
        for lane, n in enumerate(lengths):
            want[:n, :planes, lane] = x[lane, :, :n].T ^ sign
        np.testing.assert_array_equal(from_byte_lanes(y[:, :1], 4), want, err_msg=level)
        assert np.isnan(y[:, 1]).all()
        back = [None if row is None else np.full(row.size, 55, np.uint8) for row in rows]
        q.store_planes(level, args, y, 2 * LANES, count, back, lengths)
        for lane, n in enumerate(lengths):
            if n:
                got = back[lane].reshape(planes, count)  # type: ignore[union-attr]
                np.testing.assert_array_equal(got[:, :n], x[lane, :, :n])
                assert (got[:, n:] == 55).all()


@settings(deadline=None, max_examples=examples(80))
@given(st.integers(1, 300), st.integers(1, 4), SIGNS, st.integers(0, 2**32 - 1))
def test_planes_to_pixels_and_back(count: int, planes: int, sign: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    fill = rng.integers(0, 256, 4, np.uint8)
    x = guarded_bytes(rng.integers(0, 256, (planes, count), np.uint8))
    args = q.ByteRows(sign, int(fill.view(np.uint32)[0]), planes, count)
    want = np.broadcast_to(fill, (count, 4)).copy()
    want[:, :planes] = x.T ^ sign
    for level in LEVELS:
        y = aligned(-(-count // LANES) * LANES)
        q.interleave_planes(level, args, x.reshape(-1), count, y)
        np.testing.assert_array_equal(y[:count].view(np.uint8).reshape(count, 4), want, err_msg=level)
        back = guarded_bytes(np.zeros(planes * count, np.uint8))
        q.separate_planes(level, args, y, count, back)
        np.testing.assert_array_equal(back.reshape(planes, count), x, err_msg=level)


@settings(deadline=None, max_examples=examples(80))
@given(st.integers(1, 150), SIGNS, st.booleans(), st.integers(0, 2**32 - 1))
def test_channels_to_lanes_and_back(count: int, sign: int, ragged: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, count + 1, LANES).tolist() if ragged else [count] * LANES
    fill = rng.integers(0, 256, 4, np.uint8)
    rows = [guarded_bytes(rng.integers(0, 256, n, np.uint8)) if n else None for n in lengths]
    args = q.ByteRows(sign, int(fill.view(np.uint32)[0]), 4, 0)
    want = np.resize(fill, vectors(count) * 4)[:, None].repeat(LANES, 1)
    for lane, row in enumerate(rows):
        if row is not None:
            want[: row.size, lane] = row ^ sign
    for level in LEVELS:
        y = aligned((vectors(count), 2, LANES))
        q.load_channels(level, args, rows, lengths, count, y, 2 * LANES)
        np.testing.assert_array_equal(
            from_byte_lanes(np.ascontiguousarray(y[:, 0]), want.shape[0]), want, err_msg=level
        )
        assert np.isnan(y[:, 1]).all()
        back = [None if row is None else guarded_bytes(np.zeros(row.size, np.uint8)) for row in rows]
        q.store_channels(level, args, y, 2 * LANES, count, back, lengths)
        for row, got in zip(rows, back, strict=True):
            if row is not None:
                np.testing.assert_array_equal(got, row)


@settings(deadline=None, max_examples=examples(80))
@given(st.integers(1, 30), st.data())
def test_copy_channels(channels: int, data: st.DataObject) -> None:
    x_first, y_first = data.draw(st.integers(0, 9)), data.draw(st.integers(0, 9))
    rng = np.random.default_rng(channels)
    x = rng.integers(0, 256, (x_first + channels + 3, LANES), np.uint8)
    y = rng.integers(0, 256, (vectors(y_first + channels + 2) * 4, LANES), np.uint8)
    for level in LEVELS:
        out = to_byte_lanes(y)
        q.copy_channels(level, to_byte_lanes(x), x_first, out, y_first, channels)
        want = y.copy()
        want[y_first : y_first + channels] = x[x_first : x_first + channels]
        np.testing.assert_array_equal(from_byte_lanes(out, len(y)), want)


@pytest.mark.parametrize("zero_point", range(256))
def test_permute_keeps_the_bits_of_its_fill(zero_point: int) -> None:
    """Four bytes of a zero point are a denormal float or (255) a quiet NaN on their way through the permutation."""
    fill = np.full(4, zero_point, np.uint8).view(F)[0]
    # One pixel a lane in a 4 x 4 image, with a border of one position around: outside the image lies the fill.
    geometry = kernels.Geometry((1, 4, 4), (1, 4, 4), (1, 1), (-1, -1), (3, 3))
    plan = kernels.plan_halo(geometry, LANES)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 4, LANES), np.uint8)
    for level in LEVELS:
        lanes = aligned((9, LANES))
        lanes[4] = to_byte_lanes(pixels)
        plan.run(level, lanes.reshape(-1), lanes.reshape(-1), 0, 1, float(fill))
        got = from_byte_lanes(lanes.reshape(3, 3, 1, LANES), 4).reshape(3, 3, 4, 4, 4)
        image = np.pad(pixels.reshape(4, 4, 4), ((0, 0), (1, 1), (1, 1)), constant_values=zero_point)
        for row in range(3):
            for column in range(3):
                np.testing.assert_array_equal(got[row, column], image[:, row : row + 4, column : column + 4])


def test_dynamic_quantization() -> None:
    assert q.dynamic_quantization(0.0, 0.0) == (1.0, 0)
    assert q.dynamic_quantization(3.0, 5.0) == (float(F(5) / F(255)), 0)
    assert q.dynamic_quantization(-5.0, -3.0) == (float(F(5) / F(255)), 255)
    scale = F(F(2.0) - F(-1.0)) / F(255)
    assert q.dynamic_quantization(-1.0, 2.0) == (float(scale), int(np.rint(F(1) / scale)))
