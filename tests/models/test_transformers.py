"""Encoders as torch exports them: with both exporters, eager and fused attention, from opset 13 to 23."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
import transformers
from exports import prune_linear
from harness import (
    assert_close,
    cpu_session,
    every_float_variant,
    has_vnni,
    nodes,
    saved_by_onnxruntime,
    sparse_session,
)
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.transformers.fusion_options import FusionOptions
from onnxruntime.transformers.optimizer import optimize_model
from onnxruntime_ep_sparsecpu import models

LAYERS, VOCABULARY = 2, 99
SIZES = {"hidden_size": 64, "num_hidden_layers": LAYERS, "num_attention_heads": 4, "intermediate_size": 128}


def bert(attention: str) -> torch.nn.Module:
    config = transformers.BertConfig(vocab_size=VOCABULARY, attn_implementation=attention, **SIZES)
    return transformers.BertModel(config)


def roberta(attention: str) -> torch.nn.Module:
    config = transformers.RobertaConfig(vocab_size=VOCABULARY, attn_implementation=attention, **SIZES)
    return transformers.RobertaModel(config)


def distilbert(attention: str) -> torch.nn.Module:
    config = transformers.DistilBertConfig(
        vocab_size=VOCABULARY, dim=64, n_layers=LAYERS, n_heads=4, hidden_dim=128, attn_implementation=attention
    )
    return transformers.DistilBertModel(config)


def gpt2(attention: str) -> torch.nn.Module:
    config = transformers.GPT2Config(
        vocab_size=VOCABULARY, n_embd=64, n_layer=LAYERS, n_head=4, use_cache=False, attn_implementation=attention
    )
    return transformers.GPT2Model(config)


def vit(attention: str) -> torch.nn.Module:
    config = transformers.ViTConfig(image_size=32, patch_size=8, attn_implementation=attention, **SIZES)
    return transformers.ViTModel(config)


ENCODERS = {"bert": bert, "roberta": roberta, "distilbert": distilbert, "vit": vit}
NETWORKS = ENCODERS | {"gpt2": gpt2}
# Exporter, opset, attention implementation, axes.
FORMS = {
    "torchscript 13, eager": (False, 13, "eager", "static"),
    "torchscript 17, sdpa, dynamic": (False, 17, "sdpa", "dynamic"),
    "torchscript 17, eager, dynamic": (False, 17, "eager", "dynamic"),
    "dynamo 18, sdpa, dynamic": (True, 18, "sdpa", "dynamic"),
    "dynamo 20, eager": (True, 20, "eager", "static"),
    "dynamo 23, sdpa, dynamic": (True, 23, "sdpa", "dynamic"),
}
# RoBERTa's and DistilBERT's blocks are BERT's: a form of each exporter tells whether what is around them fits.
SAMPLED = ("torchscript 17, sdpa, dynamic", "dynamo 20, eager")
EXPORTS = [(name, form) for name in ENCODERS for form in FORMS if name in ("bert", "vit") or form in SAMPLED]


class _Outputs(torch.nn.Module):
    """The encoder with its hidden states and, if it has a pooler, the pooled ones, as a tuple."""

    def __init__(self, network: torch.nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.network, self.names = network, names

    def forward(self, *values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        result = self.network(**dict(zip(self.names, values, strict=True)))
        outputs = (result.last_hidden_state, getattr(result, "pooler_output", None))
        return tuple(output for output in outputs if output is not None)


def export(name: str, form: str, path: Path) -> Path:
    dynamo, opset, attention, axes = FORMS[form]
    torch.manual_seed(0)
    if name == "vit":
        names, example, symbols = ("pixel_values",), (torch.randn(2, 3, 32, 32),), {0: "batch"}
    else:
        names = ("input_ids", "attention_mask")
        example = (torch.randint(3, VOCABULARY, (2, 9)), torch.ones(2, 9, dtype=torch.long))
        symbols = {0: "batch", 1: "sequence"}
    arguments: dict[str, Any] = {"input_names": list(names), "opset_version": opset, "dynamo": dynamo}
    if dynamo:
        pytest.importorskip("onnxscript")
        arguments["external_data"] = False
    if axes == "dynamic" and dynamo:
        limits = {"batch": torch.export.Dim("batch", max=64), "sequence": torch.export.Dim("sequence", min=2, max=512)}
        arguments["dynamic_shapes"] = (tuple({i: limits[s] for i, s in symbols.items()} for _ in names),)
    elif axes == "dynamic":
        arguments["dynamic_axes"] = dict.fromkeys(names, symbols)
    torch.onnx.export(_Outputs(NETWORKS[name](attention), names).eval(), example, str(path), **arguments)
    model = onnx.load(path)
    prune_linear(model, 0.9)
    onnx.save(model, path)
    return path


Exported = Callable[[str, str], Path]


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The file of a network in a form: made by the first process that asks, for all of them."""
    own = tmp_path_factory.getbasetemp()
    folder = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def made_once(name: str, form: str) -> Path:
        path = folder / f"{name}, {form}.onnx"
        with open(f"{path}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                export(name, form, path.with_suffix(".part")).rename(path)
        return path

    return made_once


def feed(session: ort.InferenceSession, batch: int, sequence: int) -> dict[str, np.ndarray]:
    """Random tokens whose first sentence is half padding, or random pixels."""
    rng = np.random.default_rng(batch * 1000 + sequence)
    result = {}
    for value in session.get_inputs():
        shape = [d if isinstance(d, int) else {"batch": batch, "sequence": sequence}[d] for d in value.shape]
        if value.name == "attention_mask":
            result[value.name] = np.ones(shape, np.int64)
            result[value.name][0, (shape[1] + 1) // 2 :] = 0
        elif value.type == "tensor(int64)":
            result[value.name] = rng.integers(3, VOCABULARY, shape)
        else:
            result[value.name] = rng.standard_normal(shape).astype(np.float32)
    return result


def attentions(session: ort.InferenceSession) -> list[dict[str, Any]]:
    """The claimed nodes that stand for an attention each."""
    every = nodes(session)
    return [n for i, n in enumerate(every) if "attention" in n["pattern"] and n["unit"] == i and n["region"] >= 0]


@pytest.mark.parametrize(("name", "form"), EXPORTS)
def test_export_of_torch(name: str, form: str, exported: Exported) -> None:
    path = exported(name, form)
    sparse, cpu = sparse_session(path, min_sparsity=0), cpu_session(path)
    for batch, sequence in ((2, 9), (1, 2), (3, 33), (1, 128)):
        inputs = feed(cpu, batch, sequence)
        assert_close(sparse.run(None, inputs), cpu.run(None, inputs))
        if FORMS[form][3] == "static":
            break
    assert len(attentions(sparse)) == LAYERS
    blocks = {node["region"] for node in attentions(sparse)}
    assert len(blocks) == 1, "all blocks belong in one region"
    norms = [n for n in nodes(sparse, "LayerNormalization") if n["region"] not in blocks]
    assert len(norms) <= 2  # that of the embeddings may stay outside


@pytest.mark.parametrize("optimized", [False, True])
@pytest.mark.parametrize("form", [form for form in FORMS if "dynamic" in form])
def test_decoder_whose_layers_are_gemms(form: str, optimized: bool, exported: Exported, tmp_path: Path) -> None:
    """GPT-2's layers take the tokens of all sequences in one axis, of computed sizes, and give them back."""
    path = exported("gpt2", form)
    if optimized:
        path = saved_by_onnxruntime(path, tmp_path / "optimized.onnx")
    sparse, cpu = sparse_session(path, min_sparsity=0), cpu_session(path)
    for batch, sequence in ((2, 9), (1, 2), (3, 33)):
        inputs = feed(cpu, batch, sequence)
        assert_close(sparse.run(None, inputs), cpu.run(None, inputs))
    assert len(attentions(sparse)) == LAYERS
    layers = nodes(sparse, "Gemm")
    assert len(layers) == 4 * LAYERS and len({node["region"] for node in layers}) == 1


@every_float_variant
def test_export_on_every_level(variant: dict[str, str], exported: Exported) -> None:
    path = exported("bert", "torchscript 17, sdpa, dynamic")
    sparse, cpu = sparse_session(path, min_sparsity=0, **variant), cpu_session(path)
    for batch, sequence in ((1, 1), (2, 8), (1, 16), (4, 17), (1, 200)):
        inputs = feed(cpu, batch, sequence)
        assert_close(sparse.run(None, inputs), cpu.run(None, inputs))


@pytest.mark.parametrize(("name", "form"), [(name, form) for name, form in EXPORTS if "23" not in form])
def test_file_that_onnxruntime_has_optimized(name: str, form: str, exported: Exported, tmp_path: Path) -> None:
    """Fused operators: products with a factor, LayerNormalization with its Add, GELU with its bias."""
    path = saved_by_onnxruntime(exported(name, form), tmp_path / "optimized.onnx")
    sparse, cpu = sparse_session(path, min_sparsity=0), cpu_session(path)
    for batch, sequence in ((2, 9), (1, 2), (3, 33)) if FORMS[form][3] == "dynamic" else ((2, 9),):
        inputs = feed(cpu, batch, sequence)
        assert_close(sparse.run(None, inputs), cpu.run(None, inputs))
    assert nodes(sparse, "FusedMatMul")
    assert len(attentions(sparse)) == LAYERS
    assert len({node["region"] for node in attentions(sparse)}) == 1, "all blocks belong in one region"
    fused = [
        n
        for n in nodes(sparse, "FusedMatMul", "FusedGemm", "SkipLayerNormalization", "BiasGelu", "Gelu")
        if n["region"] < 0
    ]
    assert not fused, [node["reason"] for node in fused]


@pytest.mark.parametrize("operator", ["Attention", "MultiHeadAttention"])
@pytest.mark.parametrize("form", ["torchscript 17, eager, dynamic", "torchscript 17, sdpa, dynamic"])
@pytest.mark.parametrize("name", ENCODERS)
def test_file_that_onnxruntimes_optimizer_has_written(
    name: str, form: str, operator: str, exported: Exported, tmp_path: Path
) -> None:
    """Of eager attention it makes one operator with a mask of keys; of the other it leaves the products."""
    path = exported(name, form)
    kind = "vit" if name == "vit" else "bert"
    options = FusionOptions(kind)
    options.use_multi_head_attention = operator == "MultiHeadAttention"
    heads, hidden = SIZES["num_attention_heads"], SIZES["hidden_size"]
    written = optimize_model(str(path), kind, heads, hidden, optimization_options=options, opt_level=0)
    path = tmp_path / "optimized.onnx"
    written.save_model_to_file(str(path))
    sparse, cpu = sparse_session(path, min_sparsity=0), cpu_session(path)
    for batch, sequence in ((2, 9), (1, 2), (3, 33)):
        inputs = feed(cpu, batch, sequence)
        assert_close(sparse.run(None, inputs), cpu.run(None, inputs))
    assert len(attentions(sparse)) == LAYERS
    assert len({node["region"] for node in attentions(sparse)}) == 1, "all blocks belong in one region"
    fused = nodes(sparse, operator, "SkipLayerNormalization", "BiasGelu")
    assert len(fused) >= LAYERS * (3 + ("eager" in form and name != "vit"))
    assert all(node["region"] >= 0 for node in fused), [node["reason"] for node in fused]


class _Random(CalibrationDataReader):
    def __init__(self, model: onnx.ModelProto) -> None:
        self.feeds = iter([models.random_inputs(model, seed=seed) for seed in range(2)])

    def get_next(self) -> Any:
        return next(self.feeds, None)


@pytest.mark.parametrize("form", ["qoperator", "qdq", "dynamic"])
def test_quantized_encoder(form: str, tmp_path: Path) -> None:
    """Compared with the CPU provider before its extended optimizations: those change the order of float roundings
    between quantized operators (recognise/ort_forms.h). A byte of the softmax may differ by a step."""
    model = models.bert(0.9, sequence=24, layers=2, hidden=64, heads=4)
    source, target = tmp_path / "float.onnx", tmp_path / "quantized.onnx"
    onnx.save(model, source)
    reduce_range = not has_vnni()  # weights of 7 bits: without VNNI onnxruntime sums no others exactly
    if form == "dynamic":
        quantize_dynamic(source, target, weight_type=QuantType.QInt8, reduce_range=reduce_range)
    else:
        quant = QuantFormat.QOperator if form == "qoperator" else QuantFormat.QDQ
        kinds = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8, "reduce_range": reduce_range}
        quantize_static(source, target, _Random(model), quant_format=quant, op_types_to_quantize=["MatMul"], **kinds)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    sparse, cpu = sparse_session(target, min_sparsity=0), cpu_session(target, options)
    inputs = models.random_inputs(model, seed=7)
    (got,), (want,) = sparse.run(None, inputs), cpu.run(None, inputs)
    assert np.abs(got - want).max() <= 0.05 * np.abs(want).max()
    assert np.abs(got - want).mean() <= 0.002 * np.abs(want).max()
    assert len(attentions(sparse)) == 2
