"""Whole networks: SparseCPUProvider against the CPU provider, on every instruction-set level of this machine,
with and without generated code."""

from __future__ import annotations

from pathlib import Path

import builders
import exports
import numpy as np
import onnx
import pytest
from harness import (
    Variant,
    assert_claimed,
    assert_close,
    available_levels,
    claimed,
    compare,
    cpu_session,
    every_float_variant,
    sparse_session,
    weighted,
)
from onnxruntime_ep_sparsecpu import models

FAST = available_levels()[-1] != "scalar"
SLOW = "the scalar kernels are for correctness, not speed"

STATIC_NETWORKS = {
    "resnet50": lambda: models.resnet50(0.9),
    "mobilenet_v1": lambda: models.mobilenet_v1(0.9),
    "mobilenet_v2": lambda: builders.mobilenet_v2(0.9),
    "vgg16": lambda: builders.vgg16(0.9),
}


@pytest.fixture(scope="module", params=STATIC_NETWORKS)
def image_network(request: pytest.FixtureRequest) -> onnx.ModelProto:
    return STATIC_NETWORKS[request.param]()


@every_float_variant
def test_image_network_on_every_level(image_network: onnx.ModelProto, variant: Variant) -> None:
    session = compare(image_network, [models.random_inputs(image_network)], min_sparsity=0, **variant)
    assert_claimed(session, 1.0, "Conv", "Gemm")


@every_float_variant
def test_resnet50_is_claimed_by_default(variant: Variant) -> None:
    if variant["isa"] == "scalar":
        pytest.skip(SLOW)
    model = models.resnet50(0.9)
    session = compare(model, [models.random_inputs(model)], **variant)
    assert_claimed(session, 0.95, "Conv")
    assert_claimed(session, 0.95, "Relu", "Add", "MaxPool")
    regions = {node["region"] for node in claimed(session)}
    assert len(regions) <= 3, f"a ResNet should stay in one piece, found regions {sorted(regions)}"


@pytest.mark.skipif(not FAST, reason=SLOW)
@pytest.mark.parametrize("network", ["mobilenet_v1", "vgg16"])
def test_pruned_network_is_claimed_by_default(network: str) -> None:
    model = STATIC_NETWORKS[network]()
    session = compare(model, [models.random_inputs(model)])
    assert_claimed(session, 0.5, "Conv")


def test_dense_network_is_left_to_the_cpu_provider() -> None:
    model = models.resnet50(0.0)
    session = compare(model, [models.random_inputs(model)])
    assert not claimed(session, "Conv")


@every_float_variant
def test_resnet50_with_symbolic_axes(variant: Variant) -> None:
    model = models.resnet50(0.95, batch="n", height="h", width="w")
    shapes = [(1, 64, 64), (2, 97, 33), (3, 32, 160), (1, 64, 64)]
    feeds = [models.random_inputs(model, {"n": n, "h": h, "w": w}, seed=n) for n, h, w in shapes]
    session = compare(model, feeds, min_sparsity=0, **variant)
    assert_claimed(session, 1.0, "Conv")


@every_float_variant
def test_batches(variant: Variant) -> None:
    """Images in slices where threads share them evenly, all at once where they do not."""
    model = builders.mobilenet_v2(0.9, batch="n", height=64, width=96)
    feeds = [models.random_inputs(model, {"n": n}, seed=n) for n in (1, 2, 3, 16)]
    session = compare(model, feeds, min_sparsity=0, **variant)
    assert_claimed(session, 1.0, "Conv")


@every_float_variant
def test_detector_with_symbolic_axes(variant: Variant) -> None:
    model = builders.yolov8(0.9)
    shapes = [(1, 64, 96), (2, 96, 64), (1, 160, 32)]
    axes = [{"batch": n, "height": h, "width": w} for n, h, w in shapes]
    feeds = [models.random_inputs(model, axis, seed) for seed, axis in enumerate(axes)]
    session = compare(model, feeds, min_sparsity=0, **variant)
    assert_claimed(session, 0.95, "Conv")
    assert_claimed(session, 0.9, "Sigmoid", "Concat", "Resize", "MaxPool", "Mul", "Add")


def test_detector_at_full_size() -> None:
    model = builders.yolov8(0.9)
    session = compare(model, [models.random_inputs(model, {"batch": 1, "height": 480, "width": 640})])
    assert_claimed(session, 0.5, "Conv")


@every_float_variant
def test_encoder_of_plain_nodes(variant: Variant) -> None:
    model = models.bert(0.9, batch="n", sequence="s", layers=2, hidden=384, heads=6)
    feeds = [models.random_inputs(model, {"n": n, "s": s}, seed=s) for n, s in [(1, 1), (1, 17), (3, 40), (1, 128)]]
    session = compare(model, feeds, min_sparsity=0, **variant)
    assert len(weighted(session)) == 2 * 6


@pytest.mark.parametrize("sequence", [1, 5, 128])
def test_static_encoder(sequence: int) -> None:
    model = models.bert(0.9, sequence=sequence, layers=1)
    session = compare(model, [models.random_inputs(model)], min_sparsity=0)
    assert len(weighted(session)) == 6


@pytest.fixture(scope="module")
def torch_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exports.random_bert(tmp_path_factory.mktemp("bert") / "bert.onnx")


@pytest.fixture(scope="module")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exports.minilm(tmp_path_factory.mktemp("minilm") / "minilm.onnx")


@every_float_variant
def test_torch_bert_with_dynamic_axes(torch_bert: Path, variant: Variant) -> None:
    rng = np.random.default_rng(3)
    feeds = []
    for batch, sequence in [(1, 7), (2, 64), (4, 33), (1, 1)]:
        ids = rng.integers(0, 1000, (batch, sequence))
        mask = np.ones_like(ids)
        mask[-1, (sequence + 1) // 2 :] = 0
        feeds.append(dict(zip(exports.INPUTS, (ids, mask, np.zeros_like(ids)), strict=True)))
    session = compare(torch_bert, feeds, min_sparsity=0, **variant)
    assert len(weighted(session)) == 2 * 6


SENTENCES = [
    "A pruned network computes only with the weights that are left.",
    "Sparse kernels skip the zeros.",
    "The harbour was quiet; gulls walked along the pier, and nobody was in a hurry to be anywhere else that morning.",
    "Rain.",
]


@every_float_variant
def test_real_sentence_encoder(minilm: Path, variant: Variant) -> None:
    sparse, cpu = sparse_session(minilm, min_sparsity=0, **variant), cpu_session(minilm)
    for sentences in (SENTENCES, SENTENCES[:1], SENTENCES[3:], [" ".join(SENTENCES * 3)]):
        feed = exports.tokens(sentences)
        mask = feed["attention_mask"]
        (got,), (want,) = sparse.run(None, feed), cpu.run(None, feed)
        real = mask.astype(bool)
        assert_close([got[real]], [want[real]])
        assert_close([exports.embeddings(got, mask)], [exports.embeddings(want, mask)])
    assert len(weighted(sparse)) == 6 * 6
