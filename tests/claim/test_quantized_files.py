"""Models that onnxruntime.quantization writes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import sparsecpu_testing as claim
from describe import Network, basic
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

STATIC = {"extra_options": {"WeightSymmetric": True}, "weight_type": QuantType.QInt8}


class Random(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, shape: list[int]) -> None:
        random = np.random.default_rng(0)
        self.feeds = iter([{"x": random.standard_normal(shape).astype(np.float32)} for _ in range(3)])

    def get_next(self) -> Any:
        return next(self.feeds, None)


def images() -> Network:
    g = Network()
    y = g.add("Relu", g.conv(g.input("x", [1, 8, 16, 16]), 8, 16, 3, 0.7))
    z = g.add("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2])
    y = g.conv(g.add("Relu", g.conv(z, 16, 16, 3, 0.7)), 16, 16, 1, 0.7)
    y = g.add("Relu", g.add("Add", y, z))
    y = g.add("Concat", y, g.add("Sigmoid", g.conv(y, 16, 8, 1, 0.5)), axis=1)
    y = g.add("Flatten", g.add("GlobalAveragePool", y))
    g.add("Gemm", y, g.weight((24, 10), 0.5), g.constant(np.ones(10)))
    return g


def tokens() -> Network:
    g = Network()
    y = g.add("Relu", g.add("MatMul", g.input("x", [2, 7, 16]), g.weight((16, 32), 0.7)))
    g.add("MatMul", y, g.weight((32, 16), 0.7))
    return g


def recognised(path: Path) -> Counter[str]:
    """Patterns, counted once a unit; every node has to be recognised."""
    graph = basic(onnx.load(path))
    nodes = claim.recognise(graph)
    for node, decision in zip(graph["nodes"], nodes, strict=True):
        assert decision["ops"] or decision["unit"] >= 0, (node["op_type"], decision["reason"])
    return Counter(n["pattern"] for n in nodes if n["ops"])


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("activations", [QuantType.QUInt8, QuantType.QInt8])
@pytest.mark.parametrize("form", [QuantFormat.QOperator, QuantFormat.QDQ])
@pytest.mark.parametrize("network", [images, tokens])
def test_static(tmp_path: Path, network: Any, form: QuantFormat, activations: QuantType, per_channel: bool) -> None:
    g = network()
    model = g.model(g.nodes[-1].output[0])
    model.ir_version = 8
    onnx.save(model, tmp_path / "float.onnx")
    shape = [d.dim_value for d in g.inputs[0].type.tensor_type.shape.dim]
    quantize_static(tmp_path / "float.onnx", tmp_path / "bytes.onnx", Random(shape), quant_format=form,
                    activation_type=activations, per_channel=per_channel, **STATIC)  # fmt: skip
    patterns = recognised(tmp_path / "bytes.onnx")
    qdq = form == QuantFormat.QDQ
    name = ("qdq " if qdq else "qlinear ") + ("conv" if network is images else "matmul")
    floats = qdq and activations == QuantType.QInt8
    assert patterns[name + " (float in onnxruntime)" if floats else name] == (4 if network is images else 2)


def test_dynamic(tmp_path: Path) -> None:
    g = tokens()
    model = g.model(g.nodes[-1].output[0])
    model.ir_version = 8
    onnx.save(model, tmp_path / "float.onnx")
    quantize_dynamic(tmp_path / "float.onnx", tmp_path / "bytes.onnx", weight_type=QuantType.QInt8)
    assert recognised(tmp_path / "bytes.onnx")["dynamic matmul"] == 2
