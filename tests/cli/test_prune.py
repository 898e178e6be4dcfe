"""`sparsecpu prune`: which weights become zero, which stay, and that the file it writes is right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import small_models
from harness import assert_close, cpu_session
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper
from onnxruntime_ep_sparsecpu import cli, magnitude, models
from onnxruntime_ep_sparsecpu.tools import UserError, open_source, prune
from onnxruntime_ep_sparsecpu.tools.weights import find_weights

SHAPES = st.lists(st.integers(1, 9), min_size=1, max_size=4)


@given(SHAPES, st.floats(0, 1), st.sampled_from([np.float32, np.float16, np.int8, np.uint8]), st.integers(0, 9))
def test_exactly_the_smallest(shape: list[int], sparsity: float, dtype: type, seed: int) -> None:
    rng = np.random.default_rng(seed)
    zero = 3 if np.issubdtype(dtype, np.integer) else 0
    weight = rng.integers(zero + 1, 100, shape).astype(dtype)
    pruned = magnitude.prune(weight, sparsity, zero_point=zero)
    assert pruned.dtype == weight.dtype
    gone = pruned == zero
    assert gone.sum() == round(weight.size * sparsity) == magnitude.zeros(pruned, zero)
    assert (pruned[~gone] == weight[~gone]).all()
    if gone.any() and not gone.all():
        assert weight[gone].max() <= weight[~gone].min()


@given(SHAPES, st.floats(0, 1), st.integers(0, 3), st.integers(0, 9))
def test_groups_of_four(shape: list[int], sparsity: float, axis: int, seed: int) -> None:
    axis %= len(shape)
    weight = np.random.default_rng(seed).uniform(1, 2, shape).astype(np.float32)
    pruned = np.moveaxis(magnitude.prune(weight, sparsity, "1x4", axis), axis, 0)
    groups = [pruned[i : i + 4] for i in range(0, len(pruned), 4)]
    zero = [np.atleast_1d((group == 0).all(axis=0)) for group in groups]
    assert all(((group == 0).any(axis=0) == (group == 0).all(axis=0)).all() for group in groups)
    assert sum(z.sum() for z in zero) == round(sum(z.size for z in zero) * sparsity)


def test_equal_weights_go_at_even_distances() -> None:
    assert magnitude.prune(np.ones(8, np.int8), 0.5).tolist() == [0, 1] * 4


def test_scales_count() -> None:
    """The same byte is a smaller weight where the channel's scale is smaller."""
    weight = np.array([[10, 10], [12, 12]], np.uint8)
    pruned = magnitude.prune(weight, 0.5, zero_point=[[2], [4]], scale=[[1.0], [0.1]])
    assert pruned.tolist() == [[10, 10], [4, 4]]


