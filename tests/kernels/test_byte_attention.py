"""Attention on bytes: every level gives the same bits; scores, weights and outputs against integers and float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from attention_cases import attention_calls, softmax
from hypothesis import given, settings
from hypothesis import strategies as st
from lane_arrays import LANES, LEVELS, aligned
from onnxruntime_ep_sparsecpu import _native
from random_checks import examples

kernels = _native.kernels
F = np.float32


def byte_lanes(tokens: np.ndarray, first_lane: int) -> np.ndarray:
    """u8 [n, c] as [vectors, c / 4, 16] 32-bit lanes from lane `first_lane` on; 0xAB where no token is."""
    n, channels = tokens.shape
    vectors = -(-(first_lane + n) // LANES)
    rows = np.full((vectors * LANES, channels), 0xAB, np.uint8)
    rows[first_lane : first_lane + n] = tokens
    quads = rows.reshape(vectors, LANES, channels // 4, 4).transpose(0, 2, 1, 3)
    lanes = aligned((vectors, channels // 4, LANES))
    lanes.view(np.uint8).reshape(quads.shape)[...] = quads
    return lanes


def rounded(values: np.ndarray, zero: int) -> np.ndarray:
    """RNE of float32 values plus the zero point, as a byte."""
    return (np.rint(np.clip(values, -zero, 255 - zero)) + zero).astype(np.int64)


def fused(a: np.ndarray, b: float, c: np.ndarray | float) -> np.ndarray:
    """a * b + c in float32 with one rounding: the product is exact in float64, the sum so close to it that it rounds
    alike."""
    return (np.asarray(a, np.float64) * float(b) + np.asarray(c, np.float64)).astype(F)


class Case:
    def __init__(self, seed: int, vectors: int, keys: int, depth: int, value_depth: int, zeros: list[int]) -> None:
        rng = np.random.default_rng(seed)
        self.q = rng.integers(0, 256, (vectors * LANES, depth), np.uint8)
        self.k = rng.integers(0, 256, (keys, depth), np.uint8)
        self.v = rng.integers(0, 256, (keys, value_depth), np.uint8)
        self.scale = 0.5
        self.softmax: tuple[Any, ...] | None = None
        self.bytes = kernels.AttentionBytes()
        names = ("q_zero", "k_zero", "v_zero", "score_zero", "weight_zero", "y_zero")
        for name, zero in zip(names, zeros, strict=True):
            setattr(self.bytes, name, zero)
        self.bytes.score_multiplier = F(0.02 / depth)
        self.bytes.score_scale = F(0.043)
        self.bytes.weight_scale = F(1 / 250)
        self.bytes.y_multiplier = F(1 / 300)

    def use_byte_softmax(self, scale: float, y_scale: float, zero: int, tables: bool) -> None:
        """QLinearSoftmax of scores whose bytes have this scale."""
        rng = np.random.default_rng(self.k.size)
        self.tables = [rng.integers(0, 256, 256).astype(F) for _ in range(2)] if tables else [None, None]
        keys = self.k.shape[0]
        offset = float(np.log(np.finfo(F).max / keys)) - 64 * np.log(2)
        powers = np.exp(np.arange(-255, 1) * scale + offset - 5).astype(F)
        self.softmax = (powers, *self.tables, F(np.floor(F(1) / F(y_scale))), zero, None)

    def use_byte_mask(self, ratio: float, mask_ratio: float, signed: bool, score_leads: bool) -> None:
        """Scores and a mask are added as QLinearAdd does it."""
        assert self.softmax is not None
        sign = 128.0 if signed else 0.0
        self.softmax = (*self.softmax[:-1], (F(ratio), F(mask_ratio), F(17.25 - sign), sign, score_leads))

    def byte_weights(self, mask: np.ndarray | None = None) -> np.ndarray:
        """What QLinearSoftmax makes of the scores' bytes, between its tables: float32 sums, rounded once."""
        b = self.bytes
        assert self.softmax is not None
        powers, before, after, steps, zero, total_of = self.softmax
        acc = (self.q.astype(np.int64) - b.q_zero) @ (self.k.astype(np.int64) - b.k_zero).T
        scores = rounded(acc.astype(F) * F(b.score_multiplier), b.score_zero)
        scores = scores if before is None else before[scores].astype(np.int64)
        if mask is not None:
            ratio, mask_ratio, shift, sign, score_leads = total_of
            inner, outer = [(mask, mask_ratio), (scores - sign, ratio)][:: 1 if score_leads else -1]
            rest = fused(inner[0], inner[1], shift)
            scores = (np.rint(np.clip(fused(outer[0], outer[1], rest), -sign, 255 - sign)) + sign).astype(np.int64)
        power = powers[255 - scores.max(-1, keepdims=True) + scores]
        total = np.zeros(len(power), F)
        for column in power.T:
            total += column
        ratio = power.astype(np.float64) * float(steps) / total[:, None]
        weights = np.minimum(np.rint(ratio) + zero, 255).astype(np.int64)
        return weights if after is None else after[weights].astype(np.int64)

    def weights(self, mask: np.ndarray | None, replaces: bool) -> np.ndarray:
        """The weights before they are rounded, in steps of their scale."""
        b = self.bytes
        acc = (self.q.astype(np.int64) - b.q_zero) @ (self.k.astype(np.int64) - b.k_zero).T
        scores = acc.astype(F) * F(b.score_multiplier)
        if b.score_bytes:
            scores = (rounded(scores, b.score_zero) - b.score_zero).astype(F) * F(b.score_scale)
        scores = scores * F(self.scale)
        if mask is not None:
            scores = np.where(mask < 0, mask, scores) if replaces else scores + mask
        return softmax(scores.astype(np.float64)) / b.weight_scale

    def sums(self, weights: np.ndarray) -> np.ndarray:
        b = self.bytes
        return (rounded(weights, b.weight_zero) - b.weight_zero) @ (self.v.astype(np.int64) - b.v_zero)

    def run(
        self,
        level: str,
        first_lane: int,
        mask: np.ndarray | None = None,
        lanes: int = 0xFFFF,
        replaces: bool = False,
    ) -> np.ndarray:
        """[queries, value_depth]: bytes, or floats."""
        queries = list(byte_lanes(self.q, 0))
        value_depth = self.v.shape[1]
        rows = value_depth if self.bytes.float_output else value_depth // 4
        outputs = [aligned((rows, LANES)) for _ in queries]
        for y in outputs:
            y.view(np.uint8)[...] = 0xCD
        k, v = byte_lanes(self.k, first_lane), byte_lanes(self.v, first_lane)
        for part, scores in attention_calls(kernels.byte_attention_tile(level), len(queries), len(k), first_lane, mask):
            tile, masked = queries[part], scores if mask is not None else None
            arguments = (first_lane, len(self.k), self.scale, masked, replaces, self.bytes)
            kernels.attend_bytes(level, k, v, *arguments, tile, outputs[part], [lanes] * len(tile), self.softmax)
        if self.bytes.float_output:
            return np.ascontiguousarray(np.concatenate([y.T for y in outputs]))
        quads = [y.view(np.uint8).reshape(rows, LANES, 4).transpose(1, 0, 2) for y in outputs]
        return np.concatenate([quad.reshape(LANES, value_depth) for quad in quads])


