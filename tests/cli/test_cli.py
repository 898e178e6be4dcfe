"""The command line: what it prints, and one sentence with exit status 2 for a user's mistake."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from harness import PROVIDER, child, run_child
from onnxruntime_ep_sparsecpu import cli, models, tools
from onnxruntime_ep_sparsecpu.commands import COMMANDS


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("cli") / "encoder.onnx"
    onnx.save(models.bert(0.9, batch="n", sequence="s", layers=1), path)
    return str(path)


def test_demo(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo", "--network", "mobilenet", "--rounds", "2", "--threads", "1"]) == 0
    text = capsys.readouterr().out
    for part in ("CPUExecutionProvider", PROVIDER, "Largest difference", "Conv"):
        assert part in text


def test_explain_table(encoder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", encoder]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 100
    for node in onnx.load(encoder).graph.node:
        if node.op_type in ("Softmax", "LayerNormalization"):
            assert node.name in text
    assert "90.0%" in text
    assert "Predicted for n = 1, s = 128" in text


def test_explain_json(encoder: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--option", "min_sparsity=0", "--option", "assume=s=16,n=2"]
    assert cli.main(["explain", encoder, "--json", *options]) == 0
    report = json.loads(capsys.readouterr().out)
    nodes = report["graphs"][0]["nodes"]
    here = [node for node in nodes if node["provider"] == PROVIDER]
    assert report["totals"]["nodes"] == len(nodes)
    assert report["totals"]["claimed_nodes"] == len(here) >= 6
    assert report["totals"]["packed_bytes"] == sum(node["packed_bytes"] for node in here)
    assert report["totals"]["packed_bytes"] < report["totals"]["dense_bytes"]
    assert report["assumed"] == {"n": 2, "s": 16}
    assert all(node["reason"] for node in nodes)


def test_explain_takes_shapes_as_the_commands_that_run_a_model(
    encoder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["explain", encoder, "--json", "--shape", "s=16"]) == 0
    explained = json.loads(capsys.readouterr().out)
    assert explained["assumed"] == {"n": 1, "s": 16}
    assert cli.main(["benchmark", encoder, "--json", "--shape", "s=16", "-t", "0.01", "-w", "0.01"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert measured["options"] == explained["options"] == {"assume": "n=1,s=16"}
    assert measured["totals"] == explained["totals"]


def test_axes_of_inner_graphs_and_values_may_be_assumed() -> None:
    """Those that the model file declares: of what is computed, and of the body of an If."""
    g = models.GraphBuilder(sparsity=0.9)
    model = g.model({"x": ["n", 64]}, {g.op("Relu", [g.gemm("x", 64, 64)]): ["m", 64]})
    float32 = onnx.TensorProto.FLOAT
    y = model.graph.output[0].name
    inner = onnx.helper.make_node("MatMul", [y, "w"], ["inner"])
    outer = onnx.helper.make_node("Add", ["inner", "inner"], ["outer"])
    body = onnx.helper.make_graph(
        [inner, outer],
        "body",
        [],
        [onnx.helper.make_tensor_value_info("outer", float32, ["k", 64])],
        value_info=[onnx.helper.make_tensor_value_info("inner", float32, [None, 64])],
    )
    model.graph.node.append(onnx.helper.make_node("If", ["condition"], ["z"], then_branch=body, else_branch=body))
    model.graph.input.append(onnx.helper.make_tensor_value_info("condition", onnx.TensorProto.BOOL, []))
    model.graph.input.append(onnx.helper.make_tensor_value_info("w", float32, [64, 64]))
    for known in ("n", "m", "k", "inner[0]"):
        tools.explain(model, {"assume": f" {known} = 4"})
    for unknown in ("x[1]", "inner[1]", "outer[0]", "body"):
        with pytest.raises(tools.UserError, match="no such symbolic axis"):
            tools.explain(model, {"assume": f"{unknown}=4"})


def test_layers_that_wait_for_sizes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A product that gains with 128 tokens and loses with one: explain says what stating the sizes would bring."""
    model = models.bert(0.85, batch="n", sequence="s", layers=1, hidden=256, heads=4)
    path = tmp_path / "m.onnx"
    onnx.save(model, path)
    waiting = tools.explain(path)["totals"]
    stated = tools.explain(path, {"assume": "n=1,s=128"})["totals"]
    assert stated["left_for_sizes"] == 0 < waiting["left_for_sizes"]
    assert stated["claimed_nodes"] == waiting["claimed_nodes"] + waiting["left_for_sizes"]
    assert cli.main(["explain", str(path)]) == 0
    text = capsys.readouterr().out
    assert f"{waiting['left_for_sizes']} nodes more would run here" in text and "assume=n=1,s=128" in text


