"""Where the time of a run goes: our kernels node by node, merged with ONNX Runtime's own profile of the rest."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import onnxruntime_ep_sparsecpu as sparsecpu
from onnxruntime_ep_sparsecpu import _native
from onnxruntime_ep_sparsecpu.tools import sessions
from onnxruntime_ep_sparsecpu.tools.assignment import nodes_of
from onnxruntime_ep_sparsecpu.tools.feeds import Array, assuming, make_feeds
from onnxruntime_ep_sparsecpu.tools.source import Model, Source, as_source

_WARM_UP = 3
_SUFFIX = "_kernel_time"  # of a node's event in ONNX Runtime's profile
_BEFORE_KERNEL = ("import", "relayout")  # layout changes of a node's inputs; the others follow its kernel

Event = dict[str, Any]
Report = dict[str, Any]


class _Key(NamedTuple):
    """What a row is about. kind: kernel, layout, call, cpu or rest."""

    kind: str
    region: int = -1
    graph: int = -1
    node: int = -1
    name: str = ""  # of a CPU node, or of the layout change
    op_type: str = ""  # of a CPU node


class _Run(NamedTuple):
    """One measured run: ONNX Runtime's events of it, and the report that covers it alone."""

    whole: Event
    nodes: list[Event]
    report: Report


