"""Requests whose length changes from run to run, SparseCPUProvider against the CPU provider.

    python tests/reliability/changing_lengths.py                         # 1 to 512 tokens, 1 and 8 clients
    python tests/reliability/changing_lengths.py --requests 100000       # resident memory over many runs

A measurement, not a test: run it on a machine that does nothing else. The providers take turns, on the same lengths.
"""

from __future__ import annotations

import argparse
import itertools
import threading
import time

import numpy as np
import onnxruntime as ort
from memory import resident_bytes
from onnxruntime_ep_sparsecpu import models
from throughput import CPU, SPARSE, make_sessions


def latencies(session: ort.InferenceSession, feeds: list[np.ndarray], lengths: np.ndarray, clients: int) -> list[float]:
    """Milliseconds of each request, the next of which goes to the client that is free."""
    times = [0.0] * len(lengths)
    queue = itertools.count()

    def ask() -> None:
        while (request := next(queue)) < len(lengths):
            begin = time.perf_counter()
            session.run(None, {"hidden_states": feeds[lengths[request]]})
            times[request] = 1e3 * (time.perf_counter() - begin)

    workers = [threading.Thread(target=ask) for _ in range(clients)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, action="append", help="default: 1, then 8")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--longest", type=int, default=512)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--sparsity", type=float, default=0.9)
    parser.add_argument("--option", action="append", default=[], metavar="KEY=VALUE", help="of the provider")
    arguments = parser.parse_args()
    options = dict(text.split("=", 1) for text in arguments.option)
    model = models.bert(
        arguments.sparsity,
        batch="batch",
        sequence="sequence",
        layers=arguments.layers,
        hidden=arguments.hidden,
        heads=4,
    )
    data = model.SerializeToString()
    rng = np.random.default_rng(0)
    feeds = [rng.standard_normal((1, n, arguments.hidden)).astype(np.float32) for n in range(arguments.longest + 1)]
    print("clients  provider                    mean ms  p99 ms  grown MB")
    for clients in arguments.clients or [1, 8]:
        sessions = {name: make_sessions(data, name, options, 1, arguments.threads)[0] for name in (CPU, SPARSE)}
        times: dict[str, list[float]] = {name: [] for name in sessions}
        grown = dict.fromkeys(sessions, 0)
        for _ in range(arguments.rounds):
            lengths = rng.integers(1, arguments.longest, arguments.requests // arguments.rounds, endpoint=True)
            for name, session in sessions.items():
                before = resident_bytes()
                times[name] += latencies(session, feeds, lengths, clients)
                grown[name] += resident_bytes() - before
        for name, ms in times.items():
            mean, p99 = float(np.mean(ms)), float(np.percentile(ms, 99))
            print(f"{clients:7}  {name:24} {mean:10.3f} {p99:7.3f} {grown[name] / 2**20:9.1f}")
        ratios = [f(times[SPARSE]) / f(times[CPU]) for f in (np.mean, lambda ms: np.percentile(ms, 99))]
        print(f"{clients:7}  ratio {'':18} {ratios[0]:10.2f} {ratios[1]:7.2f}")


if __name__ == "__main__":
    main()
