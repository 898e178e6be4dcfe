"""What is claimed has been packed and planned: what cannot be is not claimed, and everything is packed once."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import onnxruntime_ep_sparsecpu as sparsecpu
import pytest
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "corpus"))
from case import network, node, normal, sparse, sparse_bytes

PROVIDER = "SparseCPUProvider"
EVERYTHING = {"min_sparsity": "0"}


def create(model: bytes, options: dict[str, str] = EVERYTHING) -> ort.InferenceSession:
    return ort.InferenceSession(model, providers=[(PROVIDER, options)])


def nodes_of(session: ort.InferenceSession) -> list[dict[str, Any]]:
    return [node for graph in sparsecpu.report(session)["graphs"] for node in graph["nodes"]]


def packed(session: ort.InferenceSession) -> tuple[int, int]:
    """How many layers were packed for the session, and the bytes of the weights it uses."""
    return sparsecpu.report(session)["layers_packed"], sum(node["packed_bytes"] for node in nodes_of(session))


def test_layer_that_cannot_be_packed_is_left_and_says_why() -> None:
    """The second of three layers has a bias with which its sums may leave int32."""
    q = ["s", "z"]
    nodes = [
        node("QLinearConv", [x, *q, w, "ws", "wz", *q, *bias], [y], name=y, pads=[1] * 4)
        for x, w, bias, y in (("x", "w1", [], "a"), ("a", "w2", ["bias"], "b"), ("b", "w3", [], "y"))
    ]
    constants = {
        "s": np.float32(0.05),
        "z": np.uint8(128),
        "ws": np.float32(0.01),
        "wz": np.int8(0),
        "bias": np.full(64, -(2**31), np.int32),
    }
    constants |= {f"w{i}": sparse_bytes(64, 64, 3, 3)[::step] for i, step in ((1, 1), (2, -1), (3, 1))}
    model = network(nodes, {"x": [1, 64, 9, 9]}, constants, types={"x": np.uint8, "y": np.uint8})
    session = create(model)
    first, second, third = nodes_of(session)
    assert [first["provider"], second["provider"], third["provider"]] == [PROVIDER, "", PROVIDER]
    assert "cannot be packed: output channel 0" in second["reason"] and "32 bits" in second["reason"]
    assert packed(session)[0] == 1  # w1 and w3 are equal
    x = np.random.default_rng(0).integers(0, 256, (1, 64, 9, 9)).astype(np.uint8)
    reference = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(session.run(None, {"x": x})[0], reference.run(None, {"x": x})[0])


def chain(count: int, tokens: int | str, seed: int = 0) -> bytes:
    """Products with one matrix and bias, one after another."""
    nodes = []
    for i in range(count):
        nodes += [node("MatMul", [f"v{i}", "w"], [f"m{i}"]), node("Add", [f"m{i}", "b"], [f"a{i}"])]
        nodes += [node("Relu", [f"a{i}"], [f"v{i + 1}"])]
    w = np.roll(sparse(256, 256), seed)
    return network(nodes, {"v0": [1, tokens, 256]}, {"w": w, "b": normal(256)}, outputs=[f"v{count}"])


@pytest.mark.parametrize("tokens", [1, 128, "tokens"])
def test_layers_of_one_content_are_packed_once(tokens: int | str) -> None:
    one, many = create(chain(1, tokens, seed=1)), create(chain(15, tokens, seed=2))
    assert packed(one)[0] == packed(many)[0] == 1
    assert packed(many)[1] == packed(one)[1] > 0


def test_sessions_share_and_the_last_frees() -> None:
    first = create(chain(2, 16, seed=3))
    second = create(chain(3, 16, seed=3))
    assert [packed(first)[0], packed(second)[0]] == [1, 0]
    x = {"v0": normal(1, 16, 256)}
    before = second.run(None, x)[0]
    del first
    gc.collect()
    np.testing.assert_array_equal(second.run(None, x)[0], before)
    assert packed(create(chain(2, 16, seed=3)))[0] == 0
    del second
    gc.collect()
    assert packed(create(chain(2, 16, seed=3)))[0] == 1


@pytest.mark.parametrize("what", ["bias", "strides", "rows", "transposed"])
def test_layers_that_differ_share_nothing(what: str) -> None:
    """Equal stored weights that mean something else: values are the CPU provider's."""
    w = sparse(64, 64, 3, 3)
    feeds = {"x": normal(1, 64, 12, 12)}
    if what == "bias":
        nodes = [node("Conv", ["x", "w", b], [y], pads=[1] * 4) for b, y in (("b", "a"), ("c", "y"))]
        model = network(nodes, {"x": [1, 64, 12, 12]}, {"w": w, "b": normal(64), "c": normal(64, seed=1)}, ["a", "y"])
    elif what == "strides":
        nodes = [node("Conv", ["x", "w"], [y], strides=[s, s], dilations=[d, d]) for s, d, y in
                 ((1, 1, "a"), (2, 1, "b"), (1, 2, "y"))]  # fmt: skip
        model = network(nodes, {"x": [1, 64, 12, 12]}, {"w": w}, ["a", "b", "y"])
    elif what == "rows":
        feeds = {"x": normal(1, 256), "z": normal(64, 256)}
        nodes = [node("Gemm", [x, "w"], [y], alpha=alpha) for x, alpha, y in
                 (("x", 1.0, "a"), ("z", 1.0, "b"), ("z", 0.5, "y"))]  # fmt: skip
        model = network(nodes, {"x": [1, 256], "z": [64, 256]}, {"w": sparse(256, 256)}, ["a", "b", "y"])
    else:
        feeds = {"x": normal(32, 256)}
        nodes = [node("Gemm", ["x", "w"], [y], transB=t) for t, y in ((0, "a"), (1, "y"))]
        model = network(nodes, {"x": [32, 256]}, {"w": sparse(256, 256)}, ["a", "y"])
    session, reference = create(model), ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    for ours, theirs in zip(session.run(None, feeds), reference.run(None, feeds), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4 * np.abs(theirs).max())
    assert packed(session)[0] == len(session.get_outputs())


def test_branches_of_the_same_names_keep_their_weights() -> None:
    """Both bodies of an If name their values alike; each is shown and compiled by itself."""

    def body(name: str, seed: int) -> Any:
        values = {"w": np.roll(sparse(64, 64), seed), "b": normal(64, seed=seed)}
        nodes = [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Add", ["m", "b"], ["out"])]
        constants = [numpy_helper.from_array(value, key) for key, value in values.items()]
        out = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
        return helper.make_graph(nodes, name, [], [out], constants)

    nodes = [helper.make_node("If", ["c"], ["y"], then_branch=body("then", 1), else_branch=body("else", 2))]
    inputs = {"x": [32, 64], "c": []}
    model = network(nodes, inputs, {}, types={"c": np.bool_})
    session, reference = create(model), ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    assert packed(session)[0] == 2
    for choice in (True, False):
        feeds = {"x": normal(32, 64), "c": np.array(choice)}
        ours, theirs = session.run(None, feeds)[0], reference.run(None, feeds)[0]
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4 * np.abs(theirs).max())
