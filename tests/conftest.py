"""Finds the module that only tests use, says at the top of every run which instruction-set levels it covers and which it
cannot, and in how many processes it runs at most."""

from __future__ import annotations

import importlib.util
import os
import sys
import sysconfig
from pathlib import Path

# Set in a developer's shell, these would change what the package prints and does under test. SPARSECPU_ISA stays: it
# chooses the levels to test.
for variable in ("SPARSECPU_LOG", "SPARSECPU_NO_REGISTER"):
    os.environ.pop(variable, None)


def find_testing_module() -> None:
    """sparsecpu_testing is built with the package, but not installed: after `pip install .` it lies in the folder of
    this clone in which pip has built."""
    if importlib.util.find_spec("sparsecpu_testing") is not None:
        return
    name = f"sparsecpu_testing{sysconfig.get_config_var('EXT_SUFFIX')}"
    built = sorted(Path(__file__).parents[1].glob(f"build/cp*/python/{name}"), key=lambda path: path.stat().st_mtime)
    # Last: the package that lies there, too, is not the one to test.
    sys.path += [str(path.parent) for path in built[-1:]]


find_testing_module()

import onnxruntime as ort
import pytest
from harness import LEVELS, available_levels, has_vnni


def pytest_report_header() -> list[str]:
    here = available_levels()
    skipped = [level for level in LEVELS if level not in here]
    against = "onnxruntime's CPU provider" if has_vnni() else "the scalar level (onnxruntime saturates without VNNI)"
    return [
        f"onnxruntime {ort.__version__}; levels tested: {', '.join(here)}; skipped: {', '.join(skipped) or 'none'}",
        f"int8 results are compared with {against}",
    ]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Processes of `-n auto`: few, since sessions have threads for all CPUs, and models take memory."""
    return min(len(os.sched_getaffinity(0)), 4)
