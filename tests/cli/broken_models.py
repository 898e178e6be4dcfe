"""Model files that are wrong, or right and odd."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import small_models
from onnx import TensorProto, helper, numpy_helper

Model = onnx.ModelProto
Change = Callable[[Model], object]


def network() -> Model:
    """Conv with a bias, Relu, and a Gemm whose weight comes through a DequantizeLinear and a Transpose."""
    rng = np.random.default_rng(5)
    weights = {
        "w": rng.standard_normal((8, 4, 3, 3)).astype(np.float32),
        "b": np.zeros(8, np.float32),
        "q": rng.integers(-9, 9, (10, 8)).astype(np.int8),
        "s": np.full(10, 0.1, np.float32),
        "z": np.zeros(10, np.int8),
        "ids": np.array([0, 1], np.int64),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["p"], "pool"),
        helper.make_node("Flatten", ["p"], ["f"], "flat"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"], "dequantize", axis=0),
        helper.make_node("Transpose", ["d"], ["t"], "transpose", perm=[1, 0]),
        helper.make_node("Gather", ["t", "ids"], ["g"], "gather", axis=1),
        helper.make_node("MatMul", ["f", "t"], ["y"], "product"),
        helper.make_node("MatMul", ["f", "g"], ["y2"], "product2"),
    ]
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 8, 8])
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("y", "y2")]
    stored = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "g", [image], outputs, stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def save_samples(folder: Path) -> None:
    """Inputs of the network, as run_commands calibrates with."""
    np.savez(folder / "samples.npz", x=np.random.default_rng(6).standard_normal((2, 4, 8, 8)).astype(np.float32))


def node(model: Model, name: str) -> onnx.NodeProto:
    return next(node for node in model.graph.node if node.name == name)


def stored(model: Model, name: str) -> TensorProto:
    return next(tensor for tensor in model.graph.initializer if tensor.name == name)


def _external(model: Model, location: str, offset: int = 0) -> None:
    tensor = stored(model, "w")
    onnx.external_data_helper.set_external_data(tensor, location, offset, len(tensor.raw_data))
    tensor.ClearField("raw_data")


def _sequence(model: Model) -> None:
    inner = helper.make_tensor_type_proto(TensorProto.FLOAT, [1])
    model.graph.input.append(helper.make_value_info("seq", helper.make_sequence_type_proto(inner)))


def _optional(model: Model) -> None:
    inner = helper.make_tensor_type_proto(TensorProto.FLOAT, [1])
    model.graph.input.append(helper.make_value_info("opt", helper.make_optional_type_proto(inner)))


def _input_axes(*sizes: int | str | None) -> Change:
    def change(model: Model) -> None:
        model.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", TensorProto.FLOAT, sizes))

    return change


def _attribute(name: str, **attributes: object) -> Change:
    def change(model: Model) -> None:
        found = node(model, name)
        kept = [attribute for attribute in found.attribute if attribute.name not in attributes]
        del found.attribute[:]
        found.attribute.extend([*kept, *(helper.make_attribute(key, value) for key, value in attributes.items())])

    return change


def _operator(op_type: str, *inputs: str, **attributes: object) -> Change:
    """Instead of the Conv."""
    return lambda m: node(m, "conv").CopyFrom(helper.make_node(op_type, inputs, ["c"], "conv", **attributes))


def _array(name: str, array: np.ndarray) -> Change:
    return lambda m: stored(m, name).CopyFrom(numpy_helper.from_array(array, name))


CHANGES: dict[str, Change] = {
    "nothing changed": lambda m: None,
    "axes declared as -1": _input_axes(-1, 4, -1, -1),
    "an axis of size 0": _input_axes(0, 4, 8, 8),
    "an axis of size 2^40": _input_axes(1 << 40, 4, 8, 8),
    "an axis of size -2^62": _input_axes(-(1 << 62), 4, 8, 8),
    "an input without a rank": lambda m: m.graph.input[0].type.tensor_type.ClearField("shape"),
    "an input without a type": lambda m: m.graph.input[0].ClearField("type"),
    "an input of an unknown element type": lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", 99),
    "an input of strings": lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", TensorProto.STRING),
    "one input more, of strings": lambda m: m.graph.input.append(
        helper.make_tensor_value_info("text", TensorProto.STRING, ["n"])
    ),
    "an input that is a sequence": _sequence,
    "an input that is optional": _optional,
    "an input of a wrong type": lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", TensorProto.INT64),
    "no input": lambda m: m.graph.ClearField("input"),
    "two inputs of one name": lambda m: m.graph.input.append(m.graph.input[0]),
    "no output": lambda m: m.graph.ClearField("output"),
    "an output that nobody makes": lambda m: m.graph.output.append(
        helper.make_tensor_value_info("nobody", TensorProto.FLOAT, None)
    ),
    "no graph": lambda m: m.ClearField("graph"),
    "no nodes": lambda m: m.graph.ClearField("node"),
    "no initializers": lambda m: m.graph.ClearField("initializer"),
    "no opset": lambda m: m.ClearField("opset_import"),
    "an opset of the future": lambda m: setattr(m.opset_import[0], "version", 9999),
    "an IR version of the future": lambda m: setattr(m, "ir_version", 9999),
    "a cycle": lambda m: node(m, "conv").input.__setitem__(0, "r"),
    "a node without inputs": lambda m: node(m, "conv").ClearField("input"),
    "a node without outputs": lambda m: node(m, "conv").ClearField("output"),
    "a node with one input": lambda m: node(m, "conv").input.__setitem__(slice(1, None), []),
    "a Gather without inputs": lambda m: node(m, "gather").ClearField("input"),
    "a Gather with one input": lambda m: node(m, "gather").input.pop(),
    "a Transpose without inputs": lambda m: node(m, "transpose").ClearField("input"),
    "a Transpose that reads itself": lambda m: node(m, "transpose").input.__setitem__(0, "t"),
    "a node of an unknown operator": lambda m: setattr(node(m, "conv"), "op_type", "Unheard"),
    "a node of an unknown domain": lambda m: setattr(node(m, "conv"), "domain", "nowhere"),
    "a node without an operator": lambda m: node(m, "conv").ClearField("op_type"),
    "a node twice": lambda m: m.graph.node.append(node(m, "conv")),
    "an If without bodies": _operator("If", "x"),
    "a Constant without a value": _operator("Constant"),
    "a Constant of two values": _operator("Constant", value_float=1.0, value_int=1),
    "a permutation out of range": _attribute("transpose", perm=[7, 0]),
    "a permutation of another rank": _attribute("transpose", perm=[0]),
    "a permutation that is text": _attribute("transpose", perm="10"),
    "an axis out of range": _attribute("dequantize", axis=9),
    "an axis that is text": _attribute("dequantize", axis="0"),
    "blocks of another size": _attribute("dequantize", block_size=3),
    "no groups": _attribute("conv", group=0),
    "groups that do not divide": _attribute("conv", group=3),
    "pads of another rank": _attribute("conv", pads=[1]),
    "huge pads": _attribute("conv", pads=[1 << 40] * 4),
    "an attribute without a type": lambda m: node(m, "conv").attribute[0].ClearField("type"),
    "a weight of integers": _array("w", np.ones((8, 4, 3, 3), np.int64)),
    "a weight of text": _array("w", np.full((8, 4, 3, 3), "a", object)),
    "a weight of rank 0": _array("w", np.float32(1)),
    "a weight of rank 1": _array("w", np.ones(8, np.float32)),
    "a weight without entries": _array("w", np.ones((8, 0, 3, 3), np.float32)),
    "a weight of infinities": _array("w", np.full((8, 4, 3, 3), np.inf, np.float32)),
    "scales of another length": _array("s", np.ones(3, np.float32)),
    "zero points of another length": _array("z", np.zeros(3, np.int8)),
    "scales of integers": _array("s", np.ones(10, np.int64)),
    "a weight with too little data": lambda m: setattr(stored(m, "w"), "raw_data", b"abc"),
    "a weight without data": lambda m: stored(m, "w").ClearField("raw_data"),
    "a weight with a negative axis": lambda m: stored(m, "w").dims.__setitem__(0, -8),
    "a weight with a huge axis": lambda m: stored(m, "w").dims.__setitem__(0, 1 << 60),
    "a weight without a type": lambda m: stored(m, "w").ClearField("data_type"),
    "a weight of an unknown type": lambda m: setattr(stored(m, "w"), "data_type", 99),
    "a weight twice": lambda m: m.graph.initializer.append(stored(m, "w")),
    "external data that is missing": lambda m: _external(m, "missing.bin"),
    "external data outside the folder": lambda m: _external(m, "../../../etc/passwd"),
    "external data beyond the end": lambda m: _external(m, "beside.bin", 1 << 50),
    "external data that is a folder": lambda m: _external(m, "."),
    "names that are no text": lambda m: setattr(node(m, "conv"), "name", "[red]\x1b[31m\n%s"),
}


def _changed(change: Change) -> bytes:
    model = network()
    change(model)
    return bytes(model.SerializeToString())


def _damaged(model: bytes, seed: int) -> bytes:
    """Two bits turned over: one where the nodes stand, at the beginning, and one anywhere."""
    rng = np.random.default_rng(seed)
    damaged = bytearray(model)
    for place in (rng.integers(600), rng.integers(len(model))):
        damaged[place] ^= 1 << rng.integers(8)
    return bytes(damaged)


def contents() -> dict[str, bytes]:
    """Files by what is wrong with them. Some read a file `beside.bin` in their folder, of one byte."""
    whole = network().SerializeToString()
    quantized = small_models.quantized().SerializeToString()
    files = {name: _changed(change) for name, change in CHANGES.items()}
    files |= {"empty": b"", "text": b"no model", "zeros": bytes(1000), "varint without an end": b"\xff" * 1000}
    files |= {f"truncated to {share}%": whole[: len(whole) * share // 100] for share in (1, 10, 50, 90, 99)}
    files |= {f"two bits, seed {seed}": _damaged(whole, seed) for seed in range(40)}
    return files | {f"two bits of an int8 model, seed {seed}": _damaged(quantized, seed) for seed in range(20)}
