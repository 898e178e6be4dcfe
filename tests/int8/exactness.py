"""Prints how many values of each INT8 form equal onnxruntime's CPU provider's, on every instruction-set level.

    python tests/int8/exactness.py [--models 40]

The models are those of the tests, random ones: scales that meet ties, tensors that saturate, per tensor and per
channel, both types. Forms that onnxruntime computes in float are marked; there the largest distance counts. Needs a
CPU with VNNI, and the package importable (installed, or PYTHONPATH=build/dev/python).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import onnx
import onnxruntime as ort
from byte_models import S8, U8, Array, ByteGraph, quiet, random_bytes
from harness import available_levels, cpu_session, has_vnni, sparse_session
from linear_models import POINTS, SCALES, STRENGTHS, Image, Numbers, gemm_model, matmul_model
from test_dequantized_constants import STORED, matmul_and_add
from test_integer_chains import dynamic_conv
from test_qdq_units import FLOAT_FORMS, FOLLOWERS, UNITS, between, layer
from test_qlinear_neighbours import SECONDS, binary

Case = tuple[onnx.ModelProto, dict[str, Array]]
Form = Callable[[np.random.Generator], Case]


def numbers(r: np.random.Generator) -> Numbers:
    x_type = (U8, U8, S8)[r.integers(3)]
    w_type, w_zero = ((S8, 0), (S8, 5), (U8, 128))[r.integers(3 if x_type is U8 else 2)]
    return Numbers(x_type, x_type, float(r.choice(SCALES)), int(r.choice(POINTS[x_type])), int(r.choice(POINTS[x_type])),
                   float(r.choice(STRENGTHS)), w_type, w_zero, bool(r.integers(2)), bool(r.integers(2)),
                   bool(r.integers(2)), float(r.choice([0.05, 0.3, 1.0])), bool(r.integers(3) == 0), int(r.integers(999)))  # fmt: skip


def conv(r: np.random.Generator) -> Case:
    rows = int(r.integers(1, 33))
    depthwise = bool(r.integers(3) == 0)
    channels = rows if depthwise else int(r.integers(1, 33))
    attributes = {"group": rows if depthwise else 1, "pads": [1] * 4, "strides": [int(r.integers(1, 3))] * 2}
    size = (int(r.integers(3, 24)), int(r.integers(3, 24)))
    return Image(numbers(r), int(r.integers(1, 4)), channels, rows, size, (3, 3), attributes).model()


def matmul(r: np.random.Generator) -> Case:
    shape = (int(r.integers(1, 3)), int(r.integers(1, 64)), int(r.integers(1, 150)))
    return matmul_model(replace(numbers(r), bias=False), shape, int(r.integers(1, 70)))


def gemm(to_float: bool) -> Form:
    def make(r: np.random.Generator) -> Case:
        n = numbers(r)
        n = replace(n, w_zero=0) if n.x_type is S8 else n
        return gemm_model(
            n, int(r.integers(1, 64)), int(r.integers(1, 150)), int(r.integers(1, 70)), (0, 1), 1.0, to_float
        )

    return make


def two(op: str) -> Form:
    def make(r: np.random.Generator) -> Case:
        dtype = (U8, S8)[r.integers(2)]
        b, y = ((float(r.uniform(0.0078125, 0.25)), int(r.choice(POINTS[dtype]))) for _ in range(2))
        shape = (2, int(r.integers(1, 20)), int(r.integers(1, 20)), int(r.integers(1, 20)))
        return binary(op, dtype, str(r.choice(SECONDS)), shape, b, y, bool(r.integers(2)), int(r.integers(99)))

    return make


def one(op: str, **attributes: Any) -> Form:
    def make(r: np.random.Generator) -> Case:
        dtype = (U8, S8)[r.integers(2)]
        g = ByteGraph(int(r.integers(999)))
        x = (float(r.uniform(0.01, 0.1)), int(r.choice(POINTS[dtype])))
        y = g.numbers(float(r.uniform(0.002, 0.05)), int(r.choice(POINTS[dtype])), dtype)
        shape = (2, 12, int(r.integers(3, 20)), int(r.integers(3, 20)))
        made = g.mix(g.input("x", shape, dtype), 12, dtype, x)
        z = g.microsoft(op, made, *g.numbers(*x, dtype), *y, **attributes)
        return g.model({z: dtype}), {"x": random_bytes(g.random, shape, dtype)}

    return make


def qdq(op: str, dtype: Any, follower: str) -> Form:
    return lambda r: layer(
        op, dtype, follower, bool(r.integers(2)), bool(r.integers(2)) and op != "MatMul", int(r.integers(99))
    )


def qdq_unit(op: str) -> Form:
    def make(r: np.random.Generator) -> Case:
        y = (float(r.uniform(0.02, 0.09)), int(r.integers(0, 100)))
        return between(op, (U8, S8)[r.integers(2)], False, (0.05, 3), y, **UNITS[op])

    return make


def sum_with_dequantized(r: np.random.Generator) -> Case:
    return matmul_and_add(str(r.choice(list(STORED))), bool(r.integers(2)), bool(r.integers(2)), int(r.integers(999)))


def dynamic(r: np.random.Generator) -> Case:
    g = ByteGraph(int(r.integers(999)))
    shape = (2, 8, int(r.integers(3, 20)), int(r.integers(3, 20)))
    quantized = g.op("DynamicQuantizeLinear", g.input("x", shape, np.float32), outputs=3)
    y = dynamic_conv(g, quantized, (16, 8, 3, 3), True, pads=[1] * 4)
    return g.model({y: np.float32}), {"x": (r.standard_normal(shape) * 3).astype(np.float32)}


def forms() -> Iterator[tuple[str, Form]]:
    yield from (("QLinearConv", conv), ("QLinearMatMul", matmul), ("QGemm to bytes", gemm(False)))
    yield from (("QGemm to floats", gemm(True)), ("QLinearAdd", two("QLinearAdd")), ("QLinearMul", two("QLinearMul")))
    yield from (("QLinearSigmoid", one("QLinearSigmoid")), ("QLinearLeakyRelu", one("QLinearLeakyRelu", alpha=0.1)))
    yield "QLinearGlobalAveragePool", one("QLinearGlobalAveragePool", channels_last=0)
    yield "QLinearAveragePool", one("QLinearAveragePool", kernel_shape=[3, 3], pads=[1] * 4)
    for op in ("Conv", "MatMul", "Gemm"):
        for name, dtype in (("u8", U8), ("s8", S8)):
            for follower in FOLLOWERS:
                mark = " (float there)" if (op, name, follower) in FLOAT_FORMS else ""
                yield f"QDQ {op} {name} -> {follower}{mark}", qdq(op, dtype, follower)
    yield from ((f"QDQ {op}", qdq_unit(op)) for op in UNITS)
    yield "QDQ MatMul, Add of a dequantized constant", sum_with_dequantized
    yield "DynamicQuantizeLinear, ConvInteger, Add", dynamic


def measure(form: Form, count: int, levels: list[str]) -> tuple[int, list[int], float]:
    """Values compared, mismatches a level, and the largest distance: in steps of bytes, or of the largest float."""
    random = np.random.default_rng(0)
    values, wrong, distance = 0, [0] * len(levels), 0.0
    for _ in range(count):
        model, feeds = form(random)
        expected = cpu_session(model, quiet()).run(None, feeds)
        values += sum(want.size for want in expected)
        for i, level in enumerate(levels):
            got = sparse_session(model, quiet(), min_sparsity=0, isa=level).run(None, feeds)
            for g, w in zip(got, expected, strict=True):
                wrong[i] += int((g != w).sum())
                unit = float(np.abs(w).max()) or 1.0 if w.dtype == np.float32 else 1.0
                distance = max(distance, float(np.abs(g.astype(np.float64) - w).max()) / unit)
    return values, wrong, distance


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=40, help="random models a form")
    arguments = parser.parse_args()
    if not has_vnni():
        print("this CPU has no VNNI: onnxruntime's own u8 x s8 kernels saturate, and are no reference", file=sys.stderr)
        return 1
    levels = available_levels()
    print(f"onnxruntime {ort.__version__}; mismatches on {', '.join(levels)}; largest distance")
    total = 0
    for name, form in forms():
        values, wrong, distance = measure(form, arguments.models, levels)
        total += values
        print(f"{name:48} {values:>10} values  {' '.join(f'{w:>6}' for w in wrong)}  {distance:.2g}", flush=True)
    print(f"{total} values on each of {len(levels)} levels")
    return 0


if __name__ == "__main__":
    sys.exit(main())
