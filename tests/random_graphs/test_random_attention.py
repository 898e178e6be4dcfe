"""Random attention between pruned layers: SparseCPUProvider against the CPU provider."""

from __future__ import annotations

import attention_grammar
import onnx
from attention_grammar import Feeds
from harness import Variant, compare, float_variants, nodes
from hypothesis import given, settings
from hypothesis import strategies as st
from random_checks import CHECKS, EXAMPLES

VARIANTS = st.sampled_from(list(float_variants().values()))


@settings(CHECKS, max_examples=EXAMPLES)
@given(block=attention_grammar.blocks(), variant=VARIANTS)
def test_random_attention(block: tuple[onnx.ModelProto, Feeds], variant: Variant) -> None:
    model, feeds = block
    session = compare(model, feeds, **variant, min_sparsity=0)
    cores = nodes(session, "Softmax", "Attention")
    assert [node["pattern"] for node in cores] == ["attention"], cores[0]["reason"]
    assert all(node["region"] >= 0 for node in cores)
