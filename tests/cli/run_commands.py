"""Runs every command that takes a model on each of the models given, in this process: the part of
test_broken_models.py that may die or hang. What it does is on standard error: each command line and its status."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from differential import sanitized
from onnxruntime_ep_sparsecpu import cli

_ADDRESS_SPACE = 16 << 30  # a size that a file makes up is refused, and not the machine brought down


def commands(model: str, folder: Path) -> list[list[str]]:
    run = [model, "--threads", "1"]
    return [
        ["explain", model, "--html", str(folder / "page.html"), "--annotate", str(folder / "annotated.onnx")],
        ["profile", *run, "--runs", "1"],
        ["compare", *run, "--per-op", "--option", "min_sparsity=0"],
        ["benchmark", *run, "-t", "0.01", "-w", "0.01", "--vs", "CPUExecutionProvider"],
        ["benchmark", *run, "-t", "0.01", "-w", "0.01", "-b", "2"],
        ["prune", model, str(folder / "pruned.onnx"), "--sparsity", "0.5"],
        ["prune", model, str(folder / "pruned.onnx"), "--sparsity", "0.5", "--pattern", "1x4"],
        ["prune", model, str(folder / "pruned.onnx"), "--sparsity", "0.5", "--calibrate", str(folder / "samples.npz")],
    ]


def main() -> None:
    if not sanitized():
        resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    for model in sys.argv[1:]:
        for arguments in commands(model, Path(model).parent):
            print("sparsecpu", *arguments, file=sys.stderr, flush=True)
            status = cli.main(arguments)
            print("status", status, file=sys.stderr, flush=True)
            assert status in (0, 1, 2)


if __name__ == "__main__":
    main()
