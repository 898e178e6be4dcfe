"""Whole models pruned with calibration data: what goes where, in which order, and how much better it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from harness import cpu_session
from onnx import helper, numpy_helper
from onnxruntime_ep_sparsecpu import magnitude, models
from onnxruntime_ep_sparsecpu.tools import open_source, prune
from onnxruntime_ep_sparsecpu.tools.one_shot import activations, pruner, surgeon
from onnxruntime_ep_sparsecpu.tools.one_shot.graph import Graph
from onnxruntime_ep_sparsecpu.tools.one_shot.stages import find_layers, plan
from onnxruntime_ep_sparsecpu.tools.weights import find_weights

Feeds = dict[str, np.ndarray]


def correlated(shape: Sequence[int], seed: int) -> np.ndarray:
    """Along the last axis."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(*shape[:-1], shape[-1] // 2)) @ rng.normal(size=(shape[-1] // 2, shape[-1]))
    return (mixed + 0.5 + 0.2 * rng.normal(size=shape)).astype(np.float32)


def linear_network(nodes: list[onnx.NodeProto], constants: Feeds, columns: int, outputs: int) -> onnx.ModelProto:
    """x [n, columns] to y [n, outputs]"""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", columns])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", outputs])],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def pruned(
    model: onnx.ModelProto, feeds: list[Feeds], folder: Path, sparsity: float = 0.6, pattern: str = "unstructured"
) -> tuple[dict[str, Any], onnx.ModelProto]:
    onnx.save(model, folder / "dense.onnx")
    out = folder / "pruned.onnx"
    result = prune(open_source(str(folder / "dense.onnx")), str(out), sparsity, pattern, calibration=feeds)
    assert sorted(path.name for path in folder.iterdir()) == ["dense.onnx", "pruned.onnx"]
    after = onnx.load(out)
    onnx.checker.check_model(after)
    return result, after


def tensor(model: onnx.ModelProto, name: str) -> np.ndarray:
    return numpy_helper.to_array(next(t for t in model.graph.initializer if t.name == name))


def run(model: onnx.ModelProto, feeds: list[Feeds]) -> np.ndarray:
    session = cpu_session(model)
    return np.concatenate([session.run(None, feed)[0] for feed in feeds])


def expected(weight: np.ndarray, hessian: np.ndarray, sparsity: float) -> np.ndarray:
    """Of a MatMul."""
    w = weight.T[None].astype(np.float64)
    by_size = np.where(magnitude.smallest(np.abs(w), sparsity), 0, w)
    return surgeon.solve(w, hessian[None].astype(np.float64), sparsity, np.arange(w.shape[2]), by_size)[0].T


def random(shape: Sequence[int], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape) / np.sqrt(shape[0])


def convolutional() -> onnx.ModelProto:
    """Plain, strided, grouped and 1x1 convolutions, a residual, a depthwise one and a classifier."""
    g = models.GraphBuilder(seed=3)
    x = g.op("Relu", [g.conv("x", 8, 16, 3, stride=2)])
    y = g.op("Relu", [g.conv(x, 16, 16, 3, groups=2)])
    y = g.op("Relu", [g.conv(y, 16, 16, 3, groups=16)])
    x = g.op("Relu", [g.op("Add", [g.conv(y, 16, 16, 1), x])])
    logits = g.classifier(x, 16, 10)
    return g.model({"x": ["n", 8, 12, 12]}, {logits: ["n", 10]})


def encoder() -> onnx.ModelProto:
    return models.bert(0.0, batch="n", sequence="s", layers=2, hidden=32, heads=2)


NETWORKS: dict[str, tuple[Any, str, tuple[int, ...]]] = {
    "convolutional": (convolutional, "x", (4, 12, 12, 8)),
    "encoder": (encoder, "hidden_states", (4, 10, 32)),
}


def samples(name: str, seed: int) -> list[Feeds]:
    _, value, shape = NETWORKS[name]
    batches = [correlated(shape, seed + i) for i in range(12)]
    return [{value: np.moveaxis(x, -1, 1) if name == "convolutional" else x} for x in batches]


