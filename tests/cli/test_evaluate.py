"""`sparsecpu evaluate`: what it counts, against the same counted here, and what it says of what does not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from harness import PROVIDER, cpu_session
from onnxruntime_ep_sparsecpu import cli, models
from onnxruntime_ep_sparsecpu.tools import UserError, evaluate, open_source

CPU = "CPUExecutionProvider"
SAMPLES = 40
QUICK = ["-t", "0.05"]


def classifier(seed: int, unit: bool = False) -> onnx.ModelProto:
    """x [n, 16] to 5 scores, or to vectors of length 1; networks of other seeds are near to one another."""
    g = models.GraphBuilder(seed=0)
    weight = g.floats((16, 5)) + 0.3 * np.random.default_rng(seed).normal(size=(16, 5)).astype(np.float32)
    y = g.op("MatMul", ["x", g.constant(weight)])
    if unit:
        y = g.op("LpNormalization", [y], axis=1)
    y = g.op("Identity", [y])
    model = g.model({"x": ["n", 16]}, {y: ["n", 5]})
    model.graph.node[-1].output[0] = model.graph.output[0].name = "y"
    return model


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with two of each kind, and inputs with labels."""
    for kind in ("scores", "vectors"):
        for number in range(2):
            onnx.save(classifier(number, kind == "vectors"), tmp_path / f"{kind}{number}.onnx")
    x = np.random.default_rng(9).normal(size=(SAMPLES, 16)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=x, right=np.arange(SAMPLES) % 5)
    np.savez(tmp_path / "x.npz", x=x)
    np.savez(tmp_path / "labels.npz", right=np.arange(SAMPLES) % 5)
    return tmp_path


def results(files: Path, kind: str) -> list[np.ndarray]:
    x = np.load(files / "x.npz")["x"]
    return [cpu_session(files / f"{kind}{number}.onnx").run(None, {"x": x})[0] for number in range(2)]


