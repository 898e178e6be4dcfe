"""Measured times in a session's report: which nodes get them, and how runs are counted."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import onnx
import onnxruntime as ort
import onnxruntime_ep_sparsecpu as sparsecpu
import pytest
from harness import PROVIDER, sparse_session
from onnxruntime_ep_sparsecpu import models
from onnxruntime_ep_sparsecpu.tools.source import quantize

Report = dict[str, Any]
NETWORKS = {
    "resnet50": lambda: models.resnet50(0.9, height=64, width=64),
    "resnet50 int8": lambda: quantize(models.resnet50(0.9, height=64, width=64)),
    "bert": lambda: models.bert(0.9, layers=1, sequence=16),
}


@pytest.fixture(scope="module", params=NETWORKS)
def network(request: pytest.FixtureRequest) -> onnx.ModelProto:
    return NETWORKS[request.param]()


def measured(session: ort.InferenceSession, feed: Any, runs: int) -> Report:
    sparsecpu.measure(session)
    for _ in range(runs):
        session.run(None, feed)
    sparsecpu.measure(session, on=False)
    return sparsecpu.report(session)


def claimed(report: Report) -> Iterator[tuple[Report, list[Report]]]:
    """Every node that runs here, with all nodes of its graph."""
    for graph in report["graphs"]:
        for node in graph["nodes"]:
            if node["provider"] == PROVIDER:
                yield node, graph["nodes"]


def test_every_claimed_node_has_a_time_or_the_node_that_has_it(network: onnx.ModelProto) -> None:
    session = sparse_session(network, min_sparsity=0)
    report = measured(session, models.random_inputs(network), 3)
    fused = 0
    for node, nodes in claimed(report):
        if node["computed_in"] is None:
            assert node["measured_us"] is not None and node["measured_us"] >= 0
            continue
        fused += 1
        host = nodes[node["computed_in"]]
        assert node["measured_us"] is None and node["region"] == host["region"]
        assert host["computed_in"] is None and (host["measured_us"] > 0 or host["kernel"] == "relabel")
    assert fused > 0, "nothing was fused: the test shows less than it should"
    layers = [node for node, _ in claimed(report) if node["multiply_adds"] > 0]
    assert layers and all(node["measured_us"] > 0 for node in layers)


def test_times_of_the_steps_add_up_to_less_than_the_call(network: onnx.ModelProto) -> None:
    session = sparse_session(network, min_sparsity=0)
    report = measured(session, models.random_inputs(network), 3)
    for index, region in enumerate(report["regions"]):
        nodes = [node for node, _ in claimed(report) if node["region"] == index]
        steps = sum((node["measured_us"] or 0) + sum(node["layout_us"].values()) for node in nodes)
        assert 0 < steps <= region["measured_us"] * (1 + 1e-6)
    kinds = {kind for node, _ in claimed(report) for kind in node["layout_us"]}
    assert "import" in kinds and kinds <= {"import", "export", "relayout", "halo", "copy"}


def test_counts_only_what_is_measured() -> None:
    model = models.mobilenet_v1(0.9, height=32, width=32)
    feed = models.random_inputs(model)
    session = sparse_session(model, min_sparsity=0)
    session.run(None, feed)
    before = sparsecpu.report(session)
    assert all(region["measured_runs"] == 0 and region["measured_us"] is None for region in before["regions"])
    assert all(node["measured_us"] is None and node["layout_us"] == {} for node, _ in claimed(before))
    first = measured(session, feed, 4)
    session.run(None, feed)
    assert sparsecpu.report(session) == first, "runs count although measuring is off"
    again = measured(session, feed, 2)
    assert {region["measured_runs"] for region in first["regions"]} == {4}
    assert {region["measured_runs"] for region in again["regions"]} == {2}


def test_runs_at_once_are_all_counted() -> None:
    model = models.mobilenet_v1(0.9, height=32, width=32)
    feed = models.random_inputs(model)
    session = sparse_session(model, min_sparsity=0)
    sparsecpu.measure(session)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: session.run(None, feed), range(40)))
    assert {region["measured_runs"] for region in sparsecpu.report(session)["regions"]} == {40}


def test_sessions_are_measured_apart() -> None:
    model = models.mobilenet_v1(0.9, height=32, width=32)
    feed = models.random_inputs(model)
    one, other = sparse_session(model, min_sparsity=0), sparse_session(model, min_sparsity=0)
    sparsecpu.measure(one)
    for session in (one, other):
        session.run(None, feed)
    assert {region["measured_runs"] for region in sparsecpu.report(one)["regions"]} == {1}
    assert {region["measured_runs"] for region in sparsecpu.report(other)["regions"]} == {0}


def test_a_value_that_is_no_switch() -> None:
    session = sparse_session(models.mobilenet_v1(0.9, height=32, width=32))
    with pytest.raises(RuntimeError, match="measure' is 'maybe': expected on or off"):
        session.set_ep_dynamic_options({"ep.sparsecpuprovider.measure": "maybe"})


def test_arithmetic_of_a_network() -> None:
    """Convolutions that are claimed and dense ones that are left count alike."""
    model = models.resnet50(0.9)
    nodes = sparsecpu.report(sparse_session(model))["graphs"][0]["nodes"]
    total = sum(node["multiply_adds"] for node in nodes)
    assert 4.0e9 < total < 4.2e9, "ResNet-50 v1.5 has 4.1 G multiply-adds"
    attention = [node for node in _bert_nodes() if node["sparsity"] is None]
    assert sum(node["multiply_adds"] for node in attention) == 2 * 16 * 16 * 768


def _bert_nodes() -> list[Report]:
    model = models.bert(0.9, layers=1, sequence=16)
    nodes: list[Report] = sparsecpu.report(sparse_session(model))["graphs"][0]["nodes"]
    return nodes