def test_a_model_in_every_form(encoder: str, tmp_path: Path) -> None:
    """A path, as text or not, what is in memory, and what open_source makes of one of these."""
    out, dense = tmp_path / "out.onnx", models.bert(0.0, sequence=16, layers=1, hidden=64, heads=2)
    onnx.save(dense, tmp_path / "dense.onnx")
    every = {"min_sparsity": "0"}
    for form in (str, Path, onnx.load, tools.open_source):
        source, target = form(tmp_path / "dense.onnx"), out if form is Path else str(out)
        tools.prune(source, target, 0.9)
        pruned = form(out)
        report = tools.explain(pruned, every)
        assert report["totals"]["claimed_nodes"] > 0
        assert sum(tools.annotate(pruned, report, tmp_path / "annotated.onnx").values()) == len(dense.graph.node)
        feeds = tools.make_feeds(pruned)
        assert tools.compare(pruned, options=every)["equal"] and tools.compare(pruned, feeds, every)["equal"]
        assert tools.benchmark(pruned, seconds=0.01, warm_up=0.01)["results"]
        assert tools.profile(pruned, options=every, runs=1)["rows"]
        assert tools.evaluate(source, pruned, [feeds], seconds=0.01)["outputs"]


def test_explain_shows_names_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Brackets in names are no markup."""
    g = models.GraphBuilder(sparsity=0.9)
    y = g.gemm("x", 64, 64)
    model = g.model({"x": ["[bold]n", 64]}, {y: ["[bold]n", 64]})
    model.graph.node[0].name = "[red]layer"
    onnx.save(model, tmp_path / "m.onnx")
    assert cli.main(["explain", str(tmp_path / "m.onnx")]) == 0
    assert "[red]layer" in capsys.readouterr().out


def test_mistakes(encoder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.onnx").write_text("no model")
    mistakes = {
        "no such file": ["explain", str(tmp_path / "missing.onnx")],
        "text.onnx": ["explain", str(tmp_path / "text.onnx")],
        "KEY=VALUE": ["explain", encoder, "--option", "isa"],
        "isa": ["explain", encoder, "--option", "isa=mmx"],
        "colour": ["explain", encoder, "--option", "colour=red"],
        "assume=q=...: the model has no such symbolic axis (there are: n, s)": [
            "explain",
            encoder,
            "--option",
            "assume=n=1,q=3",
        ],
        "no input has such a symbolic axis (there are: n, s)": ["explain", encoder, "--shape", "q=3"],
        "not by both": ["explain", encoder, "--shape", "s=3", "--option", "assume=n=2"],
    }
    for part, arguments in mistakes.items():
        assert cli.main(arguments) == 2
        captured = capsys.readouterr()
        assert part in captured.err
        assert len(captured.err.splitlines()) == 1
        assert captured.out == ""


BAD_USAGE = {
    "COMMAND": [],
    "MODEL": ["explain"],
    "2 is not between 0 and 1": ["demo", "--sparsity", "2"],
    "many is no number": ["demo", "--sparsity", "many"],
    "0 is less than 1": ["demo", "--rounds", "0"],
    "1.5 is no whole number": ["demo", "--rounds", "1.5"],
    "unrecognized arguments: --fast": ["explain", "model.onnx", "--fast"],
}


@pytest.mark.parametrize(("part", "arguments"), BAD_USAGE.items())
def test_bad_usage(part: str, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert part in error and len(error.splitlines()) == 1


def environment() -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    return {**plain, "PYTHONUNBUFFERED": "1", "TERM": "xterm-256color"}


COMMAND = [sys.executable, "-m", "onnxruntime_ep_sparsecpu"]


@pytest.mark.parametrize("disposition", [signal.SIG_DFL, signal.SIG_IGN])
def test_interruption_is_quiet(disposition: signal.Handlers) -> None:
    """Ctrl-C while sessions run; also where the tests run under nohup."""
    arguments = ["demo", "--network", "mobilenet", "--rounds", "1000000"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    before = signal.signal(signal.SIGINT, disposition)
    try:
        with child([*COMMAND, *arguments], env=environment(), **pipes) as process:
            assert process.stdout is not None and process.stderr is not None
            assert b"mobilenet" in process.stdout.readline()
            process.send_signal(signal.SIGINT)
            assert process.wait() == 130
            assert process.stderr.read() == b""
    finally:
        signal.signal(signal.SIGINT, before)


def test_colours_only_on_a_terminal(encoder: str) -> None:
    piped = run_child([*COMMAND, "explain", encoder], env=environment())
    assert piped.returncode == 0 and "\x1b" not in piped.stdout
    master, terminal = pty.openpty()
    with child([*COMMAND, "explain", encoder], stdout=terminal, env=environment()) as process:
        os.close(terminal)
        shown = b""
        with contextlib.suppress(OSError):  # Linux's end of a terminal
            while part := os.read(master, 65536):
                shown += part
        assert process.wait() == 0
    os.close(master)
    assert b"\x1b[1m" in shown and b"Softmax" in shown


@pytest.mark.parametrize("arguments", [["--help"], *([command.name, "--help"] for command in COMMANDS)])
def test_help_has_an_example(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "examples:\n  sparsecpu" in text
    assert max(map(len, text.splitlines())) <= 100
