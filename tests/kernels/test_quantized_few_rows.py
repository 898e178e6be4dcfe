"""INT8 times few row-major rows: every level against int64 sums, at the edge of readable memory."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from lane_arrays import LEVELS
from quantized_cases import F, guarded_bytes, q, requantized, summed
from random_checks import examples


@settings(deadline=None, max_examples=examples(120))
@given(data=st.data())
def test_any_matrix(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    rows, k = data.draw(st.integers(1, 150)), data.draw(st.sampled_from([1, 3, 4, 63, 64, 65, 200, 1000]))
    m, sparse = data.draw(st.integers(1, 9)), data.draw(st.booleans())
    weights = rng.integers(-128, 128, (rows, k, 1), np.int8)
    weights[rng.random(weights.shape) >= data.draw(st.sampled_from([0.0, 0.05, 0.3, 1.0]))] = 0
    x, zero = rng.integers(0, 256, (m, k), np.uint8), data.draw(st.sampled_from([0, 100, 255]))
    bias = rng.integers(-3000, 3000, rows, np.int32)
    acc = (x.astype(np.int64) - zero) @ weights[:, :, 0].astype(np.int64).T + bias
    multiplier = (200 / (np.abs(acc).max(0) + 1) * rng.uniform(0.3, 3, rows)).astype(F)
    packed = q.FewRows(q.Layer(weights.view(np.uint8), bias=bias, input_zero_point=zero, multiplier=multiplier), sparse)
    cut = data.draw(st.integers(0, rows))
    y_zero, residual, sums, lookup = data.draw(st.sampled_from([0, 7, 255])), None, None, None
    want = requantized(acc, multiplier, y_zero)
    if data.draw(st.booleans()):
        residual, sums = rng.integers(0, 256, acc.shape, np.uint8), (0.75, 0.5, 3.25, 128)
        want = summed(want, residual, sums[:3], 128)
    if data.draw(st.booleans()):
        lookup = rng.integers(0, 256, 256, np.uint8)
        want = lookup[want]
    float_bias = rng.standard_normal(rows).astype(F)
    for level in LEVELS:
        y = guarded_bytes(np.zeros((m, rows), np.uint8))
        added = None if residual is None else guarded_bytes(residual)
        floats, ints = np.zeros((m, rows), F), np.zeros((m, rows), np.int32)
        for begin, end in ((0, cut), (cut, rows)):
            bytes_out = q.Output(q.Form.bytes, y_zero, sum=sums, lookup=lookup)
            packed.run(level, begin, end, guarded_bytes(x), y, added, bytes_out)
            packed.run(level, begin, end, x, floats, None, q.Output(q.Form.floats, float_bias=float_bias))
            packed.run(level, begin, end, x, ints, None, q.Output(q.Form.ints))
        np.testing.assert_array_equal(y, want, err_msg=level)
        np.testing.assert_array_equal(ints, acc, err_msg=level)
        np.testing.assert_array_equal(floats, acc.astype(F) * multiplier + float_bias, err_msg=level)
