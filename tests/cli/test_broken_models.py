"""Every command on files that are no good model, or an odd one: one sentence and exit status 2, or it just works."""

from __future__ import annotations

import os
import sys
from itertools import pairwise
from pathlib import Path

import broken_models
import numpy as np
import onnx
import pytest
import small_models
from harness import run_child
from onnx import TensorProto
from onnxruntime_ep_sparsecpu import cli
from run_commands import commands

HERE = Path(__file__).resolve().parent
FILES = broken_models.contents()
PARTS = 8  # of the files: each one in a process of its own


def run_all(models: list[Path]) -> list[str]:
    """What every command says on standard error about these models, in a child process."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE.parent), *sys.path])}
    done = run_child([sys.executable, str(HERE / "run_commands.py"), *map(str, models)], env=environment)
    assert done.returncode == 0, done.stderr
    assert "internal error" not in done.stderr, done.stderr
    return done.stderr.splitlines()


@pytest.mark.parametrize("part", range(PARTS))
def test_every_command_on_broken_models(tmp_path: Path, part: int) -> None:
    models = []
    for name, content in list(FILES.items())[part::PARTS]:
        folder = tmp_path / name.replace("/", " ")
        folder.mkdir()
        (folder / "beside.bin").write_bytes(b"x")
        broken_models.save_samples(folder)
        (folder / "model.onnx").write_bytes(content)
        models.append(folder / "model.onnx")
    lines = run_all(models)
    assert len([line for line in lines if line.startswith("status")]) == len(models) * len(commands("", tmp_path))
    for said, status in pairwise(lines):
        if status == "status 2":
            assert said.startswith("sparsecpu: "), said
    assert len(lines) <= 3 * len(models) * len(commands("", tmp_path)), "more than a sentence on a failure"


def test_every_command_on_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "link.onnx").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe.onnx")
    (tmp_path / "secret.onnx").write_bytes(FILES["nothing changed"])
    (tmp_path / "secret.onnx").chmod(0)
    models = [tmp_path / f"{name}.onnx" for name in ("folder", "link", "pipe", "missing")]
    statuses = [line for line in run_all(models) if line.startswith("status")]
    assert statuses == ["status 2"] * len(models) * len(commands("", tmp_path))
    run_all([tmp_path / "secret.onnx"])  # readable all the same where root runs the tests


@pytest.mark.parametrize("arguments", commands("MODEL", Path("FOLDER")))
def test_an_axis_declared_as_minus_one_is_symbolic(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.onnx").write_bytes(FILES["axes declared as -1"])
    broken_models.save_samples(tmp_path)
    places = {"MODEL": str(tmp_path / "m.onnx")}
    given = [places.get(text, text.replace("FOLDER", str(tmp_path))) for text in arguments]
    status = cli.main(given if "-b" in given or given[0] == "explain" else [*given, "--shape", "x[2]=9"])
    assert status == 0, capsys.readouterr().err


def without_a_run(model: onnx.ModelProto) -> onnx.ModelProto:
    """An input whose sizes are not any: 128 tokens, as random inputs have, do not fit into (2, 3)."""
    model.graph.input.append(onnx.helper.make_tensor_value_info("t", TensorProto.FLOAT, ["n"]))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([2, 3]), "shape"))
    model.graph.node.append(onnx.helper.make_node("Reshape", ["t", "shape"], ["reshaped"], "reshape"))
    model.graph.output.append(onnx.helper.make_tensor_value_info("reshaped", TensorProto.FLOAT, [2, 3]))
    return model


@pytest.mark.parametrize("change", ["no run", "text"])
def test_prune_without_inputs_that_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str) -> None:
    """The file is written, and a sentence says why its outputs were not compared."""
    model = without_a_run(small_models.convolutional())
    if change == "text":
        model.graph.input[-1].type.tensor_type.elem_type = TensorProto.STRING
        model.graph.output[-1].type.tensor_type.elem_type = TensorProto.STRING
    path, out = small_models.save(model, tmp_path / "m.onnx"), str(tmp_path / "pruned.onnx")
    assert cli.main(["prune", path, out, "--sparsity", "0.5"]) == 0
    printed = capsys.readouterr().out
    assert "could not be compared: " in printed and {"no run": "cannot run", "text": "input t"}[change] in printed
    onnx.checker.check_model(out)
    assert cli.main(["prune", path, out, "--sparsity", "0.5", "--shape", "m=2"]) == 2
    assert "no input has such a symbolic axis" in capsys.readouterr().err
