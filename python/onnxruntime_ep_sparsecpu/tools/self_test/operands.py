"""Random operands of kernels, aligned as they need it, and their results to compare."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Case = Callable[[str, np.random.Generator], Array]
"""A kernel's result at a level, on operands that depend on the generator only."""

LANES = 16
F = np.float32


def aligned(*shape: int) -> npt.NDArray[np.float32]:
    """Zeros that start at a multiple of 64 bytes."""
    count = math.prod(shape)
    raw = np.zeros(count + LANES, F)
    start = (-raw.ctypes.data % 64) // 4
    return raw[start : start + count].reshape(shape)


def random_floats(rng: np.random.Generator, *shape: int) -> npt.NDArray[np.float32]:
    array = aligned(*shape)
    array[...] = rng.standard_normal(shape)
    return array


def random_bytes(rng: np.random.Generator, *shape: int) -> npt.NDArray[np.uint8]:
    return rng.integers(0, 256, shape, np.uint8)


def random_byte_lanes(rng: np.random.Generator, *shape: int) -> npt.NDArray[np.float32]:
    """Vectors of 16 lanes whose 32 bits are four random bytes."""
    array = aligned(*shape, LANES)
    array.view(np.uint8)[...] = rng.integers(0, 256, array.view(np.uint8).shape)
    return array


def channel_bytes(lanes: Array, channels: int) -> Array:
    """The bytes of `channels` channels: those of the pad channels may be anything."""
    quads = np.swapaxes(lanes.view(np.uint8).reshape(*lanes.shape, 4), -1, -2)
    return quads.reshape(*lanes.shape[:-2], -1, LANES)[..., :channels, :]
