"""Bytes between the operators of a network of floats: QuantizeLinear and DequantizeLinear behind its values, and weights
that are dequantized, as the quantizers of exporters leave them."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from hypothesis import strategies as st
from onnx import numpy_helper
from subject import Subject, Values

Draw = st.DrawFn
LAYERS = ("Conv", "MatMul", "Gemm")
LARGEST_WEIGHT = 60  # onnxruntime's kernels do not saturate then on CPUs without VNNI


def quantized(draw: Draw, subject: Subject) -> Subject:
    """Most values of floats or a part of them, and all weights; unchanged where the CPU provider refuses that."""
    values = subject.values()
    result = copy.deepcopy(subject)
    if values is None:
        return subject
    dtype, share = draw(st.sampled_from([np.uint8, np.uint8, np.int8])), draw(st.sampled_from([0.5, 0.9, 1.0, 1.0]))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    made = [*subject.feeds[0], *(name for node in subject.model.graph.node for name in node.output if name)]
    for name in made:
        if all(run[name].dtype == np.float32 and run[name].size for run in values) and random.random() < share:
            put_behind(result, name, values, dtype)
    for node in list(result.model.graph.node):
        if node.op_type in LAYERS:  # onnxruntime quantizes others itself, so large that its kernels saturate
            dequantize_weight(result, node, draw(st.booleans()))
    result.steps = 2
    result.forget_shapes()
    return result if result.values() is not None else subject


def put_behind(s: Subject, name: str, values: Values, dtype: Any) -> None:
    """With numbers that fit what the value was in all runs."""
    finite = [run[name][np.isfinite(run[name])] for run in values]
    low, high = (
        float(bound) for bound in (min(v.min(initial=0) for v in finite), max(v.max(initial=0) for v in finite))
    )
    limits = np.iinfo(dtype)
    scale = max(high - low, 1e-3) / 255 if dtype is np.uint8 else max(high, -low, 1e-3) / 127
    zero = round(limits.min - low / scale) if dtype is np.uint8 else 0
    numbers = [s.constant(np.float32(scale)), s.constant(dtype(zero))]
    at = s.place_behind(name)
    stored = s.add("QuantizeLinear", [name, *numbers], at=at)
    s.reroute(name, s.add("DequantizeLinear", [stored, *numbers], at=at + 1), at + 2)


def dequantize_weight(s: Subject, node: Any, per_channel: bool) -> None:
    stored = next((t for t in s.model.graph.initializer if t.name == node.input[1] and len(t.dims) >= 2), None)
    if stored is None:
        return
    array = numpy_helper.to_array(stored)
    turned = any(a.name == "transB" and a.i for a in node.attribute)
    axis = 0 if node.op_type == "Conv" or turned else array.ndim - 1
    over = tuple(i for i in range(array.ndim) if i != axis) if per_channel else None
    largest = np.maximum(np.abs(array).max(axis=over, keepdims=True), 1e-6)
    scale = (largest / LARGEST_WEIGHT).astype(np.float32)
    numbers = [
        s.constant(np.rint(array / scale).astype(np.int8)),
        s.constant(scale.reshape(-1) if per_channel else scale.reshape(())),
    ]
    zero = s.constant(np.zeros(numpy_helper.to_array(s.model.graph.initializer[-1]).shape, np.int8))
    at = next(i for i, other in enumerate(s.model.graph.node) if other == node)
    node.input[1] = s.add("DequantizeLinear", [*numbers, zero], at=at, **({"axis": axis} if per_channel else {}))
