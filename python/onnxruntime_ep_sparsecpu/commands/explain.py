"""`sparsecpu explain`: where every node runs and why, as a table or as JSON."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

import onnxruntime_ep_sparsecpu as sparsecpu
from onnxruntime_ep_sparsecpu.commands import arguments as shared
from onnxruntime_ep_sparsecpu.commands import output
from onnxruntime_ep_sparsecpu.commands.command import Command
from onnxruntime_ep_sparsecpu.commands.output import Column
from onnxruntime_ep_sparsecpu.tools.assignment import Node, explain, is_here


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    shared.add_model(parser)
    shared.add_options(parser)
    shared.add_json(parser)


class _Reasons:
    """Numbers the distinct reasons, so that the table holds a number and the text stands below once."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.nodes: list[int] = []

    def number(self, text: str) -> str:
        if not text:
            return ""
        if text not in self.texts:
            self.texts.append(text)
            self.nodes.append(0)
        index = self.texts.index(text)
        self.nodes[index] += 1
        return str(index + 1)

    def show(self, out: Console) -> None:
        table = Table(title="Why", title_justify="left", box=None, show_header=False, padding=(0, 1, 0, 0))
        table.add_column(justify="right", style="cyan")
        table.add_column(overflow="fold")
        for index, (text, count) in enumerate(zip(self.texts, self.nodes, strict=True)):
            times = "" if count == 1 else f" ({count} nodes)"
            table.add_row(str(index + 1), escape(text) + times)
        out.print(table)


_COLUMNS = (
    Column("node"),
    Column("op", width=13),
    Column("runs on", width=8),
    Column("zeros", numeric=True, width=5),
    Column("kernel", width=10),
    Column("packed", numeric=True, width=6),
    Column("dense", numeric=True, width=6),
    Column("CPU µs", numeric=True, width=6),
    Column("here µs", numeric=True, width=7),
    Column("why", numeric=True, width=3),
)


def node_table(nodes: Iterable[Node], reasons: _Reasons) -> Table:
    table = output.table(_COLUMNS)
    for node in nodes:
        here = is_here(node)
        where = f"sparse {node['region']}" if here else node["provider"] or "CPU"
        cells = [
            node["name"] or "(unnamed)",
            node["op_type"],
            where,
            "" if node["sparsity"] is None else f"{node['sparsity']:.1%}",
            node["kernel"],
            output.size(node["packed_bytes"]),
            output.size(node["dense_bytes"]),
            output.microseconds(node["cpu_us"]),
            output.microseconds(node["here_us"]),
            reasons.number(node["reason"]),
        ]
        table.add_row(*map(escape, cells), style="" if here else "dim")
    return table


def summary(report: Mapping[str, Any]) -> str:
    """The sums in a few lines of plain text."""
    sums = report["totals"]
    regions = "1 region" if sums["regions"] == 1 else f"{sums['regions']} regions"
    where = f"{sums['claimed_nodes']} of {sums['nodes']} nodes run on {sparsecpu.get_ep_name()}, in {regions}"
    lines = [f"{where}; instruction set {report['isa']}."]
    if sums["claimed_nodes"]:
        lines.append(
            f"Their weights: {output.size(sums['packed_bytes']) or '0K'} packed, {output.size(sums['dense_bytes']) or '0K'} dense. "
            f"Predicted on one thread: {sums['claimed_here_us'] / 1000:.2f} ms here, "
            f"{sums['claimed_cpu_us'] / 1000:.2f} ms on the CPU provider."
        )
    if report["assumed"]:
        sizes = ", ".join(f"{axis} = {size}" for axis, size in report["assumed"].items())
        lines.append(f"Predicted for {sizes}; other sizes: --option assume=NAME=SIZE.")
    return "\n".join(lines)


def show(report: Mapping[str, Any], out: Console) -> None:
    reasons = _Reasons()
    for graph in report["graphs"]:
        if graph["parent_node"]:
            out.print(f"\nIn the body of {escape(graph['parent_node'])}:")
        if graph["error"]:
            out.print(f"Nothing was claimed here: {escape(graph['error'])}")
        out.print(node_table(graph["nodes"], reasons))
    out.print()
    reasons.show(out)
    out.print()
    out.print(summary(report), markup=False)


def _run(arguments: argparse.Namespace) -> None:
    report = explain(shared.source_of(arguments), shared.options_of(arguments))
    if arguments.json:
        output.print_json(report)
    else:
        show(report, output.console())


COMMAND = Command(
    "explain",
    help="show where every node of a model runs, and why",
    description="Create a session and print, for every node, the provider it runs on and the reason, its\nshare "
    "of zero weights, its kernel, packed against dense bytes, and the predicted times.",
    examples="""
sparsecpu explain model.onnx
sparsecpu explain model.onnx --option min_sparsity=0 --option assume=batch=8,height=320
sparsecpu explain model.onnx --json | jq .totals
""",
    add_arguments=_add_arguments,
    run=_run,
)
