"""The ONNX backend node tests of the 8-bit operators, with all parameters constant: the expected outputs of the ONNX
project, on every instruction-set level."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import onnx
import pytest
from harness import PROVIDER, assert_claimed, available_levels, nodes, sparse_session
from onnx import helper, numpy_helper
from onnx.backend.test.case.node import collect_testcases

OPS = ("QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "QuantizeLinear", "DequantizeLinear")
KINDS = {np.dtype(np.uint8), np.dtype(np.int8), np.dtype(np.float32), np.dtype(np.int32)}
# The weights of these cases minus their zero points are no int8.
WIDE = {"test_qlinearconv", "test_qlinearmatmul_2D_uint8_float32", "test_qlinearmatmul_2D_int8_float32"}
# The CPU provider has no ConvInteger with a zero point that is no scalar, and a bare one is left to it.
CPU_PROVIDER_FAILS = {"test_convinteger_with_padding"}


@cache
def cases() -> dict[str, onnx.TestCase]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        every = collect_testcases(None)
    return {
        c.name: c
        for c in every
        if len(c.model.graph.node) == 1 and c.model.graph.node[0].op_type in OPS and supported(c)
    }


def arrays(values: list[object]) -> list[np.ndarray]:
    return [numpy_helper.to_array(v) if isinstance(v, onnx.TensorProto) else np.asarray(v) for v in values]


def supported(case: onnx.TestCase) -> bool:
    """Types of 8, 32 bits: the CPU provider has no kernels for many of the others."""
    inputs, outputs = case.data_sets[0]
    return all(a.dtype in KINDS for a in arrays([*inputs, *outputs]))


def constant_model(name: str) -> tuple[onnx.ModelProto, np.ndarray, list[np.ndarray]]:
    """The case with every input but the first as an initializer; the fed array; the expected outputs."""
    case = cases()[name]
    inputs, expected = (arrays(values) for values in case.data_sets[0])
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    for value, array in zip(list(model.graph.input)[1:], inputs[1:], strict=True):
        model.graph.initializer.append(numpy_helper.from_array(array, value.name))
        model.graph.input.remove(value)
    for opset in model.opset_import:
        opset.version = min(opset.version, 22)
    model.ir_version = min(model.ir_version, 10)
    return model, inputs[0], expected


@pytest.mark.parametrize("level", available_levels())
@pytest.mark.parametrize("name", sorted(set(cases()) - CPU_PROVIDER_FAILS))
def test_case(name: str, level: str) -> None:
    model, x, expected = constant_model(name)
    session = sparse_session(model, min_sparsity=0, isa=level)
    (got,) = session.run(None, {model.graph.input[0].name: x})
    np.testing.assert_array_equal(got, expected[0])
    (node,) = nodes(session)
    assert node["provider"] == PROVIDER or len(node["reason"]) > 10
    assert node["provider"] == PROVIDER or name not in WIDE


@pytest.mark.parametrize("level", available_levels())
@pytest.mark.parametrize("name", ["test_quantizelinear", "test_dequantizelinear"])
def test_quantization_next_to_a_layer(name: str, level: str) -> None:
    """QuantizeLinear before, DequantizeLinear after an identity QLinearMatMul, on a row."""
    model, x, expected = constant_model(name)
    graph, node = model.graph, model.graph.node[0]
    zero = numpy_helper.to_array(next(t for t in graph.initializer if t.name == node.input[2]))
    for label, array in {
        "one": np.float32(1),
        "none": np.int8(0),
        "zero": zero,
        "w": np.eye(x.size, dtype=np.int8),
    }.items():
        graph.initializer.append(numpy_helper.from_array(np.asarray(array), f"identity_{label}"))
    same = ["identity_one", "identity_zero"]
    quantize = node.op_type == "QuantizeLinear"
    source, target = ("bytes", graph.output[0].name) if quantize else (graph.input[0].name, "bytes")
    if quantize:
        node.output[0] = "bytes"
    else:
        node.input[0] = "bytes"
    layer = helper.make_node(
        "QLinearMatMul", [source, *same, "identity_w", "identity_one", "identity_none", *same], [target]
    )
    graph.node.insert(1 if quantize else 0, layer)
    row = [1, x.size]
    for value in (graph.input[0], graph.output[0]):
        value.CopyFrom(helper.make_tensor_value_info(value.name, value.type.tensor_type.elem_type, row))
    session = sparse_session(model, min_sparsity=0, isa=level)
    (got,) = session.run(None, {graph.input[0].name: x.reshape(row)})
    np.testing.assert_array_equal(got, expected[0].reshape(row))
    assert_claimed(session, 1.0, node.op_type, "QLinearMatMul")


@pytest.mark.parametrize("level", available_levels())
@pytest.mark.parametrize(
    "name", ["test_convinteger_with_padding", "test_convinteger_without_padding", "test_matmulinteger"]
)
def test_integer_case_with_its_scale(name: str, level: str) -> None:
    """A bare ConvInteger or MatMulInteger is left alone: it is taken with the Cast and Mul that follow it in models."""
    model, x, expected = constant_model(name)
    graph, sums = model.graph, model.graph.output[0].name
    graph.initializer.append(numpy_helper.from_array(np.float32(0.5), "half"))
    graph.node.append(helper.make_node("Cast", [sums], ["cast"], to=onnx.TensorProto.FLOAT))
    graph.node.append(helper.make_node("Mul", ["cast", "half"], ["scaled"]))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("scaled", onnx.TensorProto.FLOAT, None))
    session = sparse_session(model, min_sparsity=0, isa=level)
    (got,) = session.run(None, {graph.input[0].name: x})
    np.testing.assert_array_equal(got, expected[0].astype(np.float32) * np.float32(0.5))
    (node,) = nodes(session, "ConvInteger", "MatMulInteger")
    assert node["provider"] == PROVIDER, node["reason"]
