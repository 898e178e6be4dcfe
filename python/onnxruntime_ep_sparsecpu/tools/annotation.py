"""A copy of a model that says at each node where it runs and why, for viewers such as Netron."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import onnx
from onnx.external_data_helper import ExternalDataInfo, uses_external_data

from onnxruntime_ep_sparsecpu.tools.assignment import Node, is_here
from onnxruntime_ep_sparsecpu.tools.errors import UserError, first_line
from onnxruntime_ep_sparsecpu.tools.source import Model, Source, as_source
from onnxruntime_ep_sparsecpu.tools.weights import stored_tensors, subgraphs

_PREFIX = "sparsecpu."
_GONE = (
    "onnxruntime's basic optimizations removed it before providers were asked: it is folded into a constant or a "
    "neighbouring node"
)


def annotate(model: Model, report: Mapping[str, Any], out: str | Path) -> dict[str, int]:
    """Writes a copy of the model to `out`, with what the report says in the metadata_props of each node, under keys that
    begin with "sparsecpu.".

    Nodes of the report are those after ONNX Runtime's basic optimizations; an original node is found by its name, by a
    value it produces, or by a name that begins with its own (".../MatMulAddFusion"). Returns how many nodes were found
    (``same``), are now part of another (``merged``) or have ``gone``. Raises UserError when `out` cannot be written, and
    when it is the model itself.
    """
    source = as_source(model)
    data = Path(f"{out}.data")
    read = _files(source)
    if Path(out).resolve() in read or data.resolve() in read:
        raise UserError(f"{out} would overwrite {source.name}: give the annotated copy another name")
    copy = source.load()
    counts: Counter[str] = Counter(same=0, merged=0, gone=0)
    _annotate_graph(copy.graph, "", report, counts)
    external = len(read) > 1
    try:
        if external:
            data.unlink(missing_ok=True)  # onnx appends to a file that exists
        onnx.save(copy, str(out), save_as_external_data=external, location=data.name)
    except Exception as error:
        raise UserError(f"cannot write {out}: {first_line(error)}") from error
    return dict(counts)


def _files(source: Source) -> set[Path]:
    """The files that the model lies in: its own and those with its external data; none if it was made in memory."""
    if source.path is None:
        return set()
    stored = (tensor for tensor in stored_tensors(source.proto.graph) if uses_external_data(tensor))
    folder = source.path.parent
    return {source.path.resolve(), *((folder / ExternalDataInfo(tensor).location).resolve() for tensor in stored)}


def _annotate_graph(graph: onnx.GraphProto, parent: str, report: Mapping[str, Any], counts: Counter[str]) -> None:
    optimized = _Optimized(g["nodes"] for g in report["graphs"] if g["parent_node"] == parent)
    for node in graph.node:
        how, properties = optimized.properties(node)
        counts[how] += 1
        for key, value in properties.items():
            node.metadata_props.add(key=_PREFIX + key, value=value)
        for body in subgraphs(node):
            _annotate_graph(body, node.name, report, counts)


class _Optimized:
    """The nodes of a graph as ONNX Runtime showed them, to be found from the original ones."""

    def __init__(self, graphs: Iterable[list[Node]]) -> None:
        self._by_name: dict[str, tuple[Node, list[Node]]] = {}
        self._by_output: dict[str, tuple[Node, list[Node]]] = {}
        for nodes in graphs:
            for node in nodes:
                self._by_name.setdefault(node["name"], (node, nodes))
                for output in node["outputs"]:
                    self._by_output.setdefault(output, (node, nodes))

    def properties(self, original: onnx.NodeProto) -> tuple[str, dict[str, str]]:
        """("same", "merged" or "gone", what to write at the node)."""
        found = self._by_name.get(original.name) if original.name else None
        if found is not None and found[0]["op_type"] == original.op_type:
            return "same", _describe(*found)
        found = found or next((self._by_output[o] for o in original.output if o in self._by_output), None)
        if found is None and original.name:
            prefix = original.name + "/"
            found = next((entry for name, entry in self._by_name.items() if name.startswith(prefix)), None)
        if found is None:
            return "gone", {"reason": _GONE}
        node, nodes = found
        how = "same" if node["op_type"] == original.op_type else "merged"
        renamed = {"optimized_to": f"{node['op_type']} {node['name']}"} if node["name"] != original.name else {}
        return how, renamed | _describe(node, nodes)


def _describe(node: Node, nodes: list[Node]) -> dict[str, str]:
    """What the report says about a node, as text; without what it does not have."""
    here = is_here(node)
    host = node["computed_in"]
    texts = {
        "provider": node["provider"] or "left to other providers",
        "reason": node["reason"],
        "region": str(node["region"]) if here else "",
        "pattern": node["pattern"],
        "layer": node["layer"],
        "kernel": node["kernel"] if here else "",
        "computed_in": nodes[host]["name"] if host is not None else "",
        "zeros": "" if node["sparsity"] is None else f"{node['sparsity']:.1%}",
        "zero_groups_of_4": "" if node["group_sparsity"] is None else f"{node['group_sparsity']:.1%}",
        "zeros_needed": "" if node["needed_sparsity"] is None else f"{node['needed_sparsity']:.1%}",
        "predicted_us_cpu": f"{node['cpu_us']:.1f}" if node["cpu_us"] else "",
        "predicted_us_here": f"{node['here_us']:.1f}" if node["here_us"] else "",
        "dense_bytes": str(node["dense_bytes"] or ""),
        "packed_bytes": str(node["packed_bytes"] or ""),
    }
    return {key: text for key, text in texts.items() if text}
