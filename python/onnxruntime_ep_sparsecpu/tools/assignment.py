"""Where every node of a model runs, and why: the report of a session with its sums, and what pruning would change."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import onnxruntime_ep_sparsecpu as sparsecpu
from onnxruntime_ep_sparsecpu.tools import sessions
from onnxruntime_ep_sparsecpu.tools.source import Model, as_source

Node = dict[str, Any]

_STATE_SIZES = "(say which sizes run with the option assume)"  # a reason ends so, in provider/claim/reasons.cc
_CONVOLUTIONS = ("Conv", "FusedConv", "QLinearConv", "ConvInteger")


def explain(model: Model, options: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The report of a session for the model (see onnxruntime_ep_sparsecpu.report), with two more keys:

    - ``totals``: ``nodes``, ``claimed_nodes`` and ``regions``; ``left_for_sizes`` (nodes that would be claimed at the
      assumed sizes, were they sure to be those of the runs); of the layers (operators with constant weights)
      ``convolutions``, ``claimed_convolutions``, ``products`` and ``claimed_products`` (matrix products);
      ``multiply_adds`` of all matrix operators and ``claimed_multiply_adds``; of the claimed nodes ``dense_bytes``,
      ``packed_bytes``, ``claimed_cpu_us`` and ``claimed_here_us``; ``left_cpu_us`` of the others (predicted
      microseconds of one thread);
    - ``to_prune``: the layers that would be faster here with more zeros, the slowest first. Each has ``graph`` and
      ``node`` (indices), ``zeros`` (0..1 now), ``needed`` (from where on it gains), ``cpu_us`` and ``of_groups``: whether
      the two count groups of 4 input channels without a nonzero weight (INT8), and not single weights.

    options: of the provider. Raises UserError when the session cannot be created.
    """
    session = sessions.create(as_source(model), sparsecpu.get_ep_name(), options)
    report = with_totals(sparsecpu.report(session))
    return {**report, "to_prune": to_prune(report)}


def totals_of(session: Any) -> dict[str, Any]:
    """`totals` of a session's report: see explain."""
    totals: dict[str, Any] = with_totals(sparsecpu.report(session))["totals"]
    return totals


def nodes_of(report: Mapping[str, Any]) -> list[Node]:
    """Every node of the main graph and of the bodies of If and Loop."""
    return [node for graph in report["graphs"] for node in graph["nodes"]]


def is_here(node: Node) -> bool:
    return bool(node["provider"] == sparsecpu.get_ep_name())


def is_layer(node: Node) -> bool:
    """Whether it is a convolution or matrix product with constant weights."""
    return node["sparsity"] is not None


def with_totals(report: Mapping[str, Any]) -> dict[str, Any]:
    """Adds `totals`: see explain."""
    nodes = nodes_of(report)
    here = [node for node in nodes if is_here(node)]
    totals: dict[str, Any] = {
        "nodes": len(nodes),
        "claimed_nodes": len(here),
        "regions": len({node["region"] for node in here}),
        "left_for_sizes": sum(node["reason"].endswith(_STATE_SIZES) for node in nodes),
        "dense_bytes": sum(node["dense_bytes"] for node in here),
        "packed_bytes": sum(node["packed_bytes"] for node in here),
        "claimed_cpu_us": sum(node["cpu_us"] for node in here),
        "claimed_here_us": sum(node["here_us"] for node in here),
        "left_cpu_us": sum(node["cpu_us"] for node in nodes if not is_here(node)),
    }
    for prefix, some in (("", nodes), ("claimed_", here)):
        layers = [node["op_type"] in _CONVOLUTIONS for node in some if is_layer(node)]
        totals[f"{prefix}convolutions"] = sum(layers)
        totals[f"{prefix}products"] = len(layers) - sum(layers)
        totals[f"{prefix}multiply_adds"] = sum(node["multiply_adds"] for node in some)
    return {**report, "totals": totals}


def arithmetic_here(totals: Mapping[str, Any]) -> str:
    """The share of the multiply-adds that runs here, in percent; never 100% unless it is all."""
    percent = 100 * totals["claimed_multiply_adds"] / totals["multiply_adds"]
    return f"{percent:.0f}%" if percent < 99.5 or percent == 100 else f"{math.floor(10 * percent) / 10:.1f}%"


def to_prune(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The layers left to others that lack zeros: see explain."""
    layers = []
    for g, graph in enumerate(report["graphs"]):
        for n, node in enumerate(graph["nodes"]):
            of_groups = node["group_sparsity"] is not None
            zeros = node["group_sparsity"] if of_groups else node["sparsity"]
            needed = node["needed_sparsity"]
            if is_here(node) or zeros is None or needed is None or not zeros < needed < 1:
                continue
            layer = {"graph": g, "node": n, "zeros": zeros, "needed": needed, "cpu_us": node["cpu_us"]}
            layers.append({**layer, "of_groups": of_groups})
    return sorted(layers, key=lambda layer: -layer["cpu_us"])
