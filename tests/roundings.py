"""How far the outputs of a model may be apart although both are right.

What it computes may hang on the last bits of its sums: a float that it quantizes lies between two bytes, and a step of
1 there is many steps behind a layer; or a difference of nearly equal numbers is all that is left. So we look how far the
CPU provider's own values move where the last bits of the inputs, the weights and the quantized floats change."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

QUANTIZED = 2.0**-17  # change of the floats that are quantized, as a share: sums in another order differ by less
LAST_BITS = 2.0**-21  # change of every input and weight by itself, as a share
DRAWS = 12
QUANTIZING = ("QuantizeLinear", "DynamicQuantizeLinear")


def nudged_model(model: bytes, draw: int) -> bytes:
    """The model with other last bits in its float weights, dequantized ones, too, and in limits, which may be all that
    a norm sums; the floats that it quantizes, in functions and bodies too, are all larger or all smaller."""
    result = onnx.load_from_string(model)
    random = np.random.default_rng(draw)
    limits = {name for node in all_nodes(result.graph) if node.op_type in ("Min", "Max", "Clip") for name in node.input}
    for tensor in result.graph.initializer:
        if (len(tensor.dims) >= 2 or tensor.name in limits) and tensor.data_type == onnx.TensorProto.FLOAT:
            tensor.CopyFrom(
                numpy_helper.from_array(other_last_bits(numpy_helper.to_array(tensor), random), tensor.name)
            )
    nudge_dequantized(result.graph, random)
    for nodes in (result.graph.node, *(function.node for function in result.functions)):
        nudge(nodes, 1 + (QUANTIZED if draw % 2 else -QUANTIZED))
    return bytes(result.SerializeToString())


def all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Of the graph and of the bodies of its nodes."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            yield from all_nodes(attribute.g)


def nudged_feed(feed: Mapping[str, np.ndarray], draw: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(draw)
    return {
        name: other_last_bits(value, random) if value.dtype == np.float32 else value for name, value in feed.items()
    }


def other_last_bits(values: np.ndarray, random: np.random.Generator) -> np.ndarray:
    with np.errstate(all="ignore"):
        return (values * (1 + LAST_BITS * random.uniform(-1, 1, values.shape))).astype(np.float32)


def nudge(nodes: Any, factor: float) -> None:
    before = [copy.deepcopy(node) for node in nodes]
    del nodes[:]
    for node in before:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                nudge(attribute.g.node, factor)
        if node.op_type in QUANTIZING and node.input:
            source, name = node.input[0], f"nudged_{node.output[0]}"
            nodes.append(helper.make_node("Constant", [], [f"{name}_by"], value_float=factor))
            nodes.append(helper.make_node("Mul", [source, f"{name}_by"], [name]))
            node.input[0] = name
        nodes.append(node)


def nudge_dequantized(graph: onnx.GraphProto, random: np.random.Generator) -> None:
    """Other last bits in the weights that are dequantized, too: their products with bytes may cancel out exactly where
    integers are summed, and in floats but for a rounding, which a large scale makes large."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer if len(tensor.dims) >= 2}
    before = [copy.deepcopy(node) for node in graph.node]
    del graph.node[:]
    for node in before:
        graph.node.append(node)
        if node.op_type == "DequantizeLinear" and node.input[0] in shapes:
            name = node.output[0]
            factors = other_last_bits(np.ones(shapes[node.input[0]], np.float32), random)
            graph.initializer.append(numpy_helper.from_array(factors, f"nudged_{name}_by"))
            graph.node[-1].output[0] = f"nudged_{name}"
            graph.node.append(helper.make_node("Mul", [f"nudged_{name}", f"nudged_{name}_by"], [name]))


def touched(model: bytes) -> bytes:
    """The model with a node that the graph optimizers of ONNX Runtime take out: they look at its shapes once more."""
    result = onnx.load_from_string(model)
    graph = result.graph
    graph.initializer.append(numpy_helper.from_array(np.ones(1, np.float32), "touched_from"))
    graph.node.append(helper.make_node("Relu", ["touched_from"], ["touched"]))
    graph.output.append(helper.make_tensor_value_info("touched", onnx.TensorProto.FLOAT, [1]))
    return bytes(result.SerializeToString())
