"""Where every node of a model runs, and why: the report of a session with its sums."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnxruntime_ep_sparsecpu as sparsecpu
from onnxruntime_ep_sparsecpu.tools import sessions
from onnxruntime_ep_sparsecpu.tools.source import Source

Node = dict[str, Any]


def explain(source: Source, options: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The report of a session for the model (see onnxruntime_ep_sparsecpu.report), with the key `totals` added.

    options: of the provider. Raises UserError when the session cannot be created.
    """
    session = sessions.create(source, sparsecpu.get_ep_name(), options)
    return with_totals(sparsecpu.report(session))


def nodes_of(report: Mapping[str, Any]) -> list[Node]:
    """Every node of the main graph and of the bodies of If and Loop."""
    return [node for graph in report["graphs"] for node in graph["nodes"]]


def is_here(node: Node) -> bool:
    return bool(node["provider"] == sparsecpu.get_ep_name())


def with_totals(report: Mapping[str, Any]) -> dict[str, Any]:
    """Adds `totals`: how many nodes run here, their weights in bytes, predicted microseconds of one thread."""
    nodes = nodes_of(report)
    here = [node for node in nodes if is_here(node)]
    totals = {
        "nodes": len(nodes),
        "claimed_nodes": len(here),
        "regions": len({node["region"] for node in here}),
        "dense_bytes": sum(node["dense_bytes"] for node in here),
        "packed_bytes": sum(node["packed_bytes"] for node in here),
        "claimed_cpu_us": sum(node["cpu_us"] for node in here),
        "claimed_here_us": sum(node["here_us"] for node in here),
        "left_cpu_us": sum(node["cpu_us"] for node in nodes if not is_here(node)),
    }
    return {**report, "totals": totals}
