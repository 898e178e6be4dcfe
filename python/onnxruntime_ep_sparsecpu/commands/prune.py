"""`sparsecpu prune`: a copy of a model with a share of its weights at zero."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Mapping, Sequence
from shlex import quote
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from onnxruntime_ep_sparsecpu import magnitude, models
from onnxruntime_ep_sparsecpu.commands import arguments as shared
from onnxruntime_ep_sparsecpu.commands import output
from onnxruntime_ep_sparsecpu.commands.command import Command
from onnxruntime_ep_sparsecpu.commands.output import Column
from onnxruntime_ep_sparsecpu.tools.errors import UserError
from onnxruntime_ep_sparsecpu.tools.pruning import prune
from onnxruntime_ep_sparsecpu.tools.source import Source, open_source

_FAR, _LARGE = 3, 0.05  # an error worth a word: so many times the usual one, and at least so large


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    shared.add_path(parser)
    parser.add_argument("out", metavar="OUT", help="path of the pruned model")
    shared.add_sparsity(parser, "of zeros in each weight; with 1x4, of zero groups", required=True)
    parser.add_argument(
        "--pattern",
        choices=magnitude.PATTERNS,
        default=magnitude.PATTERNS[0],
        help="1x4: whole groups of four input channels, as INT8 layers skip them (unstructured)",
    )
    parser.add_argument(
        "--calibrate",
        metavar="DATA",
        help=".npz file, or a folder of them, with inputs like those to come: keeps the outputs near",
    )
    shared.add_repeated(parser, "--exclude", "REGEX", "nodes or weights to leave")
    shared.add_feeds(parser)
    shared.add_json(parser)


def layer_table(layers: list[dict[str, Any]]) -> Table:
    """With the errors of the outputs of layers, if they were pruned with calibration data."""
    calibrated = any("error" in layer for layer in layers)
    columns = [Column("node"), Column("op", width=10), Column("weight", width=16), Column("shape", width=14)]
    columns += [Column("zeros before", numeric=True, width=12), Column("after", numeric=True, width=6)]
    if calibrated:
        columns += [Column("error", numeric=True, width=6), Column("by size", numeric=True, width=7)]
    table = output.table(columns)
    for layer in layers:
        more = f" and {layer['nodes'] - 1} more" if layer["nodes"] > 1 else ""
        shares = [layer[key] / max(layer["size"], 1) for key in ("zeros_before", "zeros")]
        if calibrated:
            shares += [layer["error"], layer["magnitude_error"]]
        cells = [layer["node"] + more, layer["op_type"], layer["weight"], "x".join(map(str, layer["shape"]))]
        output.add_row(table, *cells, *(f"{share:.1%}" for share in shares))
    return table


def worst(layers: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those whose errors are by far the largest, at most three."""
    ordered = sorted(layers, key=lambda layer: -layer["error"])
    usual = median(layer["error"] for layer in ordered)
    return [layer for layer in ordered[:3] if layer["error"] > max(_FAR * usual, _LARGE)]


def _show_worst(layers: Sequence[Mapping[str, Any]], out: Console) -> None:
    """With what leaves them dense."""
    if layers:
        errors = ", ".join(f"{layer['node']} ({layer['error']:.0%})" for layer in layers)
        names = "|".join(re.escape(layer["node"]) for layer in layers)
        out.print(f"By far the largest errors: {errors}. This leaves them dense:", markup=False)
        out.print(f"  --exclude {quote(f'^({names})$')}", markup=False, soft_wrap=True)


def _show(result: Mapping[str, Any], out: Console) -> None:
    layers, kept = result["layers"], result["kept"]
    out.print(layer_table(layers))
    for reason in dict.fromkeys(layer["reason"] for layer in kept):
        names = [layer["node"] for layer in kept if layer["reason"] == reason]
        out.print(f"kept, {reason}: {', '.join(names)}", markup=False)
    size, zeros = (sum(layer[key] for layer in layers) for key in ("size", "zeros"))
    data = f" and {result['external_data']}" if result["external_data"] else ""
    out.print(
        f"\n{len(layers)} weights pruned, {zeros / max(size, 1):.1%} of their {size:,} entries are zero.", markup=False
    )
    if result["unchecked"]:
        out.print(f"The outputs of the two could not be compared: {result['unchecked']}", markup=False)
    for row in result["outputs"] or ():
        if row["rms_error"] is not None:
            out.print(
                f"Output {row['value']} changed by {row['rms_error']:.0%} (root mean square).",
                markup=False,
            )
    out.print(f"Written: {result['out']}{data}. {_what_it_is_for(result)}", markup=False)
    if result["calibration"] is None:
        out.print(f"Next: sparsecpu benchmark {result['out']} --vs CPUExecutionProvider", markup=False)
    else:
        _show_worst(worst(layers), out)
        out.print(f"Next: sparsecpu evaluate {result['model']} {result['out']} --inputs HELD_OUT.npz", markup=False)


def _what_it_is_for(result: Mapping[str, Any]) -> str:
    if result["calibration"] is None:
        return "What it is for: to see the speed before training for it. Its accuracy needs fine-tuning with the zeros held."
    return (
        "error: by how much a layer's output changes on the calibration data (root mean square); by size: with the "
        "smallest weights at zero instead."
    )


def _feeds(arguments: argparse.Namespace, source: Source) -> tuple[Mapping[str, Any] | None, str | None]:
    """Inputs for the comparison, or why there are none: a model for which no random ones can be made is pruned, too."""
    if arguments.calibrate and not (arguments.shape or arguments.input):
        return None, None  # the calibration data is compared on
    try:
        return shared.feeds_of(arguments, source), None
    except UserError as error:
        if arguments.shape or arguments.input:
            raise
        return None, str(error)


def _run(arguments: argparse.Namespace) -> None:
    source = open_source(arguments.model, 0.0 if arguments.model in models.NETWORKS else None)
    feeds, unchecked = _feeds(arguments, source)
    if arguments.calibrate:
        shared.note_unused(arguments.calibrate, source)
    with output.progress() as progress:
        task = progress.add_task("pruning", total=1.0)
        result = prune(
            source,
            arguments.out,
            arguments.sparsity,
            arguments.pattern,
            arguments.exclude,
            feeds,
            tick=lambda share: progress.update(task, completed=share),
            calibration=arguments.calibrate,
        )
    output.print_result({**result, "unchecked": unchecked or result["unchecked"]}, arguments.json, _show)


COMMAND = Command(
    "prune",
    help="set weights to zero: the smallest, or with data those that matter least",
    description="Write a copy of a model whose constant weights of Conv, MatMul and Gemm (INT8 ones too) have the\n"
    "given share of zeros, the smallest by magnitude. It shows what speed a sparsity would give;\nits accuracy needs "
    "fine-tuning.\n\nWith --calibrate, those float weights become zero that change the outputs least on the data, and\n"
    "the others make up for it.",
    examples="""
sparsecpu prune model.onnx pruned.onnx --sparsity 0.9
sparsecpu prune model.onnx pruned.onnx --sparsity 0.7 --calibrate samples.npz
sparsecpu prune int8.onnx pruned.onnx --sparsity 0.75 --pattern 1x4 --exclude '^conv1'
sparsecpu prune resnet50 pruned.onnx --sparsity 0.9 && sparsecpu benchmark pruned.onnx
""",
    add_arguments=_add_arguments,
    run=_run,
)
