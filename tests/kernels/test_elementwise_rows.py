"""load_rows and store_rows of every level: ragged rows, null rows, guard pages around each row, strides."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lane_arrays import LANES, LEVELS, aligned, guarded
from onnxruntime_ep_sparsecpu import _native
from random_checks import examples

kernels = _native.kernels
FILL = -3.0


@st.composite
def ragged(draw: st.DrawFn) -> tuple[int, list[int]]:
    """A count, and the lengths of 16 rows: all equal, or any up to the count."""
    count = draw(st.integers(1, 70))
    if draw(st.booleans()):
        return count, [count] * LANES
    return count, draw(st.lists(st.integers(0, count), min_size=LANES, max_size=LANES))


@settings(max_examples=examples(150), deadline=None)
@given(ragged(), st.integers(1, 3), st.sampled_from(["start", "end"]))
def test_rows_to_lanes_and_back(case: tuple[int, list[int]], vectors: int, side: str) -> None:
    count, lengths = case
    rng = np.random.default_rng(count)
    values = rng.standard_normal((LANES, count), np.float32)
    rows = [guarded(values[lane, :length], side) if length else None for lane, length in enumerate(lengths)]
    inside = np.arange(count)[:, None] < np.array(lengths)
    for level in LEVELS:
        y = aligned((count, vectors, LANES))
        kernels.load_rows(level, rows, count, FILL, y, vectors * LANES)
        np.testing.assert_array_equal(y[:, 0], np.where(inside, values.T, np.float32(FILL)))
        assert np.isnan(y[:, 1:]).all()
        back = [None if row is None else guarded(np.full(row.size, math.nan), side) for row in rows]
        kernels.store_rows(level, y, vectors * LANES, count, back)
        for row, got in zip(rows, back, strict=True):
            if row is not None:
                np.testing.assert_array_equal(got, row)


@pytest.mark.parametrize("level", LEVELS)
def test_store_rows_ignores_lanes_past_a_row(level: str) -> None:
    x = aligned((20, LANES), math.inf)
    rows: list[np.ndarray | None] = [None] * LANES
    rows[3] = np.zeros(5, np.float32)
    kernels.store_rows(level, x, LANES, 20, rows)
    assert np.isinf(rows[3]).all()
