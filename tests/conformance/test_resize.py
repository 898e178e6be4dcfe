"""The pixels that nearest Resize takes, against onnxruntime's CPU provider: exhaustively over modes, sizes and scales by
the function that plans it, and a sample of models on SparseCPUProvider.

The tie rule depends on the version of onnxruntime: `tests/abi/smoke_versions.py --resize` runs this on others."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import product

import numpy as np
import onnx
import onnxruntime as ort
import onnxruntime_ep_sparsecpu
import pytest
import sparsecpu_testing
from onnx import TensorProto, helper, numpy_helper

COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")  # as in Resize::Coordinate
NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
WIDE_TIES = tuple(map(int, ort.__version__.split(".")[:2])) >= (1, 28)
STEP = 1 if os.environ.get("SPARSECPU_SWEEP") else 3  # set: every size and scale, minutes
FRACTIONS = sorted({n / d for d in range(1, 14) for n in range(1, 40) if 0.1 <= n / d <= 4})
DECIMALS = [i / 100 for i in range(10, 300)]
every_mode = pytest.mark.parametrize(("coordinate", "nearest"), list(product(range(4), range(4))), ids=lambda i: str(i))


def session(
    inputs: Sequence[str], shapes: Sequence[Sequence[int | str]], types: Sequence[int], provider: object, **at: object
) -> ort.InferenceSession:
    """Resize alone, with its sizes or scales given at run time."""
    resize = helper.make_node("Resize", list(inputs), ["y"], mode="nearest", **at)
    given = [name for name in inputs if name]
    infos = [helper.make_tensor_value_info(n, t, s) for n, t, s in zip(given, types, shapes, strict=True)]
    graph = helper.make_graph([resize], "g", infos, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    return ort.InferenceSession(model.SerializeToString(), options, providers=[provider])


def image(height: int, width: int) -> np.ndarray:
    return np.arange(height * width, dtype=np.float32).reshape(1, 1, height, width)


def taken(x: np.ndarray, scale: Sequence[float], sizes: Sequence[int], coordinate: int, nearest: int) -> np.ndarray:
    rows, columns = sparsecpu_testing.resize_sources(x.shape[2:], scale, sizes, coordinate, nearest, WIDE_TIES)
    return x[:, :, np.array(rows, int)][..., np.array(columns, int)]


@every_mode
def test_every_size(coordinate: int, nearest: int) -> None:
    run = session(
        ["x", "", "", "sizes"], [[1, 1, "h", "w"], [4]], [TensorProto.FLOAT, TensorProto.INT64], "CPUExecutionProvider",
        coordinate_transformation_mode=COORDINATES[coordinate], nearest_mode=NEAREST[nearest],
    )  # fmt: skip
    for height in range(1, 41):
        x = image(height, 41 - height)
        for to in range(1, 90, STEP):
            sizes = (to, 90 - to) if to % 7 else (to, 41 - height)
            want = run.run(None, {"x": x, "sizes": np.array([1, 1, *sizes])})[0]
            np.testing.assert_array_equal(taken(x, (1, 1), sizes, coordinate, nearest), want)


@every_mode
def test_every_scale(coordinate: int, nearest: int) -> None:
    run = session(
        ["x", "", "scales"], [[1, 1, "h", "w"], [4]], [TensorProto.FLOAT, TensorProto.FLOAT], "CPUExecutionProvider",
        coordinate_transformation_mode=COORDINATES[coordinate], nearest_mode=NEAREST[nearest],
    )  # fmt: skip
    scales = (FRACTIONS + DECIMALS)[::STEP]
    for size in range(1, 41, STEP):
        x = image(size, 41 - size)
        for scale, other in zip(scales, [*scales[7:], *scales[:7]], strict=True):
            if int(np.float32(scale) * np.float32(size)) * int(np.float32(other) * np.float32(41 - size)) == 0:
                continue  # onnxruntime computes nothing of it
            both = np.float32([1, 1, scale, other if size % 2 else scale])
            want = run.run(None, {"x": x, "scales": both})[0]
            np.testing.assert_array_equal(taken(x, tuple(both[2:]), (0, 0), coordinate, nearest), want)


def between_layers(resizes: Sequence[onnx.NodeProto], constants: dict[str, np.ndarray], opset: int) -> bytes:
    """Resizes of one image that a layer leaves as it is: a region starts with a layer."""
    layer = helper.make_node("Conv", ["x", "identity"], ["a"])
    constants["identity"] = np.ones((1, 1, 1, 1), np.float32)
    graph = helper.make_graph(
        [layer, *resizes],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, "h", "w"])],
        [helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, None) for node in resizes],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8).SerializeToString()


def both(model: bytes, feeds: Sequence[np.ndarray]) -> list[dict[str, object]]:
    """Runs on both providers with equal outputs; the report's Resize nodes."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    cpu = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    here = ort.InferenceSession(
        model, options, providers=[("SparseCPUProvider", {"min_sparsity": "0"}), "CPUExecutionProvider"]
    )
    for x in feeds:
        for got, want in zip(here.run(None, {"x": x}), cpu.run(None, {"x": x}), strict=True):
            np.testing.assert_array_equal(got, want)
    report = onnxruntime_ep_sparsecpu.report(here)
    return [node for node in report["graphs"][0]["nodes"] if node["op_type"] == "Resize"]


