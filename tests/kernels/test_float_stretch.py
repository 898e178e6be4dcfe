"""float_stretch of every level gives the bits of the kernels that it stands for, one after the other."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from lane_arrays import LANES, LEVELS, aligned, aligned_copy
from onnxruntime_ep_sparsecpu import _native
from random_checks import examples

kernels = _native.kernels
quantized = kernels.quantized
X_NUMBERS, Y_NUMBERS = (0.03, 117), (0.021, 131)


@settings(max_examples=examples(80), deadline=None)
@given(
    st.integers(1, 75),
    st.integers(0, 18),
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, "gelu", "relu", "tanh"]),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_float_stretch(
    channels: int, first: int, affine: bool, adds: bool, activation: str | None, quantizes: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    begin = min(4 * first, channels // 4 * 4)
    vectors = -(-channels // 4)
    x = aligned((vectors, LANES))
    x.view(np.uint8)[...] = rng.integers(0, 256, x.view(np.uint8).shape)
    scale, shift = rng.standard_normal((2, channels), np.float32)
    residual = aligned_copy(rng.standard_normal((channels, LANES), np.float32))
    function = None if activation is None else (getattr(kernels.UnaryKind, activation), 0.0, 0.0)
    for level in LEVELS:
        floats = aligned((channels, LANES))
        quantized.dequantize_lanes(level, *X_NUMBERS, x, floats, channels)
        if affine:
            kernels.affine(level, scale, shift, floats, floats)
        if adds:
            kernels.binary(level, kernels.BinaryKind.add, floats, residual, floats)
        if function is not None:
            kernels.unary(level, *function, floats, floats)
        expected, unit = floats, 1
        if quantizes:
            expected, unit = aligned((vectors, LANES)), 4
            quantized.quantize_lanes(level, *Y_NUMBERS, floats, expected, channels)
        y = aligned(expected.shape, 0.0)
        kernels.float_stretch(
            level,
            X_NUMBERS,
            x,
            scale if affine else None,
            shift if affine else None,
            residual if adds else None,
            function,
            Y_NUMBERS if quantizes else None,
            y,
            begin,
            channels,
        )
        assert y[begin // unit :].tobytes() == expected[begin // unit :].tobytes()
        assert (y[: begin // unit] == 0).all()
