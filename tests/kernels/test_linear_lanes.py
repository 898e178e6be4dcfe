"""spmm, dense and depthwise on every level: against float64 numpy within the bound of fp32 sums, AVX2 and AVX-512 bit
for bit the same, and independent of tile size, partition and chunk length where the contract says so."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lane_arrays import LANES, LEVELS
from linear_cases import NO_CLAMP, Conv, Grid, kernels, reordered, run_positions, sparse_weights
from random_checks import examples

FMA_LEVELS = [level for level in LEVELS if level != "scalar"]


def spmm_run(conv: Conv, grid: Grid, level: str, chunk: int = 128, **options: object) -> np.ndarray:
    vectors = grid.position // LANES
    packed = kernels.Spmm(conv.layer(), conv.dilation[1], vectors, chunk)
    base = [grid.at(r * conv.dilation[0], c * conv.dilation[1], i) for r, c, i in packed.origins]
    return run_positions(packed, level, conv, grid, base, units=packed.blocks, **options)


def dense_run(conv: Conv, grid: Grid, level: str, **options: object) -> np.ndarray:
    packed = kernels.Dense(conv.layer())
    offsets = [tap + i * LANES for tap in conv.tap_offsets(grid) for i in range(conv.in_channels)]
    return run_positions(packed, level, conv, grid, offsets, units=packed.blocks, **options)


def depthwise_run(conv: Conv, grid: Grid, level: str, **options: object) -> np.ndarray:
    packed = kernels.Depthwise(conv.layer())
    return run_positions(packed, level, conv, grid, conv.tap_offsets(grid), units=conv.rows, **options)


RUNS = {"spmm": spmm_run, "dense": dense_run, "depthwise": depthwise_run}


def check(kind: str, conv: Conv, grid: Grid, residual: np.ndarray | None = None, **options: object) -> None:
    """Every level within the bound of float64; the levels with fused multiply-add agree exactly."""
    want, bound = conv.reference(grid, residual, options.get("clamp", NO_CLAMP))
    results = [RUNS[kind](conv, grid, level, residual=residual, **options) for level in LEVELS]
    for level, got in zip(LEVELS, results, strict=True):
        worst = np.max(np.abs(got - want) - bound)
        assert worst <= 0, f"{level}: {worst} above the bound"
    for got in results[1:]:
        np.testing.assert_array_equal(got, results[-1])


@st.composite
def convs(draw: st.DrawFn, kind: str) -> tuple[Conv, Grid, np.random.Generator]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kernel = draw(st.sampled_from([(1, 1), (1, 1), (3, 3), (1, 3), (3, 1), (2, 2), (5, 5), (7, 7)]))
    dilation = (draw(st.integers(1, 2)), draw(st.integers(1, 3)))
    stride = draw(st.integers(1, 3 if kind == "depthwise" else 2))
    groups = draw(st.integers(1, 40)) if kind == "depthwise" else draw(st.integers(1, 3)) if kind == "spmm" else 1
    rows = groups if kind == "depthwise" else groups * draw(st.sampled_from([1, 2, 3, 5, 8, 17, 33]))
    channels = 1 if kind == "depthwise" else draw(st.sampled_from([1, 2, 3, 7, 16, 40]))
    density = draw(st.sampled_from([0.0, 0.02, 0.1, 0.5, 1.0]))
    weights = sparse_weights(rng, rows, channels, kernel[0] * kernel[1], density)
    weights = reordered(weights, draw(st.sampled_from(["rct", "crt", "trc", "tcr", "rtc"])))
    bias = rng.standard_normal(rows).astype(np.float32) if draw(st.booleans()) else None
    conv = Conv(weights, kernel, groups, dilation, stride, bias)
    height = (kernel[0] - 1) * dilation[0] + draw(st.integers(1, 9))
    width = (kernel[1] - 1) * dilation[1] + draw(st.integers(1, 9))
    return conv, Grid(conv.in_channels, height, width, draw(st.integers(0, 2))).fill(rng), rng


@pytest.mark.parametrize("kind", RUNS)
@settings(deadline=None, max_examples=examples(60))
@given(data=st.data())
def test_any_layer(kind: str, data: st.DataObject) -> None:
    conv, grid, rng = data.draw(convs(kind))
    options: dict[str, object] = {"tile": data.draw(st.integers(1, 16))}
    residual = None
    if data.draw(st.booleans()):
        residual = rng.standard_normal((len(conv.output_positions(grid)), conv.rows, LANES)).astype(np.float32)
        options["in_place"] = data.draw(st.booleans())
    if data.draw(st.booleans()):
        options["clamp"] = (0.0, data.draw(st.sampled_from([np.inf, 1.5])))
    if kind == "spmm":
        options["chunk"] = data.draw(st.sampled_from([1, 3, 16, 128]))
    check(kind, conv, grid, residual, **options)


@pytest.mark.parametrize("kind", RUNS)
@pytest.mark.parametrize("level", LEVELS)
def test_result_is_independent_of_tile_and_partition(kind: str, level: str) -> None:
    rng = np.random.default_rng(5)
    groups, channels = (37, 1) if kind == "depthwise" else (1, 50)
    conv = Conv(sparse_weights(rng, 37, channels, 9, 0.2), (3, 3), groups)
    grid = Grid(conv.in_channels, 4, 13).fill(rng)
    once = RUNS[kind](conv, grid, level, tile=1)
    for tile in range(2, 9):
        np.testing.assert_array_equal(RUNS[kind](conv, grid, level, tile=tile, split=tile % 3), once)


@pytest.mark.parametrize("level", LEVELS)
def test_spmm_with_one_nonzero_and_chunks_without_any(level: str) -> None:
    weights = np.zeros((35, 64, 9), np.float32)
    weights[34, 63, 8] = 2.0
    conv = Conv(weights, (3, 3))
    grid = Grid(64, 3, 6).fill(np.random.default_rng(1))
    got = spmm_run(conv, grid, level, chunk=8)
    np.testing.assert_array_equal(got[:, :34], 0)
    want = [2 * grid.vector(r + 2, c + 2, 63) for r, c in conv.output_positions(grid)]
    np.testing.assert_array_equal(got[:, 34], want)


@pytest.mark.parametrize("level", LEVELS)
def test_spmm_chunks_reach_past_16_bit_offsets(level: str) -> None:
    rng = np.random.default_rng(2)
    conv = Conv(sparse_weights(rng, 3, 40, 3, 0.5), (1, 3), dilation=(1, 2))
    grid = Grid(40, 1, 6, pad=40000).fill(rng)
    want, bound = conv.reference(grid, None, NO_CLAMP)
    assert np.all(np.abs(spmm_run(conv, grid, level, chunk=1000) - want) <= bound)


@pytest.mark.parametrize("level", LEVELS)
def test_spmm_keeps_special_weights_and_drops_negative_zero(level: str) -> None:
    weights = np.zeros((4, 3, 1), np.float32)
    weights[0, 1], weights[1, 1], weights[2, 0], weights[3, 2] = np.nan, np.inf, -0.0, 1e-45
    conv = Conv(weights)
    packed = kernels.Spmm(conv.layer(), 1, 3, 128)
    assert packed.nonzeros == 3 == conv.layer().nonzeros
    grid = Grid(3, 1, 2).fill(np.random.default_rng(3))
    grid.values[grid.at(0, 0, 0)] = np.inf  # times -0 would be NaN
    got = run_positions(packed, level, conv, grid, [grid.at(0, 0, packed.origins[0][2])], units=packed.blocks)
    assert np.isnan(got[:, 0]).all() and np.isinf(got[:, 1]).all() and (got[:, 2] == 0).all()


@pytest.mark.parametrize("kind", RUNS)
@pytest.mark.parametrize("level", LEVELS)
def test_nan_passes_through_the_clamp(kind: str, level: str) -> None:
    groups, channels = (20, 1) if kind == "depthwise" else (1, 4)
    conv = Conv(np.ones((20, channels, 1), np.float32), groups=groups)
    grid = Grid(conv.in_channels, 1, 3).fill(np.random.default_rng(4))
    grid.values[grid.at(0, 1, 0) : grid.at(0, 1, conv.in_channels)] = np.nan
    got = RUNS[kind](conv, grid, level, clamp=(0.0, 6.0), tile=3)
    assert np.isnan(got[1]).all() and not np.isnan(got[[0, 2]]).any()


@pytest.mark.parametrize("kind", RUNS)
def test_scale_shift_and_alpha_are_folded(kind: str) -> None:
    rng = np.random.default_rng(6)
    groups, channels = (9, 1) if kind == "depthwise" else (1, 12)
    scale, shift, bias = (rng.standard_normal(9).astype(np.float32) for _ in range(3))
    conv = Conv(sparse_weights(rng, 9, channels, 9, 0.5), (3, 3), groups, bias=bias)
    grid = Grid(conv.in_channels, 3, 5).fill(rng)
    want, bound = conv.reference(grid, None, NO_CLAMP)
    want, bound = (want - bias[:, None]) * 0.5 * scale[:, None] + (bias * scale + shift)[:, None], bound * 8
    folded = conv.layer(alpha=0.5, row_scale=scale, row_shift=shift)
    conv.layer = lambda: folded  # type: ignore[method-assign]
    assert np.all(np.abs(RUNS[kind](conv, grid, LEVELS[-1]) - want) <= bound + 1e-6)


def test_packing_refuses_what_it_cannot_hold() -> None:
    weights = np.ones((6, 2, 3), np.float32)
    with pytest.raises(RuntimeError, match="does not have 3 taps"):
        kernels.Dense(kernels.Layer(weights))
    with pytest.raises(RuntimeError, match="not divisible"):
        kernels.Spmm(kernels.Layer(weights, groups=4, kernel=(1, 3)), 1, 8, 128)
    with pytest.raises(RuntimeError, match="grouped"):
        kernels.Dense(kernels.Layer(weights, groups=2, kernel=(1, 3)))
    with pytest.raises(RuntimeError, match="one input channel"):
        kernels.Depthwise(kernels.Layer(weights, groups=6, kernel=(1, 3)))
    with pytest.raises(RuntimeError, match="few rows"):
        kernels.FewRows(kernels.Layer(weights, kernel=(1, 3)), True)
