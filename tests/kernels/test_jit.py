"""Generated code of sparse layers against the scalar spmm kernel and against float64."""

from __future__ import annotations

import os
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest
from harness import run_child
from hypothesis import given, settings
from hypothesis import strategies as st
from lane_arrays import LANES, LEVELS, aligned, aligned_copy
from linear_cases import NO_CLAMP, Conv, Grid, kernels, run_positions, sparse_weights
from random_checks import examples

pytestmark = pytest.mark.skipif(
    not kernels.jit_available(LEVELS[-1]), reason="needs AVX-512, Xbyak at build time and executable memory"
)
RELU6 = (0.0, 6.0)


def jit_pack(conv: Conv, grid: Grid, clamp: tuple[float, float] = NO_CLAMP) -> kernels.Jit:
    return kernels.Jit(conv.layer(), conv.dilation[1], grid.position // LANES, clamp)


def row_base(conv: Conv, grid: Grid) -> list[int]:
    return [grid.at(row * conv.dilation[0], 0) for row in range(conv.kernel[0])]


def jit_run(
    conv: Conv,
    grid: Grid,
    residual: np.ndarray | None = None,
    in_place: bool = False,
    clamp: tuple[float, float] = NO_CLAMP,
    split: int | None = None,
    part_by_part: bool = False,
    packed: kernels.Jit | None = None,
) -> np.ndarray:
    """[position, row, lane]; options as run_positions."""
    packed = packed or jit_pack(conv, grid, clamp)
    places = conv.output_positions(grid)
    at = [i * conv.rows * LANES for i in range(len(places))]
    # NaN where nothing is written; the row after the last one tells whether too much is.
    store = aligned((len(places) * conv.rows + 1) * LANES)
    added = None
    if residual is not None and in_place:
        store[:-LANES] = residual.reshape(-1)
    out = kernels.Positions(store, at)
    if residual is not None:
        added = out if in_place else kernels.Positions(aligned_copy(residual).reshape(-1), at)
    inputs = kernels.Positions(grid.values, [grid.at(r, c) for r, c in places])
    cut = packed.blocks if split is None else split % (packed.blocks + 1)
    for begin, end in ((0, cut), (cut, packed.blocks)):
        packed.run(begin, end, row_base(conv, grid), inputs, out, added, part_by_part)
    assert np.isnan(store[-LANES:]).all(), "written past the last row"
    return store[:-LANES].reshape(len(places), conv.rows, LANES)


def scalar_run(conv: Conv, grid: Grid, **options: object) -> np.ndarray:
    packed = kernels.Spmm(conv.layer(), conv.dilation[1], grid.position // LANES, 128)
    base = [grid.at(r * conv.dilation[0], c * conv.dilation[1], i) for r, c, i in packed.origins]
    return run_positions(packed, "scalar", conv, grid, base, units=packed.blocks, **options)


def check(conv: Conv, grid: Grid, **options: object) -> np.ndarray:
    """Within the bound of float64, and as near to the scalar kernel as two such results can be."""
    residual, clamp = options.get("residual"), options.get("clamp", NO_CLAMP)
    want, bound = conv.reference(grid, residual, clamp)
    got = jit_run(conv, grid, **options)
    np.testing.assert_array_less(np.abs(got - want), bound, "against float64")
    options.pop("split", None)
    options.pop("part_by_part", None)
    scalar = scalar_run(conv, grid, **options)
    np.testing.assert_array_less(np.abs(got - scalar), 2 * bound, "against the scalar kernel")
    return got


@st.composite
def convs(draw: st.DrawFn) -> tuple[Conv, Grid, np.random.Generator]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kernel = draw(st.sampled_from([(1, 1), (1, 1), (3, 3), (5, 1), (1, 3), (2, 2), (7, 7)]))
    dilation = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    groups = draw(st.integers(1, 3))
    rows = groups * draw(st.one_of(st.integers(1, 100 // groups), st.sampled_from([27, 28, 29, 33])))
    channels = draw(st.sampled_from([1, 2, 3, 7, 16, 40]))
    density = draw(st.sampled_from([0.0, 0.02, 0.1, 0.5, 1.0]))
    weights = sparse_weights(rng, rows, channels, kernel[0] * kernel[1], density)
    if draw(st.booleans()):
        weights[rng.random(rows) < 0.3] = 0.0  # rows without any nonzero
    bias = rng.standard_normal(rows).astype(np.float32) if draw(st.booleans()) else None
    conv = Conv(weights, kernel, groups, dilation, draw(st.integers(1, 2)), bias)
    height = (kernel[0] - 1) * dilation[0] + draw(st.integers(1, 3))
    width = (kernel[1] - 1) * dilation[1] + draw(st.integers(1, 5))
    return conv, Grid(conv.in_channels, height, width, draw(st.sampled_from([0, 1, 150]))).fill(rng), rng


@settings(deadline=None, max_examples=examples(120))
@given(data=st.data())
def test_any_layer(data: st.DataObject) -> None:
    conv, grid, rng = data.draw(convs())
    options: dict[str, object] = {"split": data.draw(st.integers(0, 4))}
    if data.draw(st.booleans()):
        shape = (len(conv.output_positions(grid)), conv.rows, LANES)
        options["residual"] = rng.standard_normal(shape).astype(np.float32)
        options["in_place"] = data.draw(st.booleans())
    options["clamp"] = data.draw(st.sampled_from([NO_CLAMP, RELU6, (0.0, np.inf), (-np.inf, 1.5)]))
    options["part_by_part"] = data.draw(st.booleans())
    check(conv, grid, **options)


@pytest.mark.parametrize("rows", range(1, 101))
def test_every_number_of_rows(rows: int) -> None:
    rng = np.random.default_rng(rows)
    conv = Conv(sparse_weights(rng, rows, 30, 1, 0.3), bias=rng.standard_normal(rows).astype(np.float32))
    grid = Grid(30, 1, 2).fill(rng)
    residual = rng.standard_normal((2, rows, LANES)).astype(np.float32)
    check(conv, grid, residual=residual, in_place=True, clamp=RELU6)
    packed = jit_pack(conv, grid)
    assert packed.blocks == -(-rows // kernels.JIT_ROWS)
    assert packed.nonzeros == np.count_nonzero(conv.weights)


@pytest.mark.parametrize("density", [0.0, 1.0])
def test_nothing_and_everything(density: float) -> None:
    """A layer of zeros is its bias and residual; a dense one is cut into several segments a block."""
    rng = np.random.default_rng(1)
    conv = Conv(sparse_weights(rng, 61, 90, 9, density), (3, 3), bias=rng.standard_normal(61).astype(np.float32))
    grid = Grid(90, 3, 5).fill(rng)
    residual = rng.standard_normal((3, 61, LANES)).astype(np.float32)
    got = check(conv, grid, residual=residual)
    packed = jit_pack(conv, grid)
    if density == 0.0:
        np.testing.assert_array_equal(got, residual + conv.bias[:, None])
        assert packed.segments == packed.blocks
    else:
        assert packed.segments > packed.blocks


def test_order_of_segments_does_not_matter() -> None:
    """Blocks with different numbers of segments, one without any nonzero: the same sums in either order."""
    rng = np.random.default_rng(10)
    weights = sparse_weights(rng, 5 * kernels.JIT_ROWS, 400, 1, 0.15)
    for block, density in enumerate((1.0, 0.3, 0.0, 1.0, 0.6)):
        rows = slice(block * kernels.JIT_ROWS, (block + 1) * kernels.JIT_ROWS)
        weights[rows] = sparse_weights(rng, kernels.JIT_ROWS, 400, 1, density)
    conv = Conv(weights, bias=rng.standard_normal(len(weights)).astype(np.float32))
    grid = Grid(400, 1, 3).fill(rng)
    residual = rng.standard_normal((3, len(weights), LANES)).astype(np.float32)
    packed = jit_pack(conv, grid, RELU6)
    assert packed.segments > 2 * packed.blocks
    for split in (0, 2, 3):
        options = {"residual": residual, "clamp": RELU6, "split": split, "packed": packed}
        block_by_block = jit_run(conv, grid, **options)
        np.testing.assert_array_equal(jit_run(conv, grid, part_by_part=True, **options), block_by_block)
    np.testing.assert_array_less(np.abs(block_by_block - conv.reference(grid, residual, RELU6)[0]), 1e-3)


@pytest.mark.parametrize("pad", [0, 100, 126, 127, 128, 129, 255, 256, 4000, 33_000])
def test_input_vectors_far_apart(pad: int) -> None:
    """A load reaches 8 KB to either side of a pointer, which moves for anything further."""
    rng = np.random.default_rng(pad)
    conv = Conv(sparse_weights(rng, 5, 4, 6, 0.6), (2, 3), dilation=(1, 2))
    check(conv, Grid(4, 2, 6, pad=pad).fill(rng))


def test_distances_past_31_bits() -> None:
    """Neighbouring taps 3 GB apart, in memory of which only three pages are touched."""
    vectors = (3 << 30) // 64
    store = aligned_zero_pages(2 * vectors * LANES + 64 * LANES)
    rng = np.random.default_rng(3)
    for tap in range(3):
        start = tap * vectors * LANES
        store[start : start + 2 * LANES] = rng.standard_normal(2 * LANES)
    weights = rng.standard_normal((3, 2, 3)).astype(np.float32)
    packed = kernels.Jit(kernels.Layer(weights, kernel=(1, 3)), 1, vectors, NO_CLAMP)
    y = aligned(3 * LANES)
    packed.run(0, 1, [0], kernels.Positions(store, [0]), kernels.Positions(y, [0]), None)
    x = np.stack([store[tap * vectors * LANES :][: 2 * LANES].reshape(2, LANES) for tap in range(3)], axis=1)
    want = np.einsum("rct,ctl->rl", weights.astype(np.float64), x)
    np.testing.assert_allclose(y.reshape(3, LANES), want, rtol=1e-5, atol=1e-5)


def aligned_zero_pages(count: int) -> np.ndarray:
    """Zeros that take memory only where they are written."""
    raw = np.zeros(count + LANES, np.float32)
    start = (-raw.ctypes.data % 64) // 4
    return raw[start : start + count]


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
def test_special_weights_are_nonzeros(special: float) -> None:
    rng = np.random.default_rng(4)
    conv = Conv(sparse_weights(rng, 31, 20, 1, 0.2))
    conv.weights[29, 3] = special
    conv.weights[30] = 0.0
    conv.weights[30, 5] = -0.0
    grid = Grid(20, 1, 2).fill(rng)
    grid.values[grid.at(0, 0, 5)] = np.inf  # times -0 would be NaN
    got, scalar = jit_run(conv, grid), scalar_run(conv, grid)
    assert not np.isfinite(got[:, 29]).any()
    assert (got[:, 30] == 0).all()
    np.testing.assert_array_equal(np.isnan(got), np.isnan(scalar))
    np.testing.assert_allclose(got, scalar, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("clamp", [RELU6, (0.0, np.inf), (-np.inf, 1.0)])
@pytest.mark.parametrize("density", [0.1, 1.0])
def test_nan_passes_through_the_clamp(clamp: tuple[float, float], density: float) -> None:
    rng = np.random.default_rng(5)
    conv = Conv(sparse_weights(rng, 40, 200, 1, density) + np.float32(0.01))
    grid = Grid(200, 1, 3).fill(rng)
    grid.values[grid.at(0, 1) : grid.at(0, 2)] = np.nan
    got = jit_run(conv, grid, clamp=clamp)
    assert np.isnan(got[1]).all()
    assert ((got[[0, 2]] >= clamp[0]) & (got[[0, 2]] <= clamp[1])).all()


@pytest.mark.parametrize("density", [0.02, 0.1, 0.5])
@pytest.mark.parametrize(("rows", "channels", "taps"), [(100, 64, 1), (64, 64, 9), (256, 512, 1)])
def test_code_size(rows: int, channels: int, taps: int, density: float) -> None:
    """A multiply-add is 7 bytes (6 without a displacement) and its weight 4; the rest is loads and block ends."""
    conv = Conv(sparse_weights(np.random.default_rng(6), rows, channels, taps, density), (1, taps))
    packed = jit_pack(conv, Grid(channels, 1, taps))
    assert packed.code_bytes <= 20 * packed.nonzeros + 1500 * packed.segments
    assert packed.code_bytes >= 10 * packed.nonzeros
    assert packed.memory_bytes <= packed.code_bytes + 64 * packed.segments + max(
        4096, (2 << 20) * (packed.code_bytes + 64 * packed.segments >= 2 << 20)
    )


def test_segments_start_on_cache_lines() -> None:
    packed = jit_pack(Conv(sparse_weights(np.random.default_rng(7), 90, 300, 1, 0.5)), Grid(300, 1, 1))
    assert packed.segments > 4
    assert all(start % 64 == 0 for start in packed.starts)


def test_many_layers_at_once() -> None:
    rng = np.random.default_rng(8)
    grid = Grid(24, 1, 2).fill(rng)
    layers = [Conv(sparse_weights(rng, int(rng.integers(1, 60)), 24, 1, 0.3)) for _ in range(300)]
    packed = [jit_pack(conv, grid) for conv in layers]
    assert len({start for one in packed for start in one.starts}) == sum(one.segments for one in packed)
    for conv, one in zip(layers, packed, strict=True):
        want, bound = conv.reference(grid, None, NO_CLAMP)
        np.testing.assert_array_less(np.abs(jit_run(conv, grid, packed=one) - want), bound)


def test_packing_in_many_threads() -> None:
    rng = np.random.default_rng(9)
    grid = Grid(40, 1, 2).fill(rng)
    conv = Conv(sparse_weights(rng, 80, 40, 1, 0.4))
    expected = jit_run(conv, grid)
    wrong: list[int] = []

    def work(worker: int) -> None:
        for _ in range(40):
            if not np.array_equal(jit_run(conv, grid), expected):
                wrong.append(worker)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_packing_and_dropping_does_not_leak() -> None:
    script = """
        import os
        from pathlib import Path
        import numpy as np
        from linear_cases import Conv, Grid, kernels, sparse_weights
        from test_jit import jit_pack

        small = Conv(sparse_weights(np.random.default_rng(0), 100, 100, 9, 0.1), (3, 3))
        large = Conv(sparse_weights(np.random.default_rng(1), 512, 1024, 1, 0.38))  # on a huge page

        def held():
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            return pages * os.sysconf("SC_PAGE_SIZE"), len(Path("/proc/self/maps").read_text().splitlines())

        def repeat(times):
            for _ in range(times):
                jit_pack(small, Grid(100, 1, 3))
            for _ in range(times // 5):
                assert jit_pack(large, Grid(1024, 1, 1)).memory_bytes >= 2 << 20
            return held()

        bytes_before, maps_before = repeat(10)
        bytes_after, maps_after = repeat(50)
        print(bytes_after - bytes_before, maps_after - maps_before)
    """
    here = Path(__file__).resolve().parent
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(here), str(here.parent), *sys.path])}
    done = run_child([sys.executable, "-c", textwrap.dedent(script)], env=environment)
    assert done.returncode == 0, done.stderr
    grown_bytes, grown_maps = map(int, done.stdout.split())
    assert grown_bytes < 4 << 20  # the large layers are 20 MB together, the small ones 7 MB
    assert grown_maps < 20


def test_packing_refuses_what_makes_no_sense() -> None:
    with pytest.raises(RuntimeError, match="does not have 3 taps"):
        kernels.Jit(kernels.Layer(np.ones((6, 2, 3), np.float32)), 1, 2, NO_CLAMP)
