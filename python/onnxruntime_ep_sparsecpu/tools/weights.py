"""Finds the constant weights of a model: of Conv, MatMul and Gemm, and of their INT8 forms (QOperator, QDQ, integer).

A weight is followed from the operator through Identity, Cast, Transpose, QuantizeLinear and DequantizeLinear to the
tensor that the model stores.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from onnxruntime_ep_sparsecpu.tools.errors import reading

Array = npt.NDArray[Any]


class _Slots(NamedTuple):
    """Which inputs of an operator are its weight and, of the INT8 forms, the weight's scale and zero point."""

    weight: int
    scale: int | None = None
    zero_point: int | None = None


_OPERATORS = {
    "Conv": _Slots(1),
    "MatMul": _Slots(1),
    "Gemm": _Slots(1),
    "FusedConv": _Slots(1),
    "FusedMatMul": _Slots(1),
    "FusedGemm": _Slots(1),
    "ConvInteger": _Slots(1, None, 3),
    "MatMulInteger": _Slots(1, None, 3),
    "QLinearConv": _Slots(3, 4, 5),
    "QLinearMatMul": _Slots(3, 4, 5),
    "QGemm": _Slots(3, 4, 5),
}
_FOLLOWED = ("Identity", "Cast", "Transpose", "QuantizeLinear", "DequantizeLinear")


class Use(NamedTuple):
    """A node that has a stored tensor as its weight, and takes it as tensor.transpose(permutation).

    quantized: it multiplies integers, or what was quantized. inner: it stands in the body of an If or Loop.
    """

    node: onnx.NodeProto
    permutation: tuple[int, ...]
    quantized: bool
    inner: bool


@dataclass
class Weight:
    """A stored tensor and the nodes whose weight it is.

    input_axis: the axis of the tensor that is summed over. zero_point, scale: broadcast against the tensor.
    """

    tensor: onnx.TensorProto
    input_axis: int
    zero_point: Array
    scale: Array
    uses: list[Use] = field(default_factory=list)
    depthwise: bool = False
    is_input: bool = False  # of the model, so that a run may replace it
    other_readers: list[onnx.NodeProto] = field(default_factory=list)

    @property
    def nodes(self) -> list[onnx.NodeProto]:
        return [use.node for use in self.uses]

    @property
    def names(self) -> dict[str, str]:
        """`node` (the first of them), `op_type` and `weight`, as results of tools call them."""
        node = self.uses[0].node
        return {
            "node": node.name or node.output[0],
            "op_type": node.op_type,
            "weight": self.tensor.name or node.input[1],
        }


class _Stored(NamedTuple):
    """A tensor by its place in _Finder.tensors; is_input: the model has an input of its name."""

    place: int
    is_input: bool


@dataclass
class _Scope:
    """What the nodes of a graph see: stored tensors and nodes by the value that they make, outer graphs included."""

    stored: ChainMap[str, _Stored]
    producers: ChainMap[str, onnx.NodeProto]
    inner: bool = False

    def child(self) -> _Scope:
        return _Scope(self.stored.new_child(), self.producers.new_child(), inner=True)


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for value in node.attribute:
        yield from (value.g,) if value.HasField("g") else value.graphs


