"""Small networks in turns on SparseCPUProvider and on the CPU provider; prints those that are slower here. By hand:

    PYTHONPATH=build/dev/python:tests python tests/never_slower.py --seed 1 [--count 150] [--threads 1,2] [--isa avx2]
        [--only REGEX] [--min-time 0.3] [--cpu-time] [--lock FILE] [--all]

Time is what the provider takes / what the CPU provider takes: the ratio of the fastest runs, and the median over pairs
of neighbouring turns. A network is slower if both are above --limit, and again so with new sessions and more time. On
a busy machine take --cpu-time, which counts the time of the calling thread and is for one thread only.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort
import onnxruntime_ep_sparsecpu as sparsecpu
from harness import PROVIDER, claimed, nodes
from small_networks import Network, networks

Feeds = dict[str, np.ndarray]
TURNS = 12  # of each provider at least
REPEATS = 3  # measurements before a network is called slower
Clock = Callable[[], int]  # nanoseconds


@dataclass
class Side:
    """One provider's session with its feeds bound."""

    session: ort.InferenceSession
    create_ms: float
    first_ms: float
    binding: Any

    @staticmethod
    def make(data: bytes, feeds: Feeds, threads: int, providers: list[Any]) -> Side:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4
        start = time.perf_counter()
        session = ort.InferenceSession(data, options, providers=providers, enable_fallback=0)
        created = time.perf_counter()
        binding = session.io_binding()
        for name, array in feeds.items():
            binding.bind_cpu_input(name, array)
        for output in session.get_outputs():
            binding.bind_output(output.name)
        session.run_with_iobinding(binding)
        first = time.perf_counter()
        return Side(session, 1e3 * (created - start), 1e3 * (first - created), binding)

    def turn(self, runs: int, clock: Clock) -> list[int]:
        times = []
        for _ in range(runs):
            start = clock()
            self.session.run_with_iobinding(self.binding)
            times.append(clock() - start)
        return times


@dataclass
class Comparison:
    cpu_us: float  # fastest run
    here_us: float
    median: float  # of the ratios of neighbouring turns

    @property
    def ratio(self) -> float:
        """What both ways to look at it agree on."""
        return min(self.here_us / self.cpu_us, self.median)


def compare(cpu: Side, here: Side, seconds: float, clock: Clock) -> Comparison:
    probe = min(*cpu.turn(3, clock), *here.turn(3, clock))
    runs = max(3, int(seconds * 1e9 / (2 * TURNS * max(probe, 1))))
    ratios, best_cpu, best_here = [], [], []
    for turn in range(TURNS):
        order = (cpu, here) if turn % 2 else (here, cpu)
        times = {id(side): side.turn(min(runs, 400), clock) for side in order}
        best_cpu.append(min(times[id(cpu)]))
        best_here.append(min(times[id(here)]))
        ratios.append(statistics.median(times[id(here)]) / statistics.median(times[id(cpu)]))
    return Comparison(min(best_cpu) / 1e3, min(best_here) / 1e3, statistics.median(ratios))


def what_is_claimed(session: ort.InferenceSession) -> str:
    here = claimed(session)
    layers = [n for n in here if n["dense_bytes"]]
    kernels = sorted({n["kernel"] for n in layers if n["kernel"]})
    left = sorted({n["op_type"] for n in nodes(session) if n["provider"] != PROVIDER})
    regions = len(sparsecpu.report(session)["regions"])
    predicted = [sum(n[key] for n in here) for key in ("here_us", "cpu_us")]
    return (
        f"{regions} regions of {len(here)} nodes, {len(layers)} layers ({', '.join(kernels)}), "
        f"predicted {predicted[0]:.0f} / {predicted[1]:.0f} us; left: {', '.join(left) or 'nothing'}"
    )


