"""ONNX models as the plain dictionaries that ``sparsecpu_testing`` takes: no session, no provider."""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper, shape_inference

Description = dict[str, Any]


def since_version(op_type: str, opset: int, domain: str) -> int:
    if domain or op_type == "SimplifiedLayerNormalization":  # onnxruntime's own, in ONNX's domain
        return 1
    return onnx.defs.get_schema(op_type, opset, domain).since_version


def _dims(info: onnx.ValueInfoProto) -> list[int | str | None] | None:
    tensor = info.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return [d.dim_value if d.HasField("dim_value") else (d.dim_param or None) for d in tensor.shape.dim]


def optimized(model: onnx.ModelProto, level: ort.GraphOptimizationLevel) -> onnx.ModelProto:
    """What onnxruntime makes of a model on its CPU provider. Providers are asked after ORT_ENABLE_BASIC."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = level
    model.ir_version = min(model.ir_version, 10)
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = f"{folder}/model.onnx"
        ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return onnx.load(options.optimized_model_filepath)


def basic(model: onnx.ModelProto) -> Description:
    """The graph of a model when a provider sees it."""
    return describe(optimized(model, ort.GraphOptimizationLevel.ORT_ENABLE_BASIC))


def _infer(model: onnx.ModelProto) -> onnx.ModelProto:
    """Shape inference knows no operator of com.microsoft: those here keep the type of their data."""
    while True:
        model = shape_inference.infer_shapes(model)
        known = {i.name: i.type.tensor_type.elem_type for i in [*model.graph.input, *model.graph.value_info]}
        for node in model.graph.node:
            data = node.input[2 if node.op_type == "QLinearConcat" else 0]
            if node.domain == "com.microsoft" and node.output[0] not in known and data in known:
                kind = known[data]
                if node.op_type == "QGemm" and len(node.input) < 8:
                    kind = TensorProto.FLOAT
                model.graph.value_info.append(helper.make_tensor_value_info(node.output[0], kind, None))
                break
        else:
            return model


def describe(model: onnx.ModelProto) -> Description:
    """The graph of a model, shapes inferred, as claim/ sees it."""
    model = _infer(model)
    graph = model.graph
    opsets = {o.domain if o.domain != "ai.onnx" else "": o.version for o in model.opset_import}
    infos = {i.name: i for i in [*graph.input, *graph.value_info, *graph.output]}
    constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    index: dict[str, int] = {}
    values: list[dict[str, Any]] = []

    def value(name: str) -> int:
        if not name:
            return -1
        if name not in index:
            index[name] = len(values)
            if name in constants:
                array = constants[name]
                values.append({"name": name, "type": helper.np_dtype_to_tensor_dtype(array.dtype), "array": array})
            else:
                info = infos.get(name)
                kind = info.type.tensor_type.elem_type if info is not None else TensorProto.FLOAT
                dims = _dims(info) if info is not None else None
                values.append({"name": name, "type": kind, "dims": dims})
        return index[name]

    nodes = []
    for node in graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        nodes.append(
            {
                "name": node.name,
                "op_type": node.op_type,
                "domain": node.domain,
                "since_version": since_version(node.op_type, opsets.get(node.domain, 1), node.domain),
                "inputs": [value(i) for i in node.input],
                "outputs": [value(o) for o in node.output],
                "attributes": {
                    k: v.decode() if isinstance(v, bytes) else v
                    for k, v in attributes.items()
                    if isinstance(v, (int, float, bytes, list))
                },
            }
        )
    return {
        "values": values,
        "nodes": nodes,
        "inputs": [value(i.name) for i in graph.input if i.name not in constants],
        "outputs": [value(o.name) for o in graph.output],
    }


class Network:
    """Builds a model node by node; each method returns the name of its output."""

    def __init__(self, opset: int = 17, seed: int = 0) -> None:
        self.opset = opset
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, shape: list[int | str | None] | None, kind: int = TensorProto.FLOAT) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def constant(self, array: np.ndarray[Any, Any] | list[Any] | float, dtype: Any = np.float32) -> str:
        name = f"constant{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(array, dtype=dtype), name))
        return name

    def weight(self, shape: tuple[int, ...], sparsity: float) -> str:
        array = self.random.standard_normal(shape).astype(np.float32)
        array[self.random.random(shape) < sparsity] = 0
        return self.constant(array)

    def add(self, op_type: str, *inputs: str, outputs: int = 1, domain: str = "", **attributes: Any) -> str:
        names = [f"value{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(
            helper.make_node(op_type, list(inputs), names, name=f"node{len(self.nodes)}", domain=domain, **attributes)
        )
        return names[0]

    def conv(self, x: str, channels: int, out: int, kernel: int = 3, sparsity: float = 0.0, **attributes: Any) -> str:
        groups = attributes.get("group", 1)
        attributes.setdefault("pads", [kernel // 2] * 4)
        weight = self.weight((out, channels // groups, kernel, kernel), sparsity)
        return self.add("Conv", x, weight, self.constant(np.zeros(out)), **attributes)

    def model(self, *outputs: str) -> onnx.ModelProto:
        infos = [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs]
        graph = helper.make_graph(self.nodes, "network", self.inputs, infos, self.initializers)
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=opsets)

    def describe(self, *outputs: str) -> Description:
        return describe(self.model(*outputs))
