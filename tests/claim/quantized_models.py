"""Pieces of quantized models, and what recognition makes of them against what onnxruntime computes."""

from __future__ import annotations

from typing import Any

import byte_oracle
import numpy as np
import onnx
import onnxruntime as ort
import sparsecpu_testing
from describe import Network, basic, optimized
from onnx import TensorProto

F, U8, S8 = np.float32, np.uint8, np.int8
FLOAT_FORM = "(float in onnxruntime)"
KINDS = {np.uint8: TensorProto.UINT8, np.int8: TensorProto.INT8}


class Quantized(Network):
    """Pieces of quantized models, with numbers that leave few values saturated."""

    def bytes_input(self, name: str, shape: list[int | str | None], dtype: Any = U8) -> str:
        return self.input(name, shape, KINDS[dtype])

    def parameters(self, scale: Any, zero: Any, dtype: Any) -> tuple[str, str]:
        return self.constant(scale), self.constant(zero, dtype)

    def dq(self, x: str, scale: Any = 0.02, zero: Any = 3, dtype: Any = U8, **attributes: Any) -> str:
        return self.add("DequantizeLinear", x, *self.parameters(scale, zero, dtype), **attributes)

    def q(self, x: str, scale: float = 0.3, zero: int = 0, dtype: Any = U8) -> str:
        return self.add("QuantizeLinear", x, *self.parameters(scale, zero, dtype))

    def weights(self, shape: tuple[int, ...], dtype: Any = S8, zero: int = 0) -> str:
        # Two products with such weights, even with a zero point of 4, stay within int16, where onnxruntime's kernels
        # for CPUs without VNNI saturate.
        w = self.random.integers(-60, 61, shape)
        w[self.random.random(shape) < 0.7] = 0
        return self.constant(w + zero, dtype)

    def bias(self, rows: int, scale: Any) -> str:
        return self.dq(
            self.constant(self.random.integers(-900, 900, rows), np.int32),
            scale,
            np.zeros(np.shape(scale)),
            np.int32,
            **({"axis": 0} if np.ndim(scale) else {}),
        )

    def byte_model(self, output: str, dtype: Any | None = U8) -> onnx.ModelProto:
        model = self.model(output)
        model.graph.output[0].type.tensor_type.elem_type = KINDS[dtype] if dtype else TensorProto.FLOAT
        return model


def computed(model: onnx.ModelProto, feeds: dict[str, Any]) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)[0]


def followed(model: onnx.ModelProto, feeds: dict[str, Any]) -> tuple[Any, list[str]]:
    """The recognised Ops run by the oracle, and their patterns."""
    graph = basic(model)
    nodes = sparsecpu_testing.recognise(graph)
    values = {i: feeds[v["name"]] for i, v in enumerate(graph["values"]) if v["name"] in feeds}
    for node in nodes:
        assert node["ops"] or node["unit"] >= 0, node["reason"]
        for op in node["ops"]:
            window = dict(graph["nodes"][op["node"]]["attributes"])
            if op["kind"] == "quantized_linear" and op["axes"] == "image":
                taps = op["weight"].shape[2]
                window.setdefault("kernel_shape", [int(taps**0.5)] * 2)
            values[op["output"]] = byte_oracle.run(op, [values[i] for i in op["inputs"]], window)
    return values[graph["outputs"][0]], sorted({n["pattern"] for n in nodes})


def check(model: onnx.ModelProto, feeds: dict[str, Any], pattern: str, exact: bool = True) -> None:
    model.ir_version = 10
    expected = computed(model, feeds)
    got, patterns = followed(model, feeds)
    assert got.dtype == expected.dtype and got.shape == expected.shape
    assert any(p.startswith(pattern) for p in patterns), patterns
    assert any(FLOAT_FORM in p for p in patterns) == (not exact), patterns
    if exact:
        np.testing.assert_array_equal(got, expected)
    elif expected.dtype == F:
        np.testing.assert_allclose(got, expected, atol=3e-6 * np.abs(expected).max())
    else:
        assert np.abs(got.astype(int) - expected.astype(int)).max() <= 1


def data(g: Quantized, shape: list[int], dtype: Any = U8) -> Any:
    low, high = byte_oracle.limits(dtype is S8)
    return g.random.integers(low, high + 1, shape).astype(dtype)


def forms(model: onnx.ModelProto) -> list[str]:
    """Operators that onnxruntime's CPU provider runs."""
    return [n.op_type for n in optimized(model, ort.GraphOptimizationLevel.ORT_ENABLE_ALL).graph.node]