@pytest.mark.parametrize("sparsity", [-0.1, 1.1])
def test_share_out_of_range(sparsity: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        magnitude.prune(np.ones(3, np.float32), sparsity)


def pruned(capsys: pytest.CaptureFixture[str], model: onnx.ModelProto, folder: Path, *arguments: str) -> Any:
    """(result, pruned model)"""
    path, out = small_models.save(model, folder / "m.onnx"), folder / "pruned.onnx"
    assert cli.main(["prune", path, str(out), "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out), onnx.load(out)


def test_float_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = small_models.convolutional(0.0)
    result, after = pruned(capsys, model, tmp_path, "--sparsity", "0.8", "--exclude", "^Gemm")
    assert [layer["op_type"] for layer in result["layers"]] == ["Conv"] * 4
    assert [layer["reason"] for layer in result["kept"]] == ["excluded"]
    for layer in result["layers"]:
        before, now = small_models.tensor(model, layer["weight"]), small_models.tensor(after, layer["weight"])
        assert (now == magnitude.prune(before, 0.8)).all()
        assert layer["zeros"] == np.count_nonzero(now == 0) == round(0.8 * layer["size"])
    feed = models.random_inputs(model)
    want, got = cpu_session(model).run(None, feed)[0], cpu_session(after).run(None, feed)[0]
    assert result["outputs"][0]["rms_error"] == pytest.approx(
        np.sqrt(np.square(got - want).sum() / np.square(want).sum()), rel=1e-4
    )


def test_quantized_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """QDQ: the stored bytes are set to the zero point, in groups of four input channels."""
    model = small_models.quantized(0.0)
    result, after = pruned(capsys, model, tmp_path, "--sparsity", "0.75", "--pattern", "1x4")
    assert [layer["op_type"] for layer in result["layers"]] == ["Conv"] * 4 + ["Gemm"]
    for layer in result["layers"][:4]:
        weight = small_models.tensor(after, layer["weight"])
        assert weight.dtype == np.int8
        groups = (weight.reshape(weight.shape[0], -1, 4, *weight.shape[2:]) == 0).all(axis=2)
        assert groups.mean() == pytest.approx(0.75, abs=0.01)


def integer_model(op: str, zero: int) -> onnx.ModelProto:
    """One operator with u8 weights [4, 6] (K, N) around a zero point."""
    weight = np.arange(24).reshape(4, 6).astype(np.uint8) + 100
    constants = {
        "w": weight,
        "s": np.float32(0.1),
        "ws": np.full(6, 0.1, np.float32),
        "z": np.uint8(3),
        "wz": np.full(6, zero, np.uint8),
    }
    inputs = {"MatMulInteger": ["x", "w", "z", "wz"], "QLinearMatMul": ["x", "s", "z", "w", "ws", "wz", "s", "z"]}
    output = onnx.TensorProto.INT32 if op == "MatMulInteger" else onnx.TensorProto.UINT8
    graph = helper.make_graph(
        [helper.make_node(op, inputs[op], ["y"], name="layer")],
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.UINT8, [2, 4])],
        [helper.make_tensor_value_info("y", output, [2, 6])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("op", ["MatMulInteger", "QLinearMatMul"])
def test_zero_point(op: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result, after = pruned(capsys, integer_model(op, 110), tmp_path, "--sparsity", "0.5")
    weight = small_models.tensor(after, "w")
    assert np.count_nonzero(weight == 110) == 12
    assert np.abs(weight[weight != 110].astype(int) - 110).min() >= 6
    assert result["layers"][0]["zeros_before"] == 1


def test_zero_points_of_channels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """QDQ, with a scale and a zero point for each output channel (axis 0 of what is stored)."""
    weight = np.array([[10, 11, 12, 13], [-3, -4, -5, -6]], np.int8)
    constants = {"w": weight, "s": np.array([1, 0.1], np.float32), "z": np.array([9, -2], np.int8)}
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["floats"], axis=0),
        helper.make_node("Gemm", ["x", "floats"], ["y"], name="layer", transB=1),
    ]
    _, after = pruned(capsys, build(nodes, constants, 2, inputs=4), tmp_path, "--sparsity", "0.5")
    assert small_models.tensor(after, "w").tolist() == [[10, 11, 12, 13], [-2] * 4]


def build(
    nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray], columns: int, inputs: int = 8
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [2, inputs])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [2, columns])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_shared_and_transposed_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A weight behind a Transpose is found, with its axis of input channels; a shared one is pruned once."""
    weight = np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)
    nodes = [
        helper.make_node("Transpose", ["w"], ["wt"], perm=[1, 0]),
        helper.make_node("MatMul", ["x", "wt"], ["a"], name="first"),
        helper.make_node("MatMul", ["a", "wt"], ["y"], name="second"),
    ]
    result, after = pruned(capsys, build(nodes, {"w": weight}, 8), tmp_path, "--sparsity", "0.5", "--pattern", "1x4")
    assert [(layer["node"], layer["nodes"]) for layer in result["layers"]] == [("first", 2)]
    assert (small_models.tensor(after, "w") == magnitude.prune(weight, 0.5, "1x4", input_axis=1)).all()


def test_kept_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    tied, own, given_ = (rng.normal(size=(8, 8)).astype(np.float32) for _ in range(3))
    nodes = [
        helper.make_node("MatMul", ["x", "tied"], ["a"], name="head"),
        helper.make_node("Gather", ["tied", "row"], ["b"], name="embedding"),
        helper.make_node("Add", ["a", "b"], ["c"]),
        helper.make_node("MatMul", ["c", "given"], ["d"], name="given"),
        helper.make_node("MatMul", ["d", "own"], ["y"], name="own"),
    ]
    model = build(nodes, {"tied": tied, "own": own, "given": given_, "row": np.array([1], np.int64)}, 8)
    model.graph.input.append(helper.make_tensor_value_info("given", onnx.TensorProto.FLOAT, [8, 8]))
    result, after = pruned(capsys, model, tmp_path, "--sparsity", "0.5")
    assert [layer["node"] for layer in result["layers"]] == ["own"]
    reasons = {layer["node"]: layer["reason"] for layer in result["kept"]}
    assert "Gather 'embedding'" in reasons["head"]
    assert "an input of the model" in reasons["given"]
    assert (small_models.tensor(after, "tied") == tied).all()


def test_depthwise_stays() -> None:
    weights = find_weights(models.mobilenet_v1(0.0))
    assert [weight.depthwise for weight in weights] == [False] + [True, False] * 13 + [False]


@pytest.mark.parametrize(
    "more", [[], ["--pattern", "1x4"], ["--calibrate", "data.npz"]], ids=lambda more: " ".join(more)
)
def test_an_empty_weight_stays(
    more: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("data.npz", x=np.random.default_rng(1).normal(size=(64, 8)).astype(np.float32))
    nodes = [
        helper.make_node("MatMul", ["x", "none"], ["nothing"], name="empty"),
        helper.make_node("MatMul", ["x", "own"], ["own y"], name="own"),
        helper.make_node("Concat", ["nothing", "own y"], ["y"], axis=1),
    ]
    own = np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)
    model = build(nodes, {"none": np.empty((8, 0), np.float32), "own": own}, 8)
    result, _ = pruned(capsys, model, tmp_path, "--sparsity", "0.5", *more)
    assert [layer["node"] for layer in result["layers"]] == ["own"]
    assert [(layer["node"], layer["reason"]) for layer in result["kept"]] == [("empty", "empty")]


def test_weights_in_a_branch_and_in_constants(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weight = numpy_helper.from_array(np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32))

    def branch(scale: float) -> onnx.GraphProto:
        factor = numpy_helper.from_array(np.float32(scale))
        nodes = [
            helper.make_node("Constant", [], [f"w{scale}"], value=weight),
            helper.make_node("MatMul", ["x", f"w{scale}"], [f"m{scale}"], name=f"branch {scale}"),
            helper.make_node("Constant", [], [f"f{scale}"], value=factor),
            helper.make_node("Mul", [f"m{scale}", f"f{scale}"], [f"y{scale}"]),
        ]
        return helper.make_graph(
            nodes, "b", [], [helper.make_tensor_value_info(f"y{scale}", onnx.TensorProto.FLOAT, [2, 8])]
        )

    node = helper.make_node("If", ["c"], ["y"], then_branch=branch(1.0), else_branch=branch(2.0))
    model = build([node], {"c": np.array(True)}, 8)
    result, after = pruned(capsys, model, tmp_path, "--sparsity", "0.5")
    assert {layer["node"] for layer in result["layers"]} == {"branch 1.0", "branch 2.0"}
    x = np.eye(2, 8, dtype=np.float32)
    want = magnitude.prune(numpy_helper.to_array(weight), 0.5)[:2]
    assert_close(cpu_session(after).run(None, {"x": x}), [want])


def test_external_data(tmp_path: Path) -> None:
    model = small_models.convolutional(0.0)
    path = small_models.save(model, tmp_path / "m.onnx", external_data=True)
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    out = folder / "pruned.onnx"
    result = prune(open_source(path), str(out), 0.9)
    assert result["external_data"] == "pruned.onnx.data"
    assert out.stat().st_size < 10_000 < (folder / "pruned.onnx.data").stat().st_size
    plain = tmp_path / "plain.onnx"
    prune(open_source(small_models.save(model, tmp_path / "inline.onnx")), str(plain), 0.9)
    feed = models.random_inputs(model)
    np.testing.assert_array_equal(
        ort.InferenceSession(str(out)).run(None, feed)[0], ort.InferenceSession(str(plain)).run(None, feed)[0]
    )
    onnx.checker.check_model(str(out))
    other = small_models.convolutional(0.0)
    onnx.save(other, path, save_as_external_data=True, location="pruned.onnx.data", size_threshold=0)
    with pytest.raises(UserError, match="holds the weights"):
        prune(open_source(path), str(tmp_path / "pruned.onnx"), 0.9)


def test_text_and_built_in_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.onnx"
    assert cli.main(["prune", "mobilenet", str(out), "--sparsity", "0.9"]) == 0
    text = capsys.readouterr().out
    for part in ("90.0%", "kept, depthwise", "fine-tuning", "sparsecpu benchmark"):
        assert part in text
    assert max(map(len, text.splitlines())) <= 100
    assert len(find_weights(onnx.load(out))) == 28


def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = small_models.save(small_models.convolutional(), tmp_path / "m.onnx")
    out = str(tmp_path / "out.onnx")
    mistakes = {
        "is the model itself": [path, path],
        "no regular expression": [path, out, "--exclude", "("],
        "--exclude ^conv is found in the name of no weight": [path, out, "--exclude", "Gemm", "--exclude", "^conv"],
        "no weight to prune: excluded": [path, out, "--exclude", "."],
        "cannot write": [path, str(tmp_path / "none" / "out.onnx")],
        "no such file": [str(tmp_path / "none.onnx"), out],
    }
    for part, arguments in mistakes.items():
        assert cli.main(["prune", *arguments, "--sparsity", "0.5"]) == 2, part
        error = capsys.readouterr().err
        assert part in error
        assert len(error.splitlines()) == 1
