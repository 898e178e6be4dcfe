"""Rows of inputs times matrices of weights are what ONNX Runtime computes, for all kinds of layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from harness import cpu_session
from onnx import helper, numpy_helper
from onnxruntime_ep_sparsecpu.magnitude import prune
from onnxruntime_ep_sparsecpu.tools.one_shot import forms
from onnxruntime_ep_sparsecpu.tools.one_shot.forms import Form, cell_starts, form_of
from onnxruntime_ep_sparsecpu.tools.one_shot.moments import Moments


def run(node: onnx.NodeProto, x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weight, "w")],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return np.asarray(cpu_session(helper.make_model(graph, opset_imports=opsets, ir_version=8)).run(None, {"x": x})[0])


def rows_of(form: Form, x: np.ndarray) -> np.ndarray:
    return np.concatenate(list(form.rows(x)), axis=1)


def check(node: onnx.NodeProto, x: np.ndarray, weight: np.ndarray) -> None:
    form = form_of(node, weight.shape)
    assert form is not None
    matrices, rows = form.matrices(weight), rows_of(form, x)
    assert (form.weight(matrices, weight.shape) == weight).all()
    got = form.alpha * np.einsum("grc,goc->gor", rows, matrices)  # [groups, outputs of a group, rows]
    want = run(node, x, weight)
    if "Conv" in node.op_type:
        want = np.moveaxis(want, 1, 0).reshape(got.shape)
    else:
        want = want.reshape(-1, want.shape[-1]).T[None]
    np.testing.assert_allclose(got, want, atol=1e-4)
    moments = Moments(matrices.shape[0], matrices.shape[2])
    moments.add(form.rows(x))
    assert moments.count == rows.shape[1]
    np.testing.assert_allclose(moments.mean, rows.mean(axis=1), atol=1e-5)
    np.testing.assert_allclose(moments.hessian(False), np.swapaxes(rows, 1, 2) @ rows, rtol=1e-4, atol=1e-3)
    around = rows - rows.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(moments.hessian(True), np.swapaxes(around, 1, 2) @ around, rtol=1e-4, atol=1e-3)


def random_convolution(seed: int) -> tuple[onnx.NodeProto, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    axes, groups = int(rng.integers(1, 3)), int(rng.choice([1, 1, 2, 3]))
    channels, outputs = groups * int(rng.integers(1, 6)), groups * int(rng.integers(1, 4))
    kernel, strides, dilations = (rng.integers(1, most, axes).tolist() for most in (5, 4, 4))
    settings: dict[str, Any] = {"auto_pad": str(rng.choice(["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]))}
    if settings["auto_pad"] == "NOTSET":
        settings["pads"] = rng.integers(0, 3, 2 * axes).tolist()
    if settings["auto_pad"].startswith("SAME"):
        dilations = [1] * axes  # ONNX Runtime takes no others with it
    x = rng.normal(size=(int(rng.integers(1, 4)), channels, *rng.integers(13, 20, axes))).astype(np.float32)
    weight = rng.normal(size=(outputs, channels // groups, *kernel)).astype(np.float32)
    node = helper.make_node(
        "Conv", ["x", "w"], ["y"], strides=strides, dilations=dilations, group=groups, kernel_shape=kernel, **settings
    )
    return node, x, weight


@pytest.mark.parametrize("block", [64, 2000, forms._BLOCK_ELEMENTS], ids=["lines", "images", "all"])
@pytest.mark.parametrize("seed", range(25))
def test_convolutions(seed: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "_BLOCK_ELEMENTS", block)
    check(*random_convolution(seed))


PRODUCTS = {
    "MatMul": ("MatMul", "", (2, 3, 8), (8, 5), {}),
    "MatMul of a vector": ("MatMul", "", (8,), (8, 1), {}),
    "Gemm": ("Gemm", "", (4, 8), (8, 5), {}),
    "Gemm, all transposed": ("Gemm", "", (8, 4), (5, 8), {"transA": 1, "transB": 1, "alpha": 0.5}),
    "FusedMatMul": ("FusedMatMul", "com.microsoft", (2, 8, 3), (5, 8), {"transA": 1, "transB": 1, "alpha": 2.0}),
}


@pytest.mark.parametrize("block", [20, forms._BLOCK_ELEMENTS])
@pytest.mark.parametrize(("op", "domain", "x", "w", "settings"), PRODUCTS.values(), ids=PRODUCTS)
def test_products(
    op: str, domain: str, x: Any, w: Any, settings: Any, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms, "_BLOCK_ELEMENTS", block)
    rng = np.random.default_rng(0)
    node = helper.make_node(op, ["x", "w"], ["y"], domain=domain, **settings)
    check(node, rng.normal(size=x).astype(np.float32), rng.normal(size=w).astype(np.float32))


def test_what_is_no_product_of_matrices() -> None:
    assert form_of(helper.make_node("MatMul", ["x", "w"], ["y"]), (3, 8, 5)) is None
    assert form_of(helper.make_node("MatMul", ["x", "w"], ["y"]), (8,)) is None


@pytest.mark.parametrize("channels", [4, 6, 8, 9])
def test_cells_are_the_groups_of_magnitude_pruning(channels: int) -> None:
    """Four neighbouring input channels of one tap; the last group of a tap is shorter."""
    weight = np.random.default_rng(0).normal(size=(3, channels, 2, 2)).astype(np.float32)
    form = form_of(helper.make_node("Conv", ["x", "w"], ["y"]), weight.shape)
    assert form is not None
    gone = form.matrices(prune(weight, 0.5, "1x4", input_axis=1)) == 0
    starts = cell_starts(4 * channels, channels, "1x4")
    cells = np.logical_and.reduceat(gone, starts, axis=2)
    assert (np.repeat(cells, np.diff([*starts, 4 * channels]), axis=2) == gone).all()
    assert cells.sum() == round(cells.size / 2)