@pytest.mark.parametrize("pattern", magnitude.PATTERNS)
@pytest.mark.parametrize("name", NETWORKS)
def test_nearer_to_the_dense_network_than_by_size(name: str, pattern: str, tmp_path: Path) -> None:
    model = NETWORKS[name][0]()
    result, after = pruned(model, samples(name, 0), tmp_path, 0.6, pattern)
    assert result["calibration"] == 12
    for layer in result["layers"]:
        before, now = tensor(model, layer["weight"]), tensor(after, layer["weight"])
        assert now.dtype == before.dtype and now.shape == before.shape
        assert layer["zeros"] == np.count_nonzero(now == 0)
        assert layer["error"] < layer["magnitude_error"]
    sizes, zeros = (sum(layer[key] for layer in result["layers"]) for key in ("size", "zeros"))
    assert zeros / sizes == pytest.approx(0.6, abs=0.01)
    out = tmp_path / "by_size.onnx"
    prune(open_source(str(tmp_path / "dense.onnx")), str(out), 0.6, pattern)
    held_out = samples(name, 100)
    want = run(model, held_out)
    errors = [np.square(run(each, held_out) - want).mean() for each in (after, onnx.load(out))]
    assert errors[0] < (0.5 if name == "convolutional" else 0.95) * errors[1], errors
    assert [layer["reason"].split(":")[0] for layer in result["kept"]] == ["depthwise"] * (name == "convolutional")


def test_later_layers_see_what_pruned_ones_make(tmp_path: Path) -> None:
    first, second = random((16, 24), 1), random((24, 8), 2)
    nodes = [
        helper.make_node("MatMul", ["x", "first"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "second"], ["y"]),
    ]
    model = linear_network(nodes, {"first": first, "second": second}, 16, 8)
    x = correlated((200, 16), 0)
    _, after = pruned(model, [{"x": x[:100]}, {"x": x[100:]}], tmp_path)
    np.testing.assert_allclose(tensor(after, "first"), expected(first, x.T @ x, 0.6), rtol=1e-3, atol=1e-5)
    r = np.maximum(x @ tensor(after, "first"), 0)
    np.testing.assert_allclose(tensor(after, "second"), expected(second, r.T @ r, 0.6), rtol=1e-3, atol=1e-4)


