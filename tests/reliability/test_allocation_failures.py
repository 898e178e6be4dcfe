"""Memory runs out at any allocation of the plugin library: an error or the right values, and the process lives."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from differential import sanitized

FOLDER = Path(__file__).parent
MOST = 40  # failures of each model, at creation and at the first run


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("there is no g++ to build fail_allocation.cc with")
    if sanitized():
        pytest.skip("sanitizers have an allocator of their own")
    built = tmp_path_factory.mktemp("preload") / "libfail_allocation.so"
    source = FOLDER / "fail_allocation.cc"
    subprocess.run([compiler, "-O1", "-std=c++20", "-shared", "-fPIC", "-o", built, source, "-ldl"], check=True)
    return built


def test_every_failure_is_an_error_or_without_effect(library: Path) -> None:
    environment = os.environ | {"LD_PRELOAD": str(library), "PYTHONPATH": os.pathsep.join(sys.path)}
    script = [sys.executable, str(FOLDER / "allocation_failures.py"), str(library), "--most", str(MOST)]
    wrong: list[str] = []
    begin = 0
    while True:  # once more behind each death
        command = [*script, "--from", str(begin)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        lines = done.stdout.splitlines()
        wrong += [line for line in lines if line.startswith("!")]
        if done.returncode == 0:
            break
        assert lines and len(wrong) < 10, "\n".join([*wrong, done.stderr])
        wrong.append(f"{lines[-1]}: exit status {done.returncode} {done.stderr[-300:]}")
        last = re.match(r"(\d+) ", lines[-1])
        assert last is not None, wrong[-1]
        begin = int(last.group(1)) + 1
    assert not wrong, "\n".join(wrong)
    errors = re.match(r"done: (\d+) errors", lines[-1])
    assert errors is not None and (begin or int(errors.group(1)) > MOST), f"hardly anything failed: {lines[-1]}"
