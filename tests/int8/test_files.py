"""Files that onnxruntime.quantization writes, whole networks: the bytes and floats of the CPU provider."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from builders import mobilenet_v2
from byte_models import assert_same_bits, quiet, reference
from harness import PROVIDER, assert_claimed, available_levels, has_vnni, nodes, sparse_session
from onnx import helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime_ep_sparsecpu import models

NETWORKS = {
    "resnet50": lambda: models.resnet50(0.9, height=64, width=64),
    "mobilenet_v1": lambda: models.mobilenet_v1(0.9, height=64, width=64),
    "mobilenet_v2": lambda: mobilenet_v2(0.9, height=64, width=64),
}
QOPERATOR, QDQ = QuantFormat.QOperator, QuantFormat.QDQ
U8, S8 = QuantType.QUInt8, QuantType.QInt8


class Calibration(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, model: onnx.ModelProto) -> None:
        self.feeds = iter([models.random_inputs(model, seed=seed) for seed in range(2)])

    def get_next(self) -> Any:
        return next(self.feeds, None)


def same_values(path: Path, float_model: onnx.ModelProto, *ops: str, few_bits: bool = False, **options: str) -> None:
    """few_bits: as of `reference`."""
    model = onnx.load(path)
    feeds = [models.random_inputs(float_model, seed=seed) for seed in (5, 6)]
    expected = [reference(model, few_bits=few_bits).run(None, feed) for feed in feeds]
    assert np.unique(expected[0][0]).size > 50, "a network that is saturated compares nothing"
    for level in available_levels():
        session = sparse_session(model, quiet(), min_sparsity=0, isa=level, **options)
        for op in ops:
            assert_claimed(session, 1.0, op)
        for feed, want in zip(feeds, expected, strict=True):
            assert_same_bits(session.run(None, feed), want)


def distance(path: Path, float_model: onnx.ModelProto, share: float, *ops: str) -> float:
    """The largest difference, as a share of the largest value; `share` of the nodes of these op types run here."""
    feed = models.random_inputs(float_model, seed=5)
    (want,) = reference(onnx.load(path)).run(None, feed)
    session = sparse_session(path, quiet(), min_sparsity=0)
    assert_claimed(session, share, *ops)
    (got,) = session.run(None, feed)
    return float(np.abs(got - want).max() / np.abs(want).max())


def quantized(
    network: str, path: Path, form: QuantFormat, activations: QuantType, per_channel: bool
) -> onnx.ModelProto:
    model = NETWORKS[network]()
    quantize_static(model, str(path), Calibration(model), quant_format=form, activation_type=activations, weight_type=S8,
                    per_channel=per_channel, extra_options={"ActivationSymmetric": activations == S8})  # fmt: skip
    return model


@pytest.mark.parametrize(
    ("network", "per_channel"),
    [("resnet50", False), *((n, p) for n in ("mobilenet_v1", "mobilenet_v2") for p in (False, True))],
)
@pytest.mark.parametrize(
    ("form", "activations"),
    [(QOPERATOR, U8), (QOPERATOR, S8), (QDQ, U8)],
    ids=["qoperator u8", "qoperator s8", "qdq u8"],
)
def test_static(network: str, form: QuantFormat, activations: QuantType, per_channel: bool, tmp_path: Path) -> None:
    model = quantized(network, tmp_path / "q.onnx", form, activations, per_channel)
    same_values(tmp_path / "q.onnx", model, "QLinearConv" if form == QOPERATOR else "Conv")


def test_s8_qdq_is_float_in_onnxruntime(tmp_path: Path) -> None:
    """Its convolutions are then float there: the results agree within the steps of the quantization."""
    model = quantized("resnet50", tmp_path / "q.onnx", QDQ, S8, False)
    assert distance(tmp_path / "q.onnx", model, 1.0, "Conv") < 0.05


@pytest.mark.parametrize("network", ["resnet50", "mobilenet_v2"])
def test_dynamic_convolutions(network: str, tmp_path: Path) -> None:
    """Without the float average pool, whose sum has another order here."""
    model = NETWORKS[network]()
    onnx.save(model, tmp_path / "float.onnx")
    quantize_dynamic(tmp_path / "float.onnx", tmp_path / "q.onnx", weight_type=S8, reduce_range=not has_vnni())
    layers = ("ConvInteger", "MatMulInteger", "DynamicQuantizeLinear")
    same_values(tmp_path / "q.onnx", model, *layers, few_bits=not has_vnni(), neighbours="off")
    assert distance(tmp_path / "q.onnx", model, 1.0, *layers) < 0.02


@pytest.mark.parametrize("per_channel", [False, True], ids=["per tensor", "per channel"])
def test_dynamic_bert(per_channel: bool, tmp_path: Path) -> None:
    """Inner float operators (erf, softmax, layer normalization) round differently from onnxruntime's fused ones, and a
    byte that turns over by that is carried on: within the same steps, not the same bits."""
    model = models.bert(0.9, layers=2, hidden=64, heads=2, sequence=20)
    onnx.save(model, tmp_path / "float.onnx")
    quantize_dynamic(tmp_path / "float.onnx", tmp_path / "q.onnx", weight_type=S8, per_channel=per_channel)
    assert distance(tmp_path / "q.onnx", model, 0.7, "MatMulInteger") < 0.05


def test_bert_against_the_same_float_operators(tmp_path: Path) -> None:
    """onnxruntime fuses Add and layer normalization where its own provider has both, and one rounding of that turns a
    byte over: its own outputs at two levels of optimization differ by per cents. At the level at which providers get
    the graph it runs the same float operators as here, and then every byte between them is the same."""
    model = models.bert(0.9, layers=2, hidden=64, heads=2, sequence=20)
    quantize_static(model, str(tmp_path / "q.onnx"), Calibration(model), quant_format=QOPERATOR, activation_type=U8,
                    weight_type=S8, op_types_to_quantize=["MatMul"])  # fmt: skip
    quantized_model = onnx.load(tmp_path / "q.onnx")
    names = [n.output[0] for n in quantized_model.graph.node if n.op_type == "QLinearMatMul"]
    quantized_model.graph.output.extend(helper.make_tensor_value_info(n, onnx.TensorProto.UINT8, None) for n in names)
    feed = models.random_inputs(model, seed=5)
    want = reference(quantized_model, own_fusions=False).run(None, feed)
    for level in available_levels():
        session = sparse_session(quantized_model, quiet(), min_sparsity=0, isa=level, neighbours="off")
        with_weights = [n for n in nodes(session, "QLinearMatMul") if "are not constant" not in n["reason"]]
        assert len(with_weights) == 12 and all(n["provider"] == PROVIDER for n in with_weights)
        got = session.run(None, feed)
        assert max(int((g != w).sum()) for g, w in zip(got[1:], want[1:], strict=True)) == 0
