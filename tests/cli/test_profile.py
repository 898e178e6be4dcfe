"""`sparsecpu profile`: every node has its row, the rows add up to the runs, the trace nests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from harness import PROVIDER
from onnx import TensorProto, helper, numpy_helper
from onnxruntime_ep_sparsecpu import cli, models, tools

Result = dict[str, Any]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("profile") / "encoder.onnx"
    onnx.save(models.bert(0.9, batch="n", sequence="s", layers=1), path)
    return str(path)


def profiled(model: str, axes: dict[str, int], **more: Any) -> Result:
    source = tools.open_source(model)
    return tools.profile(source, tools.make_feeds(source.proto, axes), runs=2, **more)


def rows_of(result: Result, kind: str) -> list[dict[str, Any]]:
    return [row for row in result["rows"] if row["kind"] == kind]


def test_every_node_has_a_row(encoder: str) -> None:
    result = profiled(encoder, {"n": 2, "s": 40}, options={"min_sparsity": "0"}, threads=1)
    assert result["report"]["assumed"] == {"n": 2, "s": 40}, "the prediction is for the shapes that run"
    nodes = result["report"]["graphs"][0]["nodes"]
    here = {i for i, node in enumerate(nodes) if node["provider"] == PROVIDER}
    kernels = rows_of(result, "kernel")
    assert {row["node"] for row in kernels} | {i for row in kernels for i in row["fused"]} == here
    cpu = {row["op_type"] for row in rows_of(result, "cpu")}
    assert cpu >= {node["op_type"] for i, node in enumerate(nodes) if i not in here and node["op_type"] == "Softmax"}
    assert {row["name"] for row in rows_of(result, "layout")} >= {"import"}
    assert len(rows_of(result, "rest")) == 1


def test_rates(encoder: str) -> None:
    result = profiled(encoder, {"s": 64}, options={"min_sparsity": "0"})
    layers = [row for row in rows_of(result, "kernel") if row["bytes_rate"]]
    assert len(layers) == 6
    for row in layers:
        node = result["report"]["graphs"][0]["nodes"][row["node"]]
        useful = node["multiply_adds"] * (1 - node["sparsity"])
        assert row["rate"] == pytest.approx(useful / row["us"] * 1e6)
        assert row["bytes_rate"] == pytest.approx(node["packed_bytes"] / row["us"] * 1e6)
        if result["peak"]["fp32"]:
            assert row["bound"] in ("arithmetic", "weights")
            assert row["efficiency"] >= 0.999 * row["of_peak"] > 0


def test_sums(encoder: str) -> None:
    result = profiled(encoder, {"s": 64})
    counted = [row["us"] for row in result["rows"] if row["kind"] != "rest"]
    assert result["sum_us"] == pytest.approx(sum(counted))
    assert all(us >= 0 for us in counted)
    assert result["total_us"] > 0


def test_bodies_of_an_if_are_counted_once(tmp_path: Path) -> None:
    weight = prune_matrix()
    branch = [
        helper.make_graph(
            [helper.make_node("MatMul", ["x", "w"], [f"{name}_y"], name=f"{name}_product")],
            name,
            [],
            [helper.make_tensor_value_info(f"{name}_y", TensorProto.FLOAT, None)],
        )
        for name in ("yes", "no")
    ]
    choice = helper.make_node("If", ["condition"], ["y"], name="choice", then_branch=branch[0], else_branch=branch[1])
    graph = helper.make_graph(
        [choice],
        "main",
        [
            helper.make_tensor_value_info("condition", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [64, 256]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "if.onnx")
    result = profiled(str(tmp_path / "if.onnx"), {}, options={"min_sparsity": "0"})
    assert not rows_of(result, "cpu"), "the If counts by what runs in it"
    (kernel,) = rows_of(result, "kernel")
    assert kernel["name"] == "yes_product", "only the branch that ran"
    events = [event for event in result["events"] if event["name"] in ("model_run", "choice_kernel_time")]
    whole = sorted(event["dur"] for event in events if event["name"] == "model_run")
    assert result["sum_us"] <= whole[-1]


def prune_matrix() -> np.ndarray:
    return models.prune(np.random.default_rng(0).standard_normal((256, 256)).astype(np.float32), 0.9)


def test_trace_nests(encoder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = tmp_path / "trace.json"
    arguments = ["--runs", "2", "--shape", "s=64", "--option", "min_sparsity=0", "--trace", str(trace)]
    assert cli.main(["profile", encoder, *arguments]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 100
    assert "The rows add up to" in text
    events = json.loads(trace.read_text())["traceEvents"]
    ours = [event for event in events if event["cat"] == PROVIDER]
    regions = [event for event in events if event["name"].startswith(PROVIDER)]
    assert len([event for event in events if event["name"] == "model_run"]) == 2
    assert ours and regions
    for event in ours:
        # ONNX Runtime's events are cut to whole microseconds.
        outside = [
            r for r in regions if r["ts"] <= event["ts"] and event["ts"] + event["dur"] <= r["ts"] + r["dur"] + 2
        ]
        assert outside, f"{event['name']} lies in no region's event"


def test_json_and_all(encoder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["profile", encoder, "--runs", "1", "--shape", "s=32", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["runs"] == 1 and "events" not in result
    assert cli.main(["profile", encoder, "--runs", "1", "--shape", "s=32", "--all", "--option", "min_sparsity=0"]) == 0
    text = capsys.readouterr().out
    for node in onnx.load(encoder).graph.node:
        if node.op_type in ("Erf", "Softmax"):
            assert node.name in text
    assert "in MatMul" in text or "in Gemm" in text


def test_mistakes(encoder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "other.npz", other=np.zeros(3))
    mistakes = {
        "no input has such a symbolic axis (there are: n, s)": ["--shape", "batch=2"],
        "expected a size from 1 on": ["--shape", "s=0"],
        "holds other; the inputs are hidden_states": ["--input", str(tmp_path / "other.npz")],
        "cannot write": ["--runs", "1", "--shape", "s=8", "--trace", str(tmp_path / "missing" / "trace.json")],
    }
    for part, arguments in mistakes.items():
        assert cli.main(["profile", encoder, *arguments]) == 2
        captured = capsys.readouterr()
        assert part in captured.err and len(captured.err.splitlines()) == 1


@pytest.mark.parametrize("repeats", [1, 3])
def test_rates_are_of_the_rows_that_ran(repeats: int, tmp_path: Path) -> None:
    """Rows that only the run tells, in the body of a Loop: chosen = x[condition]; repeats times y = chosen @ w."""
    kept, width = 7, 256
    body = helper.make_graph(
        [
            helper.make_node("Compress", ["x", "condition"], ["chosen"], name="choose", axis=0),
            helper.make_node("MatMul", ["chosen", "w"], ["product"], name="product"),
            helper.make_node("Identity", ["go_on"], ["goes_on"], name="identity"),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
        ],
        [
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("product", TensorProto.FLOAT, None),
        ],
    )
    graph = helper.make_graph(
        [helper.make_node("Loop", ["times", ""], ["y"], name="loop", body=body)],
        "main",
        [
            helper.make_tensor_value_info("condition", TensorProto.BOOL, [None]),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, width]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(prune_matrix(), "w"), numpy_helper.from_array(np.array(repeats), "times")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    feeds = {"condition": np.arange(64) < kept, "x": np.ones((64, width), np.float32)}
    result = tools.profile(tools.open_source(str(tmp_path / "m.onnx")), feeds, options={"min_sparsity": "0"}, runs=2)
    (row,) = rows_of(result, "kernel")
    node = result["report"]["graphs"][row["graph"]]["nodes"][row["node"]]
    assert node["measured_multiply_adds"] == kept * width * width
    assert row["rate"] == pytest.approx(repeats * kept * width * width * (1 - node["sparsity"]) / row["us"] * 1e6)


def test_an_axis_without_a_symbol_is_assumed_as_it_is_fed(tmp_path: Path) -> None:
    g = models.GraphBuilder(sparsity=0.9)
    y = g.gemm("x", 64, 64)
    model = g.model({"x": ["n", 64]}, {y: ["n", 64]})
    model.graph.input[0].type.tensor_type.shape.dim[0].ClearField("dim_param")
    onnx.save(model, tmp_path / "m.onnx")
    result = profiled(str(tmp_path / "m.onnx"), {"x[0]": 40}, options={"min_sparsity": "0"})
    assert result["report"]["assumed"] == {"x[0]": 40}
    (layer,) = [node for node in result["report"]["graphs"][0]["nodes"] if node["multiply_adds"]]
    assert layer["multiply_adds"] == layer["measured_multiply_adds"] == 40 * 64 * 64


def test_a_symbol_that_the_option_cannot_hold(tmp_path: Path) -> None:
    g = models.GraphBuilder(sparsity=0.9)
    y = g.gemm("x", 64, 64)
    onnx.save(g.model({"x": ["max(1,n)=m", 64]}, {y: ["max(1,n)=m", 64]}), tmp_path / "m.onnx")
    assert profiled(str(tmp_path / "m.onnx"), {"max(1,n)=m": 4})["report"]["options"] == {}
