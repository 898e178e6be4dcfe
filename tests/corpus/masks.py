"""Attention whose mask one small node makes: it is an operand, not what a shape is computed with."""

from __future__ import annotations

from functools import partial
from itertools import product

import numpy as np
import onnx
from case import MICROSOFT, Model, case, network, node, normal, sparse, sparse_bytes

HEADS, DEPTH, TOKENS = 4, 8, 6
WIDTH = HEADS * DEPTH

# What makes `mb`, the condition of Where, from the input `m`; the type of `m`, and its shape.
FULL = (2, 1, TOKENS, TOKENS)
MASKS: dict[str, tuple[list[onnx.NodeProto], type, tuple[int, ...]]] = {
    "Equal": ([node("Equal", ["m", "zero"], ["mb"])], np.float32, FULL),
    "Cast of floats": ([node("Cast", ["m"], ["mb"], to=onnx.TensorProto.BOOL)], np.float32, FULL),
    "Cast of integers": ([node("Cast", ["m"], ["mb"], to=onnx.TensorProto.BOOL)], np.int64, FULL),
    "Unsqueeze": ([node("Unsqueeze", ["m", "axes"], ["mb"])], np.bool_, (2, TOKENS)),
    "Cast and Unsqueeze": (
        [node("Cast", ["m"], ["mc"], to=onnx.TensorProto.BOOL), node("Unsqueeze", ["mc", "axes"], ["mb"])],
        np.int64,
        (2, TOKENS),
    ),
    "Equal and Not": ([node("Equal", ["m", "zero"], ["me"]), node("Not", ["me"], ["mb"])], np.float32, FULL),
    "Greater": ([node("Greater", ["m", "zero"], ["mb"])], np.float32, FULL),
}


def attention(
    nodes: list[onnx.NodeProto],
    masked: list[onnx.NodeProto],
    kind: type,
    shape: tuple[int, ...],
    lowest: float = -1e9,
    size: float = 1.0,
) -> Model:
    """nodes: make the mask; masked: `sm`, the masked scores, of the scores `sd`; size: of the input."""
    constants: dict[str, np.ndarray] = {
        "zero": np.asarray(0, kind),
        "axes": np.array([1, 2]),
        "three": np.asarray(3, np.float32),
        "lowest": np.asarray(lowest, np.float32),
        "scale": np.asarray(DEPTH**0.5, np.float32),
        "heads": np.array([0, 0, HEADS, DEPTH]),
        "joined": np.array([0, 0, WIDTH]),
        "wo": sparse(WIDTH, WIDTH),
    }
    made = []
    for name in "qkv":
        constants["w" + name] = sparse(WIDTH, WIDTH)
        made += [
            node("MatMul", ["x", "w" + name], [name + "1"]),
            node("Reshape", [name + "1", "heads"], [name + "2"]),
            node("Transpose", [name + "2"], [name + "3"], perm=[0, 2, 3, 1] if name == "k" else [0, 2, 1, 3]),
        ]
    made += [node("MatMul", ["q3", "k3"], ["sc"]), node("Div", ["sc", "scale"], ["sd"]), *nodes, *masked]
    made += [
        node("Softmax", ["sm"], ["p"], axis=-1),
        node("MatMul", ["p", "v3"], ["o"]),
        node("Transpose", ["o"], ["o2"], perm=[0, 2, 1, 3]),
        node("Reshape", ["o2", "joined"], ["o3"]),
        node("MatMul", ["o3", "wo"], ["y"]),
    ]
    used = {name for n in made for name in n.input}
    feed = {
        "x": size * normal(2, TOKENS, WIDTH),
        "m": (np.random.default_rng(0).random(shape) > 0.4).astype(kind),
    }
    if len(shape) == 4:
        feed["m"][0, 0, 0] = 1  # a query without a key
    names: dict[int, int | str] = {2: "n", TOKENS: "s"}
    inputs = {"x": ["n", "s", WIDTH], "m": [names.get(size, size) for size in shape]}
    return network(made, inputs, {k: v for k, v in constants.items() if k in used}, types={"m": kind}), [feed]


for name, (nodes, kind, shape) in MASKS.items():
    where = [node("Where", ["mb", "lowest", "sd"], ["sm"])]
    case(f"mask by {name}", claims=("MatMul",))(partial(attention, nodes, where, kind, shape))
nodes, kind, shape = MASKS["Cast of integers"]
for lowest in -1.0, -1e4, -1e9:
    replaced = partial(attention, nodes, where, kind, shape, lowest, 100.0)
    case(f"scores in whose place {lowest:g} stands", claims=("MatMul",))(replaced)