def profile(
    model: Model,
    feeds: Mapping[str, Array] | None = None,
    *,
    options: Mapping[str, str] | None = None,
    threads: int = 0,
    runs: int = 20,
    on_run: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Measures `runs` runs on these feeds, random ones if None. options: of the provider; `assume` is set to the shapes
    of the feeds. threads: of the session, 0 for all cores. on_run: called after each run.

    Every number is the median over the runs, in microseconds. Returns a dict with

    - ``model``, ``isa``, ``threads``, ``runs``, ``total_us`` (a run that nobody watches), ``sum_us`` (all rows but
      "rest");
    - ``peak``: what this machine was measured to reach with so many threads just now: ``fp32`` and ``int8``
      multiply-adds a second (None without VNNI), ``read`` bytes a second from as much memory as all packed weights;
    - ``rows``, in the order of execution. ``kind`` is "kernel" (one of ours, with ``fused``: the indices of the other
      nodes it computes), "layout" (all changes of one sort in a region), "call" (what remains of a region: its call,
      waking threads), "cpu" (a node of another provider, but for an If or Loop whose body has rows) or "rest" (between
      the nodes, mostly for profiling them). Each has ``us``, ``region``, ``graph`` and ``node`` (indices into the
      report, or -1), ``name``, ``op_type``, ``kernel``. Of a matrix operator ``rate`` is useful multiply-adds a second,
      zero weights not counted (of a kernel at the shapes that ran, of a CPU node at the assumed ones), and ``of_peak``
      its share of the peak. Of ours, ``bytes_rate`` is packed weights read a second, ``bound`` says which of
      "arithmetic" and "weights" would take longer at the peak, and ``efficiency`` which share of the time that would be;
    - ``report``: of the session, and ``events``: the measured runs as Chrome trace events.

    Raises UserError when the model cannot be run.
    """
    source = as_source(model)
    feeds = make_feeds(source) if feeds is None else feeds
    given = assuming(feeds, source.proto, options)
    measured, total_us = _measure(source, feeds, given, threads, runs, on_run)
    report = measured[-1].report
    times = _medians([_times(run) for run in measured])
    peak = _peak(report, threads or _native.machine.usable_cpus())
    rows = [_row(key, times[key], measured[-1], peak) for key in _ordered(times, measured[-1])]
    return {
        "model": source.name,
        "isa": report["isa"],
        "threads": threads or _native.machine.usable_cpus(),
        "runs": runs,
        "total_us": total_us,
        "sum_us": sum(us for key, us in times.items() if key.kind != "rest"),
        "peak": peak,
        "rows": rows,
        "report": report,
        "events": [event for run in measured for event in _trace(run)],
    }


def _measure(
    source: Source,
    feeds: Mapping[str, Array],
    options: Mapping[str, str],
    threads: int,
    runs: int,
    on_run: Callable[[], None],
) -> tuple[list[_Run], float]:
    """The measured runs, and the microseconds of one that is neither measured nor profiled.

    Each measured run follows one that is not: reading the report puts the weights out of the caches.
    """
    with tempfile.TemporaryDirectory() as folder:
        settings = sessions.session_options(threads)
        settings.enable_profiling = True
        settings.profile_file_prefix = str(Path(folder) / "ort")
        session = sessions.create(source, sparsecpu.get_ep_name(), options, settings=settings)
        reports = []
        for _ in range(_WARM_UP):
            sessions.run(session, feeds, source)
        for _ in range(runs):
            sessions.run(session, feeds, source)
            sparsecpu.measure(session)
            sessions.run(session, feeds, source)
            sparsecpu.measure(session, on=False)
            reports.append(sparsecpu.report(session))
            on_run()
        events: list[Event] = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8", errors="replace"))
    total_us = statistics.median(_timed(session, feeds, source) for _ in range(runs))
    wholes = sorted((event for event in events if event["name"] == "model_run"), key=lambda event: event["ts"])
    nodes = sorted(
        (event for event in events if event["cat"] == "Node" and event["name"].endswith(_SUFFIX)),
        key=lambda event: (event["ts"], -event["dur"]),
    )
    measured = [
        _Run(whole, [node for node in nodes if whole["ts"] <= node["ts"] < whole["ts"] + whole["dur"]], report)
        for whole, report in zip(wholes[_WARM_UP + 1 :: 2], reports, strict=True)
    ]
    return measured, total_us


def _timed(session: Any, feeds: Mapping[str, Array], source: Source) -> float:
    begin = time.perf_counter()
    sessions.run(session, feeds, source)
    return (time.perf_counter() - begin) * 1e6


def _name(event: Event) -> str:
    return str(event["name"]).removesuffix(_SUFFIX)


def _without_bodies(events: Sequence[Event]) -> Iterator[Event]:
    """But for an If or Loop around others: these count, and what is left of it is mostly for profiling them."""
    for event, next_one in zip_longest(events, events[1:]):
        if next_one is None or next_one["ts"] >= event["ts"] + event["dur"]:
            yield event


def _times(run: _Run) -> dict[_Key, float]:
    """Microseconds of every row in one run."""
    times: dict[_Key, float] = defaultdict(float)
    fused = {region["fused_node"] for region in run.report["regions"]}
    for event in _without_bodies(run.nodes):
        if _name(event) not in fused:
            times[_Key("cpu", name=_name(event), op_type=event["args"].get("op_name", ""))] += event["dur"]
    for index, region in enumerate(run.report["regions"]):
        calls = region["measured_runs"]
        if calls == 0:  # in a branch that was not taken
            continue
        steps = 0.0
        for number in region["nodes"]:
            node = run.report["graphs"][region["graph"]]["nodes"][number]
            if node["measured_us"] is not None:
                times[_Key("kernel", index, region["graph"], number)] = calls * node["measured_us"]
            for change, us in node["layout_us"].items():
                times[_Key("layout", index, region["graph"], name=change)] += calls * us
            steps += (node["measured_us"] or 0) + sum(node["layout_us"].values())
        times[_Key("call", index, region["graph"])] = calls * (region["measured_us"] - steps)
    times[_Key("rest")] = run.whole["dur"] - sum(times.values())
    return times


def _medians(runs: Sequence[Mapping[_Key, float]]) -> dict[_Key, float]:
    keys = dict.fromkeys(key for run in runs for key in run)
    return {key: statistics.median(run.get(key, 0.0) for run in runs) for key in keys}


def _ordered(keys: Iterable[_Key], run: _Run) -> list[_Key]:
    """By the event that contains it, then as a region runs: imports, kernels, other layout changes, the call."""
    places = {_name(event): place for place, event in reversed(list(enumerate(run.nodes)))}

    def place(key: _Key) -> tuple[int, int, int]:
        name = run.report["regions"][key.region]["fused_node"] if key.region >= 0 else key.name
        inside = {"kernel": 1, "layout": 0 if key.name == "import" else 2, "call": 3}.get(key.kind, 0)
        return places.get(name, len(places)), inside, key.node

    return sorted(keys, key=place)


def _peak(report: Report, threads: int) -> dict[str, float | None]:
    machine = _native.machine
    packed = sum(node["packed_bytes"] for node in nodes_of(report))
    return {
        "fp32": 16 * machine.fma_peak(report["isa"], threads) or None,
        "int8": 64 * machine.vnni_peak(report["isa"], threads) or None,
        "read": machine.read_bandwidth(max(packed, 1 << 20), threads),
    }


def _row(key: _Key, us: float, run: _Run, peak: Mapping[str, float | None]) -> dict[str, Any]:
    row: dict[str, Any] = {"kind": key.kind, "us": us, "region": key.region, "graph": key.graph, "node": key.node}
    row |= {"name": key.name, "op_type": key.op_type, "kernel": "", "fused": []}
    node: Mapping[str, Any] | None = None
    calls = 1  # in the body of a Loop there are more
    if key.kind == "kernel":
        nodes = run.report["graphs"][key.graph]["nodes"]
        node = nodes[key.node]
        calls = run.report["regions"][key.region]["measured_runs"]
        row |= {"name": node["name"], "op_type": node["op_type"], "kernel": node["kernel"]}
        row["fused"] = [i for i, other in enumerate(nodes) if other["computed_in"] == key.node]
    elif key.kind == "cpu":
        node = next((n for n in nodes_of(run.report) if n["name"] == key.name and not n["provider"]), None)
        calls = sum(_name(event) == key.name for event in run.nodes)
    return row | _efficiency(node, calls, us, peak)


def _efficiency(
    node: Mapping[str, Any] | None, calls: int, us: float, peak: Mapping[str, float | None]
) -> dict[str, Any]:
    result: dict[str, Any] = dict.fromkeys(("rate", "of_peak", "bytes_rate", "bound", "efficiency"))
    multiply_adds = 0 if node is None else node["measured_multiply_adds"] or node["multiply_adds"]
    if node is None or not multiply_adds or us <= 0:
        return result
    seconds = us / calls * 1e-6
    useful = multiply_adds * (1 - (node["sparsity"] or 0))
    best = peak["int8" if node["group_sparsity"] is not None else "fp32"]
    result["rate"] = useful / seconds
    result["of_peak"] = useful / seconds / best if best else None
    if node["packed_bytes"] and best and peak["read"]:
        arithmetic, weights = useful / best, node["packed_bytes"] / peak["read"]
        result["bytes_rate"] = node["packed_bytes"] / seconds
        result["bound"] = "arithmetic" if arithmetic >= weights else "weights"
        result["efficiency"] = max(arithmetic, weights) / seconds
    return result


def _trace(run: _Run) -> list[Event]:
    """ONNX Runtime's events of the run, and inside those of our regions their kernels and layout changes, one after
    the other as they run. Where a region runs more than once, each time shows the average."""
    regions = {region["fused_node"]: region for region in run.report["regions"]}
    events: list[Event] = [run.whole]
    for event in run.nodes:
        events.append(event)
        region = regions.get(_name(event))
        at = float(event["ts"])
        nodes = run.report["graphs"][region["graph"]]["nodes"] if region else []
        for number in region["nodes"] if region else []:
            for name, us in _steps(nodes[number]):
                shown = {key: nodes[number][key] for key in ("op_type", "kernel", "sparsity", "layer")}
                events.append({**event, "name": name, "ts": at, "dur": us, "cat": "SparseCPUProvider", "args": shown})
                at += us
    return events


def _steps(node: Mapping[str, Any]) -> list[tuple[str, float]]:
    """(name, microseconds) of what is done for a node, in order."""
    changes = [
        (f"{change} of {node['name']}", us, change in _BEFORE_KERNEL) for change, us in node["layout_us"].items()
    ]
    before = [(name, us) for name, us, first in changes if first]
    after = [(name, us) for name, us, first in changes if not first]
    return [*before, *([(node["name"], node["measured_us"])] if node["measured_us"] else []), *after]
