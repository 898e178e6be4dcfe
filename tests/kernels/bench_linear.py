"""Speed of the linear kernels as a share of the core's multiply-add peak, hot, one core:

    PYTHONPATH=build/dev/python:tests python tests/kernels/bench_linear.py KERNEL LEVEL TILE,TILE,... CHUNK,CHUNK,...

KERNEL is spmm, dense, depthwise or few_rows; what is left out is spmm, the best level, 4, 192.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from lane_arrays import LANES, LEVELS, aligned
from linear_cases import NO_CLAMP, kernels, sparse_weights
from onnxruntime_ep_sparsecpu._native import machine

# name, input channels, output channels, output positions of 16 lanes, kernel size
LAYERS = [
    ("64->256 @56", 64, 256, 196, 1),
    ("256->64 @56", 256, 64, 196, 1),
    ("1024->256 @14", 1024, 256, 14, 1),
    ("512->2048 @7", 512, 2048, 4, 1),
    ("64->64 3x3 @56", 64, 64, 196, 3),
    ("256->256 3x3 @14", 256, 256, 14, 3),
    ("768->768 M128", 768, 768, 8, 1),
    ("3072->768 M128", 3072, 768, 8, 1),
]
SECONDS = 0.1  # of each measurement


def fastest(run: Callable[[int], float]) -> float:
    once = run(1)
    return min(once, run(max(3, min(5000, int(SECONDS / once)))))


def repeat_run(packed: Any, *arguments: object) -> float:
    return fastest(lambda repeats: packed.run(*arguments, repeats))


def lanes_of(width: int, columns: int, channels: int) -> tuple[np.ndarray, list[int]]:
    """A zeroed input with `columns` output positions a row and a border of width - 1, and where each starts."""
    rows = -(-columns // 14)
    grid = 14 + width - 1
    buffer = aligned((rows + width - 1) * grid * channels * LANES, 0.0)
    return buffer, [(p // 14 * grid + p % 14) * channels * LANES for p in range(columns)]


def measure(
    packed: Any, level: str, units: int, distances: list[int], shape: tuple[int, int, int, int], tile: int
) -> float:
    width, positions, channels, rows = shape
    buffer, at = lanes_of(width, positions, channels)
    out = kernels.Positions(aligned(positions * rows * LANES, 0.0), [p * rows * LANES for p in range(positions)])
    inputs = kernels.Positions(buffer, at)
    return repeat_run(packed, level, 0, units, distances, inputs, out, None, NO_CLAMP, tile)


def spmm(level: str, tiles: list[int], chunks: list[int]) -> None:
    rng = np.random.default_rng(0)
    for density in (0.2, 0.1, 0.05):
        for name, channels, rows, positions, width in LAYERS:
            weights = sparse_weights(rng, rows, channels, width * width, density)
            layer = kernels.Layer(weights, kernel=(width, width))
            cells = []
            for tile in tiles:
                for chunk in chunks:
                    packed = kernels.Spmm(layer, 1, channels, chunk)
                    step = channels * LANES
                    base = [(r * (14 + width - 1) + c) * step + i * LANES for r, c, i in packed.origins]
                    shape = (width, positions, channels, rows)
                    peak = machine.fma_peak(level)
                    seconds = measure(packed, level, packed.blocks, base, shape, tile)
                    peak = max(peak, machine.fma_peak(level))
                    cells.append(f"{tile}/{chunk}: {100 * packed.nonzeros * positions / seconds / peak:5.1f}")
            print(f"{1 - density:4.0%} zeros {name:17} {'  '.join(cells)}", flush=True)


def dense(level: str, tiles: list[int], _: list[int]) -> None:
    rng = np.random.default_rng(0)
    layers = [("stem 7x7x3->64", 3, 64, 196, 7), *[layer for layer in LAYERS if layer[4] == 1]]
    for name, channels, rows, positions, width in layers:
        weights = sparse_weights(rng, rows, channels, width * width, 1.0)
        packed = kernels.Dense(kernels.Layer(weights, kernel=(width, width)))
        step = channels * LANES
        taps = [(r * (14 + width - 1) + c) * step for r in range(width) for c in range(width)]
        offsets = [tap + i * LANES for tap in taps for i in range(channels)]
        cells = []
        for tile in tiles:
            peak = machine.fma_peak(level)
            seconds = measure(packed, level, packed.blocks, offsets, (width, positions, channels, rows), tile)
            peak = max(peak, machine.fma_peak(level))
            cells.append(f"{tile}: {100 * weights.size * positions / seconds / peak:5.1f}")
        print(f"{name:17} {'  '.join(cells)}", flush=True)


def depthwise(level: str, tiles: list[int], _: list[int]) -> None:
    rng = np.random.default_rng(0)
    for channels, width, stride in ((64, 3, 1), (256, 3, 1), (64, 3, 2), (256, 5, 1), (256, 7, 1), (64, 5, 2)):
        weights = sparse_weights(rng, channels, 1, width * width, 1.0)
        packed = kernels.Depthwise(kernels.Layer(weights, channels, (width, width)))
        step, columns, positions = (channels + 1) * LANES, 14 * stride + width, 56
        blocks = [(r, left + c) for left in range(0, 14, 4) for r in range(4) for c in range(min(4, 14 - left))]
        buffer = aligned((4 * stride + width) * columns * step, 0.0)
        inputs = kernels.Positions(buffer, [(r * columns + c) * stride * step for r, c in blocks])
        out = kernels.Positions(aligned(positions * step, 0.0), [p * step for p in range(positions)])
        taps = [(r * columns + c) * step for r in range(width) for c in range(width)]
        cells = []
        for tile in tiles:
            peak = machine.fma_peak(level)
            seconds = repeat_run(packed, level, 0, channels, taps, inputs, out, None, NO_CLAMP, tile)
            cells.append(f"{tile}: {100 * channels * width * width * positions / seconds / peak:5.1f}")
        print(f"{channels} channels {width}x{width} stride {stride}: {'  '.join(cells)}", flush=True)


def few_rows(level: str, _: list[int], __: list[int]) -> None:
    rng = np.random.default_rng(0)
    for rows, k, density in (
        (1000, 2048, 1.0),
        (3072, 768, 1.0),
        (3072, 768, 0.1),
        (768, 3072, 0.1),
        (768, 3072, 0.05),
    ):
        weights = sparse_weights(rng, rows, k, 1, density)
        cells = []
        for m in (1, 2, 4, 8, 15):
            x, y = np.ones((m, k), np.float32), np.zeros((m, rows), np.float32)
            packed = kernels.FewRows(kernels.Layer(weights), density < 1)
            seconds = repeat_run(packed, level, 0, rows, x, y, None, NO_CLAMP)
            cells.append(f"m={m}: {seconds * 1e6:6.0f} us")
        size = weights.size * (4 if density == 1 else 4 * density + 1 / 8)
        print(f"{k}->{rows} {1 - density:.0%} zeros, {size / 1e6:.1f} MB: {'  '.join(cells)}", flush=True)


def main() -> None:
    names = {"spmm": spmm, "dense": dense, "depthwise": depthwise, "few_rows": few_rows}
    arguments = [*sys.argv[1:], *["spmm", LEVELS[-1], "4", "192"][len(sys.argv) - 1 :]]
    tiles, chunks = ([int(item) for item in text.split(",")] for text in arguments[2:4])
    names[arguments[0]](arguments[1], tiles, chunks)


if __name__ == "__main__":
    main()
