"""Times of single layers on one thread, against what provider/pack/speeds.h predicts from its table:

    PYTHONPATH=build/dev/python:tests:tests/int8 python tests/kernels/bench_layers.py [float|bytes|forms] [LEVEL]

Microseconds of the CPU provider and of each kernel that may run the layer, measured / predicted. "fastest" is what the
measurements say of the layer alone, "chosen" the kernel that the provider takes by default. forms: dense layers
of bytes in every form that ONNX Runtime has a kernel of its own for, in multiply-adds a nanosecond.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import onnxruntime_ep_sparsecpu as sparsecpu
from harness import claimed, serialized, sparse_session
from onnxruntime_ep_sparsecpu.models import GraphBuilder

Feeds = dict[str, np.ndarray]
SECONDS = 0.15  # of each measurement

# Convolutions: input channels, output channels, output pixels a side, kernel. Products: k, n, rows.
CONVOLUTIONS = [(64, 256, 56, 1), (64, 64, 56, 3), (512, 128, 28, 1), (256, 256, 14, 3), (1024, 256, 14, 1), (512, 512, 7, 3), (512, 2048, 7, 1)]  # fmt: skip
PRODUCTS = [(768, 768, 128), (3072, 768, 128), (768, 3072, 128), (768, 768, 16), (768, 3072, 8), (768, 3072, 4), (768, 3072, 1), (2048, 1000, 1)]  # fmt: skip
FLOAT_ZEROS = [0.0, 0.4, 0.6, 0.8, 0.95]
BYTE_ZEROS = [0.0, 0.6, 0.8, 0.95]


def float_layers(zeros: float) -> Iterator[tuple[str, onnx.ModelProto, Feeds]]:
    rng = np.random.default_rng(0)
    for channels, rows, size, kernel in CONVOLUTIONS:
        g = GraphBuilder(0, zeros)
        shape = [1, channels, size, size]
        y = g.conv("x", channels, rows, kernel)
        yield f"{channels}->{rows} {kernel}x{kernel} @{size}", g.model({"x": shape}, {y: [1, rows, size, size]}), {"x": rng.standard_normal(shape).astype(np.float32)}  # fmt: skip
    for k, n, rows in PRODUCTS:
        g = GraphBuilder(0, zeros)
        y = g.op("MatMul", ["x", g.weight((k, n), k)])
        yield f"{k}->{n} {rows} rows", g.model({"x": [rows, k]}, {y: [rows, n]}), {"x": rng.standard_normal((rows, k)).astype(np.float32)}  # fmt: skip


def byte_layers(zeros: float) -> Iterator[tuple[str, onnx.ModelProto, Feeds]]:
    from linear_models import Image, Numbers, matmul_model

    numbers = Numbers(density=1 - zeros)
    for channels, rows, size, kernel in CONVOLUTIONS:
        image = Image(numbers, 1, channels, rows, (size, size), (kernel, kernel), {"pads": [kernel // 2] * 4})
        yield f"{channels}->{rows} {kernel}x{kernel} @{size}", *image.model()
    for k, n, rows in PRODUCTS:
        yield f"{k}->{n} {rows} rows", *matmul_model(numbers, (rows, k), n)


# Operator, type of the activations, type of the weights.
FORMS = [(op, x, w) for op in ("QLinearConv", "ConvInteger", "QLinearMatMul", "MatMulInteger") for x in ("u8", "s8") for w in ("s8", "u8") if x + w != "s8u8"]  # fmt: skip
# Input channels, output channels, output pixels a side, kernel, groups.
FORM_CONVOLUTIONS = [(64, 256, 56, 1, 1), (256, 256, 14, 3, 1), (1024, 256, 14, 1, 1), (512, 512, 7, 3, 1), (64, 64, 14, 3, 1), (32, 32, 14, 1, 1), (16, 16, 28, 3, 1), (3, 32, 112, 3, 1), (1, 16, 56, 3, 1), (96, 96, 28, 3, 96), (256, 256, 14, 3, 256), (256, 256, 14, 3, 8)]  # fmt: skip
FORM_PRODUCTS = [(768, 768, 128), (3072, 768, 128), (256, 256, 32), (64, 64, 16), (768, 768, 4), (768, 3072, 1), (256, 256, 1)]  # fmt: skip


def layer_of_form(op: str, x_type: str, w_type: str, sizes: tuple[int, ...]) -> tuple[onnx.ModelProto, Feeds, float]:
    """A dense layer, and its multiply-adds."""
    from byte_models import S8, U8, ByteGraph, random_bytes

    g, types = ByteGraph(0), {"u8": U8, "s8": S8}
    is_conv, (x_dtype, w_dtype) = "Conv" in op, (types[x_type], types[w_type])
    if is_conv:
        channels, rows, size, kernel, groups = sizes
        shape, weight = [1, channels, size, size], (rows, channels // groups, kernel, kernel)
        attributes = {"pads": [kernel // 2] * 4, "group": groups}
        work = float(np.prod(weight)) * size * size
    else:
        k, rows, tokens = sizes
        shape, weight, attributes = [tokens, k], (k, rows), {}
        work = float(k * rows * tokens)
    x, w = g.input("x", shape, x_dtype), g.pruned(weight, w_dtype, 128 if w_type == "u8" else 0, 1.0)
    if op.startswith("QLinear"):
        numbers = [(0.1, 3, x_dtype), (0.05, 128 if w_type == "u8" else 0, w_dtype), (2.0, 3, x_dtype)]
        (xs, xz), (ws, wz), (ys, yz) = (g.numbers(*number) for number in numbers)
        y = g.op(op, x, xs, xz, w, ws, wz, ys, yz, **attributes)
        return g.model({y: x_dtype}), {"x": random_bytes(g.random, shape, x_dtype)}, work
    zero = g.constant(3, x_dtype)
    w_zero = [g.constant(128, w_dtype)] if w_type == "u8" else []
    y = g.op("Mul", g.op("Cast", g.op(op, x, w, zero, *w_zero, **attributes), to=1), g.constant(0.01, np.float32))
    return g.model({y: np.float32}), {"x": random_bytes(g.random, shape, x_dtype)}, work


def compare_forms(level: dict[str, str]) -> None:
    for op, x_type, w_type in FORMS:
        for sizes in FORM_CONVOLUTIONS if "Conv" in op else FORM_PRODUCTS:
            model, feeds, work = layer_of_form(op, x_type, w_type, sizes)
            cpu = cpu_us(model, feeds)
            node, us = here(model, feeds, **level)
            print(
                f"{op:13} {x_type}*{w_type} {'x'.join(map(str, sizes)):16} cpu {cpu:8.1f} us {work / cpu * 1e-3:6.1f}"
                f"   here {us:7.1f} us {work / us * 1e-3:6.1f}   predicted {node['cpu_us']:7.1f}, {node['here_us']:7.1f}"
                f"   {node['kernel']}",
                flush=True,
            )


def repeat(run: Callable[[], object]) -> None:
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        run()


def one_thread() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return options


def cpu_us(model: onnx.ModelProto, feeds: Feeds) -> float:
    """Median of the layer's own time, by ONNX Runtime's profile."""
    with tempfile.TemporaryDirectory() as folder:
        options = one_thread()
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "ort")
        session = ort.InferenceSession(serialized(model), options, providers=["CPUExecutionProvider"])
        repeat(lambda: session.run(None, feeds))
        events = json.loads(Path(session.end_profiling()).read_text())
    times: dict[str, list[float]] = {}
    for event in events:
        if event["name"].endswith("_kernel_time"):
            times.setdefault(event["name"], []).append(event["dur"])
    return max(statistics.median(each) for each in times.values())


def here(model: onnx.ModelProto, feeds: Feeds, **options: str) -> tuple[dict[str, Any], float]:
    session = sparse_session(model, one_thread(), min_sparsity=0, **options)
    session.run(None, feeds)
    sparsecpu.measure(session)
    repeat(lambda: session.run(None, feeds))
    (node,) = [node for node in claimed(session) if node["sparsity"] is not None]
    return node, node["measured_us"]


def main() -> None:
    layers = byte_layers if "bytes" in sys.argv else float_layers
    level = {"isa": sys.argv[-1]} if sys.argv[-1] in ("scalar", "avx2", "avx512", "avx512_vnni") else {}
    if "forms" in sys.argv:
        return compare_forms(level)
    for zeros in BYTE_ZEROS if "bytes" in sys.argv else FLOAT_ZEROS:
        for name, model, feeds in layers(zeros):
            cpu = cpu_us(model, feeds)
            node, us = here(model, feeds, **level)
            kernels = {node["kernel"]: us}
            if node["kernel"].startswith("jit"):
                other, us = here(model, feeds, jit="off", **level)
                kernels[other["kernel"]] = us
            cells = "  ".join(f"{kernel} {us:6.0f}" for kernel, us in kernels.items())
            density = node["group_sparsity"] if node["group_sparsity"] is not None else node["sparsity"]
            print(
                f"{density:4.0%} {name:20} cpu {cpu:6.0f} /{node['cpu_us']:6.0f}  {cells}  predicted {node['here_us']:6.0f}"
                f"  needs {node['needed_sparsity']:4.0%}",
                flush=True,
            )


if __name__ == "__main__":
    main()
