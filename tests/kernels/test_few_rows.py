"""The few-rows kernel, sparse and dense, on every level: against float64, at the edge of readable memory, and
independent of how rows and activations are grouped."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lane_arrays import LEVELS, guarded
from linear_cases import EPSILON, NO_CLAMP, kernels, reordered, sparse_weights
from random_checks import examples

SIDES = ("start", "end")


def run(weights: np.ndarray, sparse: bool, level: str, x: np.ndarray, **options: object) -> np.ndarray:
    """y[m, row], with x, the residual and y next to unreadable pages."""
    side = str(options.get("side", "end"))
    packed = kernels.FewRows(kernels.Layer(weights, bias=options.get("bias")), sparse)
    residual = options.get("residual")
    y = guarded(np.full((x.shape[0], weights.shape[0]), np.nan, np.float32), side)
    added = None
    if isinstance(residual, np.ndarray):
        y[...] = residual
        added = y if options.get("in_place") else guarded(residual, side)
    cut = int(options.get("split", 0))  # type: ignore[call-overload]
    for begin, end in ((0, cut), (cut, weights.shape[0])):
        packed.run(level, begin, end, guarded(x, side), y, added, options.get("clamp", NO_CLAMP))
    return y


@settings(deadline=None, max_examples=examples(150))
@given(data=st.data())
def test_any_matrix(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    rows, k = data.draw(st.integers(1, 40)), data.draw(st.one_of(st.integers(1, 70), st.sampled_from([256, 1000])))
    m, sparse = data.draw(st.integers(1, 15)), data.draw(st.booleans())
    weights = sparse_weights(rng, rows, k, 1, data.draw(st.sampled_from([0.0, 0.05, 0.2, 1.0])))
    weights = reordered(weights, data.draw(st.sampled_from(["rct", "crt"])))
    x = rng.standard_normal((m, k)).astype(np.float32)
    options: dict[str, object] = {"side": data.draw(st.sampled_from(SIDES)), "split": data.draw(st.integers(0, rows))}
    want = x.astype(np.float64) @ weights[:, :, 0].T.astype(np.float64)
    size = np.abs(x).astype(np.float64) @ np.abs(weights[:, :, 0].T)
    if data.draw(st.booleans()):
        bias = rng.standard_normal(rows).astype(np.float32)
        options["bias"] = bias
        want, size = want + bias, size + np.abs(bias)
    if data.draw(st.booleans()):
        residual = rng.standard_normal((m, rows)).astype(np.float32)
        options |= {"residual": residual, "in_place": data.draw(st.booleans())}
        want, size = want + residual, size + np.abs(residual)
    if data.draw(st.booleans()):
        options["clamp"] = (0.0, 2.0)
        want = np.clip(want, 0, 2)
    results = [run(weights, sparse, level, x, **options) for level in LEVELS]
    for level, got in zip(LEVELS, results, strict=True):
        assert np.all(np.abs(got - want) <= 2 * (k + 3) * EPSILON * size + 1e-30), level
    for got in results[1:]:
        np.testing.assert_array_equal(got, results[-1])


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("level", LEVELS)
def test_result_is_independent_of_grouping(level: str, sparse: bool) -> None:
    rng = np.random.default_rng(7)
    weights = sparse_weights(rng, 29, 333, 1, 0.15)
    x = rng.standard_normal((15, 333)).astype(np.float32)
    together = run(weights, sparse, level, x)
    apart = np.concatenate([run(weights, sparse, level, x[i : i + 1], split=i) for i in range(15)])
    np.testing.assert_array_equal(together, apart)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("level", LEVELS)
def test_rows_of_x_and_y_may_lie_apart(level: str, sparse: bool) -> None:
    rng = np.random.default_rng(8)
    weights = sparse_weights(rng, 5, 37, 1, 0.5)
    wide = rng.standard_normal((6, 50)).astype(np.float32)
    y = np.full((6, 9), 42, np.float32)
    packed = kernels.FewRows(kernels.Layer(weights), sparse)
    packed.run(level, 0, 5, wide[:, 3:40], y[:, 2:7], None, NO_CLAMP)
    np.testing.assert_array_equal(y[:, 2:7], run(weights, sparse, level, wide[:, 3:40].copy()))
    assert (y[:, :2] == 42).all() and (y[:, 7:] == 42).all()


@pytest.mark.parametrize("level", LEVELS)
def test_nan_passes_through_the_clamp(level: str) -> None:
    weights = np.ones((3, 5, 1), np.float32)
    x = np.ones((2, 5), np.float32)
    x[1, 4] = np.nan
    for sparse in (False, True):
        got = run(weights, sparse, level, x, clamp=(0.0, 2.0))
        assert (got[0] == 2).all() and np.isnan(got[1]).all()
