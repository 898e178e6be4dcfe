"""Small networks for the tests of the commands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnxruntime_ep_sparsecpu import models
from onnxruntime_ep_sparsecpu.tools.source import quantize


def convolutional(sparsity: float = 0.9, images: int = 1) -> onnx.ModelProto:
    """Two blocks of Conv, Relu, Conv, Add, Relu on 16x16 pixels, and a classifier."""
    g = models.GraphBuilder(seed=3, sparsity=sparsity)
    x = "x"
    for _ in range(2):
        y = g.op("Relu", [g.conv(x, 32, 32, 3)])
        x = g.op("Relu", [g.op("Add", [g.conv(y, 32, 32, 1), x])])
    logits = g.classifier(x, 32, 10)
    return g.model({"x": [images, 32, 16, 16]}, {logits: [images, 10]})


def quantized(sparsity: float = 0.9, images: int = 1) -> onnx.ModelProto:
    """With weights of 7 bits: without VNNI, ONNX Runtime's own kernels saturate on larger ones."""
    model = quantize(convolutional(sparsity, images))
    for stored in model.graph.initializer:
        if stored.data_type == onnx.TensorProto.INT8 and len(stored.dims) > 1:
            narrow = np.clip(onnx.numpy_helper.to_array(stored), -63, 63)
            stored.CopyFrom(onnx.numpy_helper.from_array(narrow, stored.name))
    return model


def encoder(sparsity: float = 0.9) -> onnx.ModelProto:
    """One BERT layer, symbolic batch "n" and sequence "s"."""
    return models.bert(sparsity, batch="n", sequence="s", layers=1, hidden=64, heads=2)


def save(model: onnx.ModelProto, path: Path, external_data: bool = False) -> str:
    """external_data: every tensor goes to a file beside it."""
    onnx.save(model, path, save_as_external_data=external_data, location=path.name + ".data", size_threshold=0)
    return str(path)


def tensor(model: onnx.ModelProto, name: str) -> np.ndarray:
    return onnx.numpy_helper.to_array(next(t for t in model.graph.initializer if t.name == name))
