"""Speed of the INT8 linear kernels as a share of the core's vpdpbusd peak, requantization included, hot, one core:

    PYTHONPATH=build/dev/python:tests python tests/kernels/bench_quantized.py KERNEL LEVEL TILE,... CHUNK,...

KERNEL is spmm, spmm4 (weights in 1x4 blocks), add (spmm with a residual), jit, jit4, jit_add (the same as generated
code), dense, depthwise or few_rows; what is left out is spmm, the best level, 8, 64. The share counts stored groups of
four weights. For generated code a tile has 1..15 positions, the chunk has no meaning.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from bench_linear import LAYERS, fastest
from lane_arrays import LANES, LEVELS, aligned
from onnxruntime_ep_sparsecpu import _native
from quantized_cases import F, q, vectors

BYTES = q.Output(q.Form.bytes, 3)
SUM = q.Output(q.Form.bytes, 3, sum=(0.5, 0.7, 3.25, 0))


def weights_of(rows: int, channels: int, taps: int, density: float, block: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    weights = rng.normal(0, 40, (rows, channels, taps)).clip(-127, 127).astype(np.int8)
    kept = rng.random((rows, channels // block, taps)) < density
    return weights * kept.repeat(block, axis=1)


def layer_of(weights: np.ndarray, width: int, groups: int = 1) -> Any:
    multiplier = np.full(weights.shape[0], 1e-3, F)
    return q.Layer(weights.view(np.uint8), groups=groups, kernel=(width, width), multiplier=multiplier)


def measured(
    packed: Any, level: str, distances: list[int], width: int, shape: tuple[int, int, int], tile: int, output: Any
) -> float:
    channels, rows, positions = shape
    grid, step = 14 + width - 1, vectors(channels) * LANES
    lines = -(-positions // 14) + width - 1
    inputs = (aligned(lines * grid * step, 0.0), [(p // 14 * grid + p % 14) * step for p in range(positions)])
    size = vectors(rows) * LANES
    at = [p * size for p in range(positions)]
    out = (aligned(positions * size, 0.0), at)
    residual = (aligned(positions * size, 0.0), at) if output is not BYTES else None
    return fastest(lambda n: packed.run(level, 0, packed.blocks, distances, inputs, out, residual, output, tile, n))


def share(groups: float, seconds: float) -> str:
    return f"{100 * groups / seconds / _native.machine.vnni_peak('avx512_vnni'):5.1f}"


def spmm(level: str, tiles: list[int], chunks: list[int], block: int = 1, output: Any = BYTES) -> None:
    for density in (0.2, 0.1, 0.05):
        for name, channels, rows, positions, width in LAYERS:
            layer = layer_of(weights_of(rows, channels, width * width, density, block), width)
            cells = []
            for tile in tiles:
                for chunk in chunks:
                    packed = q.Spmm(layer, 1, vectors(channels), chunk, q.splits_pairs(level))
                    step = vectors(channels) * LANES
                    base = [(r * (14 + width - 1) + c) * step + i // 4 * LANES for r, c, i in packed.origins]
                    seconds = measured(packed, level, base, width, (channels, rows, positions), tile, output)
                    cells.append(f"{tile}/{chunk}: {share(layer.nonzero_groups * positions, seconds)}")
            print(f"{1 - density:4.0%} zeros {name:17} {'  '.join(cells)}", flush=True)


def spmm4(level: str, tiles: list[int], chunks: list[int]) -> None:
    spmm(level, tiles, chunks, block=4)


def add(level: str, tiles: list[int], chunks: list[int]) -> None:
    spmm(level, tiles, chunks, output=SUM)


def jit_share(layer: Any, shape: tuple[int, int, int, int], tile: int, output: Any) -> str:
    channels, rows, positions, width = shape
    finish = q.JitFinish.bytes if output is BYTES else q.JitFinish.sum
    packed = q.Jit(layer, 1, vectors(channels), finish, False)
    lines, columns, step = -(-positions // 14), 14 + width - 1, vectors(channels) * LANES
    grid = q.JitGrid(lines, min(positions, 14), columns * step, step)
    x = aligned((lines + width - 1) * columns * step, 0.0)
    y = aligned(positions * vectors(rows) * LANES, 0.0)
    residual = y if output is not BYTES else None
    row_base = [r * columns * step for r in range(width)]
    seconds = fastest(lambda n: packed.run(row_base, grid, x, y, residual, output, rows, tile, (1, 1), n))
    return share(layer.nonzero_groups * positions, seconds)


def jit(_: str, tiles: list[int], __: list[int], block: int = 1, output: Any = BYTES) -> None:
    for density in (0.2, 0.1, 0.05):
        for name, channels, rows, positions, width in LAYERS:
            layer = layer_of(weights_of(rows, channels, width * width, density, block), width)
            shape = (channels, rows, positions, width)
            cells = [f"{tile}: {jit_share(layer, shape, tile, output)}" for tile in tiles]
            print(f"{1 - density:4.0%} zeros {name:17} {'  '.join(cells)}", flush=True)


def jit4(level: str, tiles: list[int], chunks: list[int]) -> None:
    jit(level, tiles, chunks, block=4)


def jit_add(level: str, tiles: list[int], chunks: list[int]) -> None:
    jit(level, tiles, chunks, output=SUM)


def dense(level: str, tiles: list[int], _: list[int]) -> None:
    for name, channels, rows, positions, width in [("stem 7x7x3->64", 3, 64, 196, 7), *LAYERS]:
        weights = weights_of(rows, channels, width * width, 1.0, 1)
        packed = q.Dense(layer_of(weights, width))
        step = vectors(channels) * LANES
        taps = [(r * (14 + width - 1) + c) * step for r in range(width) for c in range(width)]
        offsets = [tap + v * LANES for tap in taps for v in range(vectors(channels))]
        cells = []
        for tile in tiles:
            seconds = measured(packed, level, offsets, width, (channels, rows, positions), tile, BYTES)
            cells.append(f"{tile}: {share(len(offsets) * rows * positions, seconds)}")
        print(f"{name:17} {'  '.join(cells)}", flush=True)


def depthwise(level: str, tiles: list[int], _: list[int]) -> None:
    for channels, width in ((64, 3), (256, 3), (960, 3), (256, 5)):
        weights = weights_of(channels, 1, width * width, 1.0, 1)
        packed = q.Depthwise(layer_of(weights, width, channels))
        step = vectors(channels) * LANES
        taps = [(r * (14 + width - 1) + c) * step for r in range(width) for c in range(width)]
        cells = []
        for tile in tiles:
            seconds = measured(packed, level, taps, width, (channels, channels, 56), tile, BYTES)
            cells.append(f"{tile}: {seconds / 56 / vectors(channels) * 1e9:5.1f} ns a vector")
        print(f"{channels} channels {width}x{width}: {'  '.join(cells)}", flush=True)


def few_rows(level: str, _: list[int], __: list[int]) -> None:
    for rows, k, density in ((1000, 2048, 1.0), (3072, 768, 1.0), (3072, 768, 0.1), (768, 3072, 0.05)):
        packed = q.FewRows(layer_of(weights_of(rows, k, 1, density, 1), 1), density < 1)
        cells = []
        for m in (1, 2, 4, 8, 15):
            x, y = np.ones((m, k), np.uint8), np.zeros((m, rows), np.uint8)
            seconds = fastest(lambda n, x=x, y=y, p=packed, r=rows: p.run(level, 0, r, x, y, None, BYTES, n))  # type: ignore[misc]
            cells.append(f"m={m}: {seconds * 1e6:6.0f} us")
        print(f"{k}->{rows} {1 - density:.0%} zeros: {'  '.join(cells)}", flush=True)


def main() -> None:
    kernels = (spmm, spmm4, add, jit, jit4, jit_add, dense, depthwise, few_rows)
    names = {kernel.__name__: kernel for kernel in kernels}
    arguments = [*sys.argv[1:], *["spmm", LEVELS[-1], "8", "64"][len(sys.argv) - 1 :]]
    tiles, chunks = ([int(item) for item in text.split(",")] for text in arguments[2:4])
    names[arguments[0]](arguments[1], tiles, chunks)


if __name__ == "__main__":
    main()
