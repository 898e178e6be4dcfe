"""The commands of `sparsecpu`, one module each: arguments, and a rendering of what a tool returns."""

from __future__ import annotations

from collections.abc import Sequence

from onnxruntime_ep_sparsecpu.commands import (
    benchmark,
    check_hardware,
    compare,
    demo,
    evaluate,
    explain,
    profile,
    prune,
)
from onnxruntime_ep_sparsecpu.commands.command import Command

COMMANDS: Sequence[Command] = (
    check_hardware.COMMAND,
    demo.COMMAND,
    explain.COMMAND,
    profile.COMMAND,
    compare.COMMAND,
    benchmark.COMMAND,
    prune.COMMAND,
    evaluate.COMMAND,
)
"""In the order in which `sparsecpu --help` lists them."""
