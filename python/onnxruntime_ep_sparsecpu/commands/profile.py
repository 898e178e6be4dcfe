"""`sparsecpu profile`: measured time of every node on either side, as a table, JSON and a Chrome trace."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from onnxruntime_ep_sparsecpu.commands import arguments as shared
from onnxruntime_ep_sparsecpu.commands import output
from onnxruntime_ep_sparsecpu.commands.command import Command
from onnxruntime_ep_sparsecpu.commands.explain import stated
from onnxruntime_ep_sparsecpu.commands.output import Column
from onnxruntime_ep_sparsecpu.tools.profiling import profile

Row = Mapping[str, Any]

_KERNEL_WIDTH = 13
_COLUMNS = (
    Column("node"),
    Column("op", width=13),
    Column("runs on", width=9),
    Column("kernel", width=_KERNEL_WIDTH),
    Column("µs", numeric=True, width=6),
    Column("share", numeric=True, width=5),
    Column("rate", numeric=True, width=11),
    Column("peak", numeric=True, width=4),
    Column("bound", width=10),
)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    shared.add_run(parser)
    parser.add_argument("--runs", type=shared.at_least_one, default=20, metavar="N", help="measured runs (20)")
    parser.add_argument("--top", type=shared.at_least_one, default=25, metavar="N", help="rows to show (25)")
    parser.add_argument("--all", action="store_true", help="every row in the order of execution, fused nodes too")
    parser.add_argument("--trace", metavar="FILE", help="write a Chrome trace (chrome://tracing, ui.perfetto.dev)")


def _where(row: Row) -> str:
    if row["region"] >= 0:
        return f"sparse {row['region']}"
    return "CPU" if row["kind"] == "cpu" else ""


def _operator(row: Row, nodes: Sequence[Row]) -> str:
    """The operator and what is fused into it, but not the nodes that a unit (as in QDQ form) consists of."""
    fused = [nodes[index]["op_type"] for index in row["fused"] if nodes[index]["unit"] == index]
    return "+".join([row["op_type"], *fused])


def _cells(row: Row, result: Mapping[str, Any]) -> list[str | Text]:
    nodes = result["report"]["graphs"][row["graph"]]["nodes"] if row["graph"] >= 0 else []
    about = {"call": "(the call itself)", "layout": f"({row['name']})"}
    return [
        about.get(row["kind"]) or row["name"] or "(unnamed)",
        Text(_operator(row, nodes)),
        _where(row),
        Text(row["kernel"]),
        output.microseconds(row["us"]),
        f"{row['us'] / result['total_us']:.1%}",
        *_speed(row),
    ]


def _speed(row: Row) -> list[str]:
    """Rate, share of the peak, and what limits it."""
    if row["bound"] == "weights":
        return [f"{row['bytes_rate'] / 1e9:.1f} GB/s", f"{row['efficiency']:.0%}", "weights"]
    rate = "" if row["rate"] is None else f"{row['rate'] / 1e9:.3g} GMAC/s"
    return [rate, "" if row["of_peak"] is None else f"{row['of_peak']:.0%}", row["bound"] or ""]


def _show(result: Mapping[str, Any], top: int | None, out: Console) -> None:
    rows = [row for row in result["rows"] if row["kind"] != "rest"]
    shown = rows if top is None else sorted(rows, key=lambda row: -row["us"])[:top]
    table = output.table(_COLUMNS)
    for row in shown:
        style = "" if row["kind"] == "kernel" else "dim"
        output.add_row(table, *_cells(row, result), style=style)
        if top is None:
            for index in row["fused"]:
                node = result["report"]["graphs"][row["graph"]]["nodes"][index]
                host = output.shortened(row["name"], _KERNEL_WIDTH, "in ")
                cells = [node["name"] or "(unnamed)", Text(node["op_type"]), _where(row), host, "", "", "", "", ""]
                output.add_row(table, *cells, style="dim")
    left = [row for row in rows if row not in shown]
    if left:
        table.add_row(
            f"({len(left)} more: --all)", "", "", "", output.microseconds(sum(r["us"] for r in left)), style="dim"
        )
    out.print(table)
    out.print()
    out.print(summary(result), markup=False)


def summary(result: Mapping[str, Any]) -> str:
    """The sums in a few lines of plain text."""
    rows: list[Row] = result["rows"]

    def milliseconds(*kinds: str) -> str:
        return f"{sum(row['us'] for row in rows if row['kind'] in kinds) / 1e3:.2f} ms"

    peak = result["peak"]
    best = [f"{peak[kind] / 1e9:.0f} GMAC/s {kind}" for kind in ("fp32", "int8") if peak[kind]]
    threads = "1 thread" if result["threads"] == 1 else f"{result['threads']} threads"
    needed = stated(result["report"]["options"])
    return (
        f"A run takes {result['total_us'] / 1e3:.2f} ms on {threads} (median of {result['runs']}, neither measured nor "
        f"profiled).\n"
        f"The rows add up to {result['sum_us'] / 1e3:.2f} ms: our kernels {milliseconds('kernel')}, layout changes "
        f"{milliseconds('layout')}, our calls {milliseconds('call')},\nCPU nodes {milliseconds('cpu')}. Between the "
        f"nodes, mostly for profiling them: {milliseconds('rest')}.\n"
        f"Peak of {threads}, measured just now: {', '.join(best) or 'unknown'}, {peak['read'] / 1e9:.0f} GB/s of "
        "weights.\nGMAC/s counts the multiply-adds with weights that are not zero." + ("\n" + needed if needed else "")
    )


def _run(arguments: argparse.Namespace) -> None:
    source = shared.source_of(arguments)
    feeds = shared.feeds_of(arguments, source)
    with output.progress() as bar, shared.running_on(feeds, arguments, source):
        task = bar.add_task("measuring", total=arguments.runs)
        result = profile(
            source,
            feeds,
            options=shared.options_of(arguments),
            threads=arguments.threads,
            runs=arguments.runs,
            on_run=lambda: bar.advance(task),
        )
    events = result.pop("events")
    if arguments.trace:
        output.write(arguments.trace, json.dumps({"traceEvents": events}))
    top = None if arguments.all else arguments.top
    output.print_result(result, arguments.json, lambda result, out: _show(result, top, out))


COMMAND = Command(
    "profile",
    help="measure the time of every node",
    description="Run a model and print where its time goes: every kernel of SparseCPUProvider with the node it\n"
    "computes, layout changes, the nodes left to the CPU provider, and what share of the\nmachine's peak each kernel "
    "reaches. Profiling itself slows small nodes by about a microsecond.",
    examples="""
sparsecpu profile model.onnx
sparsecpu profile model.onnx --shape batch=8 --threads 1 --trace trace.json
sparsecpu profile resnet50 --sparsity 0.9 --int8 --all
""",
    add_arguments=_add_arguments,
    run=_run,
)
