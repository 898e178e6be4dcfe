"""Replays the corpus: every case on both providers, with each of its options, on every level of this machine.

How to add a case: case.py."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from case import CASES, Case
from differential import Child, Trial, every_variant
from documented_differences import DIFFERENCES

for path in sorted(Path(__file__).parent.glob("*.py")):
    if path.stem not in ("case", "documented_differences") and not path.stem.startswith("test_"):
        importlib.import_module(path.stem)


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    process = Child()
    yield process
    process.stop()


def marks(case: Case) -> list[pytest.MarkDecorator]:
    return [pytest.mark.xfail(reason=DIFFERENCES[case.name], strict=True)] if case.name in DIFFERENCES else []


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=name.replace(" ", "_"), marks=marks(case)) for name, case in CASES.items()]
)
def test_case(case: Case, child: Child) -> None:
    model, feeds = case.build()
    options = [{**chosen, **level} for chosen in case.options for level in every_variant().values()]
    verdict = child.examine(Trial(model, feeds, options, case.bound, threads=case.threads, claims=case.claims))
    failures = "\n".join(verdict.failures)
    assert not failures, failures
    assert bool(verdict.cpu_error) == case.cpu_raises, f"CPU provider: {verdict.cpu_error or 'runs'}"


def test_documented_differences_name_cases() -> None:
    assert set(DIFFERENCES) <= set(CASES)
