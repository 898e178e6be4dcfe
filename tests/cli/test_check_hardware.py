"""`sparsecpu check-hardware`: what it says about this machine, and that its self-test covers every kernel."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import LEVELS, available_levels, run_child
from onnxruntime_ep_sparsecpu import cli, tools
from onnxruntime_ep_sparsecpu.tools import self_test

KERNELS = Path(__file__).resolve().parents[2] / "provider" / "kernels"


def members(header: str, table: str) -> set[str]:
    """The kernels of a struct: its members of a type that ends in Fn."""
    text = (KERNELS / header).read_text()
    body = re.search(rf"struct {table} {{(.*?)\n}};", text, re.DOTALL)
    assert body
    declared = re.findall(r"^  \w+Fn ([\w, ]+);", body[1], re.MULTILINE)
    return {name.strip() for names in declared for name in names.split(",")}


def test_the_self_test_covers_the_registry() -> None:
    floats, quantized = members("kernels.h", "KernelTable"), members("quantized.h", "QuantizedKernels")
    assert len(floats) > 10 and len(quantized) > 10
    assert set(self_test.CASES) == floats | {f"quantized.{name}" for name in quantized}


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return tools.check_hardware()


def test_every_kernel_of_every_level_is_right(result: dict[str, Any]) -> None:
    levels = available_levels()
    assert result["ok"]
    assert {test["level"] for test in result["self_test"]} == set(levels) - {"scalar"}
    for test in result["self_test"]:
        assert test["passed"] == test["cases"] == self_test.ROUNDS, test
    for level in set(levels) - {"scalar"}:
        assert {t["kernel"] for t in result["self_test"] if t["level"] == level} >= set(self_test.CASES)


@pytest.mark.skipif(len(available_levels()) < 2, reason="there is only the scalar level")
@pytest.mark.parametrize("wrong", [1, 0.01])
def test_a_wrong_kernel_is_found(monkeypatch: pytest.MonkeyPatch, wrong: float) -> None:
    """Off in one element: of the bytes by one, of the floats by a hundredth."""
    name = "quantized.add" if wrong == 1 else "affine"
    right = self_test.CASES[name]

    def broken(level: str, rng: np.random.Generator) -> np.ndarray:
        y = right(level, rng)
        if level != "scalar":
            y.reshape(-1)[-1] += y.dtype.type(wrong)
        return y

    monkeypatch.setattr(self_test, "CASES", {name: broken})
    (entry, *_) = self_test.self_test(available_levels()[1:2])
    assert entry["kernel"] == name and entry["passed"] == 0


def test_what_it_says_of_the_machine(result: dict[str, Any]) -> None:
    assert result["cpu"]["usable"] == len(os.sched_getaffinity(0))
    assert result["isa"]["found"] == list(LEVELS[: LEVELS.index(result["isa"]["found"][-1]) + 1])
    assert result["isa"]["used"] == available_levels()[-1]
    assert result["onnxruntime"]["fits"]
    assert all(cache["bytes"] > 0 and cache["shared_by"] > 0 for cache in result["caches"])
    if result["isa"]["used"] != "scalar":
        one, every = result["peak"]["one"]["fp32"], result["peak"]["all"]["fp32"]
        assert one > 1e9 and every > 1e9


def test_what_to_expect(result: dict[str, Any]) -> None:
    assert len(result["expect"]) == 5
    for row in result["expect"]:
        assert 0 < row["fp32"]["needed"] < 1 and row["fp32"]["speed_up"] > 0
        assert 0 < row["int8"]["needed"] < 1 and row["int8"]["speed_up"] > 0


def test_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check-hardware"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 100
    for level in available_levels()[1:]:
        assert f"{level}: " in text
    assert "What to expect" in text
    assert cli.main(["check-hardware", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True


@pytest.mark.parametrize("level", available_levels()[:-1])
def test_a_lowered_level_says_why(level: str) -> None:
    done = run({"SPARSECPU_ISA": level})
    assert done.returncode == 0, done.stderr
    isa = json.loads(done.stdout)["isa"]
    assert isa["used"] == level and f"SPARSECPU_ISA={level}" in isa["why"]


def test_a_level_that_does_not_exist() -> None:
    done = run({"SPARSECPU_ISA": "mmx"})
    assert done.returncode == 2
    assert "SPARSECPU_ISA is 'mmx'" in done.stderr and len(done.stderr.splitlines()) == 1


def run(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "onnxruntime_ep_sparsecpu.cli", "check-hardware", "--json"]
    return run_child(command, env={**os.environ, **environment})
