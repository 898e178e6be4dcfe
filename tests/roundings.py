"""How far the outputs of a model may be apart although both are right: it quantizes floats on the way, and where one lies
between two bytes, the order of a sum decides which it becomes. A step of 1 there is many steps behind a layer."""

from __future__ import annotations

import copy
from typing import Any

import onnx
from onnx import helper

NUDGE = 2.0**-17  # as a share: sums of floats in another order differ by less
QUANTIZING = ("QuantizeLinear", "DynamicQuantizeLinear")


def nudged(model: bytes, share: float) -> bytes:
    """The model with the floats that it quantizes, in functions and bodies too, larger by this share."""
    result = onnx.load_from_string(model)
    for nodes in (result.graph.node, *(function.node for function in result.functions)):
        nudge(nodes, 1 + share)
    return bytes(result.SerializeToString())


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
