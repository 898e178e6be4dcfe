"""Every kernel of the registry on this machine, against the scalar one on random operands of odd sizes.

INT8 and data movement have to agree in every bit, floats within the rounding of sums in another order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from onnxruntime_ep_sparsecpu.tools.self_test.elementwise import ELEMENTWISE
from onnxruntime_ep_sparsecpu.tools.self_test.layers import LAYERS, generated_code
from onnxruntime_ep_sparsecpu.tools.self_test.operands import Case

ROUNDS = 8
_BOUND = 1e-5  # of the largest magnitude

CASES: Mapping[str, Case] = {**LAYERS, **ELEMENTWISE}
"""By the members of KernelTable and QuantizedKernels (provider/kernels/): a test compares the two lists."""


def self_test(levels: Sequence[str], rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """One entry a level and kernel: ``level``, ``kernel``, ``passed`` and ``cases`` (numbers of them).

    levels: of available_isas(); scalar is what the others are compared with. Generated code counts as a kernel of the
    levels that have it.
    """
    results = []
    for level in levels:
        if level == "scalar":
            continue
        for name, case in {**CASES, **generated_code(level)}.items():
            passed = sum(_agrees(case, level, seed) for seed in range(rounds))
            results.append({"level": level, "kernel": name, "passed": passed, "cases": rounds})
    return results


def _agrees(case: Case, level: str, seed: int) -> bool:
    want, got = (case(isa, np.random.default_rng(seed)) for isa in ("scalar", level))
    if want.dtype.kind != "f":
        return bool(np.array_equal(got, want))
    bound = _BOUND * max(1.0, float(np.abs(want).max(initial=0.0)))
    return bool(np.all(np.abs(got - want) <= bound))
