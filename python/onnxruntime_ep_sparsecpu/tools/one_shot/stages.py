"""Which layers are pruned together, and in which order.

A stage holds layers whose inputs depend on no layer that is still to be pruned, so that each sees what the pruned ones
before it make, and one run of a part of the network shows the inputs of all of them: query, key and value of attention,
the branches of a block. The runs of all stages together compute the network about once. A weight of several layers is
pruned once, when all other weights before each of them are: until then they compute with the dense one. Where weights
wait for one another (layers that take turns again and again), the first one goes first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto

from onnxruntime_ep_sparsecpu.tools.errors import reading
from onnxruntime_ep_sparsecpu.tools.one_shot.forms import Form, form_of
from onnxruntime_ep_sparsecpu.tools.one_shot.graph import Graph
from onnxruntime_ep_sparsecpu.tools.one_shot.moments import Moments
from onnxruntime_ep_sparsecpu.tools.weights import Weight, attribute

Array = npt.NDArray[Any]

_HESSIAN_BYTES = 1 << 29  # of a stage; a layer that needs more is a stage of its own


class Bias(NamedTuple):
    """What adds a constant to each output of a layer: factor * tensor."""

    tensor: onnx.TensorProto
    factor: float


class Use(NamedTuple):
    """A layer: one of the nodes of a weight. value: name of its input."""

    node: onnx.NodeProto
    value: str
    form: Form
    bias: Bias | None


@dataclass
class Layer:
    """A weight, with the uses of it. shape: of the weight as its nodes take it."""

    weight: Weight
    permutation: tuple[int, ...]
    shape: tuple[int, ...]
    uses: list[Use]

    @property
    def columns(self) -> tuple[int, int]:
        """(groups, columns of a group)"""
        groups, _, columns = _matrices_shape(self.uses[0].form, self.shape)
        return groups, columns

    def matrices(self, array: Array) -> Array:
        """float64; array: as it is stored."""
        return self.uses[0].form.matrices(array.transpose(self.permutation)).astype(np.float64)

    def stored(self, matrices: Array, dtype: np.dtype[Any]) -> Array:
        seen = self.uses[0].form.weight(matrices, self.shape)
        return np.ascontiguousarray(seen.transpose(np.argsort(self.permutation))).astype(dtype)


_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)


def reason_to_leave(weight: Weight) -> str:
    """Why one-shot pruning does not take a weight; "" if it does."""
    if any(use.inner for use in weight.uses):
        return "in the body of an If or Loop, whose inputs calibration does not see"
    if weight.tensor.data_type not in _FLOATS or any(use.quantized for use in weight.uses):
        return "quantized: calibration is for float weights"
    forms = _forms(weight)
    shape = _shape(weight)
    if None in forms:
        return f"a weight of {len(shape)} axes is no matrix"
    alike = {
        (use.permutation, form.orientation) for use, form in zip(weight.uses, forms, strict=True) if form is not None
    }
    return "its nodes take it along different axes" if len(alike) > 1 else ""


def _shape(weight: Weight) -> tuple[int, ...]:
    return tuple(weight.tensor.dims[axis] for axis in weight.uses[0].permutation)


def _forms(weight: Weight) -> list[Form | None]:
    """Of each use, with matrices that the weight can be."""
    shape, forms = _shape(weight), []
    for use in weight.uses:
        with reading(f"{use.node.op_type} '{use.node.name}' or its weight"):
            form = form_of(use.node, shape)
            if form is not None:
                _matrices_shape(form, shape)
            forms.append(form)
    return forms


def _matrices_shape(form: Form, shape: tuple[int, ...]) -> tuple[int, ...]:
    return form.matrices(np.empty(shape, np.bool_)).shape


def find_layers(weights: list[Weight], graph: Graph) -> list[Layer]:
    """weights: those without a reason to leave them."""
    layers = []
    for weight in weights:
        shape = _shape(weight)
        uses = []
        for use, form in zip(weight.uses, _forms(weight), strict=True):
            assert form is not None
            groups, outputs, _ = _matrices_shape(form, shape)
            with reading(f"the bias of {use.node.op_type} '{use.node.name}'"):
                uses.append(Use(use.node, use.node.input[0], form, _bias(use.node, groups * outputs, graph)))
        layers.append(Layer(weight, weight.uses[0].permutation, shape, uses))
    return layers


def _bias(node: onnx.NodeProto, outputs: int, graph: Graph) -> Bias | None:
    """The node's own; of a node without one, that of the only node behind it: an Add, or a BatchNormalization with its
    mean. None also for one that something else reads."""
    own = node.input[2] if len(node.input) > 2 and "MatMul" not in node.op_type else ""
    if own:
        return _constant(own, outputs, 1 / (attribute(node, "beta", 1.0) or 1.0), graph)
    value = node.output[0]
    readers = graph.readers.get(value, [])
    if len(readers) != 1 or value in graph.outputs:
        return None
    reader = graph.nodes[readers[0]]
    if reader.op_type == "BatchNormalization" and reader.input[0] == value and len(reader.output) == 1:
        return _constant(reader.input[3], outputs, -1.0, graph)
    if reader.op_type == "Add" and "Conv" not in node.op_type:
        others = [name for name in reader.input if name != value]
        return _constant(others[0], outputs, 1.0, graph) if others else None
    return None


def _constant(name: str, outputs: int, factor: float, graph: Graph) -> Bias | None:
    tensor = graph.initializers.get(name)
    if tensor is None or name in graph.inputs or name in graph.outputs or len(graph.readers[name]) != 1:
        return None
    each = len(tensor.dims) > 0 and tensor.dims[-1] == outputs == np.prod(tensor.dims)
    return Bias(tensor, factor) if each and tensor.data_type in _FLOATS else None


class Stage(NamedTuple):
    """layers: to prune together. values: their inputs. bits: of the layers, in Plan.behind."""

    layers: list[Layer]
    values: set[str]
    bits: int


@dataclass
class Plan:
    """behind: of every value, the bits of the layers that it is computed by."""

    stages: list[Stage]
    behind: dict[str, int]

    def values_after(self, number: int) -> set[str]:
        """The inputs of the layers of later stages."""
        return {value for stage in self.stages[number + 1 :] for value in stage.values}

    def lasts(self, value: str, number: int) -> bool:
        """Whether a value computed for that stage stays what it is when the stage's layers are pruned."""
        return not self.behind.get(value, 0) & self.stages[number].bits


