"""The ONNX backend node tests of every op that SparseCPUProvider can take, with weights made constant: outputs
are compared with the expected outputs of the ONNX project, on every instruction-set level, with and
without generated code.

Only a layer with constant weights starts a region, so the ops that join regions are tested behind an identity layer
(a 1x1 convolution or a matrix product).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from harness import PROVIDER, Variant, assert_close, every_float_variant, nodes, sparse_session
from onnx import helper, numpy_helper
from onnx.backend.test.case.node import collect_testcases

Case = tuple[onnx.ModelProto, list[np.ndarray], list[np.ndarray]]

# Ops with weights: their inputs from the second on become initializers.
WEIGHTED = {"Conv", "Gemm", "MatMul"}
# Ops that join a region through their first input.
NEIGHBOURS = {
    "Relu", "Clip", "LeakyRelu", "Sigmoid", "HardSigmoid", "HardSwish", "Gelu", "PRelu", "Elu", "Selu", "Celu", "Softplus",
    "Softsign", "Exp", "Sqrt", "Reciprocal", "Abs", "Neg", "Round", "Floor", "Ceil", "Pow",
    "Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "MaxPool",
    "AveragePool", "GlobalAveragePool", "ReduceMean", "BatchNormalization", "GroupNormalization",
    "InstanceNormalization", "Pad", "Resize", "Concat", "Split",
    "Slice", "Flatten", "Reshape",
}  # fmt: skip
# Cases in which the CPU provider itself differs from the ONNX reference: a drop-in keeps to the CPU provider.
CPU_PROVIDER_DIFFERS = (
    "averagepool_2d_ceil_last_window_starts_on_pad",
    "resize_downsample_scales_cubic_align_corners",
    "resize_downsample_scales_linear_align_corners",
)
# Cases whose layer is declined, for the reason given.
DECLINED: dict[str | tuple[str, str], str] = {
    "test_matmul_1d_1d": "the right side has one axis",
    "test_matmul_4d_1d": "the right side has one axis",
    "test_matmul_1d_3d": "the right side has a batch axis",
    "test_matmul_3d": "the right side has a batch axis",
    "test_matmul_4d": "the right side has a batch axis",
    "test_matmul_bcast": "the right side has a batch axis",
    ("MatMul", "test_add_bcast"): "ONNX Runtime makes it a Gemm whose C is an activation that is broadcast",
}
Front = Callable[[onnx.ModelProto, np.ndarray], None]


@cache
def cases() -> dict[str, onnx.TestCase]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        every = collect_testcases(None)
    return {case.name: case for case in every}


def op_of(model: onnx.ModelProto) -> str | None:
    return model.graph.node[0].op_type if len(model.graph.node) == 1 else None


def is_float(model: onnx.ModelProto) -> bool:
    return model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def selected(ops: set[str]) -> list[str]:
    found = [name for name, case in cases().items() if op_of(case.model) in ops and is_float(case.model)]
    return sorted(name for name in found if not any(part in name for part in CPU_PROVIDER_DIFFERS))


def as_arrays(values: list[object]) -> list[np.ndarray]:
    return [numpy_helper.to_array(v) if isinstance(v, onnx.TensorProto) else np.asarray(v) for v in values]


def load(name: str) -> Case:
    case = cases()[name]
    inputs, outputs = case.data_sets[0]
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    return model, as_arrays(inputs), as_arrays(outputs)


def make_constant(model: onnx.ModelProto, inputs: list[np.ndarray], first: int) -> list[np.ndarray]:
    """Turns graph inputs from `first` on into initializers; returns the values that are still fed."""
    for value, array in zip(list(model.graph.input)[first:], inputs[first:], strict=True):
        model.graph.initializer.append(numpy_helper.from_array(array, value.name))
        model.graph.input.remove(value)
    return inputs[:first]


def put_first(model: onnx.ModelProto, kind: str, weight: np.ndarray) -> None:
    """input -> `kind` with this identity weight -> the node's first input."""
    node, source = model.graph.node[0], model.graph.input[0].name
    model.graph.initializer.append(numpy_helper.from_array(weight, "identity_weight"))
    for index, name in enumerate(node.input):
        if name == source:
            node.input[index] = "identity"
    model.graph.node.insert(0, helper.make_node(kind, [source, "identity_weight"], ["identity"]))


