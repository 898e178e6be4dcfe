"""LayerNorm and attention kernels of every level: against float64 numpy, sequences that begin and end inside a vector,
masks, rows without any key, garbage in lanes that belong to others, and nothing written outside the named lanes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from attention_cases import attention_calls, softmax
from hypothesis import given, settings
from hypothesis import strategies as st
from lane_arrays import LANES, LEVELS, aligned, aligned_copy, guarded
from onnxruntime_ep_sparsecpu import _native
from random_checks import examples

kernels = _native.kernels
LOWEST = float(np.finfo(np.float32).min)


def exact_norm(x: np.ndarray, scale: np.ndarray, shift: np.ndarray, epsilon: float, centred: bool) -> np.ndarray:
    """LayerNorm over the last axis in float64; not centred, RMSNorm."""
    x = x.astype(np.float64)
    distance = x - x.mean(-1, keepdims=True) if centred else x
    return distance / np.sqrt((distance**2).mean(-1, keepdims=True) + np.float32(epsilon)) * scale + shift


@settings(max_examples=examples(80), deadline=None)
@given(
    st.integers(1, 70),
    st.sampled_from([0.0, 3.0, 1000.0]),
    st.sampled_from([1e-12, 1e-5]),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_layer_norm(channels: int, offset: float, epsilon: float, centred: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scale, shift = rng.standard_normal((2, channels), np.float32)
    x = rng.standard_normal((LANES, channels), np.float32) + np.float32(offset)
    exact = exact_norm(x, scale, shift, epsilon, centred)
    # The mean is rounded to a float near `offset`; that counts in units of the token's deviation.
    unit = np.abs(scale) / np.sqrt(x.astype(np.float64).var(-1, keepdims=True) + epsilon) if centred else 0.0
    bound = 4e-6 * np.abs(exact) + 5e-7 * (offset + 1) * unit + 1e-6
    for level in LEVELS:
        lanes = aligned_copy(x.T)
        kernels.layer_norm(level, scale, shift, epsilon, centred, lanes, lanes)
        assert (np.abs(lanes.T - exact) <= bound).all()
        for side in ("start", "end"):
            row = guarded(x[0], side)
            kernels.layer_norm_row(level, guarded(scale, side), guarded(shift, side), epsilon, centred, row, row)
            assert (np.abs(row - exact[0]) <= bound[0]).all()


def tokens_to_lanes(tokens: np.ndarray, first_lane: int) -> np.ndarray:
    """[n, c] as [vectors, c, 16] from lane `first_lane` on; NaN where no token is."""
    n, channels = tokens.shape
    vectors = -(-(first_lane + n) // LANES)
    rows = np.full((vectors * LANES, channels), math.nan, np.float32)
    rows[first_lane : first_lane + n] = tokens
    return aligned_copy(rows.reshape(vectors, LANES, channels).transpose(0, 2, 1))


class Head:
    """Random queries, keys and values of one head, and the call of the kernel on them."""

    def __init__(self, rng: np.random.Generator, vectors: int, keys: int, depth: int, value_depth: int) -> None:
        self.q = rng.standard_normal((vectors * LANES, depth), np.float32)
        self.k = rng.standard_normal((keys, depth), np.float32)
        self.v = rng.standard_normal((keys, value_depth), np.float32)
        self.scale = 1 / math.sqrt(depth)

    def exact(self, mask: np.ndarray | float = 0.0) -> np.ndarray:
        scores = self.q.astype(np.float64) @ self.k.T.astype(np.float64) * self.scale + mask
        return softmax(scores) @ self.v.astype(np.float64)

    def run(
        self,
        level: str,
        first_lane: int,
        *,
        key_mask: np.ndarray | None = None,
        mask: np.ndarray | None = None,
        replaces: bool = False,
        lanes: int = 0xFFFF,
        unattended: float | None = None,
    ) -> np.ndarray:
        """[queries, value_depth]; NaN in queries that `lanes` leaves out. mask: (queries, keys)."""
        keys, value_depth = self.v.shape
        queries = list(tokens_to_lanes(self.q, 0))
        outputs = [aligned((value_depth, LANES)) for _ in queries]
        k, v = tokens_to_lanes(self.k, first_lane), tokens_to_lanes(self.v, first_lane)
        arguments = (first_lane, keys, self.scale, key_mask, mask is not None, replaces, unattended)
        for part, scores in attention_calls(kernels.attention_tile(level), len(queries), len(k), first_lane, mask):
            tile = queries[part]
            kernels.attention(level, k, v, *arguments, tile, outputs[part], [lanes] * len(tile), scores)
        return np.concatenate([y.T for y in outputs])


@settings(max_examples=examples(100), deadline=None)
@given(
    st.integers(1, 3),
    st.integers(1, 50),
    st.integers(1, 21),
    st.integers(1, 21),
    st.integers(0, 15),
    st.integers(0, 0xFFFF),
    st.sampled_from(["none", "keys", "full"]),
    st.integers(0, 2**32 - 1),
)
def test_attention(
    vectors: int, keys: int, depth: int, value_depth: int, first_lane: int, lanes: int, masking: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    head = Head(rng, vectors, keys, depth, value_depth)
    mask = rng.standard_normal((keys,) if masking == "keys" else (vectors * LANES, keys), np.float32)
    mask[..., rng.random(keys) < 0.2] = -10000.0
    exact = head.exact(mask if masking != "none" else 0.0)
    written = np.tile((lanes >> np.arange(LANES) & 1).astype(bool), vectors)
    for level in LEVELS:
        y = head.run(
            level,
            first_lane,
            key_mask=mask if masking == "keys" else None,
            mask=mask if masking == "full" else None,
            lanes=lanes,
        )
        # Where every key is masked, the sums are near -10000 and have as many digits less.
        everywhere_masked = masking != "none" and bool((mask == -10000.0).all())
        bound = (5e-3 if everywhere_masked else 3e-6) * np.abs(head.v).max()
        np.testing.assert_allclose(y[written], exact[written], rtol=0, atol=bound)
        assert np.isnan(y[~written]).all()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("by_key", [False, True])
def test_rows_without_a_key_are_as_in_onnxruntime(level: str, by_key: bool) -> None:
    head = Head(np.random.default_rng(0), 1, 21, 8, 8)
    for masked, expected in ((LOWEST, head.v.mean(0, dtype=np.float64)), (-math.inf, math.nan)):
        mask = np.full((LANES, 21), masked, np.float32)
        masking = {"key_mask": mask[0]} if by_key else {"mask": mask}
        for unattended in (None, -math.inf, LOWEST):
            rows = 0 if unattended is not None and masked <= unattended else expected
            y = head.run(level, 5, **masking, unattended=unattended)
            np.testing.assert_allclose(y, np.broadcast_to(rows, (LANES, 8)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("by_key", [False, True])
@pytest.mark.parametrize("masked", [-0.5, -1e4, -1e9, -math.inf])
def test_a_mask_that_replaces_scores(level: str, by_key: bool, masked: float) -> None:
    """Scores of thousands and one that is not a number: nothing of what a masked score was is left."""
    rng = np.random.default_rng(2)
    head = Head(rng, 2, 21, 4, 5)
    head.q *= 1e4
    head.k[7] = math.nan
    drop = rng.random(21) < 0.5 if by_key else rng.random((2 * LANES, 21)) < 0.5
    drop[..., 7] = True
    if not by_key and math.isfinite(masked):
        drop[3] = True
    mask = np.where(drop, masked, 0).astype(np.float32)
    y = head.run(level, 5, **({"key_mask": mask} if by_key else {"mask": mask}), replaces=True)
    scores = head.q.astype(np.float64) @ head.k.T.astype(np.float64) * head.scale
    expected = softmax(np.where(drop, masked, scores)) @ head.v.astype(np.float64)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-2)


@pytest.mark.parametrize("level", LEVELS)
def test_scores_far_apart_and_nan(level: str) -> None:
    head = Head(np.random.default_rng(1), 1, 19, 4, 5)
    head.q *= 1e4
    np.testing.assert_allclose(head.run(level, 0), head.exact(), rtol=0, atol=1e-3)
    head.q[3, 1] = math.nan
    y = head.run(level, 0)
    assert np.isnan(y[3]).all() and not np.isnan(np.delete(y, 3, 0)).any()