def plan(layers: list[Layer], graph: Graph) -> Plan:
    places = {id(node): place for place, node in enumerate(graph.nodes)}
    own = {places[id(use.node)]: 1 << number for number, layer in enumerate(layers) for use in layer.uses}
    behind = graph.behind(own)
    needs = [_union(behind.get(use.value, 0) for use in layer.uses) & ~(1 << i) for i, layer in enumerate(layers)]
    stages = []
    left = (1 << len(layers)) - 1
    while left:
        waiting = [number for number in range(len(layers)) if left >> number & 1]
        ready = [number for number in waiting if not needs[number] & left] or waiting[:1]
        taken = _within_budget(ready, layers)
        bits = _union(1 << number for number in taken)
        stages.append(Stage([layers[i] for i in taken], {use.value for i in taken for use in layers[i].uses}, bits))
        left &= ~bits
    return Plan(stages, behind)


def _union(bits: Iterable[int]) -> int:
    return reduce(or_, bits, 0)


def _within_budget(ready: list[int], layers: list[Layer]) -> list[int]:
    """The first ones whose Hessians fit; layers of one input and form share theirs."""
    taken: list[int] = []
    known: set[tuple[str, Form]] = set()
    size = 0
    for number in ready:
        new = {(use.value, use.form) for use in layers[number].uses} - known
        size += len(new) * Moments.bytes_for(*layers[number].columns)
        if taken and size > _HESSIAN_BYTES:
            break
        taken.append(number)
        known |= new
    return taken