def conv_front(model: onnx.ModelProto, x: np.ndarray) -> None:
    weight = np.eye(x.shape[1], dtype=np.float32)
    put_first(model, "Conv", weight.reshape(*weight.shape, *[1] * (x.ndim - 2)))


def matmul_front(model: onnx.ModelProto, x: np.ndarray) -> None:
    put_first(model, "MatMul", np.eye(x.shape[-1], dtype=np.float32))


FRONTS: dict[str, tuple[Front, range]] = {"Conv": (conv_front, range(3, 5)), "MatMul": (matmul_front, range(2, 5))}


def behind(front: str, name: str) -> Case:
    """The case with an identity layer in front; inputs that hold parameters are made constant."""
    model, inputs, expected = load(name)
    dynamic = len(inputs) if op_of(model) in ("Add", "Mul", "Concat") else 1
    feeds = make_constant(model, inputs, dynamic)
    FRONTS[front][0](model, inputs[0])
    return model, feeds, expected


def neighbour_cases() -> list[tuple[str, str]]:
    """(front layer, case) for every rank that the front layer takes."""
    found = []
    for name in selected(NEIGHBOURS):
        x = load(name)[1][0]
        found += [(front, name) for front, (_, ranks) in FRONTS.items() if x.ndim in ranks and x.size > 0]
    return found


def run(
    model: onnx.ModelProto, feeds: list[np.ndarray], variant: Variant
) -> tuple[ort.InferenceSession, list[np.ndarray]]:
    for opset in model.opset_import:
        opset.version = min(opset.version, 22)
    model.ir_version = min(model.ir_version, 10)
    session = sparse_session(model, min_sparsity=0, **variant)
    return session, session.run(None, {v.name: f for v, f in zip(session.get_inputs(), feeds, strict=True)})


@every_float_variant
@pytest.mark.parametrize("name", selected(WEIGHTED))
def test_weighted_op(name: str, variant: Variant) -> None:
    model, inputs, expected = load(name)
    op = op_of(model)
    feeds = make_constant(model, inputs, 1)
    session, outputs = run(model, feeds, variant)
    assert_close(outputs, expected)
    for node in nodes(session, str(op)):
        assert len(node["reason"]) > 10, "a node without a reason"
        if name not in DECLINED:
            assert node["provider"] == PROVIDER, node["reason"]


@every_float_variant
@pytest.mark.parametrize(("front", "name"), neighbour_cases())
def test_neighbour_op(front: str, name: str, variant: Variant) -> None:
    model, feeds, expected = behind(front, name)
    session, outputs = run(model, feeds, variant)
    assert_close(outputs, expected)
    (first,) = nodes(session, "Conv", "MatMul", "Gemm")  # ONNX Runtime may have merged it with an Add
    if (front, name) not in DECLINED:
        assert first["provider"] == PROVIDER, first["reason"]
    left = [node for node in nodes(session) if node["provider"] != PROVIDER]
    assert all(len(node["reason"]) > 10 for node in left), "a declined node without a reason"


# Comparing outputs proves nothing about nodes that fell back: of each of these ops, this case must be claimed.
CLAIMED = {
    "Abs": "test_abs",
    "AveragePool": "test_averagepool_2d_pads_count_include_pad",
    "BatchNormalization": "test_batchnorm_epsilon",
    "Celu": "test_celu",
    "Elu": "test_elu",
    "Flatten": "test_flatten_axis1",
    "GlobalAveragePool": "test_globalaveragepool",
    "GroupNormalization": "test_group_normalization_example",
    "InstanceNormalization": "test_instancenorm_epsilon",
    "LeakyRelu": "test_leakyrelu",
    "MaxPool": "test_maxpool_2d_same_lower",
    "Pad": "test_constant_pad_axes",
    "Relu": "test_relu",
    "Resize": "test_resize_upsample_scales_nearest",
    "Selu": "test_selu",
    "Sigmoid": "test_sigmoid",
    "Softplus": "test_softplus",
    "Softsign": "test_softsign",
}


@pytest.mark.parametrize("op", CLAIMED)
def test_neighbour_is_claimed(op: str) -> None:
    model, feeds, expected = behind("Conv", CLAIMED[op])
    session, outputs = run(model, feeds, {})
    assert_close(outputs, expected)
    left = {node["name"] or node["op_type"]: node["reason"] for node in nodes(session) if node["provider"] != PROVIDER}
    assert not left, left