ZEROS = st.lists(st.sampled_from([0, 3, 100, 128, 255]), min_size=6, max_size=6)


@settings(max_examples=examples(120), deadline=None)
@given(
    st.integers(1, 3),
    st.integers(1, 40),
    st.integers(1, 5),
    st.integers(1, 5),
    st.integers(0, 15),
    st.integers(0, 0xFFFF),
    ZEROS,
    st.booleans(),
    st.booleans(),
    st.sampled_from(["none", "adds", "replaces"]),
    st.integers(0, 2**32 - 1),
)
def test_byte_attention(
    vectors: int,
    keys: int,
    depth: int,
    value_depth: int,
    first_lane: int,
    lanes: int,
    zeros: list[int],
    score_bytes: bool,
    float_output: bool,
    masking: str,
    seed: int,
) -> None:
    case = Case(seed, vectors, keys, 4 * depth, 4 * value_depth, zeros)
    case.bytes.score_bytes, case.bytes.float_output = score_bytes, float_output
    mask = np.random.default_rng(seed).standard_normal((vectors * LANES, keys), F) if masking != "none" else None
    replaces = masking == "replaces"
    results = [case.run(level, first_lane, mask, lanes, replaces) for level in LEVELS]
    for other in results[1:]:
        assert results[0].tobytes() == other.tobytes()
    written = np.tile((lanes >> np.arange(LANES) & 1).astype(bool), vectors)
    assert (np.ascontiguousarray(results[0][~written]).view(np.uint8) == 0xCD).all()
    weights = case.weights(mask, replaces)
    # Weights that lie on the edge between two bytes may become either; the sums then differ by a value or more.
    certain = (np.abs(weights - np.floor(weights) - 0.5) > 1e-3).all(-1) & written
    sums = case.sums(weights)[certain].astype(F) * F(case.bytes.y_multiplier)
    expected = sums if float_output else rounded(sums, case.bytes.y_zero).astype(np.uint8)
    np.testing.assert_array_equal(results[0][certain], expected)


