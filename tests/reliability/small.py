"""Small models that the reliability tests share."""

from __future__ import annotations

import numpy as np
import onnx
from onnxruntime_ep_sparsecpu.models import Dim, GraphBuilder


def residual_net(sparsity: float = 0.9, *, batch: Dim = "n", height: Dim = "h", width: Dim = "w") -> onnx.ModelProto:
    """Every node of it can run on SparseCPUProvider. Input "x" has 8 channels, the output is [batch, 10]."""
    g = GraphBuilder(11, sparsity)
    x = g.op("Relu", [g.conv("x", 8, 32, 3)])
    x = g.op("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    for _ in range(2):
        y = g.op("Relu", [g.conv(x, 32, 24, 1)])
        x = g.op("Relu", [g.op("Add", [x, g.conv(y, 24, 32, 3, gain=0.5)])])
    return g.model({"x": [batch, 8, height, width]}, {g.classifier(x, 32, 10): [batch, 10]})


def one_conv(
    weight: np.ndarray, shape: list[Dim], bias: np.ndarray | None = None, **attributes: object
) -> onnx.ModelProto:
    """y = Conv(x, weight), with input shape `shape`."""
    g = GraphBuilder()
    inputs = ["x", g.constant(weight)] + ([g.constant(bias)] if bias is not None else [])
    y = g.op("Conv", inputs, **attributes)
    return g.model({"x": shape}, {y: [f"y{axis}" for axis in range(len(shape))]})


def one_product(weight: np.ndarray, shape: list[Dim]) -> onnx.ModelProto:
    """y = x @ weight, with input shape `shape`."""
    g = GraphBuilder()
    y = g.op("MatMul", ["x", g.constant(weight)])
    return g.model({"x": shape}, {y: [f"y{axis}" for axis in range(len(shape))]})


def feed(*shape: int, seed: int = 0) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(seed).standard_normal(shape).astype(np.float32)}
