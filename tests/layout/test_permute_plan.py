"""Relayout and halo plans, run by every level's permute kernel, against plain numpy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lane_arrays import LANES, LEVELS, aligned, aligned_copy, canonical_mask, present_lanes, to_lanes
from onnxruntime_ep_sparsecpu import _native
from random_checks import examples
from strategies import cut_geometries, geometries

kernels = _native.kernels
FILL = -7.0


def random_tensor(n: int, channels: int, h: int, w: int) -> np.ndarray:
    return np.random.default_rng(n * 1000 + h * 50 + w).standard_normal((n, channels, h, w), np.float32)


def widened(lanes: np.ndarray, padding: int) -> np.ndarray:
    """The same positions with `padding` unused vectors after each one's channels."""
    wide = aligned((*lanes.shape[:3], lanes.shape[3] + padding, LANES))
    wide[:, :, :, : lanes.shape[3]] = lanes
    return wide


def only_canonical(geometry: Any, lanes: np.ndarray) -> np.ndarray:
    lanes[:, ~canonical_mask(geometry)] = math.nan
    return lanes


def assert_same(geometry: Any, actual: np.ndarray, expected: np.ndarray) -> None:
    present = np.broadcast_to(present_lanes(geometry)[:, None, None, None, :], expected.shape)
    np.testing.assert_array_equal(actual[present], expected[present])


@st.composite
def relayouts(draw: st.DrawFn) -> tuple[Any, Any, Any, Any]:
    """Source, destination, and a map per axis: a shift or a table with entries outside the source."""
    source = draw(geometries())
    n, *source_size = source.size
    maps, size = [], []
    for length in source_size:
        kind = draw(st.sampled_from(["identity", "shift", "table"]))
        size.append(length if kind == "identity" else draw(st.integers(1, 13)))
        if kind == "table":
            maps.append(draw(st.lists(st.integers(-1, length), min_size=size[-1], max_size=size[-1])))
        else:
            maps.append(0 if kind == "identity" else draw(st.integers(-5, 5)))
    return source, draw(geometries(n, (size[0], size[1]))), maps[0], maps[1]


def mapped(tensor: np.ndarray, axis: int, size: int, axis_map: int | list[int]) -> np.ndarray:
    index = np.arange(size) + axis_map if isinstance(axis_map, int) else np.array(axis_map)
    inside = (index >= 0) & (index < tensor.shape[axis])
    taken = np.take(tensor, np.where(inside, index, 0), axis)
    return np.where(inside.reshape([-1 if d == axis else 1 for d in range(4)]), taken, np.float32(FILL))


@settings(max_examples=examples(300), deadline=None)
@given(relayouts(), st.integers(1, 4), st.integers(0, 2), st.integers(0, 2))
def test_relayout_is_a_gather(
    case: tuple[Any, Any, Any, Any], channels: int, source_padding: int, destination_padding: int
) -> None:
    source, destination, rows, columns = case
    tensor = random_tensor(source.size[0], channels, *source.size[1:])
    x = widened(only_canonical(source, to_lanes(source, tensor, math.nan)), source_padding)
    target = mapped(mapped(tensor, 2, destination.size[1], rows), 3, destination.size[2], columns)
    expected = to_lanes(destination, target, FILL)
    plan = kernels.plan_relayout(
        source, x.shape[3] * LANES, destination, (channels + destination_padding) * LANES, rows, columns
    )
    for level in LEVELS:
        y = widened(np.full_like(expected, 99.0), destination_padding)
        plan.run(level, x, y, 0, channels, FILL)
        assert_same(destination, y[:, :, :, :channels], expected)
        assert np.isnan(y[:, :, :, channels:]).all()


@settings(max_examples=examples(200), deadline=None)
@given(geometries(halo=24), st.integers(1, 4), st.integers(0, 1), st.booleans())
def test_halo_is_filled_in_place_in_any_order(geometry: Any, channels: int, padding: int, reverse: bool) -> None:
    tensor = random_tensor(geometry.size[0], channels, *geometry.size[1:])
    expected = to_lanes(geometry, tensor, FILL)
    plan = kernels.plan_halo(geometry, (channels + padding) * LANES)
    if reverse:
        plan.reverse()
    for level in LEVELS:
        x = widened(only_canonical(geometry, to_lanes(geometry, tensor, math.nan)), padding)
        plan.run(level, x, x, 0, channels, FILL)
        assert_same(geometry, x[:, :, :, :channels], expected)


@settings(max_examples=examples(1000), deadline=None)
@given(st.data(), st.integers(1, 3), st.tuples(st.integers(1, 13), st.integers(1, 13)))
def test_what_stores_every_pixel_can_be_laid_out_anew(data: st.DataObject, n: int, size: tuple[int, int]) -> None:
    source, destination = data.draw(cut_geometries(n, size)), data.draw(geometries(n, size))
    try:
        kernels.plan_relayout(source, 16, destination, 16, 0, 0)
        complete = True
    except RuntimeError as error:
        assert "is not stored by" in str(error)
        complete = False
    assert source.stores_every_pixel == complete


def test_halo_plan_of_a_tensor_that_fits_is_empty() -> None:
    assert kernels.plan_halo(kernels.choose_geometry(1, 56, 56), 64 * LANES).copies == 0


def test_channel_ranges_are_independent() -> None:
    geometry = kernels.Geometry((1, 7, 7), (1, 4, 4), (2, 2), (-1, -1), (4, 4))
    tensor = random_tensor(1, 6, 7, 7)
    x = only_canonical(geometry, to_lanes(geometry, tensor, math.nan))
    plan = kernels.plan_halo(geometry, 6 * LANES)
    for level in LEVELS:
        y = aligned_copy(x)
        plan.run(level, y, y, 2, 5, FILL)
        np.testing.assert_array_equal(y[..., 2:5, :], to_lanes(geometry, tensor, FILL)[..., 2:5, :])
        np.testing.assert_array_equal(y[..., [0, 1, 5], :], x[..., [0, 1, 5], :])


def test_missing_pixels_are_an_error() -> None:
    short = kernels.Geometry((1, 8, 8), (1, 4, 4), (2, 2), (0, 0), (1, 1))
    whole = kernels.choose_geometry(1, 8, 8)
    with pytest.raises(RuntimeError, match="is not stored by 4 blocks"):
        kernels.plan_relayout(short, 16, whole, 16, 0, 0)
    with pytest.raises(RuntimeError, match="1 images cannot become 2"):
        kernels.plan_relayout(whole, 16, kernels.choose_geometry(2, 8, 8), 16, 0, 0)
    with pytest.raises(RuntimeError, match="a table of 3 coordinates"):
        kernels.plan_relayout(whole, 16, whole, 16, [0, 1, 2], 0)