@settings(max_examples=examples(120), deadline=None)
@given(
    st.integers(1, 3),
    st.integers(1, 70),
    st.integers(0, 15),
    ZEROS,
    st.sampled_from([1e-4, 0.01, 0.1, 3.0, 1e30]),
    st.sampled_from([1 / 256, 1 / 250, 0.0036, 0.05, 4e-4]),
    st.sampled_from([0, 7, 128]),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_a_softmax_of_bytes(
    vectors: int,
    keys: int,
    first_lane: int,
    zeros: list[int],
    scale: float,
    y_scale: float,
    zero: int,
    tables: bool,
    seed: int,
) -> None:
    case = Case(seed, vectors, keys, 8, 12, zeros)
    case.bytes.score_bytes = True
    case.use_byte_softmax(scale, y_scale, zero, tables)
    sums = (case.byte_weights() - case.bytes.weight_zero) @ (case.v.astype(np.int64) - case.bytes.v_zero)
    expected = rounded(sums.astype(F) * F(case.bytes.y_multiplier), case.bytes.y_zero).astype(np.uint8)
    for level in LEVELS:
        np.testing.assert_array_equal(case.run(level, first_lane), expected)


@settings(max_examples=examples(60), deadline=None)
@given(
    st.integers(1, 2),
    st.integers(1, 40),
    st.integers(0, 15),
    st.sampled_from([0.25, 0.7, 1.0, 2.5]),
    st.sampled_from([0.0, 0.5, 3.1]),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_a_mask_of_bytes(
    vectors: int,
    keys: int,
    first_lane: int,
    ratio: float,
    mask_ratio: float,
    signed: bool,
    score_leads: bool,
    seed: int,
) -> None:
    case = Case(seed, vectors, keys, 8, 12, [100] * 6)
    case.bytes.score_bytes = True
    case.use_byte_softmax(0.03, 1 / 256, 0, False)
    case.use_byte_mask(ratio, mask_ratio, signed, score_leads)
    numbers = np.random.default_rng(seed).integers(0, 256, (vectors * LANES, keys)) - (128 if signed else 0)
    mask = numbers.astype(F)
    sums = (case.byte_weights(mask) - 100) @ (case.v.astype(np.int64) - 100)
    expected = rounded(sums.astype(F) * F(case.bytes.y_multiplier), 100).astype(np.uint8)
    for level in LEVELS:
        np.testing.assert_array_equal(case.run(level, first_lane, mask), expected)


@pytest.mark.parametrize("keys", [2, 3, 6, 86, 103, 166, 171, 205, 212, 254, 512])
@pytest.mark.parametrize("steps_by_keys", [0.5, 1.5, 2.5])
def test_ties_of_byte_weights(keys: int, steps_by_keys: float) -> None:
    """Equal scores: every weight lies between two bytes, or next to that by the rounding of the sum."""
    case = Case(0, 2, keys, 4, 64, [0] * 6)
    case.q[...] = 0
    case.bytes.score_bytes = True
    case.bytes.y_multiplier = F(1 / 16)
    case.v[...] = 1
    case.use_byte_softmax(0.1, 1 / (keys * steps_by_keys), 0, False)
    sums = case.byte_weights() @ case.v.astype(np.int64)
    expected = rounded(sums.astype(F) * F(case.bytes.y_multiplier), 0).astype(np.uint8)
    assert expected.min() < 255
    for level in LEVELS:
        np.testing.assert_array_equal(case.run(level, 0), expected)
