"""`sparsecpu prune --calibrate`: what it takes as data, what it says is wrong with it, and what it leaves behind."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import small_models
from onnxruntime.quantization import CalibrationDataReader
from onnxruntime_ep_sparsecpu import cli, models
from onnxruntime_ep_sparsecpu.tools import UserError, open_source, prune
from onnxruntime_ep_sparsecpu.tools.samples import samples_of
from onnxruntime_ep_sparsecpu.tools.saving import save

SHAPE = (32, 16, 16)


def network() -> onnx.ModelProto:
    """With a symbolic batch."""
    model = small_models.convolutional(0.0)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "n"
    del model.graph.value_info[:]
    return model


def images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 1, (count, *SHAPE)).astype(np.float32)


def arguments(folder: Path, *more: str) -> list[str]:
    path = small_models.save(network(), folder / "m.onnx")
    return ["prune", path, str(folder / "out.onnx"), "--sparsity", "0.6", *more]


def test_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "data.npz", x=images(40))
    assert cli.main(arguments(tmp_path, "--calibrate", str(tmp_path / "data.npz"))) == 0
    text = capsys.readouterr().out
    for part in ("error", "by size", "Gemm", "60.0%", "sparsecpu evaluate", "changed by"):
        assert part in text
    assert max(map(len, text.splitlines())) <= 100
    assert {path.name for path in tmp_path.iterdir()} == {"data.npz", "m.onnx", "out.onnx"}


def test_layers_that_lose_most_and_how_to_leave_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of four layers over one input, one whose weights are all needed."""
    rng = np.random.default_rng(1)
    g = models.GraphBuilder(seed=1)
    sizes = [np.where(rng.random((32, 32)) < 0.3, 1, 1e-4)] * 3 + [np.ones((32, 32))]
    parts = [g.op("MatMul", ["x", g.constant((g.floats((32, 32)) * size).astype(np.float32))]) for size in sizes]
    y = g.op("Concat", parts, axis=1)
    path = small_models.save(g.model({"x": ["n", 32]}, {y: ["n", 128]}), tmp_path / "m.onnx")
    np.savez(tmp_path / "data.npz", x=rng.normal(size=(200, 32)).astype(np.float32), labels=np.ones(200))
    command = [
        "prune",
        path,
        str(tmp_path / "out.onnx"),
        "--sparsity",
        "0.6",
        "--calibrate",
        str(tmp_path / "data.npz"),
    ]
    assert cli.main(command) == 0
    captured = capsys.readouterr()
    assert "not used, since no input has the name: labels" in captured.err
    (line,) = [line for line in captured.out.splitlines() if "--exclude" in line]
    assert f"By far the largest errors: {parts[3]} (" in captured.out
    assert cli.main([*command, *shlex.split(line)]) == 0
    text = capsys.readouterr().out
    assert f"kept, excluded: {parts[3]}" in text and "By far" not in text


