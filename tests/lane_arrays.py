"""Arrays for kernel and layout tests: aligned, guarded by unreadable pages, and lane-blocked by plain numpy."""

from __future__ import annotations

import ctypes
import math
import mmap
from collections.abc import Sequence
from typing import Any

import numpy as np
from onnxruntime_ep_sparsecpu import _native

LEVELS: list[str] = _native.available_isas()
LANES = 16

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


def aligned(shape: int | Sequence[int], fill: float = math.nan) -> np.ndarray:
    """A float32 array that starts at a multiple of 64 bytes."""
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    count = math.prod(shape)
    raw = np.full(count + LANES, fill, np.float32)
    start = (-raw.ctypes.data % 64) // 4
    return raw[start : start + count].reshape(shape)


def aligned_copy(array: np.ndarray) -> np.ndarray:
    copy = aligned(array.shape)
    copy[...] = array
    return copy


def guarded(values: np.ndarray, side: str) -> np.ndarray:
    """A copy of `values` whose end (or start) touches a page that faults on any access."""
    values = np.ascontiguousarray(values, np.float32)
    page = mmap.PAGESIZE
    inner = -(-max(values.nbytes, 1) // page) * page
    memory = mmap.mmap(-1, inner + 2 * page)
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for guard in (base, base + page + inner):
        assert _libc.mprotect(guard, page, 0) == 0
    offset = page if side == "start" else page + inner - values.nbytes
    # The array keeps the mapping alive; a process may have some 65,000 of them.
    copy = np.frombuffer(memory, np.float32, values.size, offset).reshape(values.shape)
    copy[...] = values
    return copy


def to_lanes(geometry: Any, tensor: np.ndarray, fill: float) -> np.ndarray:
    """tensor[n, c, h, w] as [group, grid row, grid column, c, lane], by the definition in layout/geometry.h."""
    n, channels, h, w = tensor.shape
    lanes_n, lanes_h, lanes_w = geometry.lanes
    out = aligned((geometry.groups, *geometry.grid, channels, LANES), fill)
    for image in range(n):
        for block_h in range(lanes_h):
            for block_w in range(lanes_w):
                lane = (image % lanes_n * lanes_h + block_h) * lanes_w + block_w
                y = block_h * geometry.step[0] + geometry.origin[0] + np.arange(geometry.grid[0])
                x = block_w * geometry.step[1] + geometry.origin[1] + np.arange(geometry.grid[1])
                rows, columns = np.flatnonzero((y >= 0) & (y < h)), np.flatnonzero((x >= 0) & (x < w))
                pixels = tensor[image][:, y[rows][:, None], x[columns]]
                out[image // lanes_n, rows[:, None], columns, :, lane] = pixels.transpose(1, 2, 0)
    return out


def canonical_mask(geometry: Any) -> np.ndarray:
    """[grid row, grid column]: True at canonical positions."""
    rows, columns = geometry.grid
    return np.array([[geometry.is_canonical(r, c) for c in range(columns)] for r in range(rows)])


def present_lanes(geometry: Any) -> np.ndarray:
    """[group, lane]: True where the lane belongs to an image."""
    lanes_n = geometry.lanes[0]
    image = np.arange(geometry.groups)[:, None] * lanes_n + np.arange(LANES) // (LANES // lanes_n)
    return image < geometry.size[0]