def evaluated(files: Path, kind: str, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    command = ["evaluate", str(files / f"{kind}0.onnx"), str(files / f"{kind}1.onnx"), *QUICK, "--json", *more]
    assert cli.main(command) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert result["samples"] == SAMPLES
    return result


def nearest(vectors: np.ndarray) -> list[list[int]]:
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return [[other for other in np.argsort(-(units @ unit)) if other != i][:10] for i, unit in enumerate(units)]


def common(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.mean([len({*a} & {*b}) / 10 for a, b in zip(nearest(one), nearest(other), strict=True)]))


def test_scores_of_classes(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = evaluated(files, "scores", capsys, "--inputs", str(files / "data.npz"), "--labels", "right")
    a, b = results(files, "scores")
    (row,) = result["outputs"]
    assert row["relative_error"] == pytest.approx(np.abs(a - b).max() / np.abs(a).max(), rel=1e-3)
    cosines = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert row["cosine"] == pytest.approx(cosines.mean(), rel=1e-4)
    assert row["same_class"] == pytest.approx((a.argmax(1) == b.argmax(1)).mean())
    assert 0.3 < row["same_class"] < 1
    assert row["neighbours"] == pytest.approx(common(a, b), abs=0.01)
    assert row["accuracy"] == pytest.approx([(each.argmax(1) == np.arange(SAMPLES) % 5).mean() for each in (a, b)])
    assert (result["reference"]["provider"], result["candidate"]["provider"]) == (CPU, PROVIDER)
    assert set(result["results"]) == {"reference", "candidate"} and result["comparison"]["ratio"] > 0


def test_embeddings(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--inputs", str(files / "x.npz"), "--labels", str(files / "labels.npz"), "--vs", PROVIDER]
    result = evaluated(files, "vectors", capsys, *arguments)
    (row,) = result["outputs"]
    vectors = results(files, "vectors")
    assert row["same_class"] is None
    assert row["neighbours"] == pytest.approx(common(*vectors), abs=0.01)
    labels = np.arange(SAMPLES) % 5
    votes = [[np.bincount(labels[row]).argmax() for row in nearest(each)] for each in vectors]
    assert row["accuracy"] == pytest.approx([(each == labels).mean() for each in votes])
    assert result["reference"]["provider"] == PROVIDER


def test_tokens_count_where_they_are_some(tmp_path: Path) -> None:
    """The models differ in masked tokens alone."""
    paths = []
    for number in range(3):
        g = models.GraphBuilder()
        mask = g.op("Unsqueeze", [g.op("Cast", ["attention_mask"], to=1), g.ints(2)])
        inside = g.op("Mul", ["x", mask])
        noise = g.op("Mul", [g.op("Sub", [g.constant(np.float32(1)), mask]), g.constant(np.float32(number))])
        change = g.op("Mul", [inside, g.constant(np.array([1, 1, 1, 2 if number == 2 else 1], np.float32))])
        y = g.op("Add", [change, noise])
        model = g.model({"x": ["n", "s", 4], "attention_mask": ["n", "s"]}, {y: ["n", "s", 4]}, 17)
        model.graph.input[1].type.tensor_type.elem_type = onnx.TensorProto.INT64
        paths.append(tmp_path / f"{number}.onnx")
        onnx.save(model, paths[-1])
    mask = np.ones((20, 6), np.int64)
    mask[:, 4:] = 0
    mask[3] = 0
    x = np.random.default_rng(0).normal(size=(20, 6, 4)).astype(np.float32)
    inputs, labels = {"x": x, "attention_mask": mask}, np.zeros(20)
    source = open_source(str(paths[0]))
    (row,) = evaluate(source, open_source(str(paths[1])), inputs, labels, seconds=0.01)["outputs"]
    assert row["relative_error"] == 0 and row["neighbours"] == 1 and row["accuracy"] == [1, 1]
    assert row["cosine"] == pytest.approx(19 / 20)  # the sample without a token has none
    (row,) = evaluate(source, open_source(str(paths[2])), inputs, seconds=0.01)["outputs"]
    assert row["relative_error"] > 0.1 and row["neighbours"] < 1


def test_a_metric_of_the_user(files: Path) -> None:
    def largest(runs: list[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]) -> float:
        assert [feeds["x"].shape for feeds, _ in runs] == [(10, 16)] * 4
        return float(max(outputs["y"].max() for _, outputs in runs))

    x = np.load(files / "x.npz")["x"]
    sources = [open_source(str(files / f"scores{number}.onnx")) for number in range(2)]
    feeds = [{"x": part} for part in np.split(x, 4)]
    shares: list[float] = []
    result = evaluate(*sources, feeds, metric=largest, seconds=0.01, tick=shares.append)
    expected = [each.max() for each in results(files, "scores")]
    assert [result[name]["metric"] for name in ("reference", "candidate")] == pytest.approx(expected, rel=1e-5)
    assert result["runs"] == 4
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1)


def test_table(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models_ = [str(files / f"scores{number}.onnx") for number in range(2)]
    data = ["--inputs", str(files / "data.npz"), "--labels", "right"]
    assert cli.main(["evaluate", *models_, *data, *QUICK]) == 0
    text = capsys.readouterr().out
    for part in ("cosine", "same class", "accuracy A", "40 samples in 3 runs", "x 16x16", "B is", "as fast as A"):
        assert part in text
    assert max(map(len, text.splitlines())) <= 100


def test_labels_that_are_not_asked_for(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models_ = [str(files / f"scores{number}.onnx") for number in range(2)]
    assert cli.main(["evaluate", *models_, "--inputs", str(files / "data.npz"), *QUICK]) == 0
    captured = capsys.readouterr()
    assert "not used, since no input has the name: right (labels: sparsecpu evaluate --labels NAME)" in captured.err
    assert "has no cosine" not in captured.out


def test_outputs_without_a_vector_for_each_sample(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    g = models.GraphBuilder(sparsity=0.9)
    y = g.op("MatMul", ["x", g.constant(g.floats((8, 8)))])
    model = g.model({"x": ["n", "t", 8]}, {y: ["n", "t", 8]})
    (row,) = evaluate(model, model, {"x": np.ones((20, 5, 8), np.float32)}, seconds=0.01)["outputs"]
    assert row["cosine"] is None and "it is float32 [16, 5, 8]; expected" in row["no_vectors"]
    onnx.save(model, tmp_path / "m.onnx")
    np.savez(tmp_path / "x.npz", x=np.ones((20, 5, 8), np.float32))
    m = str(tmp_path / "m.onnx")
    assert cli.main(["evaluate", m, m, "--inputs", str(tmp_path / "x.npz"), *QUICK]) == 0
    text = capsys.readouterr().out
    assert f"{y} has no cosine, classes or neighbours" in text and max(map(len, text.splitlines())) <= 100


def test_mistakes(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b, data = str(files / "scores0.onnx"), str(files / "scores1.onnx"), str(files / "x.npz")
    g = models.GraphBuilder()
    y = g.gemm("other", 16, 5)
    onnx.save(g.model({"other": ["n", 16]}, {y: ["n", 5]}), files / "other.onnx")
    renamed = classifier(0)
    renamed.graph.node[-1].output[0] = renamed.graph.output[0].name = "z"
    onnx.save(renamed, files / "renamed.onnx")
    np.savez(files / "few.npz", right=np.arange(3))
    mistakes = {
        "takes x; ": [a, str(files / "other.onnx"), "--inputs", data],
        "the outputs are y and z": [a, str(files / "renamed.onnx"), "--inputs", data],
        "labels have the shape [3]; expected [40]": [a, b, "--inputs", data, "--labels", str(files / "few.npz")],
        "--labels left: no such file, and": [a, b, "--inputs", data, "--labels", "left"],
        "expected one array": [a, b, "--inputs", data, "--labels", str(files / "data.npz")],
        "holds right; the inputs are x": [a, b, "--inputs", str(files / "labels.npz")],
        "none.npz: no such file": [a, b, "--inputs", str(files / "none.npz")],
        "there is no provider Fast": [a, b, "--inputs", data, "--vs", "Fast"],
    }
    for part, arguments in mistakes.items():
        assert cli.main(["evaluate", *arguments, *QUICK]) == 2, part
        error = capsys.readouterr().err
        assert part in error
        assert len(error.splitlines()) == 1
    with pytest.raises(UserError, match="no samples"):
        evaluate(open_source(a), open_source(b), [])