number = [node("Mul", ["m", "three"], ["mb"])]
added = [node("Add", ["sd", "mb"], ["sm"])]
case("one number added to scores", claims=("MatMul",))(partial(attention, number, added, np.float32, (1,)))


def key_lengths(op: str, batch: int, lengths: list[int]) -> Model:
    """A mask of one axis, declared [batch]: onnxruntime takes more numbers than these."""
    constants = {"w": sparse(WIDTH, 3 * WIDTH), "b": normal(3 * WIDTH)}
    inputs = ["x", "w", "b", "m"]
    nodes = []
    if op == "MultiHeadAttention":
        nodes = [node("MatMul", ["x", f"w{i}"], [f"x{i}"]) for i in range(3)]
        constants = {f"w{i}": sparse(WIDTH, WIDTH) for i in range(3)}
        inputs = ["x0", "x1", "x2", "", "m"]
    nodes.append(node(op, inputs, ["y"], domain=MICROSOFT, num_heads=HEADS))
    feeds = {"x": normal(batch, TOKENS, WIDTH), "m": np.array(lengths, np.int32)}
    return network(nodes, {"x": ["n", "t", WIDTH], "m": ["n"]}, constants, types={"m": np.int32}), [feeds]


for op, batch, lengths in (
    ("Attention", 2, [6, 4]),
    ("Attention", 2, [5, 3, 0, 1]),
    ("Attention", 1, [5, 0]),
    ("MultiHeadAttention", 2, [3, 2, 0, 3, 5, 0, 2, 7]),
    ("MultiHeadAttention", 1, [3, 0, 3, 0, 5]),
):
    case(f"{op} of {batch} with key lengths {lengths}")(partial(key_lengths, op, batch, lengths))


def byte_attention(heads: int, scores: bool, result: bool, kind: type) -> Model:
    """Attention between bytes; with a pair around its scores or not, its result quantized or not."""
    width = heads * DEPTH
    zero = kind(128) if kind == np.uint8 else kind(0)
    constants: dict[str, np.ndarray] = {
        "s": np.float32(0.03),
        "z": zero,
        "ps": np.float32(1 / 255),
        "pz": np.uint8(0) if kind == np.uint8 else np.int8(-128),
        "ws": np.float32(0.01),
        "wz": np.int8(0),
        "scale": np.float32(DEPTH**-0.5),
        "split": np.array([0, 0, heads, DEPTH]),
        "joined": np.array([0, 0, width]),
    }
    made: list[onnx.NodeProto] = []

    def pair(value: str, scale: str = "s", zero: str = "z") -> str:
        made.append(node("QuantizeLinear", [value, scale, zero], [value + "_q"]))
        made.append(node("DequantizeLinear", [value + "_q", scale, zero], [value + "_d"]))
        return value + "_d"

    x = pair("x")
    for name in "qkv":
        constants[f"w{name}"] = sparse_bytes(width, width)
        made.append(node("DequantizeLinear", [f"w{name}", "ws", "wz"], [f"{name}w"]))
        made.append(node("MatMul", [x, f"{name}w"], [f"{name}1"]))
        made.append(node("Reshape", [pair(f"{name}1"), "split"], [f"{name}2"]))
        made.append(node("Transpose", [f"{name}2"], [f"{name}3"], perm=[0, 2, 3, 1] if name == "k" else [0, 2, 1, 3]))
    made.append(node("MatMul", ["q3", "k3"], ["sc"]))
    made.append(node("Mul", [pair("sc") if scores else "sc", "scale"], ["sm"]))
    made.append(node("Softmax", ["sm"], ["p"], axis=-1))
    made.append(node("MatMul", [pair("p", "ps", "pz"), "v3"], ["o"]))
    made.append(node("Transpose", ["o"], ["ot"], perm=[0, 2, 1, 3]))
    made.append(node("Reshape", ["ot", "joined"], ["y"]))
    output = pair("y") if result else "y"
    return network(made, {"x": ["n", "t", width]}, constants, [output]), [{"x": normal(2, TOKENS, width)}]


for heads, scores, result, kind in product((1, 2, 3), (False, True), (False, True), (np.uint8, np.int8)):
    title = f"{kind.__name__} attention of {heads}, {'scores, ' * scores}{'result' if result else 'floats'}"
    # A byte of the softmax may differ by a step.
    case(title, options=({"min_sparsity": "0"},), bound=0.05)(partial(byte_attention, heads, scores, result, kind))
