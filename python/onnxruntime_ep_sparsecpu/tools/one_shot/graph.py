"""The main graph of a model: what depends on what, and parts of it as models of their own."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from onnxruntime_ep_sparsecpu.tools.errors import UserError
from onnxruntime_ep_sparsecpu.tools.weights import subgraphs

Array = npt.NDArray[Any]


class Graph:
    """Nodes are known by their place; a node reads what the bodies of an If or Loop take from outside, too."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        self.nodes = list(model.graph.node)
        self.initializers = {tensor.name: tensor for tensor in model.graph.initializer}
        self.inputs = {value.name: value for value in model.graph.input}
        self.outputs = {value.name for value in model.graph.output}
        self._reads = [list(dict.fromkeys(_reads(node))) for node in self.nodes]
        self._maker = {value: place for place, node in enumerate(self.nodes) for value in node.output if value}
        self.readers: dict[str, list[int]] = {}
        for place, values in enumerate(self._reads):
            for value in values:
                self.readers.setdefault(value, []).append(place)

    def order(self) -> list[int]:
        """Places of the nodes, each behind those that it reads from. Raises UserError for a cycle."""
        before = {
            place: {self._maker[value] for value in values if value in self._maker}
            for place, values in enumerate(self._reads)
        }
        try:
            return list(TopologicalSorter(before).static_order())
        except CycleError as error:
            name = self.nodes[error.args[1][0]].name
            raise UserError(f"node '{name}' reads what is computed from its own output") from error

    def behind(self, layers: Mapping[int, int]) -> dict[str, int]:
        """layers: bits by the place of a node. Of every value, the bits of all nodes that it is computed by."""
        bits: dict[str, int] = {}
        for place in self.order():
            own = layers.get(place, 0)
            for value in self._reads[place]:
                own |= bits.get(value, 0)
            bits.update(dict.fromkeys(self.nodes[place].output, own))
        return bits

    def way_to(self, wanted: Iterable[str], given: Collection[str]) -> tuple[set[int], set[str]]:
        """The nodes that compute the wanted values from given ones, and which of those it takes."""
        nodes: set[int] = set()
        used: set[str] = set()
        left = list(wanted)
        while left:
            value = left.pop()
            if value in given:
                used.add(value)
            elif value in self._maker and self._maker[value] not in nodes:
                nodes.add(self._maker[value])
                left += self._reads[self._maker[value]]
        return nodes, used

    def made_by(self, nodes: Iterable[int]) -> set[str]:
        return {value for place in nodes for value in self.nodes[place].output if value}

    def part(
        self, nodes: Collection[int], inputs: Mapping[str, Array], outputs: Iterable[str], changed: Mapping[int, Array]
    ) -> onnx.ModelProto:
        """A model of these nodes. inputs: examples of the values that it gets. changed: arrays by the identity of the
        tensors that they replace."""
        part = onnx.ModelProto(ir_version=self._model.ir_version)
        part.opset_import.extend(self._model.opset_import)
        part.functions.extend(self._model.functions)
        part.graph.name = "part"
        read: set[str] = set()
        for place in sorted(nodes):
            node = self.nodes[place]
            copy = part.graph.node.add()
            copy.CopyFrom(node)
            for attribute, own in zip(copy.attribute, node.attribute, strict=True):
                if own.HasField("t"):
                    _replace(attribute.t, own.t, changed)
            read.update(self._reads[place])
        for name in self.initializers.keys() & read:
            tensor = self.initializers[name]
            _replace(part.graph.initializer.add(), tensor, changed)
        part.graph.sparse_initializer.extend(self._model.graph.sparse_initializer)
        for name, example in inputs.items():
            part.graph.input.append(self.inputs.get(name) or _value_info(name, example))
        part.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)  # ONNX Runtime infers the types
        return part


def _replace(copy: onnx.TensorProto, tensor: onnx.TensorProto, changed: Mapping[int, Array]) -> None:
    array = changed.get(id(tensor))
    copy.CopyFrom(tensor if array is None else numpy_helper.from_array(array, tensor.name))


def _value_info(name: str, example: Array) -> onnx.ValueInfoProto:
    """Sizes are left open: batches may have others."""
    kind = helper.np_dtype_to_tensor_dtype(example.dtype)
    return helper.make_tensor_value_info(name, kind, [None] * example.ndim)


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    yield from filter(None, node.input)
    for body in subgraphs(node):
        for inner in body.node:
            yield from _reads(inner)
        yield from (value.name for value in body.output)
