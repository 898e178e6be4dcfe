"""All the random graphs: networks of the grammars of this folder, twisted, as trials of the two providers."""

from __future__ import annotations

import attention_grammar
import byte_grammar
import grammar
import numpy as np
from differential import Trial, every_variant
from harness import BOUND
from hypothesis import strategies as st
from quantizing import quantized
from subject import Subject
from test_random_fused_attention import blocks as fused_blocks
from token_grammar import token_networks
from twists import twist

LEVELS = ["ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL"]
OPTIONS = [{**chosen, **level} for chosen in ({}, {"min_sparsity": "0"}) for level in every_variant().values()]


def normal(shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)}


@st.composite
def subjects(draw: st.DrawFn) -> Subject:
    kind = draw(st.sampled_from(["images", "images", "tokens", "tokens", "attention", "fused", "bytes", "bytes"]))
    if kind == "bytes":
        return twist(draw, draw(byte_grammar.byte_chains()))
    if kind in ("attention", "fused"):
        subject = Subject(*draw(attention_grammar.blocks() if kind == "attention" else fused_blocks()))
    else:
        model, shapes = draw(grammar.networks() if kind == "images" else token_networks())
        subject = Subject(model, [normal(shape) for shape in shapes])
    return twist(draw, quantized(draw, subject) if draw(st.integers(0, 2)) == 0 else subject)


def trial_of(subject: Subject) -> Trial:
    bound = 0.05 if subject.steps else BOUND
    nodes = len(subject.model.graph.node)
    # Units of bytes are floats below ORT_ENABLE_EXTENDED, and what they round is next to bytes: there the level is default.
    level = LEVELS[nodes // 2 % len(LEVELS)] if not subject.steps else LEVELS[-1]
    return Trial(
        subject.model.SerializeToString(), subject.feeds, OPTIONS, bound, subject.steps, 1 + nodes % 2, level=level
    )
