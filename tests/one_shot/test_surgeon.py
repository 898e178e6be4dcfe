"""Optimal brain surgeon on small problems, against what can be computed from its definition."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from onnxruntime_ep_sparsecpu import magnitude
from onnxruntime_ep_sparsecpu.tools.one_shot import surgeon
from onnxruntime_ep_sparsecpu.tools.one_shot.forms import cell_starts

SEEDS = range(8)


def correlated(columns: int, seed: int, groups: int = 1) -> np.ndarray:
    """Hessians of inputs that a few common factors make, of different sizes."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(groups, columns // 2, columns)) * rng.uniform(0.2, 2, columns)
    rows = rng.normal(size=(groups, 500, columns // 2)) @ factors + 0.3 * rng.normal(size=(groups, 500, columns))
    return np.swapaxes(rows, 1, 2) @ rows


def dense(outputs: int, columns: int, seed: int, groups: int = 1) -> np.ndarray:
    return np.random.default_rng(100 + seed).normal(size=(groups, outputs, columns))


def least_squares(w: np.ndarray, kept: np.ndarray, hessian: np.ndarray) -> np.ndarray:
    """The best weights of one output with zeros outside `kept`."""
    result = np.zeros_like(w)
    result[kept] = np.linalg.solve(hessian[np.ix_(kept, kept)], (hessian @ w)[kept])
    return result


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("pattern", magnitude.PATTERNS)
def test_costs_are_those_of_the_best_compensation_behind(pattern: str, seed: int) -> None:
    """With the columns before a cell as they are."""
    hessian, w = correlated(12, seed)[0], dense(3, 12, seed)[0]
    starts = cell_starts(12, 6, pattern)
    costs = surgeon.costs_of(w, surgeon.inverse_factor(hessian), starts)
    for cell, (begin, end) in enumerate(zip(starts, [*starts[1:], 12], strict=True)):
        behind = hessian[begin:, begin:]
        for output in range(3):
            change = w[output, begin:].copy()  # what makes up for the loss is free to be anything behind the cell
            change[end - begin :] = 0
            rest = slice(end - begin, None)
            change[rest] = -np.linalg.lstsq(behind[rest, rest], behind[rest] @ change, rcond=None)[0]
            assert costs[output, cell] == pytest.approx(change @ behind @ change, rel=1e-6)


@pytest.mark.parametrize("seed", SEEDS)
def test_between_magnitude_and_the_best_of_all(seed: int) -> None:
    hessian, w = correlated(10, seed), dense(1, 10, seed)
    by_size = magnitude.prune(w, 0.6)
    sparse = surgeon.solve(w, hessian, 0.6, np.arange(10), by_size)
    assert np.count_nonzero(sparse) == 4
    best = min(
        surgeon.relative_error(least_squares(w[0, 0], np.array(kept), hessian[0])[None, None], w, hessian)
        for kept in combinations(range(10), 4)
    )
    assert best <= surgeon.relative_error(sparse, w, hessian) < surgeon.relative_error(by_size, w, hessian)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("sparsity", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("pattern", magnitude.PATTERNS)
def test_never_worse_than_magnitude(pattern: str, sparsity: float, seed: int) -> None:
    """Over several blocks of columns, and several groups."""
    hessian, w = surgeon.dampened(correlated(300, seed, groups=2)), dense(20, 300, seed, groups=2)
    starts = cell_starts(300, 100, pattern)
    pruned = surgeon.prune(w, hessian, sparsity, starts)
    gone = np.logical_and.reduceat(pruned == 0, starts, axis=2)
    assert gone.sum() == round(gone.size * sparsity)
    assert ((pruned == 0) == np.repeat(gone, np.diff([*starts, 300]), axis=2)).all()
    refitted = surgeon.refit(pruned, w, hessian)
    assert ((refitted == 0) == (pruned == 0)).all()
    by_taps = magnitude.prune(w.reshape(2, 20, 3, 100), sparsity, pattern, input_axis=3).reshape(w.shape)
    errors = [surgeon.relative_error(each, w, hessian) for each in (refitted, pruned, by_taps)]
    assert errors[0] < errors[1] < errors[2], errors


def test_refit_is_least_squares() -> None:
    hessian, w = surgeon.dampened(correlated(40, 1)), dense(5, 40, 1)
    mask = magnitude.prune(w, 0.5)
    refitted = surgeon.refit(mask, w, hessian)
    best = np.stack([least_squares(row, np.flatnonzero(m), hessian[0]) for row, m in zip(w[0], mask[0], strict=True)])
    error, least = (surgeon.relative_error(each, w, hessian) for each in (refitted, best[None]))
    assert error == pytest.approx(least, rel=1e-3)
    assert error < 0.5 * surgeon.relative_error(mask, w, hessian)


def test_independent_inputs_of_one_size_are_magnitude_pruning() -> None:
    w = dense(16, 300, 0)
    hessian = surgeon.dampened(7 * np.eye(300)[None])
    pruned = surgeon.refit(surgeon.prune(w, hessian, 0.7, np.arange(300)), w, hessian)
    np.testing.assert_allclose(pruned, magnitude.prune(w, 0.7), rtol=1e-12)


def test_what_is_zero_stays_zero() -> None:
    """Also when more is zero than asked for, and with groups of four of which some weights are zero."""
    w, hessian = magnitude.prune(dense(8, 64, 2), 0.8), surgeon.dampened(correlated(64, 2))
    for sparsity, pattern in ((0.5, "unstructured"), (0.9, "unstructured"), (0.5, "1x4")):
        starts = cell_starts(64, 64, pattern)
        pruned = surgeon.refit(surgeon.prune(w, hessian, sparsity, starts), w, hessian)
        assert (pruned[w == 0] == 0).all()
        if pattern == "unstructured":
            assert np.count_nonzero(pruned == 0) == round(max(sparsity, 0.8) * w.size)


def test_inputs_that_are_always_zero_go_first() -> None:
    hessian, w = correlated(20, 3), dense(4, 20, 3)
    hessian[:, [2, 7]] = hessian[:, :, [2, 7]] = 0
    pruned = surgeon.prune(w, surgeon.dampened(hessian), 0.1, np.arange(20))
    assert (pruned[0][:, [2, 7]] == 0).all() and np.count_nonzero(pruned == 0) == 8


@pytest.mark.parametrize("seed", SEEDS)
def test_a_hessian_that_rounding_has_left_without_an_inverse(seed: int) -> None:
    noise = np.random.default_rng(seed).normal(size=(1, 20, 20))
    hessian, w = noise + noise.swapaxes(1, 2), dense(4, 20, seed)
    with pytest.raises(np.linalg.LinAlgError):
        surgeon.prune(w, surgeon.dampened(hessian), 0.5, np.arange(20))
    pruned = surgeon.solve(w, hessian, 0.5, np.arange(20), magnitude.prune(w, 0.5))
    assert np.isfinite(pruned).all() and np.count_nonzero(pruned) == 40


def test_no_input_at_all_is_magnitude_pruning() -> None:
    w, hessian = dense(4, 20, 3), surgeon.dampened(np.zeros((1, 20, 20)))
    pruned = surgeon.refit(surgeon.prune(w, hessian, 0.5, np.arange(20)), w, hessian)
    np.testing.assert_allclose(pruned, magnitude.prune(w, 0.5))
