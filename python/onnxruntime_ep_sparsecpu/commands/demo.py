"""`sparsecpu demo`: one pruned network on both providers, in turns, in one run."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import onnxruntime_ep_sparsecpu as sparsecpu
from onnxruntime_ep_sparsecpu import models
from onnxruntime_ep_sparsecpu.commands import arguments as shared
from onnxruntime_ep_sparsecpu.commands import explain, output
from onnxruntime_ep_sparsecpu.commands.command import Command
from onnxruntime_ep_sparsecpu.tools import sessions
from onnxruntime_ep_sparsecpu.tools.assignment import Node, is_here, nodes_of, with_totals
from onnxruntime_ep_sparsecpu.tools.source import Source

_WARM_UP = 3


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--network", choices=list(models.NETWORKS), default="resnet50", help="default: resnet50")
    parser.add_argument("--sparsity", type=shared.share, default=0.9, metavar="SHARE", help="of zero weights (0.9)")
    shared.add_threads(parser)
    parser.add_argument("--rounds", type=shared.at_least_one, default=30, metavar="N", help="timed runs of either (30)")


def measure(
    candidates: Mapping[str, Any], feed: Mapping[str, npt.NDArray[np.float32]], rounds: int
) -> dict[str, list[float]]:
    """Milliseconds of every run. The sessions take turns, so that a drifting machine slows all of them alike."""
    for session in candidates.values():
        for _ in range(_WARM_UP):
            session.run(None, feed)
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, session in candidates.items():
            begin = time.perf_counter()
            session.run(None, feed)
            times[name].append((time.perf_counter() - begin) * 1e3)
    return times


def largest_difference(
    actual: Sequence[npt.NDArray[np.float32]], expected: Sequence[npt.NDArray[np.float32]]
) -> tuple[float, float]:
    """(largest absolute difference, largest magnitude of the expected outputs)."""
    pairs = list(zip(actual, expected, strict=True))
    return max(float(np.abs(a - b).max()) for a, b in pairs), max(float(np.abs(b).max()) for _, b in pairs)


def latency_table(times: Mapping[str, Sequence[float]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("provider")
    for heading in ("median ms", "fastest ms", "slowest ms"):
        table.add_column(heading, justify="right")
    for name, values in times.items():
        table.add_row(name, f"{np.median(values):.2f}", f"{min(values):.2f}", f"{max(values):.2f}")
    return table


def placement_table(nodes: Sequence[Node]) -> Table:
    """For every op type, how many nodes run on either side, and why some were left."""
    here = Counter(node["op_type"] for node in nodes if is_here(node))
    left = Counter(node["op_type"] for node in nodes if not is_here(node))
    reasons = {node["op_type"]: node["reason"] for node in nodes if not is_here(node)}
    table = Table(title="Which nodes went where", title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("op")
    table.add_column("sparse", justify="right")
    table.add_column("CPU", justify="right")
    table.add_column("why left to the CPU provider", overflow="fold")
    for op in sorted(here | left, key=lambda op: -(here[op] + left[op])):
        table.add_row(op, str(here[op]), str(left[op]), escape(reasons.get(op, "")))
    return table


def _run(arguments: argparse.Namespace) -> None:
    out = output.console()
    name = sparsecpu.get_ep_name()
    model = models.NETWORKS[arguments.network](arguments.sparsity)
    source, feed = Source(arguments.network, model), models.random_inputs(model)
    shapes = ", ".join("x".join(map(str, array.shape)) for array in feed.values())
    out.print(f"{arguments.network}, random weights, {arguments.sparsity:.0%} pruned, input {shapes}, float32\n")
    candidates = {
        provider: sessions.create(source, provider, threads=arguments.threads)
        for provider in (sessions.CPU_PROVIDER, name)
    }
    times = measure(candidates, feed, arguments.rounds)
    expected, actual = (session.run(None, feed) for session in candidates.values())
    _show(out, times, largest_difference(actual, expected), sparsecpu.report(candidates[name]))


def _show(
    out: Console, times: Mapping[str, Sequence[float]], difference: tuple[float, float], report: Mapping[str, Any]
) -> None:
    out.print(latency_table(times))
    cpu, here = (float(np.median(values)) for values in times.values())
    off, largest = difference
    out.print(f"\n[bold]Speed-up: {cpu / here:.2f}x[/bold] (ratio of the medians)")
    out.print(f"Largest difference of the outputs: {off:.2g}, their largest magnitude: {largest:.3g}\n")
    out.print(placement_table(nodes_of(report)))
    out.print()
    out.print(explain.summary(with_totals(report)), markup=False)


COMMAND = Command(
    "demo",
    help="time a pruned network on both providers",
    description="Build a pruned network, run it on the CPU provider and on SparseCPUProvider in turns,\nand print "
    "the latencies, the largest difference of the outputs, and which nodes went where.",
    examples="""
sparsecpu demo
sparsecpu demo --network bert --sparsity 0.95 --threads 1
""",
    add_arguments=_add_arguments,
    run=_run,
)
