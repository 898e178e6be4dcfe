"""`sparsecpu benchmark`: latency and throughput of a model, of one provider or of two in turns."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

import onnxruntime_ep_sparsecpu as sparsecpu
from onnxruntime_ep_sparsecpu import _native
from onnxruntime_ep_sparsecpu.commands import arguments as shared
from onnxruntime_ep_sparsecpu.commands import output
from onnxruntime_ep_sparsecpu.commands.command import Command
from onnxruntime_ep_sparsecpu.commands.explain import what_runs
from onnxruntime_ep_sparsecpu.commands.output import Column
from onnxruntime_ep_sparsecpu.tools.errors import UserError
from onnxruntime_ep_sparsecpu.tools.feeds import model_inputs
from onnxruntime_ep_sparsecpu.tools.shapes import Shape, with_batch, with_shapes
from onnxruntime_ep_sparsecpu.tools.source import Source
from onnxruntime_ep_sparsecpu.tools.timing import benchmark


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    shared.add_run(parser, "-ncores", "--num-cores")
    parser.add_argument("-b", "--batch-size", type=shared.at_least_one, metavar="N", help="first axis of every input")
    parser.add_argument(
        "-i", "--input-shapes", metavar="SHAPES", help='of all inputs in order, for example "[1,128],[1,128]"'
    )
    parser.add_argument(
        "-e", "--engine", metavar="PROVIDER", default=sparsecpu.get_ep_name(), help=f"({sparsecpu.get_ep_name()})"
    )
    parser.add_argument("--vs", metavar="PROVIDER", help="take turns with it, for example CPUExecutionProvider")
    parser.add_argument(
        "-s", "--scenario", choices=("sync", "async"), default="sync", help="one run after another, or many at once"
    )
    parser.add_argument(
        "--streams",
        "-nstreams",
        type=shared.at_least_one,
        metavar="N",
        help="runs in flight in async (as many as cores)",
    )
    parser.add_argument("-t", "--time", type=shared.positive, default=10.0, metavar="S", help="seconds for each (10)")
    parser.add_argument(
        "-w", "--warmup-time", type=shared.positive, default=2.0, metavar="S", help="seconds before, for each (2)"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar, and only the results")
    parser.add_argument("-x", "--export-path", metavar="FILE", help="write the results to it as JSON")


def _shapes(text: str, source: Source) -> Mapping[str, Shape]:
    """ "[1,3,224,224],[1,10]" for the inputs in order. Raises UserError."""
    names = [value.name for value in model_inputs(source.proto)]
    try:
        shapes = json.loads(f"[{text}]")
        valid = all(isinstance(size, int) and size > 0 for shape in shapes for size in shape)
    except (ValueError, TypeError):
        valid = False
    if not valid:
        raise UserError(f'--input-shapes {text}: expected lists of sizes, for example "[1,3,224,224]"')
    if len(shapes) != len(names):
        raise UserError(f"--input-shapes gives {len(shapes)} shapes; the inputs are {', '.join(names)}")
    return dict(zip(names, shapes, strict=True))


def _model_and_feeds(arguments: argparse.Namespace) -> tuple[Source, dict[str, Any]]:
    source = shared.source_of(arguments)
    given = [name for name in ("batch_size", "input_shapes", "input") if getattr(arguments, name) is not None]
    if len(given) > 1:
        raise UserError("give only one of " + ", ".join("--" + name.replace("_", "-") for name in given))
    if arguments.input is not None:
        return source, shared.feeds_of(arguments, source)
    shapes: Mapping[str, Shape] = {}
    if arguments.batch_size:
        shapes = with_batch(source, arguments.batch_size)
    elif arguments.input_shapes:
        shapes = _shapes(arguments.input_shapes, source)
    return with_shapes(source, shapes, shared.axes_of(arguments))


def _streams(arguments: argparse.Namespace) -> int:
    if arguments.scenario == "async":
        return arguments.streams or max(2, _native.machine.usable_cpus())
    if arguments.streams is not None:
        raise UserError("--streams is for --scenario async; sync has one run at a time")
    return 1


def latency_table(results: Mapping[str, Any], what: str = "provider") -> Table:
    """results: as in tools.timing.benchmark. what: their names are."""
    numbers = ("items/s", "median ms", "p90", "p99", "min", "max", "runs")
    table = output.table([Column(what), *(Column(heading, numeric=True, width=9) for heading in numbers)])
    for name, result in results.items():
        latency = result["latency_ms"]
        cells = [f"{latency[key]:.2f}" for key in ("p50", "p90", "p99", "min", "max")]
        output.add_row(table, name, f"{result['items_per_second']:.1f}", *cells, str(result["runs"]))
    return table


def verdict(comparison: Mapping[str, Any]) -> str:
    """comparison: as in tools.timing.benchmark."""
    return (
        f"[bold]{comparison['engine']} is {comparison['ratio']:.2f}x as fast as {comparison['versus']}[/bold] "
        f"(rounds: {comparison['ratio_min']:.2f}x to {comparison['ratio_max']:.2f}x)"
    )


def _headline(result: Mapping[str, Any]) -> str:
    shapes = ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in result["inputs"].items())
    threads = f"{result['threads']} threads" if result["threads"] else "all cores"
    streams = "" if result["streams"] == 1 else f", {result['streams']} streams"
    return (
        f"{result['model']}: {shapes}\n"
        f"{result['scenario']}{streams}, {threads}, {result['seconds']:g} s in {result['rounds']} rounds\n"
    )


def _show(result: Mapping[str, Any], quiet: bool, out: Console) -> None:
    if not quiet:
        out.print(_headline(result), markup=False)
        if result["totals"]:
            out.print(f"{what_runs(result)}\n", markup=False)
    out.print(latency_table(result["results"]))
    if result["comparison"]:
        out.print(f"\n{verdict(result['comparison'])}")


def _run(arguments: argparse.Namespace) -> None:
    source, feeds = _model_and_feeds(arguments)
    streams = _streams(arguments)
    with output.progress() as progress, shared.running_on(feeds, arguments, source):
        progress.disable |= arguments.quiet
        task = progress.add_task("measuring", total=1.0)
        result = benchmark(
            source,
            feeds,
            engine=arguments.engine,
            versus=arguments.vs,
            options=shared.options_of(arguments),
            threads=arguments.threads,
            streams=streams,
            seconds=arguments.time,
            warm_up=arguments.warmup_time,
            tick=lambda share: progress.update(task, completed=share),
        )
    if arguments.export_path:
        output.write(arguments.export_path, json.dumps(result, indent=2) + "\n")
    output.print_result(result, arguments.json, lambda result, out: _show(result, arguments.quiet, out))


COMMAND = Command(
    "benchmark",
    help="time a model, on one provider or on two in turns",
    description="Run a model again and again and print latencies and throughput. With --vs, another provider\nruns in "
    "turns with the first, so that the ratio holds while the machine's speed drifts.",
    examples="""
sparsecpu benchmark model.onnx --vs CPUExecutionProvider
sparsecpu benchmark resnet50 --sparsity 0.95 --int8 -b 16 -t 5 --vs CPUExecutionProvider
sparsecpu benchmark model.onnx --shape sequence=32 -s async --streams 4 -x result.json
""",
    add_arguments=_add_arguments,
    run=_run,
)
