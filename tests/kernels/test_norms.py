"""The kernels of group normalization on every level, against float64 numpy: lanes that hold no pixel, values far from
zero, and nothing read of lanes that are left out."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from lane_arrays import LANES, LEVELS, aligned, aligned_copy
from onnxruntime_ep_sparsecpu import _native

kernels = _native.kernels


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 9), st.integers(1, 13), st.sampled_from([0.0, 3.0, 1000.0]), st.integers(0, 2**32 - 1), st.data())
def test_lane_moments(positions: int, channels: int, offset: float, seed: int, data: st.DataObject) -> None:
    masks = data.draw(st.lists(st.sampled_from([0xFFFF, 0x00FF, 0x1235, 0]), min_size=positions, max_size=positions))
    order = data.draw(st.permutations(range(positions)))
    inside = (np.array(masks)[:, None] >> np.arange(LANES) & 1).astype(bool)
    values = np.random.default_rng(seed).standard_normal((positions, channels, LANES), np.float32) + np.float32(offset)
    values = np.where(inside[:, None], values, np.float32(math.nan))
    x = aligned(values.shape)
    for p, place in enumerate(order):
        x[place] = values[p]
    for level in LEVELS:
        moments = aligned((4, LANES))
        kernels.lane_moments(level, x, [p * channels * LANES for p in order], masks, channels, moments)
        count, centre, distance, square = moments.astype(np.float64)
        np.testing.assert_array_equal(count, inside.sum(0) * channels)
        empty = count == 0
        assert not moments[:, empty].any()
        held = np.maximum(count, 1)
        exact = values.astype(np.float64)
        mean = np.where(empty, 0, np.nansum(exact, (0, 1)) / held)
        spread = np.nansum((exact - mean) ** 2, (0, 1)) / held
        unit = np.sqrt(spread) + 1e-6 * (offset + 1)
        # The rounding of the centre is in the distances: together they are right.
        assert (np.abs(centre - mean) <= 2e-6 * (offset + 3)).all()
        assert (np.abs(centre + distance / held - mean) <= 2e-6 * unit + 1e-7 * np.abs(mean) * (held == 1)).all()
        around = square / held - (distance / held) ** 2
        np.testing.assert_allclose(around, spread, rtol=2e-5, atol=1e-9 * (offset + 1) ** 2)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 70), st.integers(0, 2**32 - 1))
def test_normalize(channels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scale, offset = rng.standard_normal((2, channels), np.float32)
    units = rng.standard_normal((3, LANES), np.float32)
    x = rng.standard_normal((channels, LANES), np.float32)
    centre, factor, shift = units.astype(np.float64)
    exact = ((x - centre) * factor + shift) * scale[:, None] + offset[:, None]
    for level in LEVELS:
        lanes = aligned_copy(x)
        kernels.normalize(level, units, scale, offset, lanes, lanes)
        np.testing.assert_allclose(lanes, exact, rtol=1e-5, atol=1e-5)
