"""Makes a failing model smaller as long as it fails: fewer runs, outputs and nodes, smaller images and batches."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator

import numpy as np
import onnx
from onnx import helper
from subject import Feed, evaluate

Candidate = tuple[onnx.ModelProto, list[Feed]]


def reduce(model: onnx.ModelProto, feeds: list[Feed], fails: Callable[[Candidate], bool], seconds: float) -> Candidate:
    """The smallest one found in that time for which `fails` still holds."""
    best, end = (model, feeds), time.monotonic() + seconds
    progress = True
    while progress:
        progress = False
        for candidate in smaller(*best):
            if time.monotonic() > end:
                return best
            if size(candidate) < size(best) and fails(candidate):
                best, progress = candidate, True
                break
    return best


def size(candidate: Candidate) -> tuple[int, int]:
    model, feeds = candidate
    graph = model.graph
    parts = len(feeds) + len(graph.node) + len(graph.output) + len(graph.input) + len(graph.initializer)
    return parts, sum(array.size for feed in feeds for array in feed.values())


def smaller(model: onnx.ModelProto, feeds: list[Feed]) -> Iterator[Candidate]:
    """Candidates, those that take most away first; many do not run."""
    if len(feeds) > 1:
        yield from ((model, [feed]) for feed in feeds)
    graph = model.graph
    outputs = [name for node in graph.node for name in node.output if name]
    for name in outputs:  # the earliest value first
        yield tidy(with_outputs(model, [name]), feeds)
    if len(graph.output) > 1:
        for value in graph.output:
            yield tidy(with_outputs(model, [v.name for v in graph.output if v is not value]), feeds)
    yield tidy(model, feeds)
    values = evaluate(model, feeds)
    if values is not None:
        for name in reversed(outputs):
            yield begun_at(model, feeds, name, [run[name] for run in values])
        for index, node in enumerate(graph.node):
            for source in node.input:
                if (
                    len(node.output) == 1
                    and source in values[0]
                    and alike(values[0][source], values[0][node.output[0]])
                ):
                    yield bypassed(model, feeds, index, source)
    for index, node in enumerate(graph.node):
        if not any(readers(model, name) for name in node.output):
            without = copy.deepcopy(model)
            del without.graph.node[index]
            yield without, feeds
    yield from with_less_data(model, feeds)


def alike(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype


def readers(model: onnx.ModelProto, name: str) -> bool:
    used = {i for node in model.graph.node for i in (*node.input, *captured(node))}
    return name in used or name in {value.name for value in model.graph.output}


def captured(node: onnx.NodeProto) -> set[str]:
    """Names that the bodies of this node read."""
    names: set[str] = set()
    for attribute in node.attribute:
        for inner in attribute.g.node:
            names |= {*inner.input} | captured(inner)
        names |= {value.name for value in attribute.g.output}
    return names


def with_outputs(model: onnx.ModelProto, names: list[str]) -> onnx.ModelProto:
    result = copy.deepcopy(model)
    del result.graph.output[:]
    result.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return result


def tidy(model: onnx.ModelProto, feeds: list[Feed]) -> Candidate:
    """Without what no output needs."""
    result = copy.deepcopy(model)
    graph = result.graph
    needed = {value.name for value in graph.output}
    for node in reversed(list(graph.node)):
        if needed & {*node.output}:
            needed |= {*node.input} | captured(node)
        else:
            graph.node.remove(node)
    for items in (graph.initializer, graph.input):
        for item in [item for item in items if item.name not in needed]:
            items.remove(item)
    return result, [{name: array for name, array in feed.items() if name in needed} for feed in feeds]


def begun_at(model: onnx.ModelProto, feeds: list[Feed], name: str, arrays: list[np.ndarray]) -> Candidate:
    """With a value inside as an input."""
    result = copy.deepcopy(model)
    for node in result.graph.node:
        node.output[:] = [f"{n}_before" if n == name else n for n in node.output]
    dims = [sizes[0] if len(set(sizes)) == 1 else f"d{i}" for i, sizes in enumerate(zip(*(a.shape for a in arrays)))]
    element = helper.np_dtype_to_tensor_dtype(arrays[0].dtype)
    result.graph.input.append(helper.make_tensor_value_info(name, element, dims))
    return tidy(result, [feed | {name: array} for feed, array in zip(feeds, arrays, strict=True)])


def bypassed(model: onnx.ModelProto, feeds: list[Feed], index: int, source: str) -> Candidate:
    result = copy.deepcopy(model)
    (output,) = result.graph.node[index].output
    for node in result.graph.node:
        node.input[:] = [source if name == output else name for name in node.input]
    outputs = [source if value.name == output else value.name for value in result.graph.output]
    return tidy(with_outputs(result, list(dict.fromkeys(outputs))), feeds)


def with_less_data(model: onnx.ModelProto, feeds: list[Feed]) -> Iterator[Candidate]:
    """One element, then half, along each axis of the inputs, together with all axes of its name."""
    axes = {(v.name, i): d for v in model.graph.input for i, d in enumerate(v.type.tensor_type.shape.dim)}
    for (name, axis), dim in axes.items():
        group = [key for key, other in axes.items() if dim.dim_param and other.dim_param == dim.dim_param]
        group = group or [(name, axis)]
        for share in (0, 0.5):
            result, cut = copy.deepcopy(model), [dict(feed) for feed in feeds]
            for value in result.graph.input:
                for i, d in enumerate(value.type.tensor_type.shape.dim):
                    if (value.name, i) in group and not d.dim_param:
                        d.dim_value = max(1, int(d.dim_value * share))
            for feed in cut:
                for key, i in group:
                    if key in feed and feed[key].ndim > i:
                        count = max(1, int(feed[key].shape[i] * share))
                        feed[key] = np.take(feed[key], range(min(count, feed[key].shape[i])), axis=i)
            yield result, cut
