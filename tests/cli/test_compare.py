"""`sparsecpu compare`: what it compares, and that it sees a difference where there is one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime_ep_sparsecpu as sparsecpu
import pytest
import small_models
from harness import PROVIDER, available_levels, sparse_session
from onnxruntime_ep_sparsecpu import cli, models, tools
from onnxruntime_ep_sparsecpu.commands.compare import show
from onnxruntime_ep_sparsecpu.commands.output import console
from onnxruntime_ep_sparsecpu.tools.comparison import difference
from onnxruntime_ep_sparsecpu.tools.feeds import assuming

EVERYTHING = ["--option", "min_sparsity=0"]


def compared(capsys: pytest.CaptureFixture[str], status: int, *arguments: str) -> dict[str, Any]:
    assert cli.main(["compare", *arguments, "--json"]) == status
    result = json.loads(capsys.readouterr().out)
    assert result["equal"] == (status == 0)
    return result


@pytest.mark.parametrize("external_data", [False, True])
def test_fused_nodes_are_compared_as_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], external_data: bool
) -> None:
    path = small_models.save(small_models.convolutional(), tmp_path / "m.onnx", external_data)
    result = compared(capsys, 0, path, "--per-op", *EVERYTHING)
    fused = [[node["op_type"] for node in row["fused"]] for row in result["per_op"] if row["op_type"] == "Conv"]
    assert fused == [["Relu"], ["Add", "Relu"]] * 2
    assert not result["unchecked"]
    assert all(0 <= row["relative_error"] < 1e-5 and row["dtype"] == "float32" for row in result["per_op"])


def test_layers_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = small_models.save(small_models.convolutional(), tmp_path / "m.onnx")
    result = compared(capsys, 0, path, "--per-op", "--option", "neighbours=off", *EVERYTHING)
    assert [row["op_type"] for row in result["per_op"]] == ["Conv"] * 4 + ["Gemm"]
    assert not any(row["fused"] for row in result["per_op"])


@pytest.mark.parametrize("isa", available_levels())
def test_int8_is_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str], isa: str) -> None:
    path = small_models.save(small_models.quantized(), tmp_path / "m.onnx")
    result = compared(capsys, 0, path, "--per-op", "--option", f"isa={isa}", *EVERYTHING)
    bytes_ = [row for row in result["per_op"] if row["dtype"] == "uint8"]
    assert {row["op_type"] for row in bytes_} >= {"Conv"}
    assert all(row["same"] == row["size"] and row["max_error"] == 0 for row in bytes_)


def test_the_first_node_that_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Zero times infinity is NaN on the CPU provider; a weight that is skipped makes none."""
    model = small_models.convolutional()
    path = small_models.save(model, tmp_path / "m.onnx")
    x = np.ones((1, 32, 16, 16), np.float32)
    x[0, 5, 8, 8] = np.inf
    np.savez(tmp_path / "x.npz", x=x)
    arguments = [path, "--input", str(tmp_path / "x.npz"), "--per-op", *EVERYTHING]
    result = compared(capsys, 1, *arguments)
    first = next(node for node in model.graph.node if node.op_type == "Conv")
    assert result["first_different"] == first.name
    assert "infinities or NaN" in result["per_op"][0]["note"]
    assert not result["rounding"]
    assert cli.main(["compare", *arguments]) == 1
    text = capsys.readouterr().out
    assert f"Different, first: {first.name}" in text
    assert max(map(len, text.splitlines())) <= 100


