"""Latency of single requests while more clients ask than there are cores, SparseCPUProvider against the CPU provider.

    python tests/reliability/latency.py                                  # small networks, 8 clients on 4 sessions
    python tests/reliability/latency.py --clients 1 --sessions 1         # alone

A measurement, not a test: run it on a machine that does nothing else. The providers take turns.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Mapping

import numpy as np
import onnxruntime as ort
import small
from onnxruntime_ep_sparsecpu import models
from throughput import CPU, SPARSE, make_sessions

NETWORKS = {
    "images": lambda: small.residual_net(batch=1, height=48, width=48),
    "tokens": lambda: models.bert(0.9, sequence=64, layers=2, hidden=192, heads=4),
    "deep": lambda: models.bert(0.9, sequence=32, layers=8, hidden=64, heads=4),
    "larger": lambda: models.mobilenet_v1(0.9, height=96, width=96),
}


def latencies(
    sessions: list[ort.InferenceSession], feed: Mapping[str, np.ndarray], clients: int, seconds: float
) -> list[float]:
    """Milliseconds of every request; each client calls its session in a loop, in a thread of its own."""
    times: list[list[float]] = [[] for _ in range(clients)]
    gate = threading.Barrier(clients)

    def ask(client: int) -> None:
        session = sessions[client % len(sessions)]
        gate.wait()
        end = time.perf_counter() + seconds
        while (begin := time.perf_counter()) < end:
            session.run(None, feed)
            times[client].append(1e3 * (time.perf_counter() - begin))

    workers = [threading.Thread(target=ask, args=(client,)) for client in range(clients)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return [ms for own in times for ms in own]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=list(NETWORKS), action="append")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--sessions", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2, help="of each session")
    parser.add_argument("--seconds", type=float, default=2.0, help="of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--option", action="append", default=[], metavar="KEY=VALUE", help="of the provider")
    arguments = parser.parse_args()
    options = dict(text.split("=", 1) for text in arguments.option)
    print(f"{arguments.clients} clients, {arguments.sessions} sessions of {arguments.threads} threads; milliseconds")
    print("network  provider                   runs/s      p50      p90      p99      max  p99/p50")
    for name in arguments.network or NETWORKS:
        model = NETWORKS[name]()
        data, feed = model.SerializeToString(), models.random_inputs(model)
        candidates = {
            provider: make_sessions(data, provider, options, arguments.sessions, arguments.threads)
            for provider in (CPU, SPARSE)
        }
        times: dict[str, list[float]] = {provider: [] for provider in candidates}
        for _ in range(arguments.rounds):
            for provider, sessions in candidates.items():
                times[provider] += latencies(sessions, feed, arguments.clients, arguments.seconds)
        for provider, ms in times.items():
            p50, p90, p99 = np.percentile(ms, [50, 90, 99])
            rate = len(ms) / (arguments.rounds * arguments.seconds)
            print(
                f"{name:8} {provider:24} {rate:8.1f} {p50:8.3f} {p90:8.3f} {p99:8.3f} {max(ms):8.1f} {p99 / p50:8.1f}"
            )


if __name__ == "__main__":
    main()
