"""The two layouts of a window's input: which one is chosen, and what a gathered one holds."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from lane_arrays import LANES, LEVELS, aligned, to_lanes
from onnxruntime_ep_sparsecpu import _native
from random_checks import examples
from strategies import geometries

kernels = _native.kernels
FILL = -7.0
Axis = tuple[int, int, int, int]  # kernel, stride, dilation, pads before


@st.composite
def windows(draw: st.DrawFn) -> tuple[tuple[int, int], Axis, Axis]:
    """An image's size, and a window over it that may lie outside the image altogether."""
    size = draw(st.integers(0, 9)), draw(st.integers(0, 9))
    rows, columns = (
        (
            draw(st.integers(1, 3)),
            draw(st.integers(1, 3)),
            draw(st.sampled_from((1, 2, 5, 40))),
            draw(st.integers(0, 45)),
        )
        for _ in size
    )
    return size, rows, columns


@settings(max_examples=examples(60), deadline=None)
@given(st.data(), windows(), st.integers(1, 3))
def test_gathered_taps_are_the_pixels_under_the_window(data: st.DataObject, window: Any, channels: int) -> None:
    size, rows, columns = window
    out_size = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))
    out = data.draw(geometries(size=out_size, halo=0))
    n = out.size[0]
    source = data.draw(geometries(n, size)) if min(size) > 0 else kernels.choose_geometry(n, *size)
    layout = kernels.WindowLayout(out, size, rows, columns)
    image = np.random.default_rng(1).standard_normal((n, channels, *size)).astype(np.float32)
    x = to_lanes(source, image, np.nan)
    assert layout.slots <= rows[0] * columns[0]
    plan = layout.gather(source, channels * LANES, layout.slots * channels * LANES, channels * LANES)
    for level in LEVELS:
        y = aligned((out.groups, *out.grid, layout.slots * channels, LANES))
        plan.run(level, x, y, 0, channels, FILL)
        for row in range(rows[0]):
            for column in range(columns[0]):
                under = [
                    np.arange(outputs) * stride - before + tap * dilation
                    for outputs, tap, (_, stride, dilation, before) in zip(
                        out_size, (row, column), (rows, columns), strict=True
                    )
                ]
                inside = [(pixels >= 0) & (pixels < length) for pixels, length in zip(under, size, strict=True)]
                want = np.full((n, channels, *out_size), FILL, np.float32)
                kept = np.ix_(range(n), range(channels), *(np.flatnonzero(i) for i in inside))
                pixels = (under[axis][inside[axis]] for axis in (0, 1))
                want[kept] = image[np.ix_(range(n), range(channels), *pixels)]
                first = layout.slot(row, column) * channels
                got = y[:, :, :, first : first + channels]
                expected = to_lanes(out, want, FILL)
                held = ~np.isnan(to_lanes(out, np.zeros_like(want), np.nan))
                np.testing.assert_array_equal(got[held], expected[held], err_msg=level)


@settings(max_examples=examples(60), deadline=None)
@given(windows(), st.integers(1, 20), st.integers(1, 20))
def test_no_layout_is_larger_than_its_taps_or_its_halo(window: Any, height: int, width: int) -> None:
    size, rows, columns = window
    out = kernels.choose_geometry(1, height, width)
    layout = kernels.WindowLayout(out, size, rows, columns)
    halo = layout.aligned.grid[0] * layout.aligned.grid[1]
    assert layout.positions <= halo
    apart = any(axis[2] > 1 and (axis[0] - 1) * axis[2] > 32 for axis in (rows, columns))
    if apart:
        assert layout.positions <= rows[0] * columns[0] * out.grid[0] * out.grid[1]
    else:
        assert not layout.gathers and layout.positions == halo
