"""Row-major tensors to lanes and back: every memory order, halos, guard pages on both sides of the tensor."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lane_arrays import LANES, LEVELS, aligned, canonical_mask, guarded, to_lanes
from onnxruntime_ep_sparsecpu import _native
from random_checks import examples
from strategies import geometries

kernels = _native.kernels
FILL = 0.5
ONE_PIXEL_WITH_A_BORDER = kernels.Geometry((1, 1, 1), (16, 1, 1), (1, 1), (-1, -1), (3, 3))
ORDERS = ["nchw", "nhwc", "ncwh", "cnhw", "hwcn"]  # memory orders, slowest axis first


def stored(tensor: np.ndarray, order: str, side: str) -> tuple[np.ndarray, list[int]]:
    """A guarded copy of tensor[n, c, h, w] in this memory order, and its element strides of n, c, h, w."""
    memory = guarded(tensor.transpose(["nchw".index(axis) for axis in order]), side)
    return memory, [memory.strides[order.index(axis)] // 4 for axis in "nchw"]


@settings(max_examples=examples(200), deadline=None)
@given(
    geometries(),
    st.integers(1, 20),
    st.integers(0, 2),
    st.sampled_from(ORDERS),
    st.sampled_from(["start", "end"]),
    st.integers(1, 4),
)
def test_load_and_store(geometry: Any, channels: int, padding: int, order: str, side: str, chunks: int) -> None:
    n, h, w = geometry.size
    tensor = np.random.default_rng(h * 64 + w).standard_normal((n, channels, h, w), np.float32)
    memory, strides = stored(tensor, order, side)
    stride = (channels + padding) * LANES
    whole = kernels.TransferPlan(geometry, stride, channels, strides, True)
    canonical = kernels.TransferPlan(geometry, stride, channels, strides, False)
    expected = to_lanes(geometry, tensor, FILL)
    for level in LEVELS:
        lanes = aligned((*expected.shape[:3], channels + padding, LANES))
        whole.load(level, memory, lanes, FILL, chunks)
        np.testing.assert_array_equal(lanes[:, :, :, :channels], expected)
        assert np.isnan(lanes[:, :, :, channels:]).all()
        lanes[...] = math.nan
        canonical.load(level, memory, lanes, FILL, chunks)
        mask = canonical_mask(geometry)
        np.testing.assert_array_equal(lanes[:, mask][:, :, :channels], expected[:, mask])
        assert np.isnan(lanes[:, ~mask]).all()
        back, _ = stored(np.full_like(tensor, math.nan), order, side)
        canonical.store(level, lanes, back, chunks)
        np.testing.assert_array_equal(back, memory)


@settings(max_examples=examples(200), deadline=None)
@example(ONE_PIXEL_WITH_A_BORDER, 1, "nchw", 0, 1)
@given(geometries(), st.integers(1, 20), st.sampled_from(ORDERS), st.sampled_from([0, 0x80]), st.integers(1, 4))
def test_load_and_store_bytes(geometry: Any, channels: int, order: str, sign: int, chunks: int) -> None:
    n, h, w = geometry.size
    rng = np.random.default_rng(h * 64 + w)
    tensor = rng.integers(0, 256, (n, channels, h, w), np.uint8)
    memory = np.ascontiguousarray(tensor.transpose(["nchw".index(axis) for axis in order]))
    strides = [memory.strides[order.index(axis)] for axis in "nchw"]
    quads, fill = -(-channels // 4), 0x79
    padded = np.full((n, 4 * quads, h, w), fill, np.uint8)  # bytes of channels that fill the last vector
    padded[:, :channels] = tensor ^ sign
    expected = to_lanes(geometry, padded.astype(np.float32), fill).astype(np.uint8)
    expected = np.ascontiguousarray(expected.reshape(*expected.shape[:3], quads, 4, LANES).swapaxes(-1, -2))
    position = quads * LANES
    whole = kernels.TransferPlan(geometry, position, channels, strides, True)
    canonical = kernels.TransferPlan(geometry, position, channels, strides, False)
    assert not whole.moves_pixels or order in ("nchw", "cnhw") or 1 in (n, h, w, channels)
    for level in LEVELS:
        lanes = aligned((*expected.shape[:3], quads, LANES))
        whole.load_bytes(level, memory, lanes, fill * 0x01010101, sign, chunks)
        np.testing.assert_array_equal(lanes.view(np.uint8).reshape(expected.shape), expected, err_msg=level)
        lanes[...] = math.nan
        canonical.load_bytes(level, memory, lanes, fill * 0x01010101, sign, chunks)
        mask = canonical_mask(geometry)
        got = lanes.view(np.uint8).reshape(expected.shape)
        np.testing.assert_array_equal(got[:, mask], expected[:, mask], err_msg=level)
        assert np.isnan(lanes[:, ~mask]).all()
        back = np.full_like(memory, 77)
        canonical.store_bytes(level, lanes, back, sign, chunks)
        np.testing.assert_array_equal(back, memory, err_msg=level)


@pytest.mark.parametrize(
    ("order", "channels", "calls"),
    [
        ("nchw", 3, (56 + 6) * 2 * 3),  # per grid row and channel: the columns left of the image, and the rest
        ("nhwc", 64, (56 + 6) * 2),  # per grid row: whole pixels, all channels
    ],
)
def test_calls_of_a_stem_image(order: str, channels: int, calls: int) -> None:
    geometry = kernels.Geometry((1, 224, 224), (1, 4, 4), (56, 56), (-3, -3), (62, 62))
    strides = [0, 224 * 224, 224, 1] if order == "nchw" else [0, 1, 224 * channels, channels]
    assert kernels.TransferPlan(geometry, channels * LANES, channels, strides, True).calls == calls
