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
from onnxruntime_ep_sparsecpu import cli, models
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


COMMAND = [sys.executable, "-m", "onnxruntime_ep_sparsecpu.cli"]


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
