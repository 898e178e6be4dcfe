"""`sparsecpu explain`: renders the report of a session, as a table or as JSON."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

import onnxruntime_ep_sparsecpu as sparsecpu
from onnxruntime_ep_sparsecpu import session as sessions
from onnxruntime_ep_sparsecpu.session import UserError

Node = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="path of an ONNX model")
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a provider option: isa, min_sparsity, neighbours, jit, log, assume (may be repeated)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def parse_options(texts: Iterable[str]) -> dict[str, str]:
    """["key=value", ...] as a dict. Raises UserError for one without "="."""
    options: dict[str, str] = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise UserError(f"--option {text}: expected KEY=VALUE, for example --option min_sparsity=0")
        options[key] = value
    return options


def report_of(path: str, options: Mapping[str, str]) -> dict[str, Any]:
    """The report of a session for the model at `path`, with the key `totals` added. Raises UserError."""
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file")
    session = sessions.create(path, path, sparsecpu.get_ep_name(), options)
    report = sparsecpu.report(session)
    return report | {"totals": totals(report)}


def nodes_of(report: Mapping[str, Any]) -> list[Node]:
    """Every node of the main graph and of the bodies of If and Loop."""
    return [node for graph in report["graphs"] for node in graph["nodes"]]


def is_here(node: Node) -> bool:
    return bool(node["provider"] == sparsecpu.get_ep_name())


def totals(report: Mapping[str, Any]) -> dict[str, Any]:
    """Sums over the nodes: how many run here, weights in bytes, predicted microseconds of one thread."""
    nodes = nodes_of(report)
    here = [node for node in nodes if is_here(node)]
    return {
        "nodes": len(nodes),
        "claimed_nodes": len(here),
        "regions": len({node["region"] for node in here}),
        "dense_bytes": sum(node["dense_bytes"] for node in here),
        "packed_bytes": sum(node["packed_bytes"] for node in here),
        "claimed_cpu_us": sum(node["cpu_us"] for node in here),
        "claimed_here_us": sum(node["here_us"] for node in here),
        "left_cpu_us": sum(node["cpu_us"] for node in nodes if not is_here(node)),
    }


def kib(size: float) -> str:
    """Bytes as KiB or MiB, in at most six characters."""
    if size <= 0:
        return ""
    return f"{size / 1024:.1f}K" if size < 100 * 1024 else f"{size / (1 << 20):.1f}M"


def microseconds(value: float) -> str:
    return "" if value <= 0 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


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


_COLUMNS: Sequence[tuple[str, bool, int | None]] = [  # heading, numeric, width
    ("node", False, None),
    ("op", False, 13),
    ("runs on", False, 8),
    ("zeros", True, 5),
    ("kernel", False, 10),
    ("packed", True, 6),
    ("dense", True, 6),
    ("CPU µs", True, 6),
    ("here µs", True, 7),
    ("why", True, 3),
]


def node_table(nodes: Iterable[Node], reasons: _Reasons) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for heading, numeric, width in _COLUMNS:
        justify = "right" if numeric else "left"
        table.add_column(heading, justify=justify, width=width, no_wrap=True, overflow="ellipsis")  # type: ignore[arg-type]
    for node in nodes:
        here = is_here(node)
        where = f"sparse {node['region']}" if here else node["provider"] or "CPU"
        cells = [
            node["name"] or "(unnamed)",
            node["op_type"],
            where,
            "" if node["sparsity"] is None else f"{node['sparsity']:.1%}",
            node["kernel"],
            kib(node["packed_bytes"]),
            kib(node["dense_bytes"]),
            microseconds(node["cpu_us"]),
            microseconds(node["here_us"]),
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
            f"Their weights: {kib(sums['packed_bytes']) or '0K'} packed, {kib(sums['dense_bytes']) or '0K'} dense. "
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


def run(arguments: argparse.Namespace) -> None:
    report = report_of(arguments.model, parse_options(arguments.option))
    if arguments.json:
        print(json.dumps(report, indent=2))
    else:
        show(report, sessions.console())
