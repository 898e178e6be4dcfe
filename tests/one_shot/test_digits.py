"""A network that has learnt something: scikit-learn's handwritten digits, told apart before and after pruning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from onnxruntime_ep_sparsecpu.tools import open_source, prune

datasets = pytest.importorskip("sklearn.datasets")

_TRAINED, _CALIBRATION = 1200, 512  # images; the others are judged by


class Digits:
    def __init__(self, path: Path) -> None:
        images, labels = datasets.load_digits(return_X_y=True)
        order = np.random.default_rng(0).permutation(len(images))
        images = (images[order].reshape(-1, 1, 8, 8) / 16).astype(np.float32)
        self.path = str(path)
        self.calibration = [{"images": batch} for batch in np.split(images[:_CALIBRATION], 8)]
        self.held_out, self.labels = images[_TRAINED:], labels[order][_TRAINED:]
        network = _trained(torch.tensor(images[:_TRAINED]), torch.tensor(labels[order][:_TRAINED]))
        torch.onnx.export(
            network,
            (torch.zeros(2, 1, 8, 8),),
            self.path,
            input_names=["images"],
            dynamic_axes={"images": {0: "n"}},
            dynamo=False,
        )

    def accuracy(self, path: str) -> float:
        (scores,) = ort.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"images": self.held_out})
        return float((scores.argmax(axis=1) == self.labels).mean())


def _trained(images: torch.Tensor, labels: torch.Tensor) -> torch.nn.Module:
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 16, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False),
        torch.nn.BatchNorm2d(32),
        torch.nn.ReLU(),
        torch.nn.Conv2d(32, 32, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(512, 10),
    )
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(12):
        for batch in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(images[batch]), labels[batch]).backward()
            optimizer.step()
    return network.eval()


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    return Digits(tmp_path_factory.mktemp("digits") / "dense.onnx")


@pytest.mark.parametrize(("pattern", "sparsity"), [("unstructured", 0.7), ("unstructured", 0.8), ("1x4", 0.7)])
def test_accuracy_stays(digits: Digits, pattern: str, sparsity: float, tmp_path: Path) -> None:
    """The first layer, with nine inputs to choose from, stays dense, as is usual."""
    dense, source = digits.accuracy(digits.path), open_source(digits.path)
    accuracies = {}
    for name, calibration in (("one-shot", digits.calibration), ("by size", None)):
        prune(source, str(tmp_path / "p.onnx"), sparsity, pattern, ["^/0/"], calibration=calibration)
        accuracies[name] = digits.accuracy(str(tmp_path / "p.onnx"))
    assert dense > 0.95
    assert accuracies["one-shot"] > dense - 0.02, accuracies
    assert accuracies["one-shot"] > accuracies["by size"] + 0.01, accuracies