def stored_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Every tensor in the file: initializers and attributes, those of inner graphs included."""
    yield from graph.initializer
    for node in graph.node:
        for value in node.attribute:
            yield from (value.t,) if value.HasField("t") else value.tensors
        for inner in subgraphs(node):
            yield from stored_tensors(inner)


def find_weights(model: onnx.ModelProto, folder: str = "") -> list[Weight]:
    """The weights, each once, in the order of the nodes that use them. folder: where external data lies.

    Raises UserError for a node that does not have what its operator needs.
    """
    finder = _Finder(folder)
    finder.walk(model.graph, _Scope(ChainMap(), ChainMap()))
    return finder.weights()


class _Finder:
    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._tensors: list[onnx.TensorProto] = []
        self._found: dict[int, Weight] = {}  # by the place of the tensor
        self._readers: dict[int, list[onnx.NodeProto]] = {}
        self._paths: set[tuple[int, str]] = set()  # (tensor, output of its reader): readers on the way to an operator

    def weights(self) -> list[Weight]:
        for index, weight in self._found.items():
            readers = self._readers[index]
            weight.other_readers = [node for node in readers if (index, *node.output[:1]) not in self._paths]
        return list(self._found.values())

    def walk(self, graph: onnx.GraphProto, scope: _Scope) -> None:
        inputs = {value.name for value in graph.input}
        for tensor in graph.initializer:
            self._store(tensor.name, tensor, tensor.name in inputs, scope)
        for node in graph.node:
            for output in node.output:
                scope.producers[output] = node
            value = next((a.t for a in node.attribute if a.name == "value" and a.HasField("t")), None)
            if node.op_type == "Constant" and value is not None and node.output:
                self._store(node.output[0], value, False, scope)
        for node in graph.node:
            for name in node.input:
                if name in scope.stored:
                    self._readers.setdefault(scope.stored[name].place, []).append(node)
            if node.op_type in _OPERATORS:
                with reading(f"{node.op_type} '{node.name}' or its weight"):
                    self._add(node, scope)
            for inner in subgraphs(node):
                self.walk(inner, scope.child())

    def _store(self, name: str, tensor: onnx.TensorProto, is_input: bool, scope: _Scope) -> None:
        scope.stored[name] = _Stored(len(self._tensors), is_input)
        self._tensors.append(tensor)

    def _add(self, node: onnx.NodeProto, scope: _Scope) -> None:
        """Takes the weight of an operator, if it is constant."""
        slots = _OPERATORS[node.op_type]
        if len(node.input) <= slots.weight:
            return
        path: list[onnx.NodeProto] = []  # from the operator towards the tensor
        name = node.input[slots.weight]
        while name not in scope.stored:
            maker = scope.producers.get(name)
            if maker is None or maker.op_type not in _FOLLOWED or maker in path:
                return
            path.append(maker)
            name = maker.input[0]
        stored = scope.stored[name]
        self._paths.add((stored.place, (path[-1] if path else node).output[0]))
        known = self._found.get(stored.place)
        if known is None:
            known = self._describe(node, path, self._tensors[stored.place], scope)
            known.is_input = stored.is_input
            self._found[stored.place] = known
        known.uses.append(_use(node, path, len(known.tensor.dims), scope))

    def _describe(
        self, node: onnx.NodeProto, path: list[onnx.NodeProto], tensor: onnx.TensorProto, scope: _Scope
    ) -> Weight:
        slots, rank = _OPERATORS[node.op_type], len(tensor.dims)
        input_axis, channel_axis = _axes(node, rank)
        scale = self._constant(node, slots.scale, scope, 1)
        zero_point = self._constant(node, slots.zero_point, scope, 0)
        for step in path:
            if step.op_type == "Transpose":
                permutation = attribute(step, "perm", list(reversed(range(rank))))
                input_axis, channel_axis = permutation[input_axis], permutation[channel_axis]
            elif step.op_type == "DequantizeLinear":
                scale, zero_point = self._constant(step, 1, scope, 1), self._constant(step, 2, scope, 0)
                channel_axis = attribute(step, "axis", 1) % max(rank, 1)
                block = attribute(step, "block_size", 0)
                if block:
                    scale, zero_point = (_blocks(v, block, channel_axis, tensor.dims) for v in (scale, zero_point))
            elif step.op_type == "QuantizeLinear":  # what is stored are the floats before it
                scale, zero_point = np.asarray(1), np.asarray(0)
        depthwise = "Conv" in node.op_type and attribute(node, "group", 1) > 1 and tensor.dims[1] == 1
        return Weight(
            tensor,
            input_axis,
            _along(channel_axis, zero_point, rank),
            _along(channel_axis, scale, rank),
            depthwise=depthwise,
        )

    def _constant(self, node: onnx.NodeProto, slot: int | None, scope: _Scope, default: int) -> Array:
        """The stored value of an input; the default where it is absent or computed."""
        if slot is None or len(node.input) <= slot or node.input[slot] not in scope.stored:
            return np.asarray(default)
        return numpy_helper.to_array(self._tensors[scope.stored[node.input[slot]].place], self._folder)


def _use(node: onnx.NodeProto, path: list[onnx.NodeProto], rank: int, scope: _Scope) -> Use:
    """path: from the operator towards the tensor."""
    permutation = list(range(rank))
    for step in reversed(path):
        if step.op_type == "Transpose":
            permutation = [permutation[axis] for axis in attribute(step, "perm", list(reversed(range(rank))))]
    slots = _OPERATORS[node.op_type]
    quantized = slots.zero_point is not None or any("Linear" in step.op_type for step in path)
    return Use(node, tuple(permutation), quantized, scope.inner)


def _axes(node: onnx.NodeProto, rank: int) -> tuple[int, int]:
    """(axis that is summed over, axis of output channels) of the weight as the operator takes it."""
    if "Conv" in node.op_type:
        return 1, 0
    first, last = max(rank - 2, 0), max(rank - 1, 0)
    return (last, first) if attribute(node, "transB", 0) else (first, last)


def _along(axis: int, values: Array, rank: int) -> Array:
    """Values for each channel in a shape that broadcasts against a tensor of that rank."""
    if values.size == 1:
        return values.reshape([1] * rank)
    if values.ndim == rank:
        return values
    return values.reshape([-1 if i == axis else 1 for i in range(rank)])


def _blocks(values: Array, size: int, axis: int, dims: Sequence[int]) -> Array:
    """Values for each block of `size` neighbours along the axis, as one for each entry of a tensor of these dims."""
    return values if values.size == 1 else np.repeat(values, size, axis=axis).take(range(dims[axis]), axis=axis)


def is_number(tensor: onnx.TensorProto) -> bool:
    """Whether the elements are of a type whose smallest can be found: floats and 8-bit integers."""
    return tensor.data_type in (
        TensorProto.FLOAT,
        TensorProto.FLOAT16,
        TensorProto.BFLOAT16,
        TensorProto.DOUBLE,
        TensorProto.INT8,
        TensorProto.UINT8,
    )