@pytest.mark.parametrize("opset", [11, 13, 18, 19])
@pytest.mark.parametrize("scale", [2.0, 1.0, 0.5, 1.04, 1.2, 1.7, 0.37, 3.0])
def test_models_by_scale(scale: float, opset: int) -> None:
    constants = {"roi": np.zeros(0, np.float32), "s": np.float32([1, 1, scale, 1.3])}
    resizes = [
        helper.make_node("Resize", ["a", "roi", "s"], [f"y{c}{n}"], mode="nearest",
                         coordinate_transformation_mode=COORDINATES[c], nearest_mode=NEAREST[n])
        for c, n in product(range(4), range(4))
    ]  # fmt: skip
    nodes = both(between_layers(resizes, constants, opset), [image(20, 20), image(7, 33)])
    assert [node["provider"] for node in nodes] == ["SparseCPUProvider"] * 16


AXES = helper.make_node("Resize", ["a", "roi", "s2"], ["y"], mode="nearest", axes=[3, 2])
SIZES = helper.make_node("Resize", ["a", "roi", "", "sizes"], ["y"], mode="nearest", axes=[2, 3])
SYMMETRIC = "half_pixel_symmetric"


@pytest.mark.parametrize(
    ("resize", "opset", "claimed"),
    [
        (AXES, 18, True),
        (SIZES, 18, True),
        (helper.make_node("Resize", ["a", "s"], ["y"], mode="nearest"), 10, False),
        (helper.make_node("Resize", ["a", "roi", "", "sizes"], ["y"], mode="nearest", axes=[2, 3],
                          keep_aspect_ratio_policy="not_larger"), 18, False),
        (helper.make_node("Resize", ["a", "roi", "s"], ["y"], mode="linear", antialias=1), 18, False),
        (helper.make_node("Resize", ["a", "roi", "s"], ["y"], mode="cubic"), 13, False),
        (helper.make_node("Resize", ["a", "roi", "s"], ["y"], coordinate_transformation_mode=SYMMETRIC), 19, False),
        (helper.make_node("Resize", ["a", "roi", "s"], ["y"],
                          coordinate_transformation_mode="tf_half_pixel_for_nn"), 11, False),
    ],
)  # fmt: skip
def test_attributes(resize: onnx.NodeProto, opset: int, claimed: bool) -> None:
    constants = {
        "s": np.float32([1, 1, 1.7, 0.8]), "s2": np.float32([1.7, 0.8]), "roi": np.zeros(0, np.float32), "sizes": np.array([13, 35]),
    }  # fmt: skip
    constants = {name: value for name, value in constants.items() if name in resize.input}
    (node,) = both(between_layers([resize], constants, opset), [image(20, 20), image(9, 33)])
    assert (node["provider"] == "SparseCPUProvider") == claimed, node["reason"]
