"""Random image networks of the supported patterns: SparseCPUProvider against the CPU provider."""

from __future__ import annotations

import grammar
import numpy as np
import onnx
from harness import Variant, assert_close, claimed, cpu_session, float_variants, sparse_session
from hypothesis import given, settings
from hypothesis import strategies as st
from random_checks import CHECKS, EXAMPLES

VARIANTS = st.sampled_from(list(float_variants().values()))


def feeds_for(shapes: list[tuple[int, ...]]) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(len(shapes))
    return [{"x": rng.standard_normal(shape).astype(np.float32)} for shape in shapes]


def check(model: onnx.ModelProto, shapes: list[tuple[int, ...]], variant: Variant, neighbours: str = "on") -> None:
    cpu = cpu_session(model)
    sparse = sparse_session(model, **variant, min_sparsity=0, neighbours=neighbours)
    for feed in feeds_for(shapes):
        assert_close(sparse.run(None, feed), cpu.run(None, feed))
    assert claimed(sparse), "nothing was claimed: the comparison says nothing"


@CHECKS
@given(network=grammar.networks(), variant=VARIANTS)
def test_random_network(network: tuple[onnx.ModelProto, list[tuple[int, ...]]], variant: Variant) -> None:
    check(*network, variant)


@settings(CHECKS, max_examples=max(1, EXAMPLES // 3))
@given(network=grammar.networks(), variant=VARIANTS)
def test_random_network_without_neighbours(
    network: tuple[onnx.ModelProto, list[tuple[int, ...]]], variant: Variant
) -> None:
    check(*network, variant, neighbours="off")
