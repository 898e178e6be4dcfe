"""Random graphs and mutated model files on both providers, for as long as one likes; by hand, not in CI.

    python tests/fuzz.py --minutes 60 [--seed 1] [--what graphs|files|both] [--workers 2] [--folder build/fuzz]
    python tests/fuzz.py --replay build/fuzz/graphs-17-3

Every model runs in a child process, so that deaths and hangs count like wrong values. The CPU provider alone is also run
in the process that draws the models: a death there is onnxruntime's, and another process takes the next batch. A failing model is made smaller
and written to a folder of its own (model.onnx, feeds.npz, report.txt), one for each kind of failure and seed. The seeds
are printed; a batch with a seed is the same in every run. Needs the package importable (PYTHONPATH=build/dev/python);
with a sanitizer build, preload its libraries as .ci/run does."""

from __future__ import annotations

import argparse
import multiprocessing
import re
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread
from typing import Any

TESTS = Path(__file__).resolve().parent
sys.path[:0] = [str(TESTS), str(TESTS / "corpus"), str(TESTS / "random_graphs")]

import numpy as np
import onnx
from differential import Child, Trial, Verdict, sanitized
from documented_differences import DIFFERENCES
from harness import BOUND
from hypothesis import HealthCheck, Phase, given, seed, settings
from mutations import mutated
from reducer import Candidate, reduce
from saving import SAVER
from test_corpus import CASES
from twisted_graphs import OPTIONS, subjects, trial_of

BATCH = 20
SECONDS = 1200 if sanitized() else 120  # for one provider with one set of options
REDUCE_SECONDS = 120

Check = Callable[[Trial], None]


