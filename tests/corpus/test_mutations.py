"""Mutated model files: no death, no hang, no memory out of proportion, and the CPU provider's values where it has any.

More of them, and mutations of random graphs: tests/fuzz.py --what files."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from differential import Child, Trial, every_variant
from harness import BOUND
from mutations import mutated
from random_checks import EXAMPLES
from test_corpus import CASES, DIFFERENCES

OPTIONS = [{"min_sparsity": "0", **level} for level in every_variant().values()]


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    process = Child()
    yield process
    process.stop()


def test_mutated_corpus(child: Child) -> None:
    random = np.random.default_rng(0)
    sound = [case for name, case in CASES.items() if name not in DIFFERENCES]
    wrong, refused = [], 0
    for number in range(2 * EXAMPLES):
        case = sound[int(random.integers(len(sound)))]
        model, feeds = case.build()
        trial = mutated(random, Trial(model, feeds, OPTIONS, max(case.bound, BOUND)))
        if trial is None:
            refused += 1
            continue
        verdict = child.examine(trial)
        wrong += [f"{number}, of {case.name}: {failure}" for failure in verdict.failures]
        refused += bool(verdict.cpu_error)
    assert not wrong, "\n".join(wrong)
    assert refused < 2 * EXAMPLES, "the CPU provider refuses all of them: nothing was compared"
