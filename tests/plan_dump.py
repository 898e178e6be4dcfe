"""What becomes of models, as text, so that a change that is to change nothing can be compared; by hand, not in CI.

    python tests/plan_dump.py FOLDER [model.onnx ...] [--small 60] [--no-corpus]
    python tests/plan_dump.py --compare FOLDER_A FOLDER_B

Writes a file for each model: of real sessions on the levels that this machine runs, the decision, the reason and the
figures of every node and a hash of the outputs; of every level, run here or not, the plans (buffers, steps, kernels,
chunks) at the assumed sizes for one and for four workers. Models: those that are named, every case of tests/corpus, and
so many of small_networks.py. Needs the package importable (PYTHONPATH=build/dev/python)."""

from __future__ import annotations

import argparse
import difflib
import functools
import hashlib
import importlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent
sys.path[:0] = [str(TESTS), str(TESTS / "claim"), str(TESTS / "corpus")]

import numpy as np
import onnx
import onnxruntime as ort
import onnxruntime_ep_sparsecpu as sparsecpu
import sparsecpu_testing
from case import CASES
from describe import Description, basic
from harness import LEVELS, available_levels, sparse_session
from onnxruntime_ep_sparsecpu.models import random_inputs
from small_networks import networks

WORKERS = [1, 4]
NODE_FIELDS = [
    "name",
    "op_type",
    "provider",
    "region",
    "unit",
    "reason",
    "pattern",
    "layer",
    "sparsity",
    "group_sparsity",
    "needed_sparsity",
    "kernel",
    "computed_in",
    "dense_bytes",
    "packed_bytes",
    "multiply_adds",
    "cpu_us",
    "here_us",
]
SHOWN = 12  # differing lines of a model

Feed = Mapping[str, np.ndarray]


def hash_of(outputs: Sequence[Any]) -> str:
    digest = hashlib.sha256()
    for output in outputs:
        array = np.ascontiguousarray(output)
        digest.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
    return digest.hexdigest()[:16]


def session_text(model: Path | onnx.ModelProto, feeds: Sequence[Feed], level: str, options: Mapping[str, str]) -> str:
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = 1  # how many workers there are does not depend on who comes first
    settings.log_severity_level = 4
    try:
        session = sparse_session(model, settings, isa=level, **options)
    except Exception as error:  # noqa: BLE001
        return f"no session: {error}\n"
    lines = []
    for feed in feeds:
        try:
            lines.append(f"outputs {hash_of(session.run(None, dict(feed)))}")
        except Exception as error:  # noqa: BLE001
            lines.append(f"no outputs: {error}")
    for graph in sparsecpu.report(session)["graphs"]:
        lines.append(f"graph {graph['name']} of '{graph['parent_node']}' {graph['error']}")
        lines += [" ".join(f"{field}={node[field]}" for field in NODE_FIELDS) for node in graph["nodes"]]
    return "\n".join(lines) + "\n"


def plans_text(graph: Callable[[], Description], level: str, options: Mapping[str, str]) -> str:
    try:
        zeros = float(options["min_sparsity"]) if "min_sparsity" in options else None
        return str(sparsecpu_testing.plans(graph(), LEVELS.index(level), zeros, WORKERS))
    except Exception as error:  # noqa: BLE001
        return f"no plans: {error}\n"


def dump(target: Path, name: str, model: Path | onnx.ModelProto, feeds: Sequence[Feed]) -> None:
    graph = functools.cache(lambda: basic(onnx.load(model) if isinstance(model, Path) else model))
    parts = []
    for options in ({}, {"min_sparsity": "0"}):
        for level in LEVELS:
            title = " ".join([level, *(f"{key}={value}" for key, value in options.items())])
            if level in available_levels():
                parts.append(f"== session {title}\n{session_text(model, feeds, level, options)}")
            parts.append(f"== plans {title}\n{plans_text(graph, level, options)}")
    (target / f"{re.sub('[^A-Za-z0-9_.%-]+', '_', name)}.txt").write_text("".join(parts))


def models(files: Sequence[str], corpus: bool, small: int) -> Iterator[tuple[str, Path | onnx.ModelProto, list[Feed]]]:
    for path in map(Path, files):
        yield path.stem, path, [random_inputs(onnx.load(path), {}, seed=1)]
    if corpus:
        for module in sorted((TESTS / "corpus").glob("*.py")):
            if module.stem not in ("case", "documented_differences") and not module.stem.startswith("test_"):
                importlib.import_module(module.stem)
        for name, case in CASES.items():
            data, feeds = case.build()
            yield f"corpus {name}", onnx.load_from_string(data), list(feeds)
    for network in networks(seed=1, count=small) if small else []:
        data, feed = network.make()
        yield f"small {network.name}", onnx.load_from_string(data), [feed]


def compare(first: Path, second: Path) -> int:
    """Prints what differs; the number of models that do."""
    names = sorted({path.name for folder in (first, second) for path in folder.glob("*.txt")})
    differing = 0
    for name in names:
        texts = [
            (folder / name).read_text().splitlines() if (folder / name).exists() else [] for folder in (first, second)
        ]
        if texts[0] == texts[1]:
            continue
        differing += 1
        lines = [line for line in difflib.unified_diff(*texts, lineterm="", n=0) if line[:3] not in ("---", "+++")]
        print(f"{name}: {len(lines)} lines")
        print("\n".join(f"    {line[:400]}" for line in lines[:SHOWN]))
    print(f"{differing} of {len(names)} models differ")
    return differing


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="to write to")
    parser.add_argument("files", nargs="*", help="models")
    parser.add_argument("--small", type=int, default=60, help="how many of small_networks.py")
    parser.add_argument("--no-corpus", action="store_true", help="without the cases of tests/corpus")
    parser.add_argument("--compare", nargs=2, type=Path, metavar=("A", "B"), help="print what differs")
    arguments = parser.parse_args()
    if arguments.compare:
        return min(1, compare(*arguments.compare))
    if arguments.folder is None:
        parser.error("a folder to write to, or --compare")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name, model, feeds in models(arguments.files, not arguments.no_corpus, arguments.small):
        print(name, flush=True)
        dump(arguments.folder, name, model, feeds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
