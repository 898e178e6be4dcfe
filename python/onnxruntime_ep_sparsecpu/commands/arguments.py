"""Arguments that several commands share, and the types of their values."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from textwrap import wrap
from typing import Any, TypeVar

from onnxruntime_ep_sparsecpu import models, provider_options
from onnxruntime_ep_sparsecpu.tools import feeds, samples
from onnxruntime_ep_sparsecpu.tools.errors import RunError, UserError
from onnxruntime_ep_sparsecpu.tools.source import Source, open_source

_Number = TypeVar("_Number", int, float)
_HELP_COLUMNS = 80


def _number(text: str, kind: type[_Number]) -> _Number:
    try:
        return kind(text)
    except ValueError as error:
        what = "whole number" if kind is int else "number"
        raise argparse.ArgumentTypeError(f"{text} is no {what}") from error


def share(text: str) -> float:
    value = _number(text, float)
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def at_least_one(text: str) -> int:
    value = _number(text, int)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return value


def positive(text: str) -> float:
    value = _number(text, float)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def add_path(parser: argparse.ArgumentParser) -> None:
    names = ", ".join(models.NETWORKS)
    parser.add_argument("model", metavar="MODEL", help=f"path of an ONNX model, or a built-in network: {names}")


def add_sparsity(parser: argparse.ArgumentParser, text: str, **settings: Any) -> None:
    parser.add_argument("--sparsity", type=share, metavar="SHARE", help=text, **settings)


def add_model(parser: argparse.ArgumentParser) -> None:
    """MODEL, --sparsity, --int8: read with source_of."""
    add_path(parser)
    add_sparsity(parser, "zero weights of a built-in network (0.9)")
    parser.add_argument("--int8", action="store_true", help="quantize the built-in network (QDQ)")


def source_of(arguments: argparse.Namespace) -> Source:
    return open_source(arguments.model, arguments.sparsity, arguments.int8)


def add_repeated(parser: argparse.ArgumentParser, name: str, metavar: str, text: str) -> None:
    """An argument whose values are a list, empty unless it is given."""
    parser.add_argument(name, action="append", default=[], metavar=metavar, help=f"{text} (may be repeated)")


def add_options(parser: argparse.ArgumentParser) -> None:
    """--option, repeated: read with options_of. The help ends with what the options are."""
    add_repeated(parser, "--option", "KEY=VALUE", "a provider option, see below")
    parser.epilog = f"{_options_help()}\n\n{parser.epilog}"


def _options_help() -> str:
    options = provider_options()
    indent = 4 + max(len(option.name) for option in options)
    lines = ["provider options:"]
    for name, values, meaning in options:
        lines.append(f"  {name:{indent - 2}}{values}")
        lines += wrap(meaning, _HELP_COLUMNS, initial_indent=" " * indent, subsequent_indent=" " * indent)
    return "\n".join(lines).replace("`", "")


def options_of(arguments: argparse.Namespace) -> dict[str, str]:
    """Provider options. Raises UserError for one without "="."""
    return dict(_pairs("--option", arguments.option, "min_sparsity=0"))


def _pairs(argument: str, texts: Iterable[str], example: str) -> Iterable[tuple[str, str]]:
    for text in texts:
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise UserError(f"{argument} {text}: expected KEY=VALUE, for example {argument} {example}")
        yield key, value


def add_shape(parser: argparse.ArgumentParser) -> None:
    """--shape, repeated: read with axes_of."""
    add_repeated(parser, "--shape", "AXIS=SIZE", "size of a symbolic axis, else 1 image, 224 pixels, 128 tokens")


def add_feeds(parser: argparse.ArgumentParser) -> None:
    """--shape and --input: read with feeds_of."""
    add_shape(parser)
    parser.add_argument("--input", metavar="FILE.npz", help="inputs by their names (else random ones)")


def axes_of(arguments: argparse.Namespace) -> dict[str, int]:
    """Sizes of symbolic axes. Raises UserError for one that is no positive number."""
    axes = {}
    for axis, size in _pairs("--shape", arguments.shape, "batch=8"):
        if not size.isdecimal() or int(size) < 1:
            raise UserError(f"--shape {axis}={size}: expected a size from 1 on")
        axes[axis] = int(size)
    return axes


def feeds_of(arguments: argparse.Namespace, source: Source) -> dict[str, Any]:
    """Feeds from --input, or random ones of the shapes that --shape gives. Raises UserError."""
    axes = axes_of(arguments)
    if arguments.input is None:
        return feeds.make_feeds(source.proto, axes)
    if axes:
        raise UserError("--shape is for random inputs; --input has its own shapes")
    note_unused(arguments.input, source)
    return feeds.load_feeds(arguments.input, source.proto)


def note_unused(path: str, source: Source) -> None:
    """Says on standard error which arrays of a file, or folder of files, are left out, since no input is called so."""
    names = samples.unused(path, source.proto)
    if names:
        print(
            f"sparsecpu: {path}: not used, since no input has the name: {', '.join(names)} (labels: sparsecpu evaluate "
            "--labels NAME)",
            file=sys.stderr,
        )


@contextmanager
def running_on(inputs: Mapping[str, Any], arguments: argparse.Namespace, source: Source) -> Iterator[None]:
    """Around runs on what feeds_of has made: where a model does not take random inputs, says what they were."""
    try:
        yield
    except RunError as error:
        if arguments.input is not None:
            raise
        shapes = ", ".join(f"{name} {'x'.join(map(str, array.shape))}" for name, array in inputs.items())
        axes = ", ".join(f"{axis}={size}" for axis, size in feeds.axes_in(inputs, source.proto).items())
        sizes = f"--shape gives other sizes than {axes}, and " if axes else ""
        raise UserError(f"{error} (on random inputs, {shapes}; {sizes}--input FILE.npz gives inputs)") from error


def add_threads(parser: argparse.ArgumentParser, *aliases: str) -> None:
    parser.add_argument(
        "--threads", *aliases, type=at_least_one, default=0, metavar="N", help="of a session (all cores)"
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")


def add_run(parser: argparse.ArgumentParser, *thread_aliases: str) -> None:
    """What every command that runs a model takes: all of the above."""
    add_model(parser)
    add_feeds(parser)
    add_options(parser)
    add_threads(parser, *thread_aliases)
    add_json(parser)
