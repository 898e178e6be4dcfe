"""What a command of `sparsecpu` is: a description for its help, its arguments and what runs it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """Says what is wrong with the arguments in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


@dataclass(frozen=True)
class Command:
    """name: as typed. help: its line in `sparsecpu --help`. examples: command lines, one a line.

    run: renders what a function of onnxruntime_ep_sparsecpu.tools returns; its result is the exit status, None for 0.
    """

    name: str
    help: str
    description: str
    examples: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int | None]

    def add_to(self, commands: argparse._SubParsersAction[Parser]) -> None:
        parser = commands.add_parser(
            self.name,
            help=self.help,
            description=self.description,
            epilog="examples:\n" + "\n".join(f"  {line}" for line in self.examples.strip().splitlines()),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.add_arguments(parser)
        parser.set_defaults(run=self.run)