def test_a_shared_weight_is_pruned_once_for_all_its_layers(tmp_path: Path) -> None:
    """Its second layer sees the dense first one; the layer behind both sees them pruned."""
    shared, last = random((16, 16), 1), random((16, 8), 2)
    nodes = [
        helper.make_node("MatMul", ["x", "shared"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MatMul", ["b", "shared"], ["c"]),
        helper.make_node("MatMul", ["c", "last"], ["y"]),
    ]
    model = linear_network(nodes, {"shared": shared, "last": last}, 16, 8)
    x = correlated((200, 16), 0)
    result, after = pruned(model, [{"x": x}], tmp_path)
    assert [layer["nodes"] for layer in result["layers"]] == [2, 1]
    b = np.maximum(x @ shared.astype(np.float32), 0)
    w = tensor(after, "shared")
    np.testing.assert_allclose(w, expected(shared, x.T @ x + b.T @ b, 0.6), rtol=1e-3, atol=1e-5)
    c = np.maximum(x @ w, 0) @ w
    np.testing.assert_allclose(tensor(after, "last"), expected(last, c.T @ c, 0.6), rtol=1e-3, atol=1e-4)


def test_layers_that_take_turns_are_all_pruned(tmp_path: Path) -> None:
    """Two weights each of which is before the other: neither waits for ever."""
    names = ["one", "two", "one", "two", "one"]
    values = ["x", "a", "b", "c", "d", "y"]
    nodes = [helper.make_node("MatMul", [values[i], name], [values[i + 1]]) for i, name in enumerate(names)]
    constants = {"one": random((16, 16), 1), "two": random((16, 16), 2)}
    result, after = pruned(linear_network(nodes, constants, 16, 16), [{"x": correlated((99, 16), 0)}], tmp_path)
    assert [layer["nodes"] for layer in result["layers"]] == [3, 2]
    assert all(np.count_nonzero(tensor(after, name) == 0) == round(0.6 * 256) for name in constants)


def test_layers_of_one_depth_are_a_stage() -> None:
    model = encoder()
    graph = Graph(model)
    stages = plan(find_layers(find_weights(model), graph), graph).stages
    assert [len(stage.layers) for stage in stages] == [3, 1, 1, 1] * 2
    assert [len(stage.values) for stage in stages] == [1] * 8


def test_hessians_of_a_stage_fit_their_budget(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("onnxruntime_ep_sparsecpu.tools.one_shot.stages._HESSIAN_BYTES", 1)
    weights = {f"w{i}": random((16, 8), i) for i in range(3)}
    nodes = [helper.make_node("Mul", ["x", "x"], ["square"]), helper.make_node("Relu", ["x"], ["positive"])]
    nodes += [
        helper.make_node("MatMul", [value, f"w{i}"], [f"y{i}"]) for i, value in enumerate(["x", "square", "positive"])
    ]
    nodes.append(helper.make_node("Sum", ["y0", "y1", "y2"], ["y"]))
    model = linear_network(nodes, weights, 16, 8)
    graph = Graph(model)
    assert [len(stage.layers) for stage in plan(find_layers(find_weights(model), graph), graph).stages] == [1, 1, 1]
    result, _ = pruned(model, [{"x": correlated((99, 16), 0)}], tmp_path)
    assert len(result["layers"]) == 3


@pytest.mark.parametrize("name", NETWORKS)
def test_the_network_is_computed_once(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the parts of all stages, but for the nodes behind the last layer."""
    computed: list[int] = []
    part = Graph.part

    def recorded(self: Graph, nodes: Any, *others: Any) -> onnx.ModelProto:
        computed.extend(nodes)
        return part(self, nodes, *others)

    monkeypatch.setattr(Graph, "part", recorded)
    model = NETWORKS[name][0]()
    pruned(model, samples(name, 0), tmp_path)
    assert len(computed) == len(set(computed)) > 0.8 * len(model.graph.node)


def test_activations_that_do_not_fit_into_memory_go_to_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in_memory").mkdir()
    (tmp_path / "in_files").mkdir()
    _, first = pruned(encoder(), samples("encoder", 0), tmp_path / "in_memory")
    written = []
    write = activations.Store._write

    def recorded(self: activations.Store, array: np.ndarray) -> Path:
        written.append(write(self, array))
        return written[-1]

    monkeypatch.setattr(activations.Store, "_write", recorded)
    monkeypatch.setattr(pruner, "_ACTIVATION_BYTES", 50_000)
    _, second = pruned(encoder(), samples("encoder", 0), tmp_path / "in_files")
    assert first == second
    assert len(written) > 12 and not any(path.parent.exists() for path in written)


BIASES = {
    "Gemm": [helper.make_node("Gemm", ["x", "w", "b"], ["y"], beta=0.5)],
    "MatMul and Add": [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Add", ["b", "h"], ["y"])],
}


@pytest.mark.parametrize("nodes", BIASES.values(), ids=BIASES)
def test_the_bias_keeps_the_mean_of_the_output(nodes: list[onnx.NodeProto], tmp_path: Path) -> None:
    model = linear_network(nodes, {"w": random((16, 8), 0), "b": random((8,), 1)}, 16, 8)
    feeds = [{"x": correlated((50, 16), i)} for i in range(3)]
    _, after = pruned(model, feeds, tmp_path, 0.8)
    assert not np.allclose(tensor(after, "b"), tensor(model, "b"))
    np.testing.assert_allclose(run(after, feeds).mean(axis=0), run(model, feeds).mean(axis=0), atol=1e-4)


def test_the_mean_of_a_batch_normalization_is_corrected(tmp_path: Path) -> None:
    g = models.GraphBuilder()
    weight = g.constant(g.floats((8, 4, 3, 3)), "weight")
    y = g.op("Conv", ["x", weight], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    vectors = [g.constant(abs(g.floats((8,))) + 0.1, "vector") for _ in range(4)]
    y = g.op("BatchNormalization", [y, *vectors])
    model = g.model({"x": ["n", 4, 9, 9]}, {y: ["n", 8, 9, 9]})
    feeds = [{"x": np.moveaxis(correlated((3, 9, 9, 4), i), -1, 1)} for i in range(3)]
    _, after = pruned(model, feeds, tmp_path, 0.8)
    means = [run(each, feeds).mean(axis=(0, 2, 3)) for each in (after, model)]
    np.testing.assert_allclose(*means, atol=1e-3)


def test_masked_tokens_do_not_count(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["h"]),
            helper.make_node("Mul", ["h", "m"], ["y"]),
            helper.make_node("Cast", ["attention_mask"], ["f"], to=1),
            helper.make_node("Unsqueeze", ["f", "last"], ["m"]),
        ],
        "g",
        [
            helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", "s", 16]),
            helper.make_tensor_value_info("attention_mask", onnx.TensorProto.INT64, ["n", "s"]),
        ],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", "s", 8])],
        [
            numpy_helper.from_array(random((16, 8), 0).astype(np.float32), "w"),
            numpy_helper.from_array(np.array([2]), "last"),
        ],
    )
    graph.node.sort(key=lambda node: node.output[0] == "y")
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    x, mask = correlated((10, 9, 16), 0), np.ones((10, 9), np.int64)
    mask[:, 6:] = 0
    noise = np.where(mask[..., None] != 0, x, 100 * correlated((10, 9, 16), 1))
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    _, first = pruned(model, [{"x": x, "attention_mask": mask}], tmp_path / "a")
    _, second = pruned(model, [{"x": noise, "attention_mask": mask}], tmp_path / "b")
    assert (tensor(first, "w") == tensor(second, "w")).all()
    np.testing.assert_allclose(
        tensor(first, "w"),
        expected(random((16, 8), 0), x[:, :6].reshape(-1, 16).T @ x[:, :6].reshape(-1, 16), 0.6),
        rtol=1e-3,
        atol=1e-5,
    )


def branches() -> Iterator[onnx.GraphProto]:
    for name in ("then", "else"):
        weight = numpy_helper.from_array(random((16, 8), len(name)).astype(np.float32), f"{name}_w")
        nodes = [helper.make_node("MatMul", ["h", f"{name}_w"], [f"{name}_y"], name=f"{name} branch")]
        output = helper.make_tensor_value_info(f"{name}_y", onnx.TensorProto.FLOAT, None)
        yield helper.make_graph(nodes, name, [], [output], [weight])


def test_bodies_are_left_and_what_they_read_is_computed(tmp_path: Path) -> None:
    then_branch, else_branch = branches()
    nodes = [
        helper.make_node("MatMul", ["x", "first"], ["h"], name="first"),
        helper.make_node("If", ["c"], ["i"], then_branch=then_branch, else_branch=else_branch),
        helper.make_node("MatMul", ["i", "last"], ["y"], name="last"),
    ]
    model = linear_network(nodes, {"first": random((16, 16), 0), "last": random((8, 4), 1)}, 16, 4)
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "c"))
    result, after = pruned(model, [{"x": correlated((99, 16), 0)}], tmp_path)
    assert [layer["node"] for layer in result["layers"]] == ["first", "last"]
    assert {layer["node"] for layer in result["kept"]} == {"then branch", "else branch"}
    assert all("body of an If or Loop" in layer["reason"] for layer in result["kept"])
    assert after.graph.node[1] == model.graph.node[1]


def test_what_calibration_does_not_prune_is_left_with_a_reason(tmp_path: Path) -> None:
    constants = {"float": random((16, 16), 0), "turned": random((16, 16), 1), "stack": random((1, 16, 16), 2)}
    nodes = [
        helper.make_node("MatMul", ["x", "float"], ["a"], name="float"),
        helper.make_node("MatMul", ["a", "turned"], ["b"], name="turned"),
        helper.make_node("Gemm", ["b", "turned"], ["c"], name="back", transB=1),
        helper.make_node("MatMul", ["c", "stack"], ["d3"], name="stack"),
        helper.make_node("Reshape", ["d3", "shape"], ["d"]),
        helper.make_node("DequantizeLinear", ["bytes", "scale"], ["e"]),
        helper.make_node("MatMul", ["d", "e"], ["y"], name="int8"),
    ]
    model = linear_network(nodes, constants, 16, 8)
    others = {"shape": np.array([-1, 16]), "bytes": np.ones((16, 8), np.int8), "scale": np.float32(0.1)}
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(array), name) for name, array in others.items())
    result, _ = pruned(model, [{"x": correlated((99, 16), 0)}], tmp_path)
    assert [layer["node"] for layer in result["layers"]] == ["float"]
    reasons = {layer["node"]: layer["reason"] for layer in result["kept"]}
    assert "along different axes" in reasons["turned"]
    assert "no matrix" in reasons["stack"]
    assert "quantized" in reasons["int8"]


def test_half_precision_and_weights_in_constants(tmp_path: Path) -> None:
    weight = numpy_helper.from_array(random((16, 8), 0).astype(np.float16))
    nodes = [
        helper.make_node("Constant", [], ["half"], value=weight),
        helper.make_node("Cast", ["half"], ["w"], to=onnx.TensorProto.FLOAT),
        helper.make_node("MatMul", ["x", "w"], ["h"], name="first"),
        helper.make_node("MatMul", ["h", "v"], ["y"], name="second"),
    ]
    model = linear_network(nodes, {"v": random((8, 8), 1)}, 16, 8)
    x = correlated((99, 16), 0)
    result, after = pruned(model, [{"x": x}], tmp_path)
    assert [layer["node"] for layer in result["layers"]] == ["first", "second"]
    stored = numpy_helper.to_array(after.graph.node[0].attribute[0].t)
    assert stored.dtype == np.float16 and np.count_nonzero(stored == 0) == round(0.6 * 128)
    h = x @ stored.astype(np.float32)
    np.testing.assert_allclose(tensor(after, "v"), expected(random((8, 8), 1), h.T @ h, 0.6), rtol=1e-3, atol=1e-4)
