"""Layers that onnxruntime has fused with what follows them, in a file that it has saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from harness import (
    Variant,
    assert_close,
    claimed,
    compare,
    cpu_session,
    every_float_variant,
    nodes,
    saved_by_onnxruntime,
)
from onnxruntime_ep_sparsecpu import models
from onnxruntime_ep_sparsecpu.models import GraphBuilder
from onnxruntime_ep_sparsecpu.tools.weights import find_weights

CONVOLUTIONS: dict[str, dict[str, Any]] = {
    "Relu": {},
    "Sigmoid": {},
    "Tanh": {},
    "LeakyRelu": {"alpha": 0.3},
    "HardSigmoid": {"alpha": 0.3, "beta": 0.4},
    "Clip": {},  # from 0 to 6
}
PRODUCTS = CONVOLUTIONS.keys() - {"Clip"}


def network(activation: str) -> onnx.ModelProto:
    """Conv, activation, Conv, average, Gemm, activation, Gemm."""
    g = GraphBuilder(seed=3, sparsity=0.8)
    limits = [g.constant(np.float32(0)), g.constant(np.float32(6))] if activation == "Clip" else []
    attributes = CONVOLUTIONS[activation]
    y = g.op(activation, [g.conv("x", 8, 24, 3), *limits], **attributes)
    y = g.op("Flatten", [g.op("GlobalAveragePool", [g.conv(y, 24, 40, 1)])])
    layers = [g.constant(g.floats(shape, 0.2)) for shape in ((40, 32), (32,), (10, 32), (10,))]
    y = g.op(activation, [g.op("Gemm", [y, *layers[:2]]), *limits], **attributes)
    y = g.op("Gemm", [y, *layers[2:]], transB=1)
    return g.model({"x": ["n", 8, 14, 14]}, {y: ["n", 10]})


@every_float_variant
@pytest.mark.parametrize("activation", CONVOLUTIONS)
def test_layer_with_its_activation(activation: str, variant: Variant, tmp_path: Path) -> None:
    path = saved_by_onnxruntime(network(activation), tmp_path / "optimized.onnx")
    rng = np.random.default_rng(0)
    feeds = [{"x": rng.standard_normal((n, 8, 14, 14)).astype(np.float32)} for n in (1, 3, 20)]
    session = compare(path, feeds, min_sparsity=0, **variant)
    fused = nodes(session, "FusedConv", "FusedGemm")
    assert [node["op_type"] for node in fused] == ["FusedConv"] + ["FusedGemm"] * (activation in PRODUCTS)
    assert all(node["region"] >= 0 and node["sparsity"] is not None for node in fused), fused


def test_activation_that_does_not_run_here(tmp_path: Path) -> None:
    g = GraphBuilder(sparsity=0.9)
    y = g.op("Softplus", [g.gemm("x", 32, 32)])
    path = saved_by_onnxruntime(g.model({"x": ["n", 32]}, {y: ["n", 32]}), tmp_path / "optimized.onnx")
    session = compare(path, [{"x": np.ones((4, 32), np.float32)}], min_sparsity=0)
    (node,) = nodes(session, "FusedGemm")
    assert node["region"] < 0 and "activation 'Softplus' is not supported" in node["reason"]


def test_whole_network_as_before_it_was_saved(tmp_path: Path) -> None:
    """Every layer that is claimed in the exported file is claimed in the saved one, and its weights are found."""
    model = models.resnet50(0.9, height=64, width=64)
    path = saved_by_onnxruntime(model, tmp_path / "optimized.onnx")
    inputs = models.random_inputs(model)
    session = compare(path, [inputs])
    assert_close(session.run(None, inputs), cpu_session(model).run(None, inputs))
    layers = nodes(session, "Conv", "FusedConv")
    here, exported = claimed(session, "Conv", "FusedConv"), claimed(compare(model, [inputs]), "Conv")
    assert len(layers) == 53 and {node["name"] for node in here} >= {node["name"] for node in exported}
    assert len({node["region"] for node in here}) <= len({node["region"] for node in exported})
    assert len(find_weights(onnx.load(path))) == len(find_weights(model))


def test_file_for_one_machine_says_what_to_do(tmp_path: Path) -> None:
    path = saved_by_onnxruntime(network("Relu"), tmp_path / "all.onnx", ort.GraphOptimizationLevel.ORT_ENABLE_ALL)
    session = compare(path, [{"x": np.ones((1, 8, 14, 14), np.float32)}], min_sparsity=0)
    layers = [node for node in nodes(session, "Conv") if node["domain"]]
    assert layers and all("save it at ORT_ENABLE_EXTENDED" in node["reason"] for node in layers)
