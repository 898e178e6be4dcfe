"""The programs in examples/, each run as a user would, on small sizes."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import onnx
import onnxruntime as ort
import onnxruntime_ep_sparsecpu as sparsecpu
import pytest
from harness import run_child
from onnxruntime_ep_sparsecpu import models

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def output_of(name: str, *arguments: str) -> str:
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    done = run_child(command)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("examples") / "encoder.onnx"
    onnx.save(models.bert(0.9, batch="n", sequence="s", layers=1, hidden=64, heads=2), path)
    return str(path)


def test_quickstart(encoder: str) -> None:
    assert "region 0" in output_of("quickstart.py")
    assert "SparseCPUProvider:" in output_of("quickstart.py", encoder)


def test_quickstart_on_integers(tmp_path: Path) -> None:
    """Of 32 bits, that choose rows of a table."""
    g = models.GraphBuilder()
    y = g.gemm(g.op("Gather", [g.constant(g.floats((9, 16))), "ids"]), 16, 4)
    model = g.model({"ids": ["n"]}, {y: ["n", 4]})
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.INT32
    onnx.save(model, tmp_path / "m.onnx")
    assert "largest difference: " in output_of("quickstart.py", str(tmp_path / "m.onnx"))


def test_torch_to_server() -> None:
    text = output_of("torch_to_server.py", "--channels", "32", "--size", "64", "--requests", "6", "--port", "0")
    assert "pruned 9 weights to 80% zeros" in text
    assert "6 requests answered" in text


@pytest.mark.parametrize("arguments", [["--random"], []])
def test_sentence_encoder(arguments: list[str]) -> None:
    text = output_of("sentence_encoder.py", "--seconds", "0.1", *arguments)
    difference = text.partition("largest difference of the providers: ")[2].split()[0]
    assert float(difference) < 1e-5
    assert "nodes run on SparseCPUProvider" in text


def test_debug_fallback(encoder: str) -> None:
    text = output_of("debug_fallback.py", "--seconds", "0.1")
    left, _, pruned = text.partition("4. Would more zeros help?")
    assert "are not constant" in left
    assert "of the weights are zero" in left
    assert "3 of 3 layers run" in pruned
    assert "first that differs: none" in text
    assert "removed from the inputs: none" in output_of("debug_fallback.py", encoder, "--seconds", "0.1")


@pytest.mark.parametrize("scenario", ["SingleStream", "Offline"])
def test_mlperf(scenario: str, tmp_path: Path) -> None:
    pytest.importorskip("mlperf_loadgen", reason="mlcommons-loadgen is not installed")
    text = output_of(
        "mlperf.py", "--model", "mobilenet", "--scenario", scenario, "--seconds", "0.2", "--queries", "4",
        "--out", str(tmp_path),
    )  # fmt: skip
    assert f"Scenario : {scenario}" in text
    assert "Result is" in text
    assert (tmp_path / "mlperf_log_detail.txt").exists()


def test_cpp(encoder: str, tmp_path: Path) -> None:
    """Built against the headers of a release, which ONNX Runtime's Python package does not have."""
    if not shutil.which("cmake"):
        pytest.skip("cmake is not installed")
    configure = ["cmake", "-S", str(EXAMPLES / "cpp"), "-B", str(tmp_path)]
    if root := os.environ.get("ONNXRUNTIME_ROOT"):
        configure.append(f"-DONNXRUNTIME_ROOT={root}")
    configured = run_child(configure)
    if "onnxruntime_include" in configured.stderr or "onnxruntime_library" in configured.stderr:
        pytest.skip("no C++ headers of ONNX Runtime: set ONNXRUNTIME_ROOT to the folder of a release")
    assert configured.returncode == 0, configured.stderr
    built = run_child(["cmake", "--build", str(tmp_path)])
    assert built.returncode == 0, built.stdout
    command = [str(tmp_path / "run_sparse"), sparsecpu.get_library_path(), encoder, "min_sparsity=0"]
    done = run_child(command)
    assert done.returncode == 0, done.stderr
    shape = ort.InferenceSession(encoder).get_outputs()[0].shape
    assert len(done.stdout.split(",")[0].split(":")[1].split()) == len(shape)
