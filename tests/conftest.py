"""Says at the top of every run which instruction-set levels it covers and which it cannot."""

from __future__ import annotations

import os

# Set in a developer's shell, these would change what the package prints and does under test. SPARSECPU_ISA stays: it
# chooses the levels to test.
for variable in ("SPARSECPU_LOG", "SPARSECPU_NO_REGISTER"):
    os.environ.pop(variable, None)

import onnxruntime as ort
from harness import LEVELS, available_levels, has_vnni


def pytest_report_header() -> list[str]:
    here = available_levels()
    skipped = [level for level in LEVELS if level not in here]
    against = "onnxruntime's CPU provider" if has_vnni() else "the scalar level (onnxruntime saturates without VNNI)"
    return [
        f"onnxruntime {ort.__version__}; levels tested: {', '.join(here)}; skipped: {', '.join(skipped) or 'none'}",
        f"int8 results are compared with {against}",
    ]
