"""The report of a session: its nodes are those of the model, with their values and units."""

from __future__ import annotations

import onnxruntime_ep_sparsecpu as sparsecpu
from harness import sparse_session
from onnxruntime_ep_sparsecpu import models
from onnxruntime_ep_sparsecpu.tools import open_source


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