def test_every_kind_of_data_gives_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file of many samples, folders of samples with and without the axis of the batch, feeds and a reader."""
    x = images(40)
    np.savez(tmp_path / "all.npz", x=x.astype(np.float64))
    for name, samples in (("batched", x[:, None]), ("single", x)):
        (tmp_path / name).mkdir()
        for i, sample in enumerate(samples):
            np.savez(tmp_path / name / f"{i:02}.npz", x=sample)
    source = open_source(arguments(tmp_path)[1])

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.feeds = iter([{"x": x[i : i + 10]} for i in range(0, 40, 10)])

        def get_next(self) -> Any:
            return next(self.feeds, None)

    weights = []
    for data in ("all.npz", "batched", "single"):
        assert cli.main(arguments(tmp_path, "--json", "--calibrate", str(tmp_path / data))) == 0
        result = json.loads(capsys.readouterr().out)
        assert result["calibration"] == {"all.npz": 3}.get(data, 40)
        weights.append(onnx.load(tmp_path / "out.onnx"))
    for feeds in (Reader(), ({"x": sample[None]} for sample in x), [{"x": x}]):
        prune(source, str(tmp_path / "out.onnx"), 0.6, calibration=feeds)
        weights.append(onnx.load(tmp_path / "out.onnx"))
    for name in (layer["weight"] for layer in result["layers"]):
        first, *others = (small_models.tensor(model, name) for model in weights)
        for other in others:  # sums in another order
            np.testing.assert_allclose(other, first, atol=0.01 * np.abs(first).max())


def test_batches_of_a_fixed_size(tmp_path: Path) -> None:
    model = small_models.convolutional(0.0, images=4)
    np.savez(tmp_path / "data.npz", x=images(12))
    shapes = [feeds["x"].shape for _, feeds in samples_of(tmp_path / "data.npz", model, "calibration")]
    assert shapes == [(4, *SHAPE)] * 3


def test_arrays_that_are_no_samples_side_by_side_are_one_feed(tmp_path: Path) -> None:
    """A state with an axis before that of the batch."""
    g = models.GraphBuilder()
    y = g.op("Add", [g.gemm("x", 8, 4), g.op("ReduceSum", ["state", g.ints(0)], keepdims=0)])
    model = g.model({"x": ["n", 8], "state": [2, "n", 4]}, {y: ["n", 4]})
    feeds = {"x": np.ones((64, 8), np.float32), "state": np.ones((2, 64, 4), np.float32)}
    np.savez(tmp_path / "data.npz", **feeds)
    ((_, found),) = samples_of(tmp_path / "data.npz", model, "calibration")
    assert {name: array.shape for name, array in found.items()} == {"x": (64, 8), "state": (2, 64, 4)}


def convolutions_of_a_constant() -> onnx.ModelProto:
    """The second one sees what the first makes of any image: its bias alone, the same at every pixel."""
    g = models.GraphBuilder(seed=2)
    dead = g.constant(np.zeros((16, 32, 3, 3), np.float32))
    same = g.op("Relu", [g.op("Conv", ["x", dead, g.constant(3.3 * g.floats((16,)))], pads=[1] * 4)])
    biases: list[list[str]] = [[], [g.constant(g.floats((8,)))]]
    after = [g.op("Conv", [same, g.constant(g.floats((8, 16, 3, 3))), *bias]) for bias in biases]
    y = g.op("Sum", [*after, g.op("Conv", ["x", g.constant(g.floats((8, 32, 3, 3)))])])
    return g.model({"x": ["n", *SHAPE]}, {y: ["n", 8, 14, 14]})


@pytest.mark.parametrize("what", ["a constant inside", "blank images", "one sample again and again"])
def test_inputs_that_never_change(what: str, tmp_path: Path) -> None:
    """Layers with a bias lose nothing then, whatever their weights become; the others have one input to make up for."""
    model = convolutions_of_a_constant() if what == "a constant inside" else network()
    x = {"a constant inside": images(40), "blank images": np.full((40, *SHAPE), 1 / 3, np.float32)}
    samples = x.get(what, np.repeat(images(1), 40, axis=0))
    path, out = small_models.save(model, tmp_path / "m.onnx"), tmp_path / "out.onnx"
    result = prune(open_source(path), str(out), 0.6, calibration=[{"x": samples}])
    for layer in result["layers"]:
        assert layer["zeros"] >= round(0.6 * layer["size"])
        assert 0 <= layer["error"] <= layer["magnitude_error"] + 1e-6
    for tensor in onnx.load(out).graph.initializer:
        assert np.isfinite(onnx.numpy_helper.to_array(tensor)).all()
    assert result["outputs"][0]["rms_error"] < (0.9 if what == "a constant inside" else 0.1)


def broken(change: Any) -> dict[str, np.ndarray]:
    x = images(40)
    change(x)
    return {"x": x}


MISTAKES: dict[str, dict[str, np.ndarray]] = {
    "d.npz holds y; the inputs are x": {"y": images(40)},
    "d.npz: x has the shape [40, 32, 16, 9]; expected [n, 32, 16, 16]": {"x": images(40)[..., :9]},
    "d.npz: x has the shape [16, 16]; expected [n, 32, 16, 16]": {"x": images(1)[0, 0]},
    "d.npz: x is complex64; expected float32": {"x": images(40).astype(np.complex64)},
    "d.npz: the input x of Conv 'Conv_3' has infinities or NaN": broken(lambda x: x[7].fill(np.nan)),
    "Gemm 'Gemm_23' sees 9 rows of input in 1 run; expected at least 32": {"x": images(9)},
    "d.npz: x has no samples": {"x": images(0)},
    "Conv 'Conv_3' sees inputs whose squares are no float32 numbers": {"x": 1e30 * images(40)},
}


@pytest.mark.parametrize("part", MISTAKES)
def test_data_that_does_not_fit(part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "d.npz", **MISTAKES[part])
    assert cli.main(arguments(tmp_path, "--calibrate", str(tmp_path / "d.npz"))) == 2
    error = capsys.readouterr().err
    assert part in error and len(error.splitlines()) == 1
    assert not (tmp_path / "out.onnx").exists()


def test_no_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.npz").write_text("no arrays")
    np.save(tmp_path / "one.npy", images(40))
    for part, name in (
        ("holds no .npz file", "empty"),
        ("no such file", "none"),
        ("text.npz is no .npz", "text.npz"),
        ("one.npy holds one array without a name; expected an .npz file", "one.npy"),
    ):
        assert cli.main(arguments(tmp_path, "--calibrate", str(tmp_path / name))) == 2
        error = capsys.readouterr().err
        assert part in error and str(tmp_path / name) in error and len(error.splitlines()) == 1
    with pytest.raises(UserError, match="no samples"):
        prune(open_source(str(tmp_path / "m.onnx")), str(tmp_path / "out.onnx"), 0.6, calibration=[])
    with pytest.raises(UserError, match="feed 2 holds y; the inputs are x"):
        feeds = [{"x": images(40)}, {"y": images(40)}]
        prune(open_source(str(tmp_path / "m.onnx")), str(tmp_path / "out.onnx"), 0.6, calibration=feeds)


def test_a_model_that_does_not_run_on_the_data(tmp_path: Path) -> None:
    model = network()
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([7, 32, 16, 16]), "seven"))
    model.graph.node.insert(0, onnx.helper.make_node("Reshape", ["x", "seven"], ["seven images"], name="sevens"))
    model.graph.node[1].input[0] = "seven images"
    path = small_models.save(model, tmp_path / "m.onnx")
    with pytest.raises(UserError, match=r"calibration feed 1: cannot run .*m\.onnx.*sevens"):
        prune(open_source(path), str(tmp_path / "out.onnx"), 0.6, calibration=[{"x": images(40)}])


def test_external_data(tmp_path: Path) -> None:
    feeds = [{"x": images(20, i)} for i in range(2)]
    results = []
    for name in ("inline", "external"):
        folder = tmp_path / name
        folder.mkdir()
        path = small_models.save(network(), folder / "m.onnx", external_data=name == "external")
        result = prune(open_source(path), str(folder / "out.onnx"), 0.6, calibration=feeds)
        assert result["external_data"] == ("out.onnx.data" if name == "external" else None)
        results.append(onnx.load(folder / "out.onnx"))
    for one, other in zip(*(model.graph.initializer for model in results), strict=True):
        assert (onnx.numpy_helper.to_array(one) == onnx.numpy_helper.to_array(other)).all()


@pytest.mark.parametrize("calibrated", [True, False])
def test_interruption_leaves_nothing(calibrated: bool, tmp_path: Path) -> None:
    path = small_models.save(network(), tmp_path / "m.onnx", external_data=True)
    before = sorted(tmp_path.iterdir())

    def interrupt(share: float) -> None:
        if share > 0.5:
            raise KeyboardInterrupt

    calibration = [{"x": images(40)}] if calibrated else None
    with pytest.raises(KeyboardInterrupt):
        prune(open_source(path), str(tmp_path / "out.onnx"), 0.6, tick=interrupt, calibration=calibration)
    assert sorted(tmp_path.iterdir()) == before


def test_an_older_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    source = open_source(small_models.save(network(), tmp_path / "m.onnx", external_data=True))
    out = tmp_path / "out.onnx"
    for path in (out, tmp_path / "out.onnx.data"):
        path.write_text("older")

    def fail(tensor: onnx.TensorProto) -> None:
        raise UserError("in between")

    with pytest.raises(UserError, match="in between"):
        save(source.load(), source, str(out), fail)
    prune_to = [out, tmp_path / "out.onnx.data"]
    assert [path.read_text() for path in prune_to] == ["older"] * 2
    prune(source, str(out), 0.6)
    assert onnx.load(out).graph.node
    assert len(list(tmp_path.iterdir())) == 4


def test_what_is_no_file_is_written_to(tmp_path: Path) -> None:
    """And not replaced by a file."""
    source = open_source(small_models.save(network(), tmp_path / "m.onnx"))
    link = tmp_path / "link.onnx"
    link.symlink_to(tmp_path / "linked.onnx")
    prune(source, str(link), 0.6)
    assert link.is_symlink() and onnx.load(tmp_path / "linked.onnx").graph.node
    (tmp_path / "null.onnx").symlink_to(os.devnull)
    prune(source, str(tmp_path / "null.onnx"), 0.6)
    assert not Path(os.devnull).is_file()
