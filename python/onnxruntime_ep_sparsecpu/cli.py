"""The command `sparsecpu`. A mistake of its user ends in one sentence on stderr and exit status 2."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import onnxruntime_ep_sparsecpu
from onnxruntime_ep_sparsecpu import demo, explain
from onnxruntime_ep_sparsecpu.session import UserError

_DESCRIPTION = "Run pruned ONNX models with sparse kernels: SparseCPUProvider for ONNX Runtime."
_EXAMPLES = """examples:
  sparsecpu demo                      a pruned ResNet-50 on either provider
  sparsecpu explain model.onnx        where every node of a model runs, and why
  sparsecpu explain model.onnx --json the same for programs"""
_EXPLAIN_EXAMPLES = """examples:
  sparsecpu explain model.onnx
  sparsecpu explain model.onnx --option min_sparsity=0 --option assume=batch=8,height=320
  sparsecpu explain model.onnx --json | jq .totals"""
_DEMO_EXAMPLES = """examples:
  sparsecpu demo
  sparsecpu demo --network bert --sparsity 0.95 --threads 1"""


def _share(text: str) -> float:
    value = float(text)
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _at_least_one(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return value


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("sparsecpu", description=_DESCRIPTION, epilog=_EXAMPLES, formatter_class=raw)
    parser.add_argument("--version", action="version", version=onnxruntime_ep_sparsecpu.__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    command = commands.add_parser(
        "demo",
        help="time a pruned network on both providers",
        description="Build a pruned network, run it on the CPU provider and on SparseCPUProvider in turns,\nand print "
        "the latencies, the largest difference of the outputs, and which nodes went where.",
        epilog=_DEMO_EXAMPLES,
        formatter_class=raw,
    )
    demo.add_arguments(command, _share, _at_least_one)
    command.set_defaults(run=demo.run)

    command = commands.add_parser(
        "explain",
        help="show where every node of a model runs, and why",
        description="Create a session and print, for every node, the provider it runs on and the reason, its\nshare "
        "of zero weights, its kernel, packed against dense bytes, and the predicted times.",
        epilog=_EXPLAIN_EXAMPLES,
        formatter_class=raw,
    )
    explain.add_arguments(command)
    command.set_defaults(run=explain.run)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit status."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except UserError as error:
        print(f"sparsecpu: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of our output has seen enough, as in `sparsecpu explain ... | head`
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
