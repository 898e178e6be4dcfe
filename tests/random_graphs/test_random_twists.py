"""Twisted random graphs: where the CPU provider runs, SparseCPUProvider creates a session, runs and gives the same.

The same graphs for as long as one likes: tests/fuzz.py."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "corpus"))

from differential import Child
from hypothesis import given
from random_checks import CHECKS
from subject import Subject
from twisted_graphs import subjects, trial_of


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    process = Child()
    yield process
    process.stop()


@CHECKS
@given(subject=subjects())
def test_random_twisted_graph(child: Child, subject: Subject) -> None:
    failures = child.examine(trial_of(subject)).failures
    assert not failures, "\n".join(failures)
