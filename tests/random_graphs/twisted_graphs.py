"""All the random graphs: networks of the grammars of this folder, twisted, as trials of the two providers."""

from __future__ import annotations

import byte_grammar
import grammar
import numpy as np
from differential import Trial, every_variant
from harness import BOUND
from hypothesis import strategies as st
from subject import Subject
from test_random_attention import blocks
from test_random_products import token_stacks
from twists import twist

OPTIONS = [{**chosen, **level} for chosen in ({}, {"min_sparsity": "0"}) for level in every_variant().values()]


def normal(shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)}


@st.composite
def subjects(draw: st.DrawFn) -> Subject:
    kind = draw(st.sampled_from(["images", "tokens", "attention", "bytes", "bytes"]))
    if kind == "bytes":
        return twist(draw, draw(byte_grammar.byte_chains()))
    if kind == "attention":
        return twist(draw, Subject(*draw(blocks())))
    model, shapes = draw(grammar.networks() if kind == "images" else token_stacks())
    return twist(draw, Subject(model, [normal(shape) for shape in shapes]))


def trial_of(subject: Subject) -> Trial:
    bound = 0.05 if subject.steps else BOUND
    threads = 1 + len(subject.model.graph.node) % 2
    return Trial(subject.model.SerializeToString(), subject.feeds, OPTIONS, bound, subject.steps, threads)
