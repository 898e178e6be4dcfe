"""How many examples tests draw: random models SPARSECPU_EXAMPLES of each kind, the same ones in every run; everything
else as many as its test says, but no more than that where it is set (sanitizers need fewer than values do)."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

EXAMPLES = int(os.environ.get("SPARSECPU_EXAMPLES", "60"))
CHECKS = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow, HealthCheck.data_too_large],
)


def examples(most: int) -> int:
    return min(most, int(os.environ.get("SPARSECPU_EXAMPLES", most)))
