"""Generated INT8 code, as its step runs it: bit for bit what int64 sums and the contract's float32 formulas give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lane_arrays import LANES, LEVELS, aligned
from quantized_cases import (
    ByteCase,
    F,
    QuantizedConv,
    byte_cases,
    convs,
    from_byte_lanes,
    q,
    requantized,
    to_byte_lanes,
    vectors,
)
from random_checks import examples

pytestmark = pytest.mark.skipif(
    not q.jit_available(LEVELS[-1]), reason="needs AVX-512 VNNI, Xbyak at build time and executable memory"
)
Finish, Form = q.JitFinish, q.Form
BYTES = (Finish.bytes, False)


def jit(conv: QuantizedConv, finish: tuple[Finish, bool], multiplier: np.ndarray, **layer: object) -> q.Jit:
    return q.Jit(conv.layer(multiplier, **layer), conv.dilation[1], conv.position, *finish)


def run(
    packed: q.Jit,
    conv: QuantizedConv,
    output: q.Output,
    floats: bool = False,
    residual: np.ndarray | None = None,
    in_place: bool = False,
    **options: object,
) -> np.ndarray:
    """[position, rows or vectors, lane] float32 bits; options as Jit.run."""
    places = conv.outputs()
    rows, columns = len({r for r, _ in places}), len({c for _, c in places})
    grid = q.JitGrid(rows, columns, conv.at(conv.stride, 0), conv.at(0, conv.stride))
    y = residual if in_place else aligned((len(places) + 1, conv.rows if floats else vectors(conv.rows), LANES), 7.0)
    row_base = [conv.at(r * conv.dilation[0], 0) for r in range(conv.kernel[0])]
    added = None if residual is None else residual.reshape(-1)
    packed.run(row_base, grid, conv.input_lanes(), y.reshape(-1), added, output, conv.rows, **options)
    assert in_place or (y[-1] == 7).all(), "written past the last position"
    return y[: len(places)]


def form_of(case: ByteCase) -> Finish:
    """What the planner asks for: sums of signed bytes are left to the finish kernel."""
    if case.output.sum is None:
        return Finish.bytes
    if case.output.sum[3] != 0:
        return Finish.sums
    return Finish.residual_is_a if case.output.residual_is_a else Finish.sum


@settings(deadline=None, max_examples=examples(150))
@given(data=st.data())
def test_bytes(data: st.DataObject) -> None:
    case = data.draw(byte_cases("spmm"))
    looks_up = case.output.lookup is not None and q.jit_looks_up() and data.draw(st.booleans())
    finish = (form_of(case), looks_up)
    packed = jit(case.conv, (Finish.sums, False) if finish[0] == Finish.sums else finish, case.multiplier)
    residual = None if case.residual is None else to_byte_lanes(case.residual)
    options: dict[str, object] = {"tile": data.draw(st.sampled_from([1, 3, 15]))}
    options["cuts"] = (data.draw(st.integers(1, 3)), data.draw(st.integers(1, packed.blocks)))
    in_place = residual is not None and data.draw(st.booleans())
    got = run(packed, case.conv, case.output, residual=residual, in_place=in_place, **options)
    np.testing.assert_array_equal(from_byte_lanes(got, case.conv.rows), case.want)


@settings(deadline=None, max_examples=examples(30))
@given(data=st.data())
def test_floats_and_ints(data: st.DataObject) -> None:
    conv = data.draw(convs("spmm"))
    acc = conv.sums()
    multiplier = conv.rng.uniform(-1e-3, 1e-3, conv.rows).astype(F)
    float_bias = conv.rng.standard_normal(-(-conv.rows // q.ROWS) * q.ROWS).astype(F)
    packed = jit(conv, (Finish.sums, False), multiplier)
    want = acc.astype(F) * multiplier[:, None] + float_bias[: conv.rows, None]
    got = run(packed, conv, q.Output(Form.floats, float_bias=float_bias), floats=True)
    np.testing.assert_array_equal(got, want)
    got = run(packed, conv, q.Output(Form.ints), floats=True)
    np.testing.assert_array_equal(got.view(np.int32), acc)


@pytest.mark.parametrize("rows", range(1, 70))
def test_every_number_of_rows(rows: int) -> None:
    """Blocks begin at multiples of four rows, and have at most 28."""
    rng = np.random.default_rng(rows)
    weights = rng.integers(-128, 128, (rows, 9, 1), np.int8)
    conv = QuantizedConv(rng, weights * (rng.random(weights.shape) < 0.3), size=(1, 3))
    multiplier = np.full(rows, 0.01, F)
    packed = jit(conv, BYTES, multiplier)
    assert packed.blocks == -(-rows // 28)
    want = requantized(conv.sums(), multiplier[:, None], 7)
    got = run(packed, conv, q.Output(Form.bytes, 7))
    np.testing.assert_array_equal(from_byte_lanes(got, rows), want)


def test_blocks_of_many_segments() -> None:
    rng = np.random.default_rng(1)
    conv = QuantizedConv(rng, rng.integers(-128, 128, (61, 400, 9), np.int8), (3, 3), size=(3, 5))
    multiplier = np.full(61, 1e-4, F)
    packed = jit(conv, BYTES, multiplier)
    assert packed.segments > packed.blocks
    want = requantized(conv.sums(), multiplier[:, None], 128)
    np.testing.assert_array_equal(from_byte_lanes(run(packed, conv, q.Output(Form.bytes, 128)), 61), want)


@pytest.mark.parametrize("density", [0.02, 0.2, 0.8])
@pytest.mark.parametrize(("rows", "channels", "kernel"), [(100, 64, (1, 1)), (64, 64, (3, 3)), (256, 512, (1, 1))])
def test_code_size(rows: int, channels: int, kernel: tuple[int, int], density: float) -> None:
    """A product of a group is 6 or 7 bytes and its weights 4, unless one weight alone is read from the shared table."""
    rng = np.random.default_rng(4)
    weights = rng.integers(-127, 128, (rows, channels, kernel[0] * kernel[1]), np.int8)
    weights *= rng.random(weights.shape) < density
    conv = QuantizedConv(rng, weights, kernel, size=kernel)
    packed = jit(conv, BYTES, np.full(rows, 1e-4, F))
    groups = weights.reshape(rows, -1, 4, weights.shape[2]).any(axis=2).sum()
    assert 6 * groups <= packed.code_bytes <= 20 * groups + 2000 * packed.segments + 4000


def test_scales_that_overflow_int32_saturate() -> None:
    """Saturating packs cannot clamp what the conversion already turned into INT32_MIN."""
    conv = QuantizedConv(np.random.default_rng(3), np.full((5, 8, 1), 127, np.int8))
    conv.weights[::2] = -128
    multiplier = np.array([1e9, 1e9, 3e38, 3e38, 1e-38], F)
    packed = jit(conv, BYTES, multiplier)
    assert not packed.finishes
    want = requantized(conv.sums(), multiplier[:, None], 100)
    np.testing.assert_array_equal(from_byte_lanes(run(packed, conv, q.Output(Form.bytes, 100)), 5), want)


def test_multipliers_above_one() -> None:
    """Products of these weights stay far below 2^31."""
    rng = np.random.default_rng(5)
    conv = QuantizedConv(rng, rng.integers(-3, 4, (31, 8, 1), np.int8))
    multiplier = rng.uniform(0.5, 1e4, 31).astype(F)
    packed = jit(conv, BYTES, multiplier)
    assert packed.finishes
    want = requantized(conv.sums(), multiplier[:, None], 100)
    np.testing.assert_array_equal(from_byte_lanes(run(packed, conv, q.Output(Form.bytes, 100)), 31), want)


def test_sums_near_the_ends_of_int32() -> None:
    rng = np.random.default_rng(4)
    conv = QuantizedConv(rng, np.zeros((8, 4, 1), np.int8))
    conv.bias = np.array([2**31 - 1, -(2**31), 2**31 - 64, 0, 1, -1, 2**24 + 1, -(2**24) - 1], np.int32)
    multiplier = np.array([0.99, 0.99, 1e-7, 0.5, 0.5, 0.5, 1e-5, 1e-5], F)
    packed = jit(conv, BYTES, multiplier)
    assert packed.finishes
    want = requantized(conv.sums(), multiplier[:, None], 100)
    np.testing.assert_array_equal(from_byte_lanes(run(packed, conv, q.Output(Form.bytes, 100)), 8), want)