def test_tolerance(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = small_models.save(small_models.convolutional(), tmp_path / "m.onnx")
    result = compared(capsys, 1, path, "--tolerance", "1e-12", *EVERYTHING)
    (output,) = result["outputs"]
    assert result["first_different"] == output["value"]
    assert result["cpu_changes"][output["value"]] >= 0


NETWORKS = {
    "convolutions": lambda: small_models.convolutional(),
    "a batch in slices": lambda: small_models.convolutional(images=16),
    "depthwise": lambda: models.mobilenet_v1(0.9, height=32, width=32),
    "int8": lambda: small_models.quantized(),
    "int8 in slices": lambda: small_models.quantized(images=16),
    "tokens": small_models.encoder,
}


@pytest.mark.parametrize("options", [{}, {"min_sparsity": "0"}], ids=["default options", "everything"])
@pytest.mark.parametrize("network", NETWORKS)
def test_every_kernel_is_compared(network: str, options: dict[str, str]) -> None:
    """To read what a kernel makes changes neither what is claimed nor what is fused."""
    source = tools.Source(network, NETWORKS[network]())
    feeds = tools.make_feeds(source.proto, {"n": 2, "s": 9} if network == "tokens" else {})
    result = tools.compare(source, feeds, options, per_op=True)
    nodes = sparsecpu.report(sparse_session(source.proto, **assuming(feeds, source.proto, options)))["graphs"][0][
        "nodes"
    ]
    hosts = {node["name"] for node in nodes if node["provider"] == PROVIDER and node["computed_in"] is None}
    assert {row["node"] for row in result["per_op"]} == hosts
    assert not result["unchecked"]
    assert all(row["equal"] for row in result["per_op"])
    claimed = {value for node in nodes if node["provider"] == PROVIDER for value in node["outputs"]}
    assert len(claimed) == len(result["per_op"]) + result["inside"]


def test_values_are_kept_only_while_they_are_asked_for() -> None:
    model = small_models.convolutional()
    session, feeds = sparse_session(model, min_sparsity=0), tools.make_feeds(model)
    session.run(None, feeds)
    assert not sparsecpu._kept_values(session)
    sparsecpu._keep_values(session, True)
    (output,) = session.run(None, feeds)
    kept = {name.decode(): data for name, _, _, data in sparsecpu._kept_values(session)}
    assert kept[model.graph.output[0].name] == output.tobytes() and len(kept) > 4
    sparsecpu._keep_values(session, False)
    session.run(None, feeds)
    assert not sparsecpu._kept_values(session)
    with pytest.raises(Exception, match="expected on or off"):
        session.set_ep_dynamic_options({"ep.sparsecpuprovider.keep_values": "maybe"})


def test_shapes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = small_models.save(small_models.encoder(), tmp_path / "m.onnx")
    result = compared(capsys, 0, path, "--shape", "s=9", "--shape", "n=2", "--per-op", *EVERYTHING)
    assert result["outputs"][0]["shape"] == [2, 9, 64]
    assert result["per_op"]


def test_nodes_without_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = small_models.convolutional()
    for node in model.graph.node:
        node.ClearField("name")
    result = compared(capsys, 0, small_models.save(model, tmp_path / "m.onnx"), "--per-op", *EVERYTHING)
    assert all(row["node"] for row in result["per_op"])
    assert len({row["value"] for row in result["per_op"]}) == len(result["per_op"]) > 4


def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = small_models.save(small_models.convolutional(), tmp_path / "m.onnx")
    np.savez(tmp_path / "y.npz", y=np.ones(3))
    np.savez(tmp_path / "x.npz", x=np.ones((1, 2), np.float32))
    x = np.ones((1, 32, 16, 16))
    np.savez(tmp_path / "complex.npz", x=x.astype(np.complex64))
    dense = small_models.save(small_models.convolutional(0.0), tmp_path / "dense.onnx")
    mistakes = {
        "the inputs are x": [path, "--input", str(tmp_path / "y.npz")],
        "x has the shape [1, 2]; expected [1, 32, 16, 16]": [path, "--input", str(tmp_path / "x.npz")],
        "x is complex64; expected float32": [path, "--input", str(tmp_path / "complex.npz")],
        "no such file": [path, "--input", str(tmp_path / "none.npz")],
        "all shapes are fixed": [path, "--shape", "n=2"],
        "claims no node of": [dense],
    }
    for part, arguments in mistakes.items():
        assert cli.main(["compare", *arguments]) == 2
        error = capsys.readouterr().err
        assert part in error
        assert len(error.splitlines()) == 1


def test_a_file_with_labels_and_doubles(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = small_models.save(small_models.convolutional(), tmp_path / "m.onnx")
    np.savez(tmp_path / "x.npz", x=np.ones((1, 32, 16, 16)), right=np.ones(1), wrong=np.ones(1))
    assert cli.main(["compare", path, "--input", str(tmp_path / "x.npz"), *EVERYTHING]) == 0
    error = capsys.readouterr().err
    assert "x.npz: not used, since no input has the name: right, wrong (" in error and len(error.splitlines()) == 1


@pytest.mark.parametrize("command", ["compare", "benchmark", "profile"])
def test_random_inputs_that_a_model_does_not_take(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    g = models.GraphBuilder(sparsity=0.9)
    y = g.op("Reshape", [g.gemm("x", 64, 64), g.ints(3, 7, 64)])
    path = small_models.save(g.model({"x": ["n", 64]}, {y: [3, 7, 64]}), tmp_path / "m.onnx")
    assert cli.main([command, path, *EVERYTHING]) == 2
    error = capsys.readouterr().err
    assert "on random inputs, x 1x64; --shape gives other sizes than n=1, and --input" in error
    np.savez(tmp_path / "x.npz", x=np.ones((2, 64), np.float32))
    assert cli.main([command, path, *EVERYTHING, "--input", str(tmp_path / "x.npz")]) == 2
    assert "on random inputs" not in capsys.readouterr().err


def test_what_is_claimed_and_what_a_program_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = small_models.save(small_models.encoder(), tmp_path / "m.onnx")
    assert cli.main(["compare", path, "--shape", "s=9", *EVERYTHING]) == 0
    text = capsys.readouterr().out
    assert "claims 6 of 6 matrix products" in text
    assert "With assume=n=1,s=9: a program needs this option, too." in text


def test_a_difference_that_the_cpu_provider_has_from_itself(capsys: pytest.CaptureFixture[str]) -> None:
    result = tools.compare(small_models.convolutional(), options={"min_sparsity": "0"}, per_op=True, tolerance=1e-12)
    (output,) = result["outputs"]
    assert result["rounding"] == (output["relative_error"] <= 2 * result["cpu_changes"][output["value"]])
    assert not result["saturates"], "no layer is INT8"
    for rounding in (True, False):
        show({**result, "rounding": rounding, "saturates": rounding}, console())
        text = capsys.readouterr().out
        assert ("what the CPU provider differs from itself by" in text) == rounding
        assert (f"Different, first: {result['first_different']}" in text) == (not rounding)
        assert ("without VNNI" in text) == rounding


def test_difference_of_integers() -> None:
    a, b = np.array([1, 2, 250], np.uint8), np.array([1, 3, 250], np.uint8)
    assert difference(a, b)["max_error"] == 1
    assert difference(a, b)["same"] == 2
    assert not difference(a, b)["equal"]
    assert difference(a, b, steps=1)["equal"]


def test_difference_of_floats() -> None:
    want = np.array([[0.5, -2.0], [np.inf, np.nan]], np.float32)
    got = np.array([[0.5, -2.5], [np.inf, np.nan]], np.float32)
    result = difference(got, want)
    assert (result["max_error"], result["relative_error"], result["same"]) == (0.5, 0.25, 3)
    assert not result["equal"]
    assert difference(got, want, tolerance=0.25)["equal"]
    assert not difference(np.zeros_like(want), want, tolerance=9)["equal"]


def test_difference_of_kinds() -> None:
    assert "expected float32 [2]" in difference(np.ones(3, np.float32), np.ones(2, np.float32))["note"]
    assert not difference(np.ones(2), np.ones(2, np.float32))["equal"]
    assert difference(np.array([True]), np.array([True]))["equal"]
    assert difference(np.ones((0, 2), np.float32), np.ones((0, 2), np.float32))["equal"]


def test_a_model_without_nodes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    same = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [2])
    model = onnx.helper.make_model(onnx.helper.make_graph([], "empty", [same], [same]), ir_version=8)
    onnx.save(model, tmp_path / "m.onnx")
    assert cli.main(["compare", str(tmp_path / "m.onnx"), "--per-op"]) == 2
    assert "claims no node" in capsys.readouterr().err
