"""`sparsecpu demo`: one pruned network on both providers, in turns, in one run."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

import onnxruntime_ep_sparsecpu as sparsecpu
from onnxruntime_ep_sparsecpu import models
from onnxruntime_ep_sparsecpu.commands import arguments as shared
from onnxruntime_ep_sparsecpu.commands import benchmark, explain, output
from onnxruntime_ep_sparsecpu.commands.command import Command
from onnxruntime_ep_sparsecpu.tools import comparison, sessions, timing
from onnxruntime_ep_sparsecpu.tools.assignment import Node, is_here, nodes_of, with_totals
from onnxruntime_ep_sparsecpu.tools.source import Source

_WARM_UP_SECONDS = 0.2


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--network", choices=list(models.NETWORKS), default="resnet50", help="default: resnet50")
    shared.add_sparsity(parser, "of zero weights (0.9)", default=0.9)
    shared.add_threads(parser)
    parser.add_argument("--rounds", type=shared.at_least_one, default=30, metavar="N", help="timed runs of either (30)")


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
    rounds = timing.measure(candidates, feed, rounds=arguments.rounds, warm_up=_WARM_UP_SECONDS)
    out.print(benchmark.latency_table({provider: timing.summary(turns) for provider, turns in rounds.items()}))
    out.print(f"\n{benchmark.verdict(timing.compare_rounds(rounds, name, sessions.CPU_PROVIDER))}")
    expected, actual = (sessions.run(session, feed, source) for session in candidates.values())
    difference = comparison.difference(actual[0], expected[0])
    out.print(f"Largest difference of the outputs: {difference['relative_error']:.2g} of their largest magnitude\n")
    report = sparsecpu.report(candidates[name])
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
