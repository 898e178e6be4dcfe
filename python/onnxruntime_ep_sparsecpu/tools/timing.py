"""Latency and throughput of a model, of one provider or of two in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort

import onnxruntime_ep_sparsecpu as sparsecpu
from onnxruntime_ep_sparsecpu.tools import sessions
from onnxruntime_ep_sparsecpu.tools.assignment import totals_of
from onnxruntime_ep_sparsecpu.tools.errors import UserError
from onnxruntime_ep_sparsecpu.tools.feeds import assuming, make_feeds
from onnxruntime_ep_sparsecpu.tools.hardware import cpu_name
from onnxruntime_ep_sparsecpu.tools.source import Model, Source, as_source

ROUNDS = 10
_PERCENTILES = (50, 90, 95, 99)
Tick = Callable[[float], None]


class Round(NamedTuple):
    """What one provider did in its turn: milliseconds of every run, and seconds from the first start to the last end."""

    latencies: list[float]
    seconds: float


def benchmark(
    model: Model,
    feeds: Mapping[str, Any] | None = None,
    *,
    engine: str | None = None,
    versus: str | None = None,
    options: Mapping[str, str] | None = None,
    threads: int = 0,
    streams: int = 1,
    seconds: float = 10.0,
    warm_up: float = 2.0,
    tick: Tick = lambda share: None,
) -> dict[str, Any]:
    """Times runs of the model on the provider `engine` (SparseCPUProvider if None), in turns with `versus` if given.

    feeds: random ones if None. options: of SparseCPUProvider; `assume` is set to the shapes of the feeds. threads: of a session, 0 for all cores.
    streams: 1 runs one after another (sync); more keep as many runs in flight, from threads of the caller on one
    session (async). seconds: of measurement, and warm_up: before it, for each provider. The time is spent in ten
    rounds, in which the providers take turns, so that a machine that drifts slows both alike. tick: called with the
    share of the work that is done, 0..1.

    Returns `model`, `inputs` (name -> shape), `batch` (first axis of the first input), `scenario`, `streams`,
    `threads`, `seconds`, `rounds`, `machine`, `options` and `totals` (those of SparseCPUProvider, and what it claims,
    see explain; {} and None if it is neither), `results` and `comparison`. results, by provider: `runs`,
    `items_per_second`, `load_ms` and `latency_ms` with `mean`, `std`, `min`, `p50`, `p90`, `p95`, `p99`, `max`.
    comparison (None without versus): `engine`, `versus`, and how many times as fast the engine is: `ratio` (median of
    the rounds), `ratio_min`, `ratio_max`; from the medians of latency in sync, from throughput in async.
    Raises UserError when a session cannot be created or run, and for a provider that does not exist.
    """
    source = as_source(model)
    feeds = make_feeds(source) if feeds is None else feeds
    options = assuming(feeds, source.proto, options)
    ours = sparsecpu.get_ep_name()
    names = [engine or ours, *([versus] if versus else [])]
    candidates, load = {}, {}
    for name in names:
        begin = time.perf_counter()
        candidates[name] = create(source, name, options, threads)
        load[name] = (time.perf_counter() - begin) * 1e3
        sessions.run(candidates[name], feeds, source)
    rounds = measure(candidates, feeds, seconds=seconds, warm_up=warm_up, streams=streams, tick=tick)
    batch = next((array.shape[0] for array in feeds.values() if array.ndim), 1)
    return {
        "model": source.name,
        "inputs": {name: list(array.shape) for name, array in feeds.items()},
        "batch": batch,
        "scenario": "sync" if streams == 1 else "async",
        "streams": streams,
        "threads": threads,
        "seconds": seconds,
        "rounds": len(rounds[names[0]]),
        "machine": _machine(),
        "results": {name: {**summary(rounds[name], batch), "load_ms": load[name]} for name in names},
        "comparison": compare_rounds(rounds, names[0], versus, streams) if versus else None,
        "options": options if ours in candidates else {},
        "totals": totals_of(candidates[ours]) if ours in candidates else None,
    }


def create(source: Source, provider: str, options: Mapping[str, str], threads: int) -> Any:
    """A session on the provider, which if it is ours has these options.
    Raises UserError for a provider that does not exist, and when the session cannot be created."""
    ours = provider == sparsecpu.get_ep_name()
    if not ours and provider not in ort.get_available_providers():
        raise UserError(f"there is no provider {provider}; there are {', '.join(ort.get_available_providers())}")
    return sessions.create(source, provider, options if ours else None, threads)


def measure(
    candidates: Mapping[str, Any],
    feeds: Mapping[str, Any],
    *,
    rounds: int = ROUNDS,
    seconds: float = 0.0,
    warm_up: float = 0.0,
    streams: int = 1,
    tick: Tick = lambda share: None,
) -> dict[str, list[Round]]:
    """Lets the sessions take turns; returns the rounds of each.

    seconds, warm_up: in all, for each session; a turn has at least one run in every stream. Every other round goes
    the other way round, so that none is always measured after the same one.
    """
    results: dict[str, list[Round]] = {name: [] for name in candidates}
    total = len(candidates) * (warm_up + seconds) or 1.0
    done = 0.0
    with ThreadPoolExecutor(streams) as pool:

        def turn(name: str, budget: float) -> Round:
            nonlocal done
            result = _turn(candidates[name], feeds, budget, streams, pool)
            done += budget
            tick(done / total)
            return result

        for name in candidates:
            turn(name, warm_up)
        for index in range(rounds):
            for name in list(candidates)[:: -1 if index % 2 else 1]:
                results[name].append(turn(name, seconds / rounds))
    return results


def _turn(session: Any, feeds: Mapping[str, Any], seconds: float, streams: int, pool: ThreadPoolExecutor) -> Round:
    feed = dict(feeds)
    begin = time.perf_counter()

    def stream() -> list[float]:
        latencies: list[float] = []
        now = time.perf_counter()
        while not latencies or now - begin < seconds:
            session.run(None, feed)
            before, now = now, time.perf_counter()
            latencies.append((now - before) * 1e3)
        return latencies

    if streams == 1:
        latencies = stream()
    else:
        latencies = [ms for future in [pool.submit(stream) for _ in range(streams)] for ms in future.result()]
    return Round(latencies, time.perf_counter() - begin)


def summary(rounds: Sequence[Round], batch: int = 1) -> dict[str, Any]:
    """`runs`, `items_per_second` and `latency_ms` of one provider's rounds. batch: items of a run."""
    latencies = np.concatenate([turn.latencies for turn in rounds])
    percentiles = dict(zip(_PERCENTILES, np.percentile(latencies, _PERCENTILES), strict=True))
    return {
        "runs": latencies.size,
        "items_per_second": batch * latencies.size / sum(turn.seconds for turn in rounds),
        "latency_ms": {
            "mean": float(latencies.mean()),
            "std": float(latencies.std()),
            "min": float(latencies.min()),
            **{f"p{share}": float(value) for share, value in percentiles.items()},
            "max": float(latencies.max()),
        },
    }


def compare_rounds(rounds: Mapping[str, Sequence[Round]], engine: str, versus: str, streams: int = 1) -> dict[str, Any]:
    """How many times as fast `engine` is as `versus`: round by round, since the two of a round saw the same machine."""

    def speed(turn: Round) -> float:
        return float(1 / np.median(turn.latencies)) if streams == 1 else len(turn.latencies) / turn.seconds

    ratios = [speed(a) / speed(b) for a, b in zip(rounds[engine], rounds[versus], strict=True)]
    return {
        "engine": engine,
        "versus": versus,
        "ratio": float(np.median(ratios)),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
    }


def _machine() -> dict[str, Any]:
    return {
        "cpu": cpu_name(),
        "onnxruntime": ort.__version__,
        "onnxruntime_ep_sparsecpu": sparsecpu.__version__,
        "isa": sparsecpu.available_isas()[-1],
    }
