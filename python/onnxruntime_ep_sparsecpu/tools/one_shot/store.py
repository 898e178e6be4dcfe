"""Arrays by key: in memory as long as they fit a budget, the others in temporary files."""

from __future__ import annotations

import tempfile
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from onnxruntime_ep_sparsecpu.tools.errors import UserError, first_line

Array = npt.NDArray[Any]


class Store:
    """budget: bytes of memory."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._arrays: dict[Hashable, Array | Path] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._files = 0

    def close(self) -> None:
        """Removes the files."""
        self._arrays.clear()
        if self._folder is not None:
            self._folder.cleanup()

    def __setitem__(self, key: Hashable, array: Array) -> None:
        """Raises UserError where a file cannot be written."""
        if array.nbytes > self._budget and array.dtype != np.object_:
            self._arrays[key] = self._write(array)
        else:
            self._budget -= array.nbytes
            self._arrays[key] = array

    def __getitem__(self, key: Hashable) -> Array:
        found = self._arrays[key]
        return np.load(found) if isinstance(found, Path) else found

    def __delitem__(self, key: Hashable) -> None:
        found = self._arrays.pop(key)
        if isinstance(found, Path):
            found.unlink()
        else:
            self._budget += found.nbytes

    def __iter__(self) -> Iterator[Hashable]:
        return iter(list(self._arrays))

    def _write(self, array: Array) -> Path:
        try:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="sparsecpu-")
            self._files += 1
            path = Path(self._folder.name) / f"{self._files}.npy"
            np.save(path, array, allow_pickle=False)
        except OSError as error:
            folder = tempfile.gettempdir()
            raise UserError(f"cannot keep activations in {folder} (TMPDIR): {first_line(error)}") from error
        return path
