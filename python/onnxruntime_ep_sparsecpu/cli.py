"""The command `sparsecpu`. A mistake of its user ends in one sentence on stderr and exit status 2, and so does one of
ours: Python's own status for it, 1, means "different" to who runs `sparsecpu compare`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import onnxruntime_ep_sparsecpu
from onnxruntime_ep_sparsecpu.commands import COMMANDS
from onnxruntime_ep_sparsecpu.commands.command import Parser
from onnxruntime_ep_sparsecpu.tools.errors import UserError, first_line

_TRACEBACK = "SPARSECPU_TRACEBACK"
_DESCRIPTION = "Run pruned ONNX models with sparse kernels: SparseCPUProvider for ONNX Runtime."
_EXAMPLES = """examples:
  sparsecpu check-hardware            does this machine fit, and what to expect
  sparsecpu demo                      a pruned ResNet-50 on either provider
  sparsecpu explain model.onnx        where every node of a model runs, and why
  sparsecpu profile model.onnx        what each of them takes
  sparsecpu COMMAND --help            arguments and examples of a command"""


def _parser() -> Parser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = Parser("sparsecpu", description=_DESCRIPTION, epilog=_EXAMPLES, formatter_class=raw)
    parser.add_argument("--version", action="version", version=onnxruntime_ep_sparsecpu.__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_to(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit status."""
    options = _parser().parse_args(arguments)
    try:
        status: int | None = options.run(options)
        sys.stdout.flush()
    except UserError as error:
        print(f"sparsecpu: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader of our output has seen enough, as in `sparsecpu explain ... | head`. What is left in the buffer
        # goes nowhere, or Python would complain when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if os.environ.get(_TRACEBACK):
            raise
        print(
            f"sparsecpu: internal error, please report it: {type(error).__name__}: {first_line(error)} "
            f"({_TRACEBACK}=1 shows where)",
            file=sys.stderr,
        )
        return 2
    return status or 0


if __name__ == "__main__":
    sys.exit(main())
