"""`sparsecpu explain`: where every node runs and why, as a table, JSON, a page, or notes in a copy of the model."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

import onnxruntime_ep_sparsecpu as sparsecpu
from onnxruntime_ep_sparsecpu.commands import arguments as shared
from onnxruntime_ep_sparsecpu.commands import output
from onnxruntime_ep_sparsecpu.commands.command import Command
from onnxruntime_ep_sparsecpu.commands.output import Column
from onnxruntime_ep_sparsecpu.tools.annotation import annotate
from onnxruntime_ep_sparsecpu.tools.assignment import Node, arithmetic_here, explain, is_here
from onnxruntime_ep_sparsecpu.tools.errors import UserError
from onnxruntime_ep_sparsecpu.tools.feeds import assume_option, axis_sizes
from onnxruntime_ep_sparsecpu.tools.page import html_page
from onnxruntime_ep_sparsecpu.tools.source import Source

_SHOWN_TO_PRUNE = 10


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    shared.add_model(parser)
    shared.add_shape(parser)
    shared.add_options(parser)
    parser.add_argument("--all", action="store_true", help="also the QuantizeLinears around quantized operators")
    parser.add_argument("--html", metavar="FILE", help="write a page with a chart of the layers")
    parser.add_argument("--annotate", metavar="FILE.onnx", help="write a copy of the model with notes at its nodes")
    shared.add_json(parser)


class _Reasons:
    """Numbers the distinct reasons, so that the table holds a number and the text stands below once. The times that a
    reason ends with are columns of the table."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.nodes: list[int] = []

    def number(self, reason: str) -> str:
        text = reason.partition(": predicted ")[0]
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


_KERNEL_WIDTH = 13
_COLUMNS = (
    Column("node"),
    Column("op", width=13),
    Column("runs on", width=9),
    Column("zeros", numeric=True, width=5),
    Column("kernel", width=_KERNEL_WIDTH),
    Column("packed", numeric=True, width=6),
    Column("dense", numeric=True, width=6),
    Column("CPU µs", numeric=True, width=6),
    Column("here µs", numeric=True, width=7),
    Column("why", numeric=True, width=3),
)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}" if share < 1 else "100%"


def _node_table(nodes: Sequence[Node], every: bool, reasons: _Reasons) -> Table:
    """`every`: also the other nodes of a quantized unit, whose figures its operator has."""
    table = output.table(_COLUMNS)
    for index, node in enumerate(nodes):
        if node["unit"] != index and not every:
            continue
        here, host = is_here(node), node["computed_in"]
        cells: list[str | Text] = [
            node["name"] or "(unnamed)",
            Text(node["op_type"]),
            f"sparse {node['region']}" if here else node["provider"] or "CPU",
            _percent(node["sparsity"]),
            Text(node["kernel"]) if host is None else output.shortened(nodes[host]["name"], _KERNEL_WIDTH, "in "),
            output.size(node["packed_bytes"]),
            output.size(node["dense_bytes"]),
            output.microseconds(node["cpu_us"]),
            output.microseconds(node["here_us"]),
            reasons.number(node["reason"]) if node["unit"] == index else "",
        ]
        output.add_row(table, *cells, style="" if here and host is None else "dim")
    return table


_TO_PRUNE = (
    Column("layer"),
    Column("what it is", width=36),
    Column("CPU µs", numeric=True, width=6),
    Column("zeros", numeric=True, width=6),
    Column("needed", numeric=True, width=6),
)


def _show_to_prune(report: Mapping[str, Any], out: Console) -> None:
    """Which layers lack zeros, and how many."""
    layers = report["to_prune"]
    if not layers:
        return
    groups = any(layer["of_groups"] for layer in layers)
    what = "more zeros, counted in groups of 4 input channels" if groups else "more zeros"
    out.print(f"[bold]To gain[/bold], these layers need {what}:")
    table = output.table(_TO_PRUNE)
    for layer in layers[:_SHOWN_TO_PRUNE]:
        node = report["graphs"][layer["graph"]]["nodes"][layer["node"]]
        figures = [output.microseconds(layer["cpu_us"]), _percent(layer["zeros"]), _percent(layer["needed"])]
        output.add_row(table, node["name"] or "(unnamed)", node["layer"].removeprefix("a "), *figures)
    out.print(table)
    if len(layers) > _SHOWN_TO_PRUNE:
        out.print(
            f"and {len(layers) - _SHOWN_TO_PRUNE} more, between {_percent(min(l['needed'] for l in layers))} and "
            f"{_percent(max(l['needed'] for l in layers))} zeros."
        )
    out.print("A layer needs a little less next to others that run here. To try it: sparsecpu prune.\n")


