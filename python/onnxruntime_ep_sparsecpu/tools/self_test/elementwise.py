"""The kernels without weights. Counts are odd on purpose: tails."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from onnxruntime_ep_sparsecpu import _native
from onnxruntime_ep_sparsecpu.tools.self_test.operands import (
    LANES,
    Array,
    Case,
    F,
    aligned,
    channel_bytes,
    random_byte_lanes,
    random_bytes,
    random_floats,
)

kernels = _native.kernels
q = kernels.quantized


def _count(rng: np.random.Generator) -> int:
    return int(rng.integers(1, 400))


def _unary(level: str, rng: np.random.Generator) -> Array:
    x = (4 * rng.standard_normal(_count(rng))).astype(F)
    results = []
    for kind in kernels.UnaryKind.__members__.values():
        y = np.zeros_like(x)
        kernels.unary(level, kind, 0.25, 0.5, np.abs(x) if kind == kernels.UnaryKind.sqrt else x, y)
        results.append(y)
    return np.array(results)


def _binary(level: str, rng: np.random.Generator) -> Array:
    a, b = rng.standard_normal((2, _count(rng))).astype(F)
    results = []
    for kind in kernels.BinaryKind.__members__.values():
        y = np.zeros_like(a)
        kernels.binary(level, kind, a, b, y)
        results.append(y)
    return np.array(results)


def _affine(level: str, rng: np.random.Generator) -> Array:
    x = random_floats(rng, int(rng.integers(1, 40)), LANES)
    y = aligned(*x.shape)
    scale, shift = rng.standard_normal((2, len(x))).astype(F)
    kernels.affine(level, scale, shift, x, y)
    return y


def _prelu(level: str, rng: np.random.Generator) -> Array:
    x = random_floats(rng, int(rng.integers(1, 40)), LANES)
    y = aligned(*x.shape)
    kernels.prelu(level, rng.standard_normal(len(x)).astype(F), x, y)
    return y


def _pool_max(level: str, rng: np.random.Generator) -> Array:
    x = random_floats(rng, int(rng.integers(1, 10)), LANES * int(rng.integers(1, 9)))
    y = aligned(x.shape[1])
    kernels.pool_max(level, x, y)
    return y


def _pool_average(level: str, rng: np.random.Generator) -> Array:
    x = random_floats(rng, int(rng.integers(1, 10)), LANES * int(rng.integers(1, 9)))
    y = aligned(x.shape[1])
    kernels.pool_average(level, x, rng.random(LANES).astype(F), y)
    return y


def _permute(level: str, rng: np.random.Generator) -> Array:
    """The border of a 16-lane image with a halo of one position."""
    channels = int(rng.integers(1, 20))
    geometry = kernels.Geometry((1, 4, 4), (1, 4, 4), (1, 1), (-1, -1), (3, 3))
    x = random_floats(rng, 9, channels, LANES)
    kernels.plan_halo(geometry, channels * LANES).run(level, x.reshape(-1), x.reshape(-1), 0, channels, -2.0)
    return x


def _load_rows(level: str, rng: np.random.Generator) -> Array:
    count = int(rng.integers(1, 70))
    rows = [rng.standard_normal(int(rng.integers(1, count + 1))).astype(F) for _ in range(LANES)]
    y = aligned(count, LANES)
    kernels.load_rows(level, rows, count, -3.0, y, LANES)
    return y


def _store_rows(level: str, rng: np.random.Generator) -> Array:
    count = int(rng.integers(1, 70))
    rows = [np.zeros(count, F) for _ in range(LANES)]
    kernels.store_rows(level, random_floats(rng, count, LANES), LANES, count, rows)
    return np.array(rows)


def _sum_positions(level: str, rng: np.random.Generator) -> Array:
    positions, channels = int(rng.integers(1, 9)), int(rng.integers(1, 20))
    x, y = random_floats(rng, positions, channels, LANES), aligned(channels, LANES)
    masks = rng.integers(0, 1 << LANES, positions).tolist()
    kernels.sum_positions(level, x, [p * channels * LANES for p in range(positions)], masks, 0, channels, y)
    return y


def _layer_norm(level: str, rng: np.random.Generator) -> Array:
    x = random_floats(rng, int(rng.integers(1, 80)), LANES)
    y = aligned(*x.shape)
    scale, shift = rng.standard_normal((2, len(x))).astype(F)
    kernels.layer_norm(level, scale, shift, 1e-5, True, x, y)
    return y


def _layer_norm_row(level: str, rng: np.random.Generator) -> Array:
    scale, shift, x = rng.standard_normal((3, _count(rng))).astype(F)
    y = np.zeros(x.size, F)
    kernels.layer_norm_row(level, scale, shift, 1e-5, True, x, y)
    return y


def _lane_moments(level: str, rng: np.random.Generator) -> Array:
    positions, channels = int(rng.integers(1, 9)), int(rng.integers(1, 20))
    x, moments = random_floats(rng, positions, channels, LANES), aligned(4, LANES)
    masks = rng.integers(0, 1 << LANES, positions).tolist()
    kernels.lane_moments(level, x, [p * channels * LANES for p in range(positions)], masks, channels, moments)
    return moments


def _normalize(level: str, rng: np.random.Generator) -> Array:
    x = random_floats(rng, int(rng.integers(1, 80)), LANES)
    y = aligned(*x.shape)
    units = rng.standard_normal((3, LANES)).astype(F)
    scale, offset = rng.standard_normal((2, len(x))).astype(F)
    kernels.normalize(level, units, scale, offset, x, y)
    return y


def _attention(level: str, rng: np.random.Generator) -> Array:
    vectors, depth, value_depth = (int(n) for n in rng.integers(1, 24, 3))
    keys = int(rng.integers(1, vectors * LANES + 1))
    k, v = random_floats(rng, vectors, depth, LANES), random_floats(rng, vectors, value_depth, LANES)
    query, y = random_floats(rng, depth, LANES), aligned(value_depth, LANES)
    scores = aligned(vectors * LANES, 1, LANES)
    kernels.attention(level, k, v, 0, keys, depth**-0.5, None, False, False, None, [query], [y], [0xFFFF], scores)
    return y


def _finish(level: str, rng: np.random.Generator) -> Array:
    rows = int(rng.integers(1, 40))
    sums = aligned(-(-rows // 4) * 4, LANES).view(np.int32)
    sums[...] = rng.integers(-30000, 30000, sums.shape)
    y = aligned(-(-rows // 4), LANES)
    multiplier = rng.uniform(1e-3, 1e-2, rows).astype(F)
    lookup = random_bytes(rng, 256)
    q.finish(level, sums, multiplier, q.Output(q.Form.bytes, 120, lookup=lookup), y, None)
    return channel_bytes(y, rows)


def _quantize_lanes(level: str, rng: np.random.Generator) -> Array:
    x = random_floats(rng, int(rng.integers(1, 40)), LANES)
    y = aligned(-(-len(x) // 4), LANES)
    q.quantize_lanes(level, 0.02, 128, x, y, len(x))
    return y.view(np.uint8)


def _dequantize_lanes(level: str, rng: np.random.Generator) -> Array:
    channels = int(rng.integers(1, 40))
    y = aligned(channels, LANES)
    q.dequantize_lanes(level, 0.02, 128, random_byte_lanes(rng, -(-channels // 4)), y, channels)
    return y.view(np.uint32)


def _quantize(level: str, rng: np.random.Generator) -> Array:
    x = rng.standard_normal(_count(rng)).astype(F)
    y = np.zeros(x.size, np.uint8)
    q.quantize(level, 0.02, 120, 0x80, x, y)
    return y


def _dequantize(level: str, rng: np.random.Generator) -> Array:
    x = random_bytes(rng, _count(rng))
    y = np.zeros(x.size, F)
    q.dequantize(level, 0.02, 120, 0x80, x, y)
    return y.view(np.uint32)


def _requantize(level: str, rng: np.random.Generator) -> Array:
    sums = rng.integers(-30000, 30000, _count(rng), np.int32)
    y = np.zeros(sums.size, np.uint8)
    q.requantize(level, 0.004, 100, 0x80, sums, y)
    return y


def _min_max(level: str, rng: np.random.Generator) -> Array:
    least, most = q.min_max(level, rng.standard_normal(_count(rng)).astype(F), 0.0, 0.0)
    return np.array([least, most], F)


def _move_rows(level: str, rng: np.random.Generator, planes: bool) -> Array:
    """Rows of bytes to lanes."""
    count = int(rng.integers(1, 70))
    rows = [random_bytes(rng, 4 * count if planes else count) for _ in range(LANES)]
    y = aligned(count if planes else -(-count // 4), LANES)
    load = q.load_planes if planes else q.load_channels
    load(level, q.ByteRows(0x80, 0x01020304, 4, count), rows, [count] * LANES, count, y, LANES)
    return y.view(np.uint8)


def _move_back(level: str, rng: np.random.Generator, planes: bool) -> Array:
    """Lanes to rows of bytes."""
    count = int(rng.integers(1, 70))
    rows = [np.zeros(4 * count if planes else count, np.uint8) for _ in range(LANES)]
    x = random_byte_lanes(rng, count if planes else -(-count // 4))
    store = q.store_planes if planes else q.store_channels
    store(level, q.ByteRows(0x80, 0, 4, count), x, LANES, count, rows, [count] * LANES)
    return np.array(rows)


def _interleave_planes(level: str, rng: np.random.Generator) -> Array:
    count = int(rng.integers(1, 200))
    y = aligned(-(-count // LANES), LANES)
    q.interleave_planes(level, q.ByteRows(0x80, 0x01020304, 3, count), random_bytes(rng, 3 * count), count, y)
    return y.reshape(-1)[:count].view(np.uint8)


def _separate_planes(level: str, rng: np.random.Generator) -> Array:
    count = int(rng.integers(1, 200))
    y = np.zeros(3 * count, np.uint8)
    q.separate_planes(level, q.ByteRows(0x80, 0, 3, count), random_byte_lanes(rng, -(-count // LANES)), count, y)
    return y


def _add(level: str, rng: np.random.Generator) -> Array:
    a, b = random_bytes(rng, 2, _count(rng))
    y = np.zeros(a.size, np.uint8)
    q.add(level, (0.61, 0.37, 4.5, 0x80), a, b, y)
    return y


def _multiply(level: str, rng: np.random.Generator) -> Array:
    a, b = random_bytes(rng, 2, _count(rng))
    y = np.zeros(a.size, np.uint8)
    q.multiply(level, 0.013, [100, 130, 120], 0x80, a, b, y)
    return y


def _lookup(level: str, rng: np.random.Generator) -> Array:
    x = random_bytes(rng, _count(rng))
    y = np.zeros(x.size, np.uint8)
    q.lookup(level, random_bytes(rng, 256), x, y)
    return y


def _q_pool_max(level: str, rng: np.random.Generator) -> Array:
    x = random_byte_lanes(rng, int(rng.integers(1, 10)), int(rng.integers(1, 9)))
    y = aligned(x.shape[1], LANES)
    q.pool_max(level, x.reshape(len(x), -1), y)
    return y.view(np.uint8)


def _float_stretch(level: str, rng: np.random.Generator) -> Array:
    """Operations that round alike on every level, so that the bytes are equal."""
    channels = int(rng.integers(1, 40))
    x, y = random_byte_lanes(rng, -(-channels // 4)), aligned(-(-channels // 4), LANES)
    relu = (kernels.UnaryKind.relu, 0.0, 0.0)
    residual = random_floats(rng, channels, LANES)
    kernels.float_stretch(level, (0.03, 117), x, None, None, residual, relu, (0.021, 131), y, 0, channels)
    return y.view(np.uint8)


def _q_pool_average(level: str, rng: np.random.Generator) -> Array:
    x = random_byte_lanes(rng, int(rng.integers(1, 10)), int(rng.integers(1, 9)))
    y = aligned(x.shape[1], LANES)
    count = rng.integers(1, len(x) + 1, LANES).astype(F)
    q.pool_average(level, (0.03, 100), (0.02, 130), 0x80, count, x.reshape(len(x), -1), y)
    return y.view(np.uint8)


def _q_sum_positions(level: str, rng: np.random.Generator) -> Array:
    positions, vectors = int(rng.integers(1, 9)), int(rng.integers(1, 9))
    x, y = random_byte_lanes(rng, positions, vectors), np.zeros((4 * vectors, LANES), np.int32)
    masks = rng.integers(0, 1 << LANES, positions).tolist()
    q.sum_positions(level, x, [p * vectors * LANES for p in range(positions)], masks, 0, vectors, y)
    return y


def _copy_channels(level: str, rng: np.random.Generator) -> Array:
    channels, x_first, y_first = (int(n) for n in rng.integers(1, 20, 3))
    x, y = random_byte_lanes(rng, 10), random_byte_lanes(rng, 10)
    q.copy_channels(level, x, x_first, y, y_first, channels)
    return y.view(np.uint8)


def _attend_bytes(level: str, rng: np.random.Generator) -> Array:
    """prepare_attention, and attend on what it left: neither shows anything by itself."""
    vectors, depth, value_depth = (int(n) for n in rng.integers(1, 8, 3))
    keys = int(rng.integers(1, vectors * LANES + 1))
    given = kernels.AttentionBytes()
    given.q_zero, given.k_zero, given.v_zero, given.y_zero = 120, 130, 125, 128
    given.score_multiplier, given.weight_scale, given.y_multiplier = 0.005 / depth, 1 / 250, 1 / 300
    k, v = random_byte_lanes(rng, vectors, depth), random_byte_lanes(rng, vectors, value_depth)
    y = aligned(value_depth, LANES)
    softmax = None
    if rng.integers(2):  # of bytes
        given.score_bytes, given.score_zero = True, 100
        powers = np.exp(np.linspace(-8, 8, 256)).astype(F)
        softmax = powers, None, rng.integers(0, 256, 256).astype(F), 256.0, 0, None
    queries = [random_byte_lanes(rng, depth)]
    kernels.attend_bytes(level, k, v, 0, keys, 0.5, None, False, given, queries, [y], [0xFFFF], softmax)
    return y.view(np.uint8)


ELEMENTWISE: Mapping[str, Case] = {
    "unary": _unary,
    "binary": _binary,
    "affine": _affine,
    "prelu": _prelu,
    "pool_max": _pool_max,
    "pool_average": _pool_average,
    "permute": _permute,
    "load_rows": _load_rows,
    "store_rows": _store_rows,
    "sum_positions": _sum_positions,
    "layer_norm": _layer_norm,
    "layer_norm_row": _layer_norm_row,
    "lane_moments": _lane_moments,
    "normalize": _normalize,
    "attention": _attention,
    "quantized.finish": _finish,
    "quantized.quantize_lanes": _quantize_lanes,
    "quantized.dequantize_lanes": _dequantize_lanes,
    "quantized.float_stretch": _float_stretch,
    "quantized.quantize": _quantize,
    "quantized.dequantize": _dequantize,
    "quantized.requantize": _requantize,
    "quantized.min_max": _min_max,
    "quantized.load_planes": lambda level, rng: _move_rows(level, rng, planes=True),
    "quantized.load_channels": lambda level, rng: _move_rows(level, rng, planes=False),
    "quantized.store_planes": lambda level, rng: _move_back(level, rng, planes=True),
    "quantized.store_channels": lambda level, rng: _move_back(level, rng, planes=False),
    "quantized.interleave_planes": _interleave_planes,
    "quantized.separate_planes": _separate_planes,
    "quantized.add": _add,
    "quantized.multiply": _multiply,
    "quantized.lookup": _lookup,
    "quantized.pool_max": _q_pool_max,
    "quantized.pool_average": _q_pool_average,
    "quantized.sum_positions": _q_sum_positions,
    "quantized.copy_channels": _copy_channels,
    "quantized.prepare_attention": _attend_bytes,
    "quantized.attend": _attend_bytes,
}
