"""choose_geometry, canonical_place and is_canonical against their definitions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnxruntime_ep_sparsecpu import _native
from strategies import LANE_SPLITS, geometries

kernels = _native.kernels


def positions(geometry: Any) -> int:
    return geometry.groups * geometry.grid[0] * geometry.grid[1]


@given(st.integers(1, 40), st.integers(1, 60), st.integers(1, 60))
def test_choose_geometry_has_the_fewest_positions(n: int, h: int, w: int) -> None:
    chosen = kernels.choose_geometry(n, h, w)
    assert chosen.size == (n, h, w)
    assert chosen.origin == (0, 0) and chosen.grid == chosen.step
    assert chosen.lanes in LANE_SPLITS
    fewest = min(-(-n // ln) * -(-h // lh) * -(-w // lw) for ln, lh, lw in LANE_SPLITS)
    if h * w > 1:
        assert positions(chosen) == fewest


@pytest.mark.parametrize(
    ("size", "lanes", "step"),
    [
        ((1, 56, 56), (1, 4, 4), (14, 14)),
        ((1, 14, 14), (1, 2, 8), (7, 2)),
        ((1, 7, 7), (1, 4, 4), (2, 2)),
        ((128, 1, 1), (16, 1, 1), (1, 1)),
        ((1, 1, 1), (16, 1, 1), (1, 1)),
        ((16, 7, 7), (16, 1, 1), (7, 7)),
    ],
)
def test_choose_geometry_of_known_sizes(
    size: tuple[int, int, int], lanes: tuple[int, int, int], step: tuple[int, int]
) -> None:
    chosen = kernels.choose_geometry(*size)
    assert chosen.step[0] * chosen.step[1] * chosen.groups == step[0] * step[1] * -(-size[0] // lanes[0])
    assert sorted(chosen.lanes[1:]) == sorted(lanes[1:])


@given(geometries())
def test_canonical_places_hold_every_pixel_once(geometry: Any) -> None:
    _, h, w = geometry.size
    places = {geometry.canonical_place(y, x, 0) for y in range(h) for x in range(w)}
    assert len(places) == h * w
    for position, lane in places:
        assert geometry.is_canonical(position // geometry.grid[1], position % geometry.grid[1])
        assert 0 <= lane < 16 // geometry.lanes[0]
