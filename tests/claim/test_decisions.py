"""What is claimed, and the reasons that are given."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from describe import Description, Network
from onnx import TensorProto
from sparsecpu_testing import claim


def ops_of(description: Description, result: dict[str, Any]) -> list[list[str]]:
    return [[description["nodes"][i]["op_type"] for i in region] for region in result["regions"]]


def residual_network(sparsity: float, size: int | str = 56, blocks: int = 4) -> Description:
    g = Network()
    y = g.input("x", ["n", 64, size, size if isinstance(size, int) else "w"])
    for _ in range(blocks):
        z = g.add("Relu", g.conv(y, 64, 64, 3, sparsity))
        y = g.add("Relu", g.add("Add", g.conv(z, 64, 64, 3, sparsity), y))
    return g.describe(g.add("Gemm", g.add("Flatten", g.add("GlobalAveragePool", y)), g.weight((64, 10), 0.0)))


@pytest.mark.parametrize("size", [56, "h"])
def test_a_sparse_residual_network_is_one_region(size: int | str) -> None:
    description = residual_network(0.9, size)
    result = claim(description)
    assert len(result["regions"]) == 1
    ops = ops_of(description, result)[0]
    assert ops.count("Conv") == 8 and ops.count("Add") == 4 and ops.count("Relu") == 8


@pytest.mark.parametrize("isa", [0, 1, 2])
@pytest.mark.parametrize("size", [7, 14, 56])
def test_a_dense_network_is_left_alone(isa: int, size: int) -> None:
    result = claim(residual_network(0.0, size), isa=isa)
    assert result["regions"] == []
    conv = result["decisions"][0]
    assert conv["region"] == -1 and "0 % of the weights are zero" in conv["reason"]
    assert f"3x3 convolution at {size}x{size}" in conv["reason"]


def test_min_sparsity_overrides_the_prediction() -> None:
    description = residual_network(0.0)
    result = claim(description, min_sparsity=0.0)
    assert sum(len(r) for r in result["regions"]) == len(description["nodes"])
    assert claim(description, min_sparsity=0.5)["regions"] == []
    reason = claim(description, min_sparsity=0.5)["decisions"][0]["reason"]
    assert "fewer than min_sparsity 50 %" in reason


def test_negative_zeros_are_zeros() -> None:
    g = Network()
    weight = np.full((64, 64, 3, 3), -0.0, np.float32)
    weight[:, 0] = 1
    result = claim(g.describe(g.add("Conv", g.input("x", [1, 64, 56, 56]), g.constant(weight), pads=[1] * 4)))
    assert result["decisions"][0]["sparsity"] == pytest.approx(63 / 64)
    assert result["decisions"][0]["dense_bytes"] == weight.nbytes


def test_without_neighbours_every_layer_is_its_own_group() -> None:
    description = residual_network(0.95)
    result = claim(description, neighbours=False)
    assert ops_of(description, result) == [["Conv"]] * 8
    relu = result["decisions"][1]
    assert "neighbours is off" in relu["reason"]


def test_siblings_of_one_input_share_a_group() -> None:
    g = Network()
    x = g.input("x", ["batch", "tokens", 768])
    outputs = [g.add("MatMul", x, g.weight((768, 768), 0.9)) for _ in range(3)]
    result = claim(g.describe(*outputs))
    assert result["regions"] == [[0, 1, 2]]
    assert result["assumed"] == {"batch": 1, "tokens": 128}


def test_assumed_sizes_decide() -> None:
    g = Network()
    description = g.describe(g.add("MatMul", g.input("x", ["m", 768]), g.weight((768, 768), 0.7)))
    assert claim(description, assume={"m": 1})["regions"] == []
    reason = claim(description, assume={"m": 1})["decisions"][0]["reason"]
    assert "about 85 % are needed for a matrix product of 1 row" in reason
    assert claim(description, assume={"m": 128})["regions"] == [[0]]


def test_dense_layers_between_sparse_ones_join() -> None:
    g = Network()
    x = g.input("x", [1, 256, 28, 28])
    y = g.conv(x, 256, 256, 1, 0.9)
    for _ in range(4):
        y = g.add("Relu", g.conv(y, 256, 256, 3, group=256))
        y = g.add("Relu", g.conv(y, 256, 256, 1, 0.9))
    description = g.describe(y)
    result = claim(description)
    assert [len(r) for r in result["regions"]] == [len(description["nodes"])]


def test_a_losing_end_is_trimmed() -> None:
    g = Network()
    y = g.input("x", [1, 256, 14, 14])
    for sparsity in (0.0, 0.0, 0.95, 0.95, 0.0, 0.0):
        y = g.add("Relu", g.conv(y, 256, 256, 3, sparsity))
    description = g.describe(y)
    result = claim(description)
    assert len(result["regions"]) == 1
    convs = [i for i in result["regions"][0] if description["nodes"][i]["op_type"] == "Conv"]
    assert convs == [4, 6]


def test_bert_layer_with_symbolic_axes() -> None:
    g = Network()
    x = g.input("x", ["batch", "sequence", 768])

    def dense(y: str, n: int, k: int) -> str:
        return g.add("Add", g.add("MatMul", y, g.weight((k, n), 0.9)), g.constant(np.ones(n)))

    y = g.add("LayerNormalization", dense(x, 768, 768), g.constant(np.ones(768)), axis=-1)
    up = dense(y, 3072, 768)
    half = g.add("Erf", g.add("Div", up, g.constant(2**0.5)))
    gelu = g.add("Mul", g.add("Mul", up, g.add("Add", half, g.constant(1.0))), g.constant(0.5))
    z = g.add("Add", dense(gelu, 768, 3072), y)
    description = g.describe(g.add("LayerNormalization", z, g.constant(np.ones(768)), axis=-1))
    result = claim(description)
    assert [len(region) for region in result["regions"]] == [len(description["nodes"])]


def test_what_another_provider_or_a_subgraph_holds_is_left_alone() -> None:
    description = residual_network(0.9)
    description["nodes"][0]["assigned_elsewhere"] = True
    result = claim(description)
    assert "another provider" in result["decisions"][0]["reason"]
    description = residual_network(0.9)
    user = {"name": "if", "op_type": "If", "domain": "", "since_version": 1, "attributes": {}, "has_subgraph": True}
    description["nodes"].append({**user, "inputs": [description["nodes"][3]["outputs"][0]], "outputs": []})
    result = claim(description)
    assert result["decisions"][3]["region"] == -1 and "a subgraph uses" in result["decisions"][3]["reason"]
    assert "subgraph" in result["decisions"][-1]["reason"] or "not an operator" in result["decisions"][-1]["reason"]


def test_other_types_are_declined_by_name() -> None:
    g = Network()
    x = g.input("x", [1, 8, 8, 8], TensorProto.FLOAT16)
    result = claim(g.describe(g.add("Relu", x)))
    assert "activations are float16; only float32 is supported" in result["decisions"][0]["reason"]


def test_a_graph_of_ten_thousand_nodes_takes_seconds_at_most() -> None:
    g = Network()
    y = g.input("x", [1, 16, 56, 56])
    weight, bias = g.weight((16, 16, 3, 3), 0.9), g.constant(np.zeros(16))
    for i in range(2500):
        z = g.add("Relu", g.add("Conv", y, weight, bias, pads=[1] * 4))
        y = g.add("Softplus" if i % 5 == 0 else "Sigmoid", g.add("Add", z, y))
    description = g.describe(y)
    start = time.perf_counter()
    result = claim(description)
    assert time.perf_counter() - start < 20
    assert result["regions"]


def test_every_node_has_a_reason() -> None:
    for description in (residual_network(0.0), residual_network(0.5), residual_network(0.9)):
        assert all(d["reason"] for d in claim(description)["decisions"])


@pytest.mark.parametrize(("between", "attributes"), [("MatMul", {}), ("Softmax", {"axis": 1}), ("Log", {})])
def test_what_the_cpu_provider_computes_in_integers_keeps_its_neighbours(
    between: str, attributes: dict[str, int]
) -> None:
    """Without them it computes in floats, and its bytes are other ones."""
    g = Network()
    scale, zero = g.constant(0.05), g.constant(128, np.uint8)

    def requantized(value: str) -> str:
        return g.add("DequantizeLinear", g.add("QuantizeLinear", value, scale, zero), scale, zero)

    weight = g.add("DequantizeLinear", g.constant(np.eye(32).reshape(32, 32, 1, 1), np.int8), g.constant(0.02))
    y = requantized(g.add("Conv", requantized(g.input("x", [1, 32, 9, 9])), weight))
    y = g.add(between, *[y] * (2 if between == "MatMul" else 1), **attributes)
    decisions = claim(g.describe(requantized(y)), min_sparsity=0)["decisions"]
    assert sum(d["region"] >= 0 for d in decisions) > 3
    around = [d for d in decisions if f"goes with {between}" in d["reason"]]
    assert len(around) == 2 and all(d["region"] < 0 and "in integers" in d["reason"] for d in around)
