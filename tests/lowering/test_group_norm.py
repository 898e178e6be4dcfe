"""Normalization of images in groups of channels, in a region: every form of it, against onnxruntime's
InstanceNormalization, which takes the mean first. Its own GroupNormalization is written out with the difference of two
means of squares, and is compared where that loses nothing."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from graphs import constant, every_level, graph, sparse_weights
from harness import assert_close, available_levels, claimed, cpu_session, sparse_session
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

FORMS = ("opset 18", "opset 21", "torch")
Names = list[onnx.NodeProto]


def group_norm(
    form: str, channels: int, groups: int, rank: int, epsilon: float
) -> tuple[Names, list[onnx.TensorProto]]:
    """`a` -> `b`, with a value a group as scale and shift."""
    rng = np.random.default_rng(channels)
    scale, shift = rng.standard_normal((2, groups), np.float32)
    if form != "opset 18":
        scale, shift = (np.repeat(vector, channels // groups) for vector in (scale, shift))
    if form != "torch":
        norm = helper.make_node(
            "GroupNormalization", ["a", "scale", "shift"], ["b"], num_groups=groups, epsilon=epsilon
        )
        return [norm], [constant(scale, "scale"), constant(shift, "shift")]
    pixels = [1] * (rank - 2)
    constants = [constant(scale.reshape(-1, *pixels), "scale"), constant(shift.reshape(-1, *pixels), "shift")]
    constants += [constant([0, groups, -1], "groups", np.int64)]
    constants += [constant(np.ones(groups), "ones"), constant(np.zeros(groups), "zeros")]
    return [
        helper.make_node("Reshape", ["a", "groups"], ["a1"]),
        helper.make_node("InstanceNormalization", ["a1", "ones", "zeros"], ["a2"], epsilon=epsilon),
        helper.make_node("Shape", ["a"], ["a3"]),
        helper.make_node("Reshape", ["a2", "a3"], ["a4"]),
        helper.make_node("Mul", ["a4", "scale"], ["a5"]),
        helper.make_node("Add", ["a5", "shift"], ["b"]),
    ], constants


def network(
    form: str, channels: int, groups: int, rank: int = 4, behind: str = "", epsilon: float = 1e-5, layer: bool = True
) -> onnx.ModelProto:
    """A convolution, the norm, what is behind it, a convolution with a border; or, without `layer`, an identity in
    front and nothing more."""
    rng = np.random.default_rng(groups)
    nodes, constants = group_norm(form, channels, groups, rank, epsilon)
    pixels = [1] * (rank - 2)
    first = (
        sparse_weights(rng, channels, channels, *pixels) if layer else np.eye(channels).reshape(-1, channels, *pixels)
    )
    constants.append(constant(first, "w1"))
    nodes.insert(0, helper.make_node("Conv", ["x", "w1"], ["a"]))
    if behind == "silu":
        nodes += [helper.make_node("Sigmoid", ["b"], ["s"]), helper.make_node("Mul", ["b", "s"], ["c"])]
    elif behind == "residual":
        nodes.append(helper.make_node("Add", ["a", "b"], ["c"]))
    else:
        nodes.append(helper.make_node(behind or "Identity", ["b"], ["c"]))
    if layer:
        constants.append(constant(sparse_weights(rng, 5, channels, *[3] * (rank - 2)), "w2"))
        nodes.append(helper.make_node("Conv", ["c", "w2"], ["y"], pads=[1] * (2 * rank - 4)))
    sizes: list[int | str] = ["n", channels, "h", "w"]
    model = graph(nodes, {"x": sizes[:rank]}, ["y" if layer else "c"], constants)
    model.opset_import[0].version = 21 if form == "opset 21" else 18
    return model


@settings(deadline=None, max_examples=60)
@given(
    form=st.sampled_from(FORMS),
    level=st.sampled_from([level for level in available_levels() if level != "avx512_vnni"]),
    groups=st.integers(1, 9),
    each=st.integers(1, 7),
    shapes=st.lists(st.tuples(st.integers(0, 6), st.integers(1, 20), st.integers(1, 20)), min_size=1, max_size=3),
    rank=st.sampled_from([3, 4, 4]),
    behind=st.sampled_from(["Relu", "silu", "residual"]),
)
def test_any_sizes(
    form: str, level: str, groups: int, each: int, shapes: list[tuple[int, int, int]], rank: int, behind: str
) -> None:
    channels = groups * each
    cpu = cpu_session(network("torch", channels, groups, rank, behind))
    sparse = sparse_session(network(form, channels, groups, rank, behind), isa=level, min_sparsity=0)
    ops = {"torch": ("InstanceNormalization",)}.get(form, ("GroupNormalization",))
    assert len(claimed(sparse, *ops)) == 1 and len({node["region"] for node in claimed(sparse)}) == 1
    rng = np.random.default_rng(len(shapes))
    for n, h, w in shapes:
        x = rng.standard_normal((n, channels, h, w)[:rank]).astype(np.float32)
        if n == 0:  # onnxruntime's Reshape then knows no -1
            assert sparse.run(None, {"x": x})[0].shape == (0, 5, h, w)[:rank]
            continue
        assert_close(sparse.run(None, {"x": x}), cpu.run(None, {"x": x}))


@every_level
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("channels", "groups"), [(32, 32), (32, 8), (40, 1), (18, 6)])
def test_against_the_same_operator(form: str, channels: int, groups: int, level: str) -> None:
    model = network(form, channels, groups)
    sparse, cpu = sparse_session(model, isa=level, min_sparsity=0), cpu_session(model)
    for shape in ((1, 28, 28), (4, 7, 7), (16, 1, 9), (3, 33, 31)):
        x = np.random.default_rng(0).standard_normal((shape[0], channels, *shape[1:])).astype(np.float32)
        assert_close(sparse.run(None, {"x": x}), cpu.run(None, {"x": x}))
    assert claimed(sparse, "GroupNormalization", "InstanceNormalization")


def exact(model: onnx.ModelProto, x: np.ndarray, groups: int) -> np.ndarray:
    """The norm alone, in float64."""
    weights = {tensor.name: numpy_helper.to_array(tensor).reshape(-1, 1, 1) for tensor in model.graph.initializer[:2]}
    grouped = x.astype(np.float64).reshape(len(x), groups, -1)
    distance = grouped - grouped.mean(-1, keepdims=True)
    unit = distance / np.sqrt((distance**2).mean(-1, keepdims=True) + 1e-5)
    return (unit.reshape(x.shape) * weights["scale"] + weights["shift"]).astype(np.float32)


@every_level
@pytest.mark.parametrize("mean", [0.0, 100.0, 3000.0])
@pytest.mark.parametrize("shape", [(2, 24, 40, 37), (5, 24, 6, 5)])
def test_values_far_from_zero(shape: tuple[int, ...], mean: float, level: str) -> None:
    """onnxruntime's own results lose digits there."""
    rng = np.random.default_rng(1)
    away = mean * np.arange(1, shape[0] + 1).reshape(-1, 1, 1, 1)
    x = (rng.standard_normal(shape) + away).astype(np.float32)
    model = network("opset 21", shape[1], 6, layer=False)
    session = sparse_session(model, isa=level, min_sparsity=0)
    assert claimed(session, "GroupNormalization")
    assert_close(session.run(None, {"x": x}), [exact(model, x, 6)])


@every_level
def test_equal_values_and_values_that_are_no_numbers(level: str) -> None:
    """A NaN stays in the group of its image; of equal values only the shift is left."""
    model = network("torch", 8, 4, layer=False)
    x = np.random.default_rng(2).standard_normal((3, 8, 9, 11)).astype(np.float32)
    x[0, 3, 4, 5], x[1, 6:] = np.nan, 12345.678
    session = sparse_session(model, isa=level, min_sparsity=0)
    assert claimed(session, "InstanceNormalization")
    assert_close(session.run(None, {"x": x}), [exact(model, x, 4)])


def test_results_do_not_depend_on_threads() -> None:
    model = network("torch", 40, 8, behind="silu")
    x = np.random.default_rng(3).standard_normal((1, 40, 45, 50)).astype(np.float32)
    results = []
    for threads in (1, 2, 5):
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        results.append(sparse_session(model, options, min_sparsity=0).run(None, {"x": x})[0])
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])