@contextlib.contextmanager
def lock(path: str | None) -> Iterator[None]:
    """Holds a lock file while something is measured, against others that measure."""
    if path is None:
        yield
        return
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@dataclass
class Runner:
    arguments: argparse.Namespace

    def __post_init__(self) -> None:
        self.clock: Clock = time.thread_time_ns if self.arguments.cpu_time else time.perf_counter_ns
        self.options = {"isa": self.arguments.isa} if self.arguments.isa else {}

    def sides(self, data: bytes, feeds: Feeds, threads: int) -> tuple[Side, Side]:
        return (
            Side.make(data, feeds, threads, ["CPUExecutionProvider"]),
            Side.make(data, feeds, threads, [(PROVIDER, self.options), "CPUExecutionProvider"]),
        )

    def measure(self, data: bytes, feeds: Feeds, threads: int) -> tuple[Comparison, tuple[Side, Side]]:
        """The most favourable of the measurements: new sessions lie elsewhere in memory, and a busy machine passes."""
        best: Comparison | None = None
        for repeat in range(REPEATS):
            with lock(self.arguments.lock):
                sides = self.sides(data, feeds, threads)
                found = compare(*sides, self.arguments.min_time * (1 + repeat), self.clock)
            best = found if best is None or found.ratio < best.ratio else best
            if best.ratio <= self.arguments.limit:
                break
        assert best is not None
        return best, sides

    def run(self, network: Network) -> dict[int, float]:
        """Threads -> ratio; empty if everything is left to the CPU provider."""
        data, feeds = network.make()
        ratios: dict[int, float] = {}
        for threads in self.arguments.threads:
            session = Side.make(data, feeds, threads, [(PROVIDER, self.options), "CPUExecutionProvider"]).session
            if not self.arguments.all and not claimed(session):
                return {}
            text = what_is_claimed(session)
            del session
            found, (cpu, here) = self.measure(data, feeds, threads)
            ratios[threads] = found.ratio
            mark = "SLOWER" if found.ratio > self.arguments.limit else "      "
            print(
                f"{mark} {found.ratio:5.2f}  {threads} threads  {found.here_us:8.1f} / {found.cpu_us:8.1f} us"
                f" (medians {found.median:.2f})  create {here.create_ms:.0f} / {cpu.create_ms:.0f} ms"
                f"  first run {here.first_ms:.1f} / {cpu.first_ms:.1f} ms  {network.name}\n           {text}",
                flush=True,
            )
        return ratios


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=lambda text: [int(s) for s in text.split(",")], default=[1], help="1, or 1,2,3")
    parser.add_argument("--count", type=int, default=150, help="networks of each seed")
    parser.add_argument("--threads", type=lambda text: [int(s) for s in text.split(",")], default=[1, 2])
    parser.add_argument("--isa", help="the provider's option")
    parser.add_argument("--only", default="", help="networks whose name this regular expression finds")
    parser.add_argument("--min-time", type=float, default=0.3, help="seconds of each measurement")
    parser.add_argument("--limit", type=float, default=1.03)
    parser.add_argument("--cpu-time", action="store_true", help="time of the thread; with --threads 1")
    parser.add_argument("--lock", help="a file to lock while measuring")
    parser.add_argument("--all", action="store_true", help="also networks that are left to the CPU provider")
    parsed = parser.parse_args()
    if parsed.cpu_time and parsed.threads != [1]:
        parser.error("--cpu-time counts one thread: give --threads 1")
    return parsed


def main() -> int:
    given = arguments()
    ort.set_default_logger_severity(4)
    runner = Runner(given)
    slower, ratios, failed, left = [], [], [], 0
    for seed in given.seed:
        for network in networks(seed, given.count):
            if not re.search(given.only, network.name):
                continue
            try:
                found = runner.run(network)
            except Exception as error:  # noqa: BLE001 - a network that cannot be quantized or run is no matter of speed
                failed.append(f"{network.name}: {str(error).splitlines()[0][:200]}")
                continue
            left += not found
            ratios += found.values()
            slower += [f"{r:.2f}  {t} threads  {network.name}" for t, r in found.items() if r > given.limit]
    print(
        f"\n{len(ratios)} measured, geometric mean {statistics.geometric_mean(ratios or [1]):.2f}, {left} left to the CPU provider"
    )
    print(f"{len(failed)} that could not be made or run", *failed, sep="\n    ")
    print(f"{len(slower)} slower than {given.limit}", *slower, sep="\n    ")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
