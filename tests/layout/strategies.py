"""Random geometries for property tests."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from onnxruntime_ep_sparsecpu import _native

LANE_SPLITS = [(n, h, 16 // (n * h)) for n in (1, 2, 4, 8, 16) for h in (1, 2, 4, 8, 16) if n * h <= 16]


@st.composite
def cut_geometries(draw: st.DrawFn, n: int, size: tuple[int, int]) -> Any:
    """A geometry that may store a part of its pixels, as the input of a window does: any steps, origins and grids."""
    lanes = draw(st.sampled_from(LANE_SPLITS))
    step = [
        max(1, -(-length // blocks) + draw(st.integers(-1, 2))) for length, blocks in zip(size, lanes[1:], strict=True)
    ]
    origin = [draw(st.integers(-3, 2)) for _ in step]
    grid = [max(1, s - o + draw(st.integers(-2, 3))) for s, o in zip(step, origin, strict=True)]
    return _native.kernels.Geometry((n, *size), lanes, step, origin, grid)


@st.composite
def geometries(draw: st.DrawFn, n: int | None = None, size: tuple[int, int] | None = None, halo: int = 9) -> Any:
    """A geometry that stores every pixel: any lane split, steps with slack, halos larger than the block."""
    images = draw(st.integers(1, 20)) if n is None else n
    h, w = size or (draw(st.integers(1, 13)), draw(st.integers(1, 13)))
    lanes = draw(st.sampled_from(LANE_SPLITS))
    step = [-(-length // blocks) + draw(st.integers(0, 2)) for length, blocks in zip((h, w), lanes[1:], strict=True)]
    before = [draw(st.integers(0, halo)) for _ in step]
    grid = [s + b + draw(st.integers(0, halo)) for s, b in zip(step, before, strict=True)]
    return _native.kernels.Geometry((images, h, w), lanes, step, [-b for b in before], grid)
