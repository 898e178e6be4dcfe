"""`sparsecpu evaluate`: a changed model against the one that it was made of, in accuracy and time."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt
from rich.console import Console
from rich.table import Table

import onnxruntime_ep_sparsecpu as sparsecpu
from onnxruntime_ep_sparsecpu.commands import arguments as shared
from onnxruntime_ep_sparsecpu.commands import output
from onnxruntime_ep_sparsecpu.commands.benchmark import latency_table
from onnxruntime_ep_sparsecpu.commands.command import Command
from onnxruntime_ep_sparsecpu.commands.output import Column
from onnxruntime_ep_sparsecpu.tools import sessions
from onnxruntime_ep_sparsecpu.tools.errors import UserError
from onnxruntime_ep_sparsecpu.tools.evaluation import NEIGHBOURS, evaluate
from onnxruntime_ep_sparsecpu.tools.feeds import load_arrays
from onnxruntime_ep_sparsecpu.tools.source import open_source


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("reference", metavar="A", help="path of the ONNX model to measure by")
    parser.add_argument("candidate", metavar="B", help="path of the model made of it")
    parser.add_argument(
        "--inputs", metavar="DATA", required=True, help=".npz file, or a folder of them, with samples of the inputs"
    )
    parser.add_argument("--labels", metavar="NAME", help="array in DATA, or .npz file of one: the right class of each")
    ours = sparsecpu.get_ep_name()
    parser.add_argument("-e", "--engine", metavar="PROVIDER", default=ours, help=f"to run B on ({ours})")
    cpu = sessions.CPU_PROVIDER
    parser.add_argument("--vs", metavar="PROVIDER", default=cpu, help=f"to run A on ({cpu})")
    parser.add_argument("-t", "--time", type=shared.positive, default=2.0, metavar="S", help="seconds to time each (2)")
    shared.add_options(parser)
    shared.add_threads(parser)
    shared.add_json(parser)


def _inputs_and_labels(arguments: argparse.Namespace) -> tuple[Any, npt.NDArray[Any] | None]:
    """What to evaluate with: the path of the data, or its arrays without the labels. Raises UserError."""
    name, path = arguments.labels, arguments.inputs
    if name is None:
        return path, None
    if Path(name).is_file():
        arrays = load_arrays(name)
        if len(arrays) != 1:
            raise UserError(f"{name} holds {', '.join(arrays) or 'nothing'}; expected one array, the labels")
        return path, next(iter(arrays.values()))
    arrays = load_arrays(path)
    if name not in arrays:
        raise UserError(f"--labels {name}: no such file, and {path} holds {', '.join(arrays) or 'nothing'}")
    labels = arrays.pop(name)
    return arrays, labels


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def output_table(rows: list[dict[str, Any]]) -> Table:
    numbers = (("error", 8), ("rms", 8), ("cosine", 6), ("same class", 10), ("neighbours", 10))
    columns = [Column("output"), *(Column(heading, numeric=True, width=width) for heading, width in numbers)]
    labelled = any(row["accuracy"] for row in rows)
    if labelled:
        columns += [Column(f"accuracy {model}", numeric=True, width=10) for model in "AB"]
    table = output.table(columns)
    for row in rows:
        cells = ["" if row[key] is None else f"{row[key]:.2g}" for key in ("relative_error", "rms_error")]
        cells.append("" if row["cosine"] is None else f"{row['cosine']:.3f}")
        cells += [_percent(row[key]) for key in ("same_class", "neighbours")]
        if labelled:
            cells += [_percent(share) for share in row["accuracy"] or (None, None)]
        output.add_row(table, row["value"], *cells)
    return table


def _show(result: Mapping[str, Any], out: Console) -> None:
    for letter, name in (("A", "reference"), ("B", "candidate")):
        out.print(f"{letter}: {result[name]['model']} on {result[name]['provider']}", markup=False)
    runs = f" in {result['runs']} runs" if result["runs"] > 1 else ""
    out.print(f"{result['samples']} samples{runs}\n", markup=False)
    out.print(output_table(result["outputs"]))
    for row in result["outputs"]:
        if row["note"]:
            out.print(f"{row['value']}: {row['note']}", markup=False)
        if row["no_vectors"]:
            out.print(f"{row['value']} has no cosine, classes or neighbours: {row['no_vectors']}.", markup=False)
    out.print(
        "\nerror: largest difference, as a share of A's largest value; rms: root of the mean square; same class: samples "
        f"whose largest entry is the same; neighbours: share of the {NEIGHBOURS} nearest samples that stay.\n",
        markup=False,
    )
    shapes = ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in result["inputs"].items())
    out.print(f"Time, with {shapes}:", markup=False)
    letters = {"A": result["results"]["reference"], "B": result["results"]["candidate"]}
    out.print(latency_table(letters, "model"))
    ratios = (result["comparison"][key] for key in ("ratio", "ratio_min", "ratio_max"))
    out.print("\n[bold]B is {:.2f}x as fast as A[/bold] (rounds: {:.2f}x to {:.2f}x)".format(*ratios))


def _run(arguments: argparse.Namespace) -> None:
    inputs, labels = _inputs_and_labels(arguments)
    reference, candidate = open_source(arguments.reference), open_source(arguments.candidate)
    if labels is None:
        shared.note_unused(arguments.inputs, reference)
    with output.progress() as progress:
        task = progress.add_task("evaluating", total=1.0)
        result = evaluate(
            reference,
            candidate,
            inputs,
            labels,
            engine=arguments.engine,
            versus=arguments.vs,
            options=shared.options_of(arguments),
            threads=arguments.threads,
            seconds=arguments.time,
            tick=lambda share: progress.update(task, completed=share),
        )
    output.print_result(result, arguments.json, _show)


COMMAND = Command(
    "evaluate",
    help="compare a pruned model with the dense one: accuracy and time",
    description="Run two models on the same inputs: how far the outputs of B are from those of A, whether they\n"
    "mean the same (classes, nearest neighbours, labels), and how fast each is, in turns.",
    examples="""
sparsecpu evaluate model.onnx pruned.onnx --inputs held_out.npz
sparsecpu evaluate model.onnx pruned.onnx --inputs held_out.npz --labels labels --json
sparsecpu evaluate model.onnx pruned.onnx --inputs folder --vs SparseCPUProvider --threads 1
""",
    add_arguments=_add_arguments,
    run=_run,
)
