"""The report of a session: its nodes are those of the model, with their values and units."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime_ep_sparsecpu as sparsecpu
import pytest
from harness import PROVIDER, sparse_session
from onnx import TensorProto, helper, numpy_helper
from onnxruntime_ep_sparsecpu import models
from onnxruntime_ep_sparsecpu.tools import Source, explain, open_source


def test_values_of_float_nodes() -> None:
    g = models.GraphBuilder(sparsity=0.9)
    y = g.op("Relu", [g.conv("x", 16, 16, 3)])
    model = g.model({"x": [1, 16, 20, 20]}, {y: [1, 16, 20, 20]})
    nodes = sparsecpu.report(sparse_session(model))["graphs"][0]["nodes"]
    assert [(node["inputs"], node["outputs"]) for node in nodes] == [(n.input, n.output) for n in model.graph.node]
    assert [node["unit"] for node in nodes] == [0, 1]


def test_quantized_units() -> None:
    """In QDQ form a Conv is one unit with the DequantizeLinear nodes before it and the QuantizeLinear after it."""
    nodes = sparsecpu.report(sparse_session(open_source("mobilenet", 0.9, int8=True).proto))["graphs"][0]["nodes"]
    convs = [index for index, node in enumerate(nodes) if node["op_type"] == "Conv"]
    assert len(convs) == 27
    for index in convs:
        unit = [node for node in nodes if node["unit"] == index]
        assert {node["op_type"] for node in unit} == {"DequantizeLinear", "Conv", "QuantizeLinear"}
        assert {node["provider"] for node in unit} == {nodes[index]["provider"]}
        made = {value for node in unit for value in node["outputs"]}
        assert made >= set(nodes[index]["inputs"])


def with_function(body: list[onnx.NodeProto] | None) -> onnx.ModelProto:
    """Two convolutions with a function between: of the model, or for None GroupNormalization, which is one of ONNX's; its
    scale is computed, so that it is not claimed."""
    g = models.GraphBuilder(sparsity=0.9)
    scale, shift = g.constant(np.ones(32, np.float32)), g.constant(np.zeros(32, np.float32))
    between = g.op("Identity", [g.conv("x", 32, 32, 3)])
    y = g.op("Relu", [g.conv(between, 32, 32, 3)])
    model = g.model({"x": [1, 32, 20, 20]}, {y: [1, 32, 20, 20]})
    node = next(node for node in model.graph.node if node.op_type == "Identity")
    if body is None:
        normalization = [*node.input, "doubled", shift]
        model.graph.node.insert(0, helper.make_node("Mul", ["given", scale], ["doubled"]))
        model.graph.input.append(helper.make_tensor_value_info("given", onnx.TensorProto.FLOAT, [32]))
        node = next(node for node in model.graph.node if node.op_type == "Identity")
        node.CopyFrom(helper.make_node("GroupNormalization", normalization, node.output, "between", num_groups=4))
    else:
        node.CopyFrom(helper.make_node("Mine", node.input, node.output, "between", domain="my"))
    del model.opset_import[:]
    model.opset_import.extend([helper.make_opsetid("", 21), helper.make_opsetid("my", 1)])
    if body is not None:
        model.functions.append(helper.make_function("my", "Mine", ["i"], ["o"], body, [helper.make_opsetid("", 21)]))
    return model


FUNCTIONS = {
    "GroupNormalization": None,
    "of nodes for the CPU provider": [helper.make_node("Sin", ["i"], ["t"]), helper.make_node("Cos", ["t"], ["o"])],
    "with a node that is claimed": [helper.make_node("Cos", ["i"], ["t"]), helper.make_node("Relu", ["t"], ["o"])],
}


@pytest.mark.parametrize("body", FUNCTIONS.values(), ids=FUNCTIONS)
def test_a_function_that_is_inlined_is_counted_once(body: list[onnx.NodeProto] | None) -> None:
    """ONNX Runtime shows such a graph twice: with the function as a node, then with the nodes of its body."""
    model = with_function(body)
    session = sparse_session(model, min_sparsity=0)
    report = sparsecpu.report(session)
    (graph,) = report["graphs"]
    made = [value for node in graph["nodes"] for value in node["outputs"]]
    assert len(made) == len(set(made)), "a node twice"
    assert not {node["op_type"] for node in graph["nodes"]} & {"GroupNormalization", "Mine"}
    assert not [node["name"] for node in graph["nodes"] if node["name"].startswith(PROVIDER)]
    convolutions = [node for node in graph["nodes"] if node["op_type"] == "Conv"]
    assert len(convolutions) == 2 and all(node["kernel"] and node["provider"] == PROVIDER for node in convolutions)
    for index, node in enumerate(graph["nodes"]):
        assert 0 <= node["unit"] < len(graph["nodes"]) and (node["region"] >= 0) == (node["provider"] == PROVIDER)
        assert (index in report["regions"][node["region"]]["nodes"]) == (node["region"] >= 0)
    assert all(region["fused_node"] for region in report["regions"])
    totals = explain(Source("m", model), {"min_sparsity": "0"})["totals"]
    assert totals["convolutions"] == 2 and totals["multiply_adds"] == 2 * 32 * 32 * 9 * 400


def test_branches_of_one_name_are_two_graphs() -> None:
    w = np.random.default_rng(1).standard_normal((8, 8)).astype(np.float32)
    branches = [
        helper.make_graph(
            [
                helper.make_node("MatMul", ["x", "w"], [f"{name}_t"]),
                helper.make_node(name, [f"{name}_t"], [f"{name}_y"]),
            ],
            "branch",
            [],
            [helper.make_tensor_value_info(f"{name}_y", TensorProto.FLOAT, None)],
        )
        for name in ("Relu", "Tanh")
    ]
    node = helper.make_node("If", ["c"], ["y"], "if", then_branch=branches[0], else_branch=branches[1])
    inputs = [helper.make_tensor_value_info("c", TensorProto.BOOL, [])]
    inputs.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 8]))
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "g", inputs, [output], [numpy_helper.from_array(w, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    report = sparsecpu.report(sparse_session(model, min_sparsity=0))
    assert sorted(g["parent_node"] for g in report["graphs"]) == ["", "if", "if"]
    activations = {n["op_type"] for g in report["graphs"] for n in g["nodes"]} - {"MatMul", "If"}
    assert activations == {"Relu", "Tanh"}


def test_recurrent_layers_are_arithmetic() -> None:
    """Of every operator with multiply-adds that is left to others."""
    rng, f32 = np.random.default_rng(2), TensorProto.FLOAT
    gates, steps, batch, size, hidden = {"LSTM": 4, "GRU": 3, "RNN": 1}, 6, 2, 8, 16
    for op_type, count in gates.items():
        w = rng.standard_normal((1, count * hidden, size)).astype(np.float32)
        r = rng.standard_normal((1, count * hidden, hidden)).astype(np.float32)
        node = helper.make_node(op_type, ["x", "w", "r"], ["y"], op_type, hidden_size=hidden)
        x = helper.make_tensor_value_info("x", f32, [steps, batch, size])
        stored = [numpy_helper.from_array(w, "w"), numpy_helper.from_array(r, "r")]
        graph = helper.make_graph([node], "g", [x], [helper.make_tensor_value_info("y", f32, None)], stored)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        (only,) = sparsecpu.report(sparse_session(model))["graphs"][0]["nodes"]
        assert only["multiply_adds"] == steps * batch * count * hidden * (size + hidden)


@pytest.mark.parametrize("session", [None, "model.onnx"])
def test_what_is_no_session(session: object) -> None:
    for read in (sparsecpu.report, sparsecpu.measure):
        with pytest.raises(TypeError, match="expected an onnxruntime.InferenceSession"):
            read(session)
