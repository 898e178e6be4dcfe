"""Moments of a layer's inputs over calibration data: what optimal brain surgeon has to know of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Moments:
    """Of rows [groups, rows, columns]. Sums are float64, since the mean is taken from squares."""

    def __init__(self, groups: int, columns: int) -> None:
        self.count = 0
        self._sum = np.zeros((groups, columns))
        self._squares = np.zeros((groups, columns, columns))

    @staticmethod
    def bytes_for(groups: int, columns: int) -> int:
        return 8 * groups * columns * columns

    def add(self, blocks: Iterable[Array]) -> None:
        for block in blocks:
            rows = np.asarray(block, np.float32)
            self.count += rows.shape[1]
            self._sum += rows.sum(axis=1, dtype=np.float64)
            for squares, group in zip(self._squares, rows, strict=True):
                squares += group.T @ group

    @property
    def mean(self) -> Array:
        """[groups, columns]"""
        mean: Array = self._sum / max(self.count, 1)
        return mean

    def hessian(self, centred: bool) -> Array:
        """[groups, columns, columns]: sum of x x' over the rows x, or of (x - mean)(x - mean)', which is what counts
        where a bias takes up the mean of the error."""
        result = self._squares.copy()
        if centred:
            mean = self.mean
            result -= self.count * mean[:, :, None] * mean[:, None, :]
        return result
