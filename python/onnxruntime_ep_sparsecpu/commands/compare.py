"""`sparsecpu compare`: our outputs against those of the CPU provider."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from onnxruntime_ep_sparsecpu.commands import arguments as shared
from onnxruntime_ep_sparsecpu.commands import output
from onnxruntime_ep_sparsecpu.commands.command import Command
from onnxruntime_ep_sparsecpu.commands.explain import what_runs
from onnxruntime_ep_sparsecpu.commands.output import Column
from onnxruntime_ep_sparsecpu.tools.comparison import TOLERANCE, compare

_EQUAL, _DIFFERENT = 0, 1  # exit statuses; 2, of every UserError: there was nothing to compare
_NUMBERS = (
    Column("type", width=7),
    Column("max error", numeric=True, width=9),
    Column("relative", numeric=True, width=8),
    Column("same", numeric=True, width=6),
    Column("", width=9),
)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    shared.add_run(parser)
    parser.add_argument("--per-op", action="store_true", help="compare the output of every node that runs here, too")
    parser.add_argument(
        "--tolerance",
        type=shared.positive,
        default=TOLERANCE,
        metavar="SHARE",
        help=f"largest error of floats, as a share of the largest value ({TOLERANCE:g})",
    )
    parser.add_argument(
        "--steps", type=int, default=0, metavar="N", help="largest error of integers (0: they must be the same)"
    )


def numbers(row: Mapping[str, Any]) -> list[str | Text]:
    """The cells of a difference: type, largest error, relative error, share of equal entries, verdict."""
    errors = [row["max_error"], row["relative_error"]]
    same = row["same"] / row["size"] if row["size"] else 1.0
    verdict = Text("equal") if row["equal"] else Text("DIFFERENT", "bold red")
    return [row["dtype"], *("" if error is None else f"{error:.2g}" for error in errors), f"{same:.1%}", verdict]


def output_table(rows: list[dict[str, Any]]) -> Table:
    table = output.table([Column("output"), *_NUMBERS])
    for row in rows:
        output.add_row(table, row["value"], *numbers(row))
    return table


def operator_table(rows: list[dict[str, Any]]) -> Table:
    table = output.table([Column("node"), Column("op", width=10), Column("fused", width=12), *_NUMBERS])
    for row in rows:
        output.add_row(
            table, row["node"], row["op_type"], ", ".join(node["op_type"] for node in row["fused"]), *numbers(row)
        )
    return table


def _show_operators(result: Mapping[str, Any], out: Console) -> None:
    rows, unchecked = result["per_op"], result["unchecked"]
    out.print(operator_table(rows))
    different = sum(not row["equal"] for row in rows)
    inside = (
        f" {result['inside']} more are in no memory: a kernel computes them on the way." if result["inside"] else ""
    )
    out.print(f"\n{len(rows)} values of nodes that run here compared, {different} different.{inside}")
    if unchecked:
        names = ", ".join(unchecked[:5]) + (", ..." if len(unchecked) > 5 else "")
        out.print(
            f"Not compared, since the model does not have them (ONNX Runtime's optimizations made them): "
            f"{len(unchecked)} ({names}).",
            markup=False,
        )
    if any(row["fused"] for row in rows) and different:
        out.print("Several nodes are one where fused; --option neighbours=off compares each layer alone.")
    if not different and not result["rounding"] and not all(row["equal"] for row in result["outputs"]):
        out.print("No kernel differs by itself: look at layers that share a step, or at the nodes of other providers.")
    out.print()


def show(result: Mapping[str, Any], out: Console) -> None:
    out.print(f"{result['model']}: {result['provider']} against CPUExecutionProvider", markup=False)
    out.print(f"{what_runs(result)}\n", markup=False)
    if result["per_op"] is not None:
        _show_operators(result, out)
    out.print(output_table(result["outputs"]))
    for row in (*(result["per_op"] or ()), *result["outputs"]):
        if row["note"]:
            out.print(f"{row['value']}: {row['note']}", markup=False)
    for value, change in (result["cpu_changes"] or {}).items():
        if change is not None:
            out.print(
                f"\nFor scale: without its fusions, the CPU provider's own {value} differs by {change:.2g} from what "
                "it is with them.",
                markup=False,
            )
    out.print()
    if result["equal"]:
        integers = f"integers within {result['steps']}" if result["steps"] else "integers the same"
        out.print(f"[bold]Equal[/bold]: floats within {result['tolerance']:g} of the largest value, {integers}.")
        return
    if result["saturates"]:
        out.print("INT8: without VNNI, as on this CPU, u8*s8 products saturate in the CPU provider, and not here.")
    if result["rounding"]:
        out.print(
            "[bold red]Different[/bold red], but no more than twice what the CPU provider differs from itself by: "
            "the network amplifies rounding, and no operator need be wrong."
        )
    else:
        out.print(f"[bold red]Different[/bold red], first: {escape(result['first_different'])}")


def _run(arguments: argparse.Namespace) -> int:
    source = shared.source_of(arguments)
    feeds = shared.feeds_of(arguments, source)
    with shared.running_on(feeds, arguments, source):
        result = compare(
            source,
            feeds,
            shared.options_of(arguments),
            per_op=arguments.per_op,
            tolerance=arguments.tolerance,
            steps=arguments.steps,
            threads=arguments.threads,
        )
    output.print_result(result, arguments.json, show)
    return _EQUAL if result["equal"] else _DIFFERENT


COMMAND = Command(
    "compare",
    help="compare the outputs with those of the CPU provider",
    description="Run a model on SparseCPUProvider and on the CPU provider and compare the outputs; with --per-op\n"
    "also what every node that runs here makes.\n\nExit status: 0 equal, 1 different, 2 could not be compared (a mistake, "
    "a model that one of\nthe two does not load or run, or none of whose nodes run here).",
    examples="""
sparsecpu compare model.onnx --per-op
sparsecpu compare model.onnx --per-op --option neighbours=off --option isa=avx2
sparsecpu compare model.onnx --input inputs.npz --tolerance 1e-3 --json
""",
    add_arguments=_add_arguments,
    run=_run,
)
