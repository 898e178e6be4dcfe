"""Magnitude pruning of one array: the smallest weights, or groups of four, become zero."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
_Array = TypeVar("_Array", bound=Array)

PATTERNS = ("unstructured", "1x4")
GROUP = 4  # input channels of one INT8 instruction


def prune(
    weight: _Array,
    sparsity: float,
    pattern: str = "unstructured",
    input_axis: int = 0,
    zero_point: npt.ArrayLike = 0,
    scale: npt.ArrayLike = 1,
) -> _Array:
    """Returns a copy of `weight` in which the given share (0..1) of the entries, those nearest to zero, is zero.

    pattern: "unstructured", or "1x4": that share of the groups of four neighbours along `input_axis`, the least by
    their sum (a last group may be shorter); zeros in the other groups come on top. zero_point, scale: of a quantized
    weight, broadcast against it; "zero" is then the zero point, and entries count as (weight - zero_point) * scale.
    Entries that are zero already count as pruned.
    Raises ValueError for a share outside 0..1, for another pattern and for a weight that is not finite.
    """
    if not 0.0 <= sparsity <= 1.0:
        raise ValueError(f"sparsity is {sparsity}; expected a share between 0 and 1")
    if pattern not in PATTERNS:
        raise ValueError(f"pattern is {pattern!r}; expected one of {', '.join(PATTERNS)}")
    zero = np.asarray(zero_point).astype(weight.dtype)
    magnitude = np.abs((weight.astype(np.float32) - zero.astype(np.float32)) * np.asarray(scale, np.float32))
    if not np.isfinite(magnitude).all():
        raise ValueError("the weight has an infinity or NaN, which is no size to sort by")
    if pattern == "1x4":
        sums = _group_sums(magnitude, input_axis)
        groups = smallest(sums, sparsity)
        gone = np.repeat(groups, GROUP, axis=input_axis).take(range(weight.shape[input_axis]), axis=input_axis)
    else:
        gone = smallest(magnitude, sparsity)
    return np.where(gone, zero, weight)  # type: ignore[return-value]


def _group_sums(magnitude: Array, axis: int) -> Array:
    return np.add.reduceat(magnitude, range(0, magnitude.shape[axis], GROUP), axis=axis)


def smallest(sizes: Array, share: float) -> npt.NDArray[np.bool_]:
    """True for exactly that share of the entries. Of equal ones, as there are many among quantized weights, those at
    even distances are taken, so that no channel is pruned first and every machine takes the same."""
    count = round(sizes.size * share)
    flat = sizes.ravel()
    if count == 0:
        return np.zeros(sizes.shape, np.bool_)
    threshold = np.partition(flat, count - 1)[count - 1]
    chosen = flat < threshold
    equal = np.flatnonzero(flat == threshold)
    missing = count - np.count_nonzero(chosen)
    chosen[equal[np.arange(missing) * equal.size // missing]] = True
    result: npt.NDArray[np.bool_] = chosen.reshape(sizes.shape)
    return result


def zeros(weight: Array, zero_point: npt.ArrayLike = 0) -> int:
    """How many entries are zero, or equal to the zero point (broadcast against the weight)."""
    return int(np.count_nonzero(weight == np.asarray(zero_point).astype(weight.dtype)))
