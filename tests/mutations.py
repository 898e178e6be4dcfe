"""Mutations of model files: what a careless tool, a wrong exporter or a broken disk make of a valid model."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
from differential import Trial
from harness import has_vnni
from onnx import AttributeProto, numpy_helper

Random = np.random.Generator
Mutation = Callable[[Random, onnx.ModelProto], None]

NUMBERS = [0, 1, -1, 2, 3, 7, 16, 255, 1000, 2**31 - 1, 2**31, -(2**31), 2**40, -(2**63)]
FLOATS = [0.0, 1.0, -1.0, 1e-30, 1e30, float("inf"), float("nan")]


def choose(r: Random, items: list) -> object:  # type: ignore[type-arg]
    return items[int(r.integers(len(items)))]


def change_attribute(r: Random, model: onnx.ModelProto) -> None:
    attributes = [(node, a) for node in model.graph.node for a in node.attribute]
    if not attributes:
        return
    node, a = choose(r, attributes)
    kind = r.integers(4)
    if kind == 0:
        node.attribute.remove(a)
    elif a.type == AttributeProto.INTS and kind == 1:
        a.ints.pop() if a.ints and r.integers(2) else a.ints.append(choose(r, NUMBERS[:8]))
    elif a.type == AttributeProto.INTS and a.ints:
        a.ints[int(r.integers(len(a.ints)))] = choose(r, NUMBERS if kind == 2 else NUMBERS[:6])
    elif a.type == AttributeProto.INT:
        a.i = choose(r, NUMBERS)
    elif a.type == AttributeProto.FLOAT:
        a.f = choose(r, FLOATS)
    elif a.type == AttributeProto.STRING:
        a.s = choose(r, [b"", b"nonsense", a.s[:-1], a.s.upper(), b"SAME_LOWER", b"floor", b"tf_crop_and_resize"])


def change_inputs(r: Random, model: onnx.ModelProto) -> None:
    """Swaps two inputs of a node, drops, doubles or replaces one."""
    node = choose(r, list(model.graph.node))
    if not node.input:
        return
    i, j = r.integers(len(node.input), size=2)
    names = [n for m in model.graph.node for n in (*m.input, *m.output)]
    kind = r.integers(5)
    if kind == 0:
        node.input[i], node.input[j] = node.input[j], node.input[i]
    elif kind == 1:
        del node.input[i:]
    elif kind == 2:
        node.input[i] = ""
    elif kind == 3:
        node.input.append(node.input[i])
    else:
        node.input[i] = choose(r, names)


def change_constant(r: Random, model: onnx.ModelProto) -> None:
    """Another type, shape or value of an initializer; none or some elements less."""
    if not model.graph.initializer:
        return
    tensor = choose(r, list(model.graph.initializer))
    array = numpy_helper.to_array(tensor)
    kind = r.integers(8)
    with np.errstate(all="ignore"):
        if kind == 0:
            array = array.astype(choose(r, [np.float32, np.float64, np.int8, np.uint8, np.int32, np.int64, np.float16]))
        elif kind == 1:
            array = array.reshape(choose(r, [array.shape[::-1], (*array.shape, 1), (1, *array.shape), (array.size,)]))
        elif kind == 2 and array.ndim:
            array = np.take(array, range(array.shape[-1] // 2), axis=-1)
        elif kind == 3 and array.ndim:
            array = array[:0]
        elif kind == 4 and array.ndim:
            array = array[tuple(slice(1) if r.integers(2) else slice(None) for _ in array.shape)]
        elif kind == 5:
            array = np.full_like(array, choose(r, [0, 1, 3, 100]))
        elif kind == 6 and array.size:
            array = array.copy()
            special = (
                choose(r, FLOATS) if array.dtype.kind == "f" else choose(r, [0, 1, 127, np.iinfo(array.dtype).max])
            )
            array.reshape(-1)[int(r.integers(array.size))] = special
        elif kind == 7:
            array = np.concatenate([array, array], axis=0) if array.ndim else np.stack([array, array])
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def change_declaration(r: Random, model: onnx.ModelProto) -> None:
    """A dimension of an input, an output or a value inside; its type; or the declaration goes."""
    graph = model.graph
    declared = choose(r, [part for part in (graph.input, graph.output, graph.value_info) if len(part)])
    value = choose(r, list(declared))
    shape = value.type.tensor_type.shape
    kind = r.integers(5)
    if kind == 0 and declared is graph.value_info:
        declared.remove(value)
    elif kind == 1:
        value.type.tensor_type.elem_type = int(r.integers(1, 12))
    elif kind == 2:
        shape.dim.pop() if shape.dim and r.integers(2) else shape.dim.add(dim_value=1)
    elif shape.dim:
        dim = choose(r, list(shape.dim))
        dim.dim_param = choose(r, ["n", "", "a"]) if kind == 3 else ""
        if kind == 4:
            dim.dim_value = choose(r, NUMBERS)


def change_nodes(r: Random, model: onnx.ModelProto) -> None:
    """Takes a node out, doubles it, renames its operator, its domain or an output of it; moves it."""
    nodes = model.graph.node
    node = choose(r, list(nodes))
    kind = r.integers(6)
    if kind == 0 and len(nodes) > 1:
        nodes.remove(node)
    elif kind == 1:
        double = copy.deepcopy(node)
        double.output[:] = [f"{name}_again" if name else "" for name in node.output]
        nodes.append(double)
    elif kind == 2:
        node.op_type = choose(r, ["Relu", "Add", "Mul", "Conv", "MatMul", "Concat", "Identity", "QLinearMatMul"])
    elif kind == 3:
        node.domain = choose(r, ["", "ai.onnx", "com.microsoft", "my.lib"])
    elif kind == 4 and node.output:
        model.graph.output.append(onnx.ValueInfoProto(name=choose(r, list(node.output))))
    elif len(model.graph.output) > 1:
        model.graph.output.pop()


def change_opset(r: Random, model: onnx.ModelProto) -> None:
    choose(r, list(model.opset_import)).version = int(r.integers(1, 25))


MUTATIONS: list[Mutation] = [
    change_attribute, change_attribute, change_inputs, change_constant, change_constant, change_declaration,
    change_nodes, change_opset,
]  # fmt: skip


def mutated(r: Random, trial: Trial) -> Trial | None:
    """The trial with its model mutated; nothing where the CPU provider's bytes are no reference any more."""
    model = mutate(r, trial.model)
    exact = has_vnni() or largest_weight(model) <= max(64, largest_weight(trial.model))
    return replace(trial, model=model, any_for_nan=True) if exact else None


def largest_weight(model: bytes) -> int:
    """Of int8 constants: above 64, products with uint8 saturate in onnxruntime on CPUs without VNNI."""
    try:
        parsed = onnx.load_from_string(model)
        arrays = [numpy_helper.to_array(t) for t in parsed.graph.initializer if t.data_type == onnx.TensorProto.INT8]
    except Exception:  # noqa: BLE001  of a damaged file
        return 0
    return max((int(np.abs(array.astype(int)).max(initial=0)) for array in arrays if array.ndim > 1), default=0)


def mutate(r: Random, model: bytes) -> bytes:
    """One to three changes; now and then some bytes of the file instead."""
    if r.integers(6) == 0:
        damaged = np.frombuffer(model, np.uint8).copy()
        for _ in range(int(r.integers(1, 4))):
            damaged[int(r.integers(damaged.size))] = r.integers(256)
        return damaged.tobytes()
    parsed = onnx.load_from_string(model)
    for _ in range(int(r.integers(1, 4))):
        try:
            MUTATIONS[int(r.integers(len(MUTATIONS)))](r, parsed)
        except (ValueError, TypeError, OverflowError):  # a number that does not fit its field
            continue
    return parsed.SerializeToString()
