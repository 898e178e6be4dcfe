"""Unary, binary, affine, pooling and sum kernels of every level: against float64 numpy within the stated bounds,
special values, odd counts, in place, and nothing touched outside the operands."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lane_arrays import LANES, LEVELS, aligned, aligned_copy, guarded
from onnxruntime_ep_sparsecpu import _native
from random_checks import examples

kernels = _native.kernels
Unary, Binary = kernels.UnaryKind, kernels.BinaryKind

erf = np.vectorize(math.erf, otypes=[np.float64])
erfc = np.vectorize(math.erfc, otypes=[np.float64])


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


# kind -> (a, b, the function in float64, largest error in ulp of the result, largest error / max(1, |x|)); an
# error within either bound passes.
UNARY: dict[str, tuple[float, float, Callable[[np.ndarray], np.ndarray], float, float]] = {
    "relu": (0, 0, lambda x: np.maximum(x, 0), 0, 0),
    "clip": (-1.5, 2.5, lambda x: np.clip(x, -1.5, 2.5), 0, 0),
    "leaky_relu": (0.125, 0, lambda x: np.where(x < 0, 0.125 * x, x), 0.5, 0),
    "sigmoid": (0, 0, sigmoid, 3, 1e-37),
    "silu": (2, 0, lambda x: x * sigmoid(2 * x), 4, 1e-36),
    "hard_sigmoid": (0.25, 0.5, lambda x: np.clip(0.25 * x + 0.5, 0, 1), 1, 1e-7),
    "hard_swish": (0, 0, lambda x: x * np.clip(x / 6 + 0.5, 0, 1), 2, 2e-7),
    "gelu": (0, 0, lambda x: x / 2 * erfc(-x / math.sqrt(2)), 4, 3e-7),
    "gelu_tanh": (0, 0, lambda x: x * sigmoid(math.sqrt(8 / math.pi) * (x + 0.044715 * x**3)), 4, 2e-7),
    "tanh": (0, 0, np.tanh, 2, 0),
    "erf": (0, 0, erf, 8, 1e-42),
    "exp": (0, 0, np.exp, 6, 0),
    "softplus": (0, 0, lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))), 4, 2e-38),
    "elu": (0.5, 2, lambda x: np.where(x < 0, 0.5 * np.expm1(x), 2 * x), 1, 1e-7),
    "softsign": (0, 0, lambda x: x / (1 + np.abs(x)), 1.5, 0),
    "sqrt": (0, 0, np.sqrt, 0.5, 0),
    "reciprocal": (0, 0, lambda x: 1 / x, 0.5, 0),
    "square": (0, 0, np.square, 0.5, 0),
    "abs": (0, 0, np.abs, 0, 0),
    "round": (0, 0, np.rint, 0, 0),
    "floor": (0, 0, np.floor, 0, 0),
    "ceil": (0, 0, np.ceil, 0, 0),
}
BINARY = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "max": np.maximum, "min": np.minimum,
}  # fmt: skip


def sample_floats() -> np.ndarray:
    """A spread over all finite floats, denormals included, and a dense one where functions bend."""
    bits = np.arange(0, 2**32, 40009, dtype=np.uint64).astype(np.uint32)
    spread = bits.view(np.float32)
    dense = np.linspace(-12, 12, 50001, dtype=np.float32)
    return np.concatenate([spread[np.isfinite(spread)], dense])


def ulp(values: np.ndarray) -> np.ndarray:
    return np.maximum(np.spacing(np.abs(values).astype(np.float32)), np.float32(2.0**-149)).astype(np.float64)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", UNARY)
def test_unary_is_within_its_bound(level: str, kind: str) -> None:
    a, b, function, ulps, absolute = UNARY[kind]
    x = sample_floats()
    y = np.empty_like(x)
    kernels.unary(level, getattr(Unary, kind), a, b, x, y)
    with np.errstate(all="ignore"):
        exact = function(x.astype(np.float64))
        in_range = np.abs(exact) <= np.finfo(np.float32).max
        error = np.abs(y - exact)[in_range]
    bound = np.maximum(ulps * ulp(exact[in_range]), absolute * np.maximum(1, np.abs(x[in_range].astype(np.float64))))
    worst = int(np.argmax(error - bound))
    assert (error <= bound).all(), f"x {x[in_range][worst]!r}: {y[in_range][worst]!r}, {exact[in_range][worst]!r}"


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [
        ("relu", 0, math.inf),
        ("clip", -1.5, 2.5),
        ("leaky_relu", -math.inf, math.inf),
        ("sigmoid", 0, 1),
        ("silu", 0, math.inf),
        ("hard_sigmoid", 0, 1),
        ("hard_swish", 0, math.inf),
        ("gelu", 0, math.inf),
        ("gelu_tanh", 0, math.inf),
        ("tanh", -1, 1),
        ("erf", -1, 1),
        ("exp", 0, math.inf),
        ("softplus", 0, math.inf),
        ("elu", -0.5, math.inf),
        ("reciprocal", 0, 0),
        ("square", math.inf, math.inf),
        ("abs", math.inf, math.inf),
        ("round", -math.inf, math.inf),
        ("floor", -math.inf, math.inf),
        ("ceil", -math.inf, math.inf),
    ],
)
def test_unary_special_values(level: str, kind: str, low: float, high: float) -> None:
    a, b, *_ = UNARY[kind]
    x = np.array([-math.inf, math.inf, math.nan, -math.nan], np.float32)
    y = np.empty_like(x)
    kernels.unary(level, getattr(Unary, kind), a, b, x, y)
    assert y[:2].tolist() == [low, high]
    assert np.isnan(y[2:]).all()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("side", ["start", "end"])
@pytest.mark.parametrize("kind", [*UNARY, *BINARY])
def test_any_count_stays_inside_the_operands(level: str, side: str, kind: str) -> None:
    for count in [0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 1021]:
        values = np.random.default_rng(count).standard_normal((2, count), np.float32)
        x, y = guarded(values[0], side), guarded(np.full(count, math.nan), side)
        if kind in UNARY:
            a, b, function, *_ = UNARY[kind]
            kernels.unary(level, getattr(Unary, kind), a, b, x, y)
            kernels.unary(level, getattr(Unary, kind), a, b, x, x)
            with np.errstate(invalid="ignore"):
                np.testing.assert_allclose(y, function(values[0].astype(np.float64)), rtol=1e-6, atol=2e-6)
        else:
            kernels.binary(level, getattr(Binary, kind), x, guarded(values[1], side), y)
            kernels.binary(level, getattr(Binary, kind), x, guarded(values[1], side), x)
            np.testing.assert_array_equal(y, BINARY[kind](values[0], values[1]))
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", BINARY)
def test_binary_special_values(level: str, kind: str) -> None:
    special = np.array([-math.inf, -1.0, 0.0, 2.0, math.inf, math.nan], np.float32)
    a, b = (np.ascontiguousarray(side.ravel()) for side in np.meshgrid(special, special))
    y = np.empty_like(a)
    kernels.binary(level, getattr(Binary, kind), a, b, y)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(y, BINARY[kind](a, b))


@pytest.mark.parametrize("level", LEVELS)
def test_affine_scales_and_shifts_each_channel(level: str) -> None:
    rng = np.random.default_rng(1)
    for channels in [1, 3, 8, 17]:
        scale, shift = rng.standard_normal((2, channels), np.float32)
        x = aligned_copy(rng.standard_normal((channels, LANES), np.float32))
        exact = x.astype(np.float64) * scale[:, None] + shift[:, None]
        kernels.affine(level, scale, shift, x, x)
        np.testing.assert_allclose(x, exact, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("level", LEVELS)
def test_prelu_scales_what_is_negative_of_each_channel(level: str) -> None:
    rng = np.random.default_rng(2)
    for channels in [1, 3, 8, 17]:
        slope = rng.standard_normal(channels, np.float32)
        x = aligned_copy(rng.standard_normal((channels, LANES), np.float32))
        x[0, :4] = [math.nan, -math.inf, math.inf, -0.0]
        expected = np.where(x < 0, x * slope[:, None], x)
        kernels.prelu(level, slope, x, x)
        np.testing.assert_array_equal(x, expected)


@settings(max_examples=examples(60), deadline=None)
@given(st.integers(1, 13), st.integers(1, 11), st.integers(0, 2**32 - 1))
def test_pools(taps: int, vectors: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = aligned_copy(rng.standard_normal((taps, vectors * LANES), np.float32))
    scale = rng.random(LANES, np.float32)
    average = x.sum(0, dtype=np.float64).reshape(vectors, LANES) * scale
    for level in LEVELS:
        y = aligned(vectors * LANES)
        kernels.pool_max(level, x, y)
        np.testing.assert_array_equal(y, x.max(0))
        kernels.pool_average(level, x, scale, y)
        np.testing.assert_allclose(y.reshape(vectors, LANES), average, rtol=1e-5, atol=1e-5)


@settings(max_examples=examples(60), deadline=None)
@given(st.integers(1, 9), st.integers(1, 12), st.data())
def test_sum_positions_adds_masked_lanes_in_order(positions: int, channels: int, data: st.DataObject) -> None:
    masks = data.draw(st.lists(st.integers(0, 0xFFFF), min_size=positions, max_size=positions))
    begin = data.draw(st.integers(0, channels))
    end = data.draw(st.integers(begin, channels))
    order = data.draw(st.permutations(range(positions)))
    inside = (np.array(masks)[:, None] >> np.arange(LANES) & 1).astype(bool)
    x = aligned((positions, channels, LANES), math.nan)  # lanes left out may hold anything
    values = np.random.default_rng(0).standard_normal(x.shape, np.float32)
    for p, mask in zip(order, inside, strict=True):
        x[p][:, mask] = values[p][:, mask]
    expected = np.zeros((channels, LANES), np.float32)
    for p in order:
        expected += np.nan_to_num(x[p])
    for level in LEVELS:
        y = aligned((channels, LANES))
        kernels.sum_positions(level, x, [p * channels * LANES for p in order], masks, begin, end, y)
        np.testing.assert_array_equal(y[begin:end], expected[begin:end])
        assert np.isnan(y[:begin]).all() and np.isnan(y[end:]).all()
