"""Random stacks of MatMul and Gemm in the forms that exporters write: SparseCPUProvider against the CPU provider."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import token_grammar
from harness import Variant, claimed, compare, float_variants
from hypothesis import given, settings
from hypothesis import strategies as st
from onnxruntime_ep_sparsecpu.models import GraphBuilder
from random_checks import CHECKS, EXAMPLES
from token_grammar import SPARSITIES, WIDTHS

VARIANTS = st.sampled_from(list(float_variants().values()))


def random_feed(shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)}


@settings(CHECKS, max_examples=EXAMPLES)
@given(network=token_grammar.token_networks(), variant=VARIANTS)
def test_random_token_network(network: tuple[onnx.ModelProto, list[tuple[int, ...]]], variant: Variant) -> None:
    model, shapes = network
    session = compare(model, [random_feed(shape) for shape in shapes], **variant, min_sparsity=0)
    # Some forms of Gemm are none that runs here, and no product of a vector.
    takes = len(shapes[0]) > 1 and any(node.op_type == "MatMul" for node in model.graph.node)
    assert claimed(session) or not takes, "nothing was claimed: the comparison says nothing"


@pytest.mark.parametrize("sparsity", [0.4, 0.9])
@pytest.mark.parametrize("variant", float_variants().values(), ids=float_variants().keys())
def test_kernels_change_with_the_number_of_rows(sparsity: float, variant: Variant) -> None:
    """One session: row-major for the fewest, then a stream of weights, then generated code, where there are these."""
    g = GraphBuilder(0, sparsity)
    wide = g.op("Relu", [g.op("MatMul", ["x", g.weight((200, 330), 200)])])
    y = g.op("Add", [g.op("MatMul", [wide, g.weight((330, 200), 330)]), "x"])
    model = g.model({"x": ["rows", 200]}, {y: ["rows", 200]})
    compare(
        model,
        [random_feed((rows, 200)) for rows in (1, 2, 7, 8, 16, 17, 32, 33, 48, 100, 1)],
        **variant,
        min_sparsity=0,
    )


@settings(CHECKS, max_examples=max(1, EXAMPLES // 3))
@given(rows=st.integers(1, 40), k=WIDTHS, n=WIDTHS, sparsity=SPARSITIES, variant=VARIANTS)
def test_reshape_gemm_reshape(rows: int, k: int, n: int, sparsity: float, variant: Variant) -> None:
    """What is left of MatMul + Add on three axes after ONNX Runtime's own rewriting, or as exported."""
    g = GraphBuilder(rows, sparsity)
    flat = g.op("Reshape", ["x", g.ints(-1, k)])
    y = g.op("Reshape", [g.gemm(flat, k, n), g.ints(2, rows, n)])
    model = g.model({"x": [2, rows, k]}, {y: [2, rows, n]})
    session = compare(model, [random_feed((2, rows, k))], **variant, min_sparsity=0)
    assert claimed(session, "Gemm", "MatMul")
