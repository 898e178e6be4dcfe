"""Weights as models store them, well formed or not: read without a crash, wrong ones refused with a sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import onnxruntime_ep_sparsecpu as sparsecpu
import pytest
from onnx import TensorProto, helper, numpy_helper

NAME = "SparseCPUProvider"
PROVIDERS = [(NAME, {"min_sparsity": "0"}), "CPUExecutionProvider"]
SIZE = 64


def model_with(*initializers: onnx.TensorProto, nodes: list[onnx.NodeProto] | None = None) -> onnx.ModelProto:
    linear = [helper.make_node("MatMul", ["x", "w"], ["m"], name="linear")]
    relu = [helper.make_node("Relu", ["m"], ["y"], name="activation")]
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", SIZE]) for name in ("x", "y")]
    graph = helper.make_graph((nodes or []) + linear + relu, "main", value[:1], value[1:], list(initializers))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def weights() -> np.ndarray:
    random = np.random.default_rng(1)
    dense = random.standard_normal((SIZE, SIZE)).astype(np.float32) / 4
    return np.where(random.random((SIZE, SIZE)) < 0.9, np.float32(0), dense)


def external(path: Path, *, offset: int = 0, length: int | None = SIZE * SIZE * 4) -> onnx.TensorProto:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[SIZE, SIZE], data_location=TensorProto.EXTERNAL)
    entries = {"location": path.name, "offset": str(offset), "length": None if length is None else str(length)}
    for key, value in entries.items():
        if value is not None:
            tensor.external_data.add(key=key, value=value)
    return tensor


def assert_right(session: ort.InferenceSession) -> None:
    x = np.random.default_rng(2).standard_normal((18, SIZE)).astype(np.float32)
    expected = np.maximum(x.astype(np.float64) @ weights(), 0)
    np.testing.assert_allclose(session.run(None, {"x": x})[0], expected, rtol=1e-4, atol=1e-4)
    assert sparsecpu.report(session)["graphs"]


def test_inline_and_constant_node() -> None:
    tensor = numpy_helper.from_array(weights(), "w")
    assert_right(ort.InferenceSession(model_with(tensor).SerializeToString(), providers=PROVIDERS))
    node = helper.make_node("Constant", [], ["w"], value=tensor)
    assert_right(ort.InferenceSession(model_with(nodes=[node]).SerializeToString(), providers=PROVIDERS))


def test_folded() -> None:
    node = helper.make_node("Transpose", ["v"], ["w"], perm=[1, 0])
    tensor = numpy_helper.from_array(np.ascontiguousarray(weights().T), "v")
    assert_right(ort.InferenceSession(model_with(tensor, nodes=[node]).SerializeToString(), providers=PROVIDERS))


@pytest.mark.parametrize("offset", [0, 4096, 12])
def test_external(tmp_path: Path, offset: int) -> None:
    """An offset of 12 leaves the mapped weights unaligned to a vector."""
    data = tmp_path / "weights.bin"
    data.write_bytes(b"\0" * offset + weights().tobytes())
    onnx.save(model_with(external(data, offset=offset)), tmp_path / "model.onnx")
    assert_right(ort.InferenceSession(tmp_path / "model.onnx", providers=PROVIDERS))


@pytest.mark.parametrize("fault", ["missing file", "short file", "wrong length", "offset past the end"])
def test_malformed_external_data_raises(tmp_path: Path, fault: str) -> None:
    data = tmp_path / "weights.bin"
    tensor = external(data)
    if fault == "short file":
        data.write_bytes(weights().tobytes()[:100])
    elif fault == "wrong length":
        data.write_bytes(weights().tobytes())
        tensor = external(data, length=100)
    elif fault == "offset past the end":
        data.write_bytes(weights().tobytes())
        tensor = external(data, offset=1 << 40)
    onnx.save(model_with(tensor), tmp_path / "model.onnx")
    with pytest.raises(Exception, match=r"\w{3}"):
        ort.InferenceSession(tmp_path / "model.onnx", providers=PROVIDERS)


def test_malformed_inline_data_raises() -> None:
    tensor = numpy_helper.from_array(weights(), "w")
    tensor.raw_data = tensor.raw_data[:100]
    with pytest.raises(Exception, match=r"\w{3}"):
        ort.InferenceSession(model_with(tensor).SerializeToString(), providers=PROVIDERS)


def test_initializer_that_is_an_input_is_no_constant() -> None:
    model = model_with(numpy_helper.from_array(weights(), "w"))
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [SIZE, SIZE]))
    session = ort.InferenceSession(model.SerializeToString(), providers=PROVIDERS)
    x = np.ones((3, SIZE), np.float32)
    assert_right(session)
    np.testing.assert_allclose(session.run(None, {"x": x, "w": 2 * np.eye(SIZE, dtype=np.float32)})[0], 2 * x)


def test_other_element_types_pass_by() -> None:
    """Strings and sub-byte types have no whole-byte element size."""
    int4 = helper.make_tensor("q", TensorProto.INT4, [3], [1, -2, 3])
    scale = numpy_helper.from_array(np.array(1, np.float32), "scale")
    text = helper.make_tensor("words", TensorProto.STRING, [2], [b"a", b"b"])
    empty = numpy_helper.from_array(np.zeros((0, 4), np.float32), "empty")
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "scale"], ["dequantized"]),
        helper.make_node("Identity", ["words"], ["same_words"]),
        helper.make_node("Identity", ["empty"], ["still_empty"]),
    ]
    model = model_with(numpy_helper.from_array(weights(), "w"), int4, scale, text, empty, nodes=nodes)
    for name, kind, shape in (
        ("dequantized", TensorProto.FLOAT, [3]),
        ("same_words", TensorProto.STRING, [2]),
        ("still_empty", TensorProto.FLOAT, [0, 4]),
    ):
        model.graph.output.append(helper.make_tensor_value_info(name, kind, shape))
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    assert_right(ort.InferenceSession(model.SerializeToString(), options, providers=PROVIDERS))