def graphs(number: int, check: Check) -> None:
    """A batch of random graphs."""

    @seed(number)
    @settings(
        max_examples=BATCH,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(subjects())
    def each(subject: Any) -> None:
        check(replace(trial_of(subject), any_for_nan=True))

    each()


def files(number: int, check: Check) -> None:
    """A batch of mutations of random graphs and of the corpus."""
    random = np.random.default_rng(number)
    models: list[Trial] = []
    graphs(number, models.append)
    for name, case in CASES.items():
        if name not in DIFFERENCES:
            models.append(Trial(*case.build(), OPTIONS, max(case.bound, BOUND)))
    for _ in range(BATCH):
        base = models[int(random.integers(len(models)))]
        if (trial := mutated(random, base)) is not None:
            check(trial)


@dataclass
class Worker:
    folder: Path
    child: Child
    counts: Counter[str]
    kinds: Counter[str]
    label: str = ""
    failed: list[Trial] = None  # type: ignore[assignment]

    def check(self, trial: Trial) -> None:
        verdict = self.child.examine(trial, SECONDS)
        self.counts["models"] += 1
        self.counts["refused by the CPU provider"] += bool(verdict.cpu_error)
        self.counts["with claimed nodes"] += verdict.claimed > 0
        self.counts["claimed nodes"] += verdict.claimed
        if verdict.failures:
            self.counts["failures"] += 1
            self.report(trial, verdict)

    def report(self, trial: Trial, verdict: Verdict) -> None:
        kind = signature(verdict.failures[0])
        self.kinds[kind] += 1
        if self.kinds[kind] > 5:
            return
        target = self.folder / f"{self.label}-{self.counts['models']}"
        print(f"{target}: {verdict.failures[0][:300]}", flush=True)
        write(target, trial, verdict)  # before the reducer, which may meet a death of its own
        write(target, self.reduced(trial, verdict, kind), verdict)

    def reduced(self, trial: Trial, verdict: Verdict, kind: str) -> Trial:
        """With the sets of options that failed, and the same kind of failure."""
        options = [o for o in trial.options if any(f.startswith(f"{o}:") for f in verdict.failures)][:1]
        trial = replace(trial, options=options or trial.options)

        def fails(candidate: Candidate) -> bool:
            again = replace(trial, model=candidate[0].SerializeToString(), feeds=candidate[1])
            return any(signature(f) == kind for f in self.child.examine(again, SECONDS).failures)

        try:
            model, feeds = reduce(
                onnx.load_from_string(trial.model), list(map(dict, trial.feeds)), fails, REDUCE_SECONDS
            )
        except Exception as error:  # noqa: BLE001  of a damaged file
            print(f"  not reduced: {error}", flush=True)
            return trial
        return replace(trial, model=model.SerializeToString(), feeds=feeds)


def signature(failure: str) -> str:
    """What is alike of failures of one kind: the sentence without options, names and numbers."""
    return re.sub(r"[\d.]+(e[-+]?\d+)?|'[^']*'|\{.*?\}|SparseCPUProvider_\w*", "", failure)[:120]


def write(target: Path, trial: Trial, verdict: Verdict) -> None:
    target.mkdir(parents=True, exist_ok=True)
    (target / "model.onnx").write_bytes(trial.model)
    arrays = {f"{run}/{name}": array for run, feed in enumerate(trial.feeds) for name, array in feed.items()}
    np.savez(target / "feeds.npz", **arrays)
    lines = [
        *verdict.failures,
        f"bound {trial.bound} steps {trial.steps} level {trial.level}",
        f"options {list(trial.options)}",
    ]
    try:
        lines.append(onnx.printer.to_text(onnx.load_from_string(trial.model))[:20_000])
    except Exception as error:  # noqa: BLE001
        lines.append(f"not printable: {error}")
    (target / "report.txt").write_text("\n".join(lines))


def read(folder: Path) -> Trial:
    feeds: dict[int, dict[str, np.ndarray]] = {}
    for key, array in np.load(folder / "feeds.npz").items():
        run, name = key.split("/", 1)
        feeds.setdefault(int(run), {})[name] = array
    report = (folder / "report.txt").read_text()
    pattern = re.compile(r"^bound (\S+) steps (\d+) level (\S+)$", re.MULTILINE)
    bound, steps, level = pattern.search(report).groups()  # type: ignore[union-attr]
    trial = Trial((folder / "model.onnx").read_bytes(), list(feeds.values()) or [{}], OPTIONS, float(bound), int(steps))
    return replace(trial, any_for_nan=True, level=level)


def batches(what: str, first: int, step: int) -> Iterator[tuple[str, int]]:
    number = first
    while True:
        for kind in ("graphs", "files") if what == "both" else (what,):
            yield kind, number
        number += step


def work(arguments: argparse.Namespace, first: int, end: float, results: Any) -> None:
    """Batches from this seed on until the time is over. Tells the counts after each, and of its own end by None."""
    worker = Worker(arguments.folder, Child(), Counter(), Counter())
    try:
        for kind, number in batches(arguments.what, first, arguments.workers):
            if time.time() > end:
                break
            worker.label = f"{kind}-{number}"
            results.send((number, worker.counts, worker.kinds))
            try:
                {"graphs": graphs, "files": files}[kind](number, worker.check)
            except Exception:  # noqa: BLE001  not to be taken for a death, and no reason to stop
                traceback.print_exc()
                worker.counts["failures"] += 1
                worker.kinds["what draws the models"] += 1
            print(f"{kind}, seed {number}: {dict(worker.counts)}", flush=True)
        results.send((None, worker.counts, worker.kinds))
    finally:
        worker.child.stop()
        SAVER.stop()


def work_through(arguments: argparse.Namespace, index: int, totals: list[tuple[Counter[str], Counter[str]]]) -> None:
    """One worker after the other until the time is over."""
    end = time.time() + 60 * arguments.minutes
    context = multiprocessing.get_context("spawn")
    first: int | None = arguments.seed + index
    while first is not None:
        receiving, sending = context.Pipe(duplex=False)
        process = context.Process(target=work, args=(arguments, first, end, sending))
        process.start()
        sending.close()
        counts, kinds = Counter[str](), Counter[str]()
        try:
            while first is not None:
                first, counts, kinds = receiving.recv()
        except EOFError:
            print(f"onnxruntime died while models of seed {first} were drawn", flush=True)
            counts["deaths of onnxruntime alone"] += 1
            assert first is not None
            first += arguments.workers
        process.join()
        totals.append((counts, kinds))


def replay(folder: Path) -> int:
    child = Child()
    verdict = child.examine(read(folder))
    child.stop()
    print(*verdict.failures or ["no failure"], sep="\n")
    return bool(verdict.failures)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--what", choices=["graphs", "files", "both"], default="both")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=TESTS.parent / "build" / "fuzz")
    parser.add_argument("--replay", type=Path)
    arguments = parser.parse_args()
    if arguments.replay:
        return replay(arguments.replay)
    totals: list[tuple[Counter[str], Counter[str]]] = []
    threads = [Thread(target=work_through, args=(arguments, i, totals)) for i in range(arguments.workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = sum((counts for counts, _ in totals), Counter[str]())
    kinds = sum((kinds for _, kinds in totals), Counter[str]())
    for kind, count in kinds.most_common():
        print(f"{count:6} {kind}")
    print(f"{dict(counts)}; seeds from {arguments.seed} on; failures: {counts['failures']}")
    return bool(counts["failures"])


if __name__ == "__main__":
    sys.exit(main())
