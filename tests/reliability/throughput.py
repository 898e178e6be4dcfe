"""Throughput of several sessions at once on more threads than cores, SparseCPUProvider against the CPU provider.

    python tests/reliability/throughput.py                          # pruned ResNet-50, 4 sessions of 4 threads
    python tests/reliability/throughput.py --network bert --sparsity 0 --option min_sparsity=0

A measurement, not a test: run it on a machine that does nothing else. The providers take turns. "alone" is one
session of as many threads as there are cores, for comparison.
"""

from __future__ import annotations

import argparse
import os
import statistics
import threading
import time
from collections.abc import Mapping

import numpy as np
import onnx
import onnxruntime as ort
import onnxruntime_ep_sparsecpu as sparsecpu
from onnxruntime_ep_sparsecpu import models

CPU, SPARSE = "CPUExecutionProvider", sparsecpu.get_ep_name()


def make_sessions(
    model: bytes, provider: str, options: Mapping[str, str], count: int, threads: int
) -> list[ort.InferenceSession]:
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = threads
    providers = [(SPARSE, dict(options)), CPU] if provider == SPARSE else [CPU]
    return [ort.InferenceSession(model, settings, providers=providers, enable_fallback=0) for _ in range(count)]


def runs_per_second(sessions: list[ort.InferenceSession], feed: Mapping[str, np.ndarray], seconds: float) -> float:
    """Of all sessions together, each called in a loop by a thread of its own."""
    done = [0] * len(sessions)
    gate = threading.Barrier(len(sessions) + 1)
    end = [0.0]

    def work(index: int) -> None:
        gate.wait()
        while time.perf_counter() < end[0]:
            sessions[index].run(None, feed)
            done[index] += 1

    workers = [threading.Thread(target=work, args=(index,)) for index in range(len(sessions))]
    for worker in workers:
        worker.start()
    begin = time.perf_counter()
    end[0] = begin + seconds
    gate.wait()
    for worker in workers:
        worker.join()
    return sum(done) / (time.perf_counter() - begin)


def measure(model: onnx.ModelProto, arguments: argparse.Namespace, count: int, threads: int) -> dict[str, float]:
    """Median runs per second by provider."""
    data, feed = model.SerializeToString(), models.random_inputs(model)
    options = dict(text.split("=", 1) for text in arguments.option)
    candidates = {name: make_sessions(data, name, options, count, threads) for name in (CPU, SPARSE)}
    for sessions in candidates.values():
        for session in sessions:
            session.run(None, feed)
    rates: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(arguments.rounds):
        for name, sessions in candidates.items():
            rates[name].append(runs_per_second(sessions, feed, arguments.seconds))
    return {name: statistics.median(values) for name, values in rates.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=list(models.NETWORKS), default="resnet50")
    parser.add_argument("--sparsity", type=float, default=0.9)
    parser.add_argument("--sessions", type=int, default=4)
    parser.add_argument("--threads", type=int, default=4, help="of each session")
    parser.add_argument("--seconds", type=float, default=2.0, help="of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--option", action="append", default=[], metavar="KEY=VALUE", help="of the provider")
    arguments = parser.parse_args()
    model = models.NETWORKS[arguments.network](arguments.sparsity)
    cores = len(os.sched_getaffinity(0))
    print(f"{arguments.network}, {arguments.sparsity:.0%} zeros, {cores} cores; runs per second")
    for label, count, threads in (
        ("alone", 1, cores),
        (f"{arguments.sessions} sessions x {arguments.threads} threads", arguments.sessions, arguments.threads),
    ):
        rates = measure(model, arguments, count, threads)
        ratio = rates[SPARSE] / rates[CPU]
        print(f"{label:26} {CPU} {rates[CPU]:8.1f}   {SPARSE} {rates[SPARSE]:8.1f}   ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
