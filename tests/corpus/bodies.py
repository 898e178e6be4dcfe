"""Bodies of control flow, as ONNX Runtime shows them."""

from __future__ import annotations

import numpy as np
import onnx
from case import Model, case, network, node, normal, sparse
from onnx import helper


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
    opset = helper.make_opsetid("", 17)
    negate = helper.make_function("my.lib", "Negate", ["v"], ["m"], [node("Neg", ["v"], ["m"])], [opset])
    nodes = [node("Loop", ["turns", "c", "start"], ["last", "y"], name="loop", body=graph)]
    constants = {"w": sparse(16, 16, zeros=0.5), "one": np.ones(16, np.float32), "turns": np.array(1)}
    constants |= {"s": np.float32(0.02), "z": np.uint8(128)}
    inputs, types = {"start": [16, 16], "c": []}, {"c": bool, "y": np.uint8}
    return network(nodes, inputs, constants, types=types, functions=[negate]), [
        {"start": normal(16, 16), "c": np.array(True)}
    ]
