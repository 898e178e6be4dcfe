"""The weights of one layer under optimal brain surgeon: y = x @ w.T changes least, in the mean square over inputs whose
second moments are the Hessian, when the right weights go and those that stay make up for them.

Arrays are float64: w [groups, outputs, columns], Hessians [groups, columns, columns]. A cell is what goes as a whole: a
column of one output, or with 1x4 the columns of four neighbouring input channels; `starts` [cells] are the first
columns of the cells of an output, ascending from 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from onnxruntime_ep_sparsecpu import magnitude

Array = npt.NDArray[Any]

_DAMPENING = 0.01  # of the mean of the diagonal: what SparseGPT found to be safe with few samples
_DEAD = 1e-3  # of the dampening, for inputs that are always zero
_BLOCK = 128  # columns whose error is spread within the block at once, and to those behind it at its end
_STEPS = 50  # of conjugate gradients, at most
_SMALL = 1e-4  # share of the first gradient that is worth no further step


def solve(w: Array, hessian: Array, sparsity: float, starts: Array, by_size: Array) -> Array:
    """`w` with that share (0..1) of its cells at zero, and the others where the outputs come nearest.

    by_size: the same with the smallest cells at zero and nothing else changed. It takes the place of what the surgeon
    finds in the rare layer (of few weights) where that is better, so that the error is never above it.
    """
    damped = dampened(hessian)
    try:
        found = refit(prune(w, damped, sparsity, starts), w, damped)
    except np.linalg.LinAlgError:
        # Rounding has left no sum of squares, where inputs hardly vary: they count as independent.
        return solve(w, np.maximum(hessian, 0) * np.eye(hessian.shape[1]), sparsity, starts, by_size)
    if relative_error(found, w, hessian) <= relative_error(by_size, w, hessian):
        return found
    return refit(by_size, w, damped)


def dampened(hessian: Array) -> Array:
    """The Hessians with a share of the mean of their diagonal added to it, so that each has an inverse. An input that is
    always zero gets next to nothing: cut off first, its weights go by their size. Without any input all do."""
    diagonal = np.diagonal(hessian, axis1=1, axis2=2)
    mean = diagonal.mean(axis=1, keepdims=True)
    added = np.where(mean > 0, _DAMPENING * mean, 1.0) * np.where(diagonal > 0, 1.0, _DEAD)
    result: Array = hessian + added[:, :, None] * np.eye(hessian.shape[1])
    return result


def prune(w: Array, hessian: Array, sparsity: float, starts: Array) -> Array:
    """`w` with that share (0..1) of its cells at zero, those of all groups and outputs together. hessian: dampened.

    What is zero already is cut off for nothing and stays so.
    """
    factors = np.stack([inverse_factor(h) for h in hessian])
    # How many cells each block of columns loses is settled beforehand, by the sizes of all: with independent inputs of
    # one size this is magnitude pruning. Which ones is settled when the block's weights have taken up the errors of
    # those before.
    costs = np.concatenate([costs_of(group, factor, starts) for group, factor in zip(w, factors, strict=True)])
    first = magnitude.smallest(costs, sparsity).reshape(*w.shape[:2], starts.size)
    return np.stack([_cut(*each, starts) for each in zip(w, factors, first, strict=True)])


def inverse_factor(hessian: Array) -> Array:
    """Upper U with U.T @ U the inverse: U[j:, j:] belongs to the inverse for the columns from j on, when those before
    are settled."""
    lower = np.linalg.cholesky(hessian[::-1, ::-1])
    upper: Array = np.linalg.inv(lower)[::-1, ::-1]
    return np.triu(upper)


def costs_of(w: Array, factor: Array, starts: Array) -> Array:
    """[outputs, cells]: by how much the squared error grows when a cell goes and the columns behind it make up for it.

    w: [outputs, columns], factor: [columns, columns]. The weights of a cell go one after the other, each with the
    error of those before.
    """
    ends = np.append(starts[1:], w.shape[1])
    costs = np.zeros((w.shape[0], starts.size))
    errors: list[Array] = []
    for step in range(int((ends - starts).max())):
        longer = starts + step < ends
        column = np.minimum(starts + step, ends - 1)
        left = w[:, column].copy()
        for before, error in enumerate(errors):
            left -= error * factor[np.minimum(starts + before, column), column]
        errors.append(np.where(longer, left / factor[column, column], 0.0))
        costs += np.square(errors[-1])
    return costs


def _cut(w: Array, factor: Array, first: Array, starts: Array) -> Array:
    """w: [outputs, columns]; first: [outputs, cells], whose number in each block is the number to go."""
    w, zero = w.copy(), w == 0
    cell_of = np.repeat(np.arange(starts.size), np.diff(np.append(starts, w.shape[1])))
    cells_of_blocks = np.split(np.arange(starts.size), np.flatnonzero(np.diff(starts // _BLOCK)) + 1)
    for cells in cells_of_blocks:
        begin = starts[cells[0]]
        end = w.shape[1] if cells[-1] + 1 == starts.size else starts[cells[-1] + 1]
        u = factor[begin:end, begin:end]
        block = w[:, begin:end]
        costs = costs_of(block, u, starts[cells] - begin)
        costs[_all_in_cell(zero[:, begin:end], starts[cells] - begin)] = -1.0  # they are gone already
        gone = magnitude.smallest(costs, float(np.count_nonzero(first[:, cells])) / costs.size)
        gone = gone[:, cell_of[begin:end] - cells[0]] | zero[:, begin:end]
        errors = np.zeros_like(block)
        for column in range(end - begin):
            errors[:, column] = np.where(gone[:, column], block[:, column] / u[column, column], 0.0)
            block[:, column:] -= np.outer(errors[:, column], u[column, column:])
        block[gone] = 0.0
        w[:, end:] -= errors @ factor[begin:end, end:]
    return w


def _all_in_cell(zero: Array, starts: Array) -> Array:
    result: Array = np.logical_and.reduceat(zero, starts, axis=1)
    return result


def refit(w: Array, target: Array, hessian: Array) -> Array:
    """What is not zero in `w`, moved to where the outputs come nearest to those of `target`: least squares by
    conjugate gradients from `w` on, so that the error only falls. hessian: dampened."""
    return np.stack([_refit(*each) for each in zip(w, target, hessian, strict=True)])


def _refit(w: Array, target: Array, hessian: Array) -> Array:
    """[outputs, columns], all outputs at once."""
    kept = w != 0
    scale = 1 / np.diag(hessian)
    result = w.copy()
    residual = np.where(kept, (target - w) @ hessian, 0.0)
    preconditioned = residual * scale
    direction = preconditioned
    size = first = np.einsum("oc,oc->o", residual, preconditioned)
    for _ in range(_STEPS):
        if (size <= _SMALL**2 * first).all():
            break
        product = np.where(kept, direction @ hessian, 0.0)
        curvature = np.einsum("oc,oc->o", direction, product)
        step = np.divide(size, curvature, out=np.zeros_like(size), where=curvature > 0)[:, None]
        result += step * direction
        residual = residual - step * product
        preconditioned = residual * scale
        before, size = size, np.einsum("oc,oc->o", residual, preconditioned)
        direction = (
            preconditioned + np.divide(size, before, out=np.zeros_like(size), where=before > 0)[:, None] * direction
        )
    return np.where(kept, result, 0.0)


def relative_error(w: Array, target: Array, hessian: Array) -> float:
    """Root of the mean square by which the outputs differ from those of `target`, as a share of that of the latter."""

    def power(v: Array) -> float:
        return float(sum(np.vdot(rows, rows @ h) for rows, h in zip(v, hessian, strict=True)))

    whole = power(target)
    return float(np.sqrt(max(power(w - target), 0.0) / whole)) if whole > 0 else 0.0
