"""Bodies of control flow, as ONNX Runtime shows them."""

from __future__ import annotations

import numpy as np
import onnx
from case import Model, case, network, node, normal, sparse
from onnx import helper


def negate() -> onnx.FunctionProto:
    opset = helper.make_opsetid("", 17)
    return helper.make_function("my.lib", "Negate", ["v"], ["m"], [node("Neg", ["v"], ["m"])], [opset])


@case("body shown twice, another result of its layers read", claims=("MatMul",))
def shown_twice() -> Model:
    """ONNX Runtime makes a DequantizeLinear of several readers one for each between the two times."""
    body = [
        node("Negate", ["x"], ["n"], domain="my.lib"),
        node("MatMul", ["n", "w"], ["a"]),
        node("LayerNormalization", ["a", "one"], ["l"]),
        node("QuantizeLinear", ["l", "s", "z"], ["q"]),
        node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        node("MatMul", ["d", "w"], ["b"]),
        node("QuantizeLinear", ["b", "s", "z"], ["b8"]),
        node("DequantizeLinear", ["b8", "s", "z"], ["bd"]),
        node("Add", ["w", "bd"], ["k"]),
        node("QuantizeLinear", ["k", "s", "z"], ["k8"]),
        node("DequantizeLinear", ["k8", "s", "z"], ["kd"]),
        node("Add", ["kd", "d"], ["e"]),
        node("QuantizeLinear", ["e", "s", "z"], ["e8"]),
        node("Concat", ["b8", "e8"], ["f"], axis=0),
        node("Identity", ["going"], ["go_on"]),
        node("Identity", ["x"], ["next"]),
    ]
    types = {"turn": onnx.TensorProto.INT64, "going": onnx.TensorProto.BOOL, "x": onnx.TensorProto.FLOAT}
    shapes = {"x": [16, 16]}
    given = [helper.make_tensor_value_info(name, type, shapes.get(name, [])) for name, type in types.items()]
    outputs = [onnx.ValueInfoProto(name=name) for name in ("go_on", "next", "f")]
    graph = onnx.GraphProto(name="body", node=body, input=given, output=outputs)
    nodes = [node("Loop", ["turns", "c", "start"], ["last", "y"], name="loop", body=graph)]
    constants = {"w": sparse(16, 16, zeros=0.5), "one": np.ones(16, np.float32), "turns": np.array(1)}
    constants |= {"s": np.float32(0.02), "z": np.uint8(128)}
    inputs, types = {"start": [16, 16], "c": []}, {"c": bool, "y": np.uint8}
    return network(nodes, inputs, constants, types=types, functions=[negate()]), [
        {"start": normal(16, 16), "c": np.array(True)}
    ]


@case("body with a body shown twice, another input of its layer read", claims=("MatMul",))
def identity_in_a_body_with_a_body() -> Model:
    """In a model with a function, used or not, ONNX Runtime removes the Identity between the two times."""
    branches = []
    for name, op in (("then", "Abs"), ("else", "Neg")):
        output = onnx.ValueInfoProto(name=f"{name}_z")
        branches.append(onnx.GraphProto(name=name, node=[node(op, ["r"], [f"{name}_z"])], output=[output]))
    body = [
        node("Identity", ["state"], ["i"], name="same"),
        node("MatMul", ["i", "w"], ["p"], name="layer"),
        node("Relu", ["p"], ["r"], name="relu"),
        node("If", ["c"], ["z"], name="choice", then_branch=branches[0], else_branch=branches[1]),
        node("Clip", ["z", "low", "high"], ["next"], name="clip"),
        node("Identity", ["going"], ["go_on"], name="on"),
    ]
    state = helper.make_tensor_value_info("state", onnx.TensorProto.FLOAT, [4, 16])
    given = [
        helper.make_tensor_value_info("turn", onnx.TensorProto.INT64, []),
        helper.make_tensor_value_info("going", onnx.TensorProto.BOOL, []),
        state,
    ]
    outputs = [onnx.ValueInfoProto(name=name) for name in ("go_on", "next")]
    graph = onnx.GraphProto(name="body", node=body, input=given, output=outputs)
    nodes = [node("Loop", ["turns", "c", "x"], ["y"], name="loop", body=graph)]
    inputs = {"x": [4, 16], "c": []}
    constants = {"w": sparse(16, 16), "turns": np.array(2), "low": np.float32(-2), "high": np.float32(2)}
    return network(nodes, inputs, constants, types={"c": bool}, functions=[negate()]), [
        {"x": normal(4, 16), "c": np.array(True)}
    ]
