"""How the tests on random models draw them: the same ones in every run, SPARSECPU_EXAMPLES of each kind."""

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
