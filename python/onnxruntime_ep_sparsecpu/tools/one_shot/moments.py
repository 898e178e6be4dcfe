"""Moments of a layer's inputs over calibration data: what optimal brain surgeon has to know of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Moments:
    """Of rows [groups, rows, columns]. Products are summed in float32, as differences from where the first rows lie: so
    an input that is always the same has no second moment, and not the rounding errors of a large one. All else is
    float64."""

    def __init__(self, groups: int, columns: int) -> None:
        self.count = 0
        self._origin: Array | None = None  # [groups, 1, columns]
        self._sum = np.zeros((groups, columns))
        self._squares = np.zeros((groups, columns, columns))

    @staticmethod
    def bytes_for(groups: int, columns: int) -> int:
        return 8 * groups * columns * columns

    def add(self, blocks: Iterable[Array]) -> None:
        """Rows that have no squares in float32 make moments that are not finite."""
        for block in blocks:
            if block.shape[1] == 0:
                continue
            with np.errstate(over="ignore", invalid="ignore"):
                rows = np.asarray(block, np.float32)
                if self._origin is None:
                    self._origin = rows.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
                rows = rows - self._origin
                self.count += rows.shape[1]
                self._sum += rows.sum(axis=1, dtype=np.float64)
                for squares, group in zip(self._squares, rows, strict=True):
                    squares += group.T @ group

    @property
    def finite(self) -> bool:
        return bool(np.isfinite(self._squares).all())

    @property
    def mean(self) -> Array:
        """[groups, columns]"""
        origin = 0.0 if self._origin is None else self._origin[:, 0].astype(np.float64)
        mean: Array = origin + self._sum / max(self.count, 1)
        return mean

    def hessian(self, centred: bool) -> Array:
        """[groups, columns, columns]: sum of x x' over the rows x, or of (x - mean)(x - mean)', which is what counts
        where a bias takes up the mean of the error."""
        result = self._squares.copy()
        apart = self._sum / max(self.count, 1)  # the mean from the origin
        for sign, vector in ((-1, apart), *(() if centred else ((1, self.mean),))):
            result += sign * self.count * vector[:, :, None] * vector[:, None, :]
        return result
