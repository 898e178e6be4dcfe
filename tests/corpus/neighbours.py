"""What onnxruntime makes of a node that stays with the CPU provider when those around it have gone."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np
import onnx
from case import MICROSOFT, Model, bytes_of, case, network, node, normal, sparse, sparse_bytes
from onnx import helper

BEHIND = [["QuantizeLinear"], ["Relu"], ["Clip"], ["Relu", "QuantizeLinear"]]
CLIP = {"low": np.float32(-1), "high": np.float32(1e4)}
PRODUCTS = ("MatMul", "Gemm")


def chain(ops: list[str], x: str, prefix: str = "") -> tuple[list[onnx.NodeProto], str]:
    """The last is a sparse product, of bytes behind QuantizeLinear. Its result, too."""
    values = [x, *(f"{prefix}{op}" for op in ops)]
    more = {"QuantizeLinear": ["s", "z"], "Clip": list(CLIP)}
    steps = zip(ops, itertools.pairwise(values), strict=True)
    nodes = [node(op, [before, *more.get(op, [])], [after]) for op, (before, after) in steps]
    y = f"{prefix}y"
    if ops[-1] == "QuantizeLinear":
        return [*nodes, node("QLinearMatMul", [values[-1], "s", "z", "w8", "s", "z", "s", "z"], [y])], y
    return [*nodes, node("MatMul", [values[-1], "w"], [y])], y


def constants() -> dict[str, np.ndarray]:
    weights = {"w8": sparse_bytes(64, 64), "w": sparse(64, 64), "u": bytes_of(64, 64, dtype=np.int8)}
    return {"s": np.float32(0.05), "z": np.int8(0), **CLIP, **weights}


def outside_weights(product: str, behind: list[str]) -> Model:
    """onnxruntime takes the product for MatMulNBits, looks for its weights in the body, and makes no session."""
    branches = []
    for branch in ("then", "else"):
        first = [
            node("DequantizeLinear", ["u", "s"], [f"{branch}f"]),
            node(product, ["x", f"{branch}f"], [f"{branch}m"]),
        ]
        nodes, y = chain(behind, f"{branch}m", branch)
        branches.append(helper.make_graph([*first, *nodes], branch, [], [onnx.ValueInfoProto(name=y)]))
    choice = node("If", ["c"], ["y"], then_branch=branches[0], else_branch=branches[1])
    types = {"c": np.bool_, "y": np.int8 if behind[-1] == "QuantizeLinear" else np.float32}
    feed = {"x": normal(8, 64), "c": np.array(True)}
    return network([choice], {"x": ["n", 64], "c": []}, constants(), types=types), [feed]


def dequantized_weights(product: str, behind: list[str], domain: str = "", outputs: tuple[str, ...] = ()) -> Model:
    """MatMulNBits rounds the input to 8 bits, too. outputs: of the graph, besides; they make no difference."""
    first = [node("DequantizeLinear", ["u", "s"], ["f"], domain=domain), node(product, ["x", "f"], ["m"])]
    nodes, y = chain(behind, "m")
    types = {y: np.int8 if behind[-1] == "QuantizeLinear" else np.float32}
    model = network([*first, *nodes], {"x": ["n", 64]}, constants(), [y, *outputs], types=types)
    return model, [{"x": 0.1 * normal(8, 64)}]


def wide_constants() -> dict[str, np.ndarray]:
    """Of a dense layer of bytes, which stays, and of layers of floats that are worth a claim."""
    weights = {"w": sparse(1024, 512, zeros=0.95), "v": sparse(1024, 513, zeros=0.95)[:, 1:]}
    return constants() | weights | {"u": bytes_of(256, 1024, dtype=np.int8)}


def product_of_bytes(product: str, limit: str) -> Model:
    """MatMulIntegerToFloat and QGemm saturate on CPUs without VNNI."""
    first = [node("DequantizeLinear", ["x", "s", "z8"], ["d"]), node("DequantizeLinear", ["u", "s"], ["f"])]
    nodes, y = chain([limit, "Softplus"], "m")
    graph = [*first, node(product, ["d", "f"], ["m"]), *nodes]
    constants = wide_constants() | {"z8": np.uint8(0), "u": np.full((256, 1024), 127, np.int8)}
    return network(graph, {"x": [128, 256]}, constants, [y], types={"x": np.uint8}), [{"x": bytes_of(128, 256)}]


def two_readers(product: str) -> Model:
    """Of a Relu with one reader onnxruntime thinks otherwise, and both readers may become one node."""
    first = [node("DequantizeLinear", ["u", "s"], ["f"]), node(product, ["x", "f"], ["m"]), node("Relu", ["m"], ["r"])]
    nodes = [*first, node("MatMul", ["r", "w"], ["a"]), node("MatMul", ["r", "v"], ["b"])]
    return network(nodes, {"x": [128, 256]}, wide_constants(), ["a", "b"]), [{"x": normal(128, 256)}]


@case("Gemm of bytes with a bias of floats made in each run")
def computed_bias() -> Model:
    """Of one DequantizeLinear onnxruntime makes MatMulNBits, of two nothing."""
    nodes = [
        node("QLinearMatMul", ["x", "s", "z", "w8", "s", "z", "s", "z"], ["q"]),
        node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        node("DequantizeLinear", ["u", "s"], ["f"]),
        node("Gemm", ["d", "f", "c"], ["y"]),
    ]
    inputs = {"x": ["n", 64], "c": [64]}
    feed = {"x": bytes_of(8, 64, dtype=np.int8), "c": normal(64)}
    return network(nodes, inputs, constants(), types={"x": np.int8}), [feed]


def resize_without_kernel(mode: str) -> Model:
    """onnxruntime has a kernel for exclude_outside only in the layout of its convolutions, which ignores it."""
    pixels = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    nodes = [
        node("Conv", ["x", "c"], ["a"]),
        node("Relu", ["a"], ["r"]),
        node("Resize", ["r", "", "scales"], ["y"], mode=mode, exclude_outside=1, **pixels),
    ]
    weights = {"c": sparse(16, 16, 1, 1), "scales": np.array([1, 1, 2, 2], np.float32)}
    return network(nodes, {"x": [1, 16, "h", "w"]}, weights), [{"x": normal(1, 16, 9, 7)}]


for mode in ("nearest", "linear"):
    every = ({}, {"min_sparsity": "0"}, {"min_sparsity": "0", "neighbours": "off"})
    case(f"{mode} Resize without a kernel behind a Conv", options=every)(partial(resize_without_kernel, mode))
for op in PRODUCTS:
    for ops in BEHIND:
        name = f"{' and '.join(ops)} behind a {op}"
        case(f"{name} with weights outside of a body")(partial(outside_weights, op, ops))
        case(f"{name} of dequantized weights")(partial(dequantized_weights, op, ops))
        microsoft = partial(dequantized_weights, op, ops, domain=MICROSOFT)
        case(f"{name} of weights that com.microsoft.DequantizeLinear makes")(microsoft)
    for ops in ("Relu", "Clip"):
        read = partial(dequantized_weights, op, [ops], outputs=("m",))
        case(f"{ops} behind a {op} that is an output")(read)
        case(f"{ops} behind a {op} of bytes", options=({},))(partial(product_of_bytes, op, ops))
    case(f"two readers of a Relu behind a {op} of dequantized weights")(partial(two_readers, op))