def claims(totals: Mapping[str, Any]) -> str:
    """ "53 of 55 convolutions, 97 % of the arithmetic"."""
    parts = []
    for plural, singular, count in (
        ("convolutions", "convolution", totals["convolutions"]),
        ("products", "matrix product", totals["products"]),
    ):
        if count:
            name = singular if count == 1 else singular + "s"
            parts.append(f"{totals[f'claimed_{plural}']} of {count} {name}")
    if totals["multiply_adds"]:
        parts.append(f"{arithmetic_here(totals)} of the arithmetic")
    return ", ".join(parts) or "no layer: the model has no convolution or matrix product with constant weights"


def stated(options: Mapping[str, str]) -> str:
    """What a program must do to run as a command has; "" if no more than to name the provider. options: of it."""
    return f"With assume={options['assume']}: a program needs this option, too." if "assume" in options else ""


def what_runs(result: Mapping[str, Any]) -> str:
    """Of a result with the `options` and `totals` of SparseCPUProvider."""
    claimed = f"{sparsecpu.get_ep_name()} claims {claims(result['totals'])}."
    return "\n".join(filter(None, [claimed, stated(result["options"])]))


def summary(report: Mapping[str, Any]) -> str:
    """The sums in a few lines of plain text."""
    sums = report["totals"]
    regions = "1 region" if sums["regions"] == 1 else f"{sums['regions']} regions"
    lines = [
        f"{sparsecpu.get_ep_name()} claims {claims(sums)}.",
        f"{sums['claimed_nodes']} of {sums['nodes']} nodes run here, in {regions}; instruction set {report['isa']}.",
    ]
    if sums["claimed_nodes"]:
        lines.append(
            f"Their weights: {output.size(sums['packed_bytes']) or '0K'} packed, "
            f"{output.size(sums['dense_bytes']) or '0K'} dense.\nPredicted on one thread: "
            f"{sums['claimed_here_us'] / 1000:.2f} ms here, {sums['claimed_cpu_us'] / 1000:.2f} ms on the CPU provider."
        )
    if report["assumed"]:
        sizes = ", ".join(f"{axis} = {size}" for axis, size in report["assumed"].items())
        lines.append(f"Predicted for {sizes}; other sizes: --shape NAME=SIZE.")
    if sums["left_for_sizes"]:
        assume = assume_option(report["assumed"]).get("assume", "NAME=SIZE,...")
        lines.append(
            f"{sums['left_for_sizes']} nodes more would run here, were these sizes certain: state them, in a program by "
            f"the option\nassume={assume}, for explain by --shape."
        )
    return "\n".join(lines)


def _show(report: Mapping[str, Any], every: bool, out: Console) -> None:
    reasons = _Reasons()
    for graph in report["graphs"]:
        if graph["parent_node"]:
            out.print(f"\nIn the body of {escape(graph['parent_node'])}:")
        if graph["error"]:
            out.print(f"Nothing was claimed here: {escape(graph['error'])}")
        out.print(_node_table(graph["nodes"], every, reasons))
    out.print()
    reasons.show(out)
    out.print()
    _show_to_prune(report, out)
    out.print(summary(report), markup=False)


def _options(arguments: argparse.Namespace, source: Source) -> dict[str, str]:
    """--shape becomes `assume`, with the sizes of all axes, as the commands that run a model set it."""
    options, axes = shared.options_of(arguments), shared.axes_of(arguments)
    if axes and "assume" in options:
        raise UserError("give sizes by --shape or by --option assume, not by both")
    return {**options, **assume_option(axis_sizes(source.proto, axes))} if axes else options


def _run(arguments: argparse.Namespace) -> None:
    source = shared.source_of(arguments)
    report = explain(source, _options(arguments, source))
    if arguments.json:
        output.print_json(report)
    out = output.console(stderr=arguments.json)
    if arguments.html:
        output.write(arguments.html, html_page(source.name, report))
        out.print(f"Wrote {arguments.html}: open it in a browser.", markup=False)
    if arguments.annotate:
        counts = annotate(source, report, arguments.annotate)
        out.print(
            f"Wrote {arguments.annotate}: {counts['same']} nodes as they run, {counts['merged']} that onnxruntime merged "
            f"into others, {counts['gone']} that it removed.",
            markup=False,
        )
    if arguments.html or arguments.annotate:
        out.print(summary(report), markup=False)
    elif not arguments.json:
        _show(report, arguments.all, out)


COMMAND = Command(
    "explain",
    help="show where every node of a model runs, and why",
    description="Create a session and print, for every node, the provider it runs on and the reason, its\nshare "
    "of zero weights, its kernel, packed against dense bytes, and the predicted times;\nthen what would have to be "
    "pruned, and how far, to gain.",
    examples="""
sparsecpu explain model.onnx
sparsecpu explain model.onnx --option min_sparsity=0 --shape batch=8 --shape height=320
sparsecpu explain model.onnx --json | jq .totals
sparsecpu explain model.onnx --html explain.html --annotate for_netron.onnx
""",
    add_arguments=_add_arguments,
    run=_run,
)
