"""`sparsecpu benchmark`: shapes, scenarios, what is in its results. Times are never asserted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime_ep_sparsecpu as sparsecpu
import pytest
import small_models
from harness import PROVIDER, sparse_session
from onnxruntime_ep_sparsecpu import cli
from onnxruntime_ep_sparsecpu.tools.assignment import with_totals

CPU = "CPUExecutionProvider"
BRIEF = ["-t", "0.05", "-w", "0.01"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return small_models.save(small_models.encoder(), tmp_path_factory.mktemp("benchmark") / "encoder.onnx")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    return small_models.save(
        small_models.convolutional(), tmp_path_factory.mktemp("benchmark") / "image.onnx", external_data=True
    )


def measured(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert cli.main(["benchmark", *arguments, *BRIEF, "--json"]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def test_two_providers_in_turns(encoder: str, capsys: pytest.CaptureFixture[str]) -> None:
    result = measured(capsys, encoder, "--vs", CPU, "--shape", "s=16", "--threads", "1")
    assert result["inputs"] == {"hidden_states": [1, 16, 64]}
    assert list(result["results"]) == [PROVIDER, CPU]
    for timing in result["results"].values():
        assert timing["runs"] >= result["rounds"]
        latency = timing["latency_ms"]
        ordered = [latency[key] for key in ("min", "p50", "p90", "p95", "p99", "max")]
        assert ordered == sorted(ordered)
        assert ordered[0] <= latency["mean"] <= ordered[-1]
        assert timing["items_per_second"] > 0
    comparison = result["comparison"]
    assert (comparison["engine"], comparison["versus"]) == (PROVIDER, CPU)
    assert 0 < comparison["ratio_min"] <= comparison["ratio"] <= comparison["ratio_max"]
    report = sparsecpu.report(sparse_session(encoder, assume="n=1,s=16"))
    assert result["totals"] == with_totals(report)["totals"]


def test_async(encoder: str, capsys: pytest.CaptureFixture[str]) -> None:
    result = measured(capsys, encoder, "-s", "async", "-nstreams", "3", "-e", CPU, "-ncores", "2")
    assert (result["scenario"], result["streams"], result["threads"]) == ("async", 3, 2)
    assert list(result["results"]) == [CPU]
    assert result["results"][CPU]["runs"] >= 3 * result["rounds"]
    assert result["totals"] is None
    assert result["comparison"] is None


@pytest.mark.parametrize(
    "arguments", [["-b", "3"], ["-i", "[3,32,16,16]"], ["--input-shapes", "[3, 32, 16, 16]", "--vs", CPU]]
)
def test_fixed_batch_is_changed(image: str, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    result = measured(capsys, image, *arguments)
    assert result["inputs"] == {"x": [3, 32, 16, 16]}
    assert result["batch"] == 3


def test_symbolic_batch(encoder: str, capsys: pytest.CaptureFixture[str]) -> None:
    result = measured(capsys, encoder, "-b", "2", "--shape", "s=7")
    assert result["inputs"] == {"hidden_states": [2, 7, 64]}


def test_inputs_of_a_file(encoder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "x.npz", hidden_states=np.ones((1, 5, 64), np.float32))
    assert measured(capsys, encoder, "--input", str(tmp_path / "x.npz"))["inputs"] == {"hidden_states": [1, 5, 64]}


def test_builtin_int8(capsys: pytest.CaptureFixture[str]) -> None:
    result = measured(capsys, "mobilenet", "--int8", "--sparsity", "0.8", "-i", "[1,3,64,64]")
    assert result["model"] == "mobilenet, 80% zeros, int8"
    assert result["inputs"] == {"input": [1, 3, 64, 64]}


def test_table_and_export(image: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "result.json"
    assert cli.main(["benchmark", image, "--vs", CPU, "-x", str(path), *BRIEF]) == 0
    text = capsys.readouterr().out
    result = json.loads(path.read_text())
    for part in (image, "sync", PROVIDER, CPU, f"{result['comparison']['ratio']:.2f}x as fast"):
        assert part in text.replace("\n", "")
    assert max(map(len, text.splitlines())) <= 100
    assert cli.main(["benchmark", image, "-q", *BRIEF]) == 0
    assert image not in capsys.readouterr().out


def test_mistakes(encoder: str, image: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mistakes = {
        "expected lists of sizes": [encoder, "-i", "[1,a]"],
        "gives 2 shapes": [encoder, "-i", "[1,2,64],[1,2]"],
        "has 4 axes": [image, "-i", "[1,32]"],
        "give only one of": [encoder, "-i", "[1,2,64]", "-b", "2"],
        "there is no provider": [encoder, "-e", "NoProvider"],
        "--streams is for": [encoder, "--streams", "2"],
        "cannot write": [encoder, "-x", str(tmp_path / "none" / "result.json")],
        "cannot create a session": [encoder, "-i", "[1,2,63]"],
        "is a file": [encoder, "--int8"],
    }
    for part, arguments in mistakes.items():
        assert cli.main(["benchmark", *arguments, *BRIEF]) == 2, part
        error = capsys.readouterr().err
        assert part in error
        assert len(error.splitlines()) == 1
    with pytest.raises(SystemExit):
        cli.main(["benchmark", encoder, "-t", "0"])
