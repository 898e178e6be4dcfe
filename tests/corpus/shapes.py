"""Shapes: operands that are smaller than the output, declarations that are not true, and empty tensors inside."""

from __future__ import annotations

from functools import partial

import numpy as np
import onnx
from case import MICROSOFT, Model, bytes_of, case, network, node, normal, sparse, sparse_bytes


def residual(shape: tuple[int, ...], small: tuple[int, ...]) -> Model:
    """A product of tokens, and a sum with an activation that is broadcast."""
    width = shape[-1] if shape[-1] > 8 else 12
    nodes = [
        node("MatMul", ["x", "w"], ["m"]),
        node("Add", ["m", "b"], ["p"]),
        node("Add", ["s", "p"], ["y"]),
    ]
    constants = {"w": sparse(shape[-1], width), "b": normal(width)}
    return network(nodes, {"x": shape, "s": small}, constants), [{"x": normal(*shape), "s": normal(*small, seed=1)}]


for shape, small in (
    ((3, 17, 4, 7), (3, 17, 1, 1)),
    ((2, 4, 128, 256), (2, 4, 1, 1)),
    ((2, 4, 128, 256), (2, 1, 1, 256)),
    ((2, 4, 128, 256), (1, 4, 128, 256)),
    ((2, 4, 128, 256), (2, 4, 1, 256)),
    ((2, 128, 256), (2, 1, 256)),
    ((2, 128, 256), (2, 1, 1)),
    ((2, 128, 256), (128, 1)),
    ((2, 128, 256), (2, 128, 1)),
):
    case(f"residual {'x'.join(map(str, small))} of {'x'.join(map(str, shape))}", claims=("Gemm",))(
        partial(residual, shape, small)
    )

Q = ["s", "z"]


def byte_vector(op: str, channels: int, tokens: int) -> Model:
    """A vector along the last axis of bytes that lie as an image."""
    nodes = [
        node("QLinearMul", ["x", *Q, "x", *Q, *Q], ["a"], domain=MICROSOFT),
        node("QLinearMatMul", ["a", *Q, "w", "s", "wz", *Q], ["m"]),
        node(op, ["v", *Q, "a", *Q, *Q], ["b"], domain=MICROSOFT),
        node("QLinearLeakyRelu", ["b", *Q, *Q], ["y"], domain=MICROSOFT, alpha=0.1),
    ]
    constants = {
        "s": np.float32(0.05),
        "z": np.uint8(100),
        "wz": np.uint8(0),
        "v": np.arange(1, channels + 1).astype(np.uint8),
        "w": (np.arange(channels * 4) % 5).astype(np.uint8).reshape(channels, 4),
    }
    types = dict.fromkeys("xym", np.uint8)
    return network(nodes, {"x": ["n", "s", channels]}, constants, ["y", "m"], types=types), [
        {"x": bytes_of(1, tokens, channels)}
    ]


for op in ("QLinearAdd", "QLinearMul"):
    for channels, tokens in ((16, 8), (16, 33), (8, 5000)):
        case(f"{op} of a vector and {tokens}x{channels}", claims=("QLinearMatMul",))(
            partial(byte_vector, op, channels, tokens)
        )


@case("byte vector before a product", claims=("QLinearMatMul",))
def byte_vector_before_a_product() -> Model:
    width = 512
    nodes = [
        node("QLinearMul", ["x", *Q, "x", *Q, *Q], ["a"], domain=MICROSOFT),
        node("QLinearAdd", ["a", *Q, "v", *Q, *Q], ["b"], domain=MICROSOFT),
        node("QLinearMatMul", ["b", *Q, "w", "ws", "wz", *Q], ["y"]),
    ]
    constants = {
        "s": np.float32(0.05),
        "z": np.uint8(128),
        "ws": np.float32(0.01),
        "wz": np.int8(0),
        "v": bytes_of(width, seed=1),
        "w": sparse_bytes(width, width, zeros=0.95),
    }
    types = dict.fromkeys("xy", np.uint8)
    return network(nodes, {"x": ["n", "s", width]}, constants, types=types), [{"x": bytes_of(1, 128, width)}]


def declared(dims: list[int | str], weight: tuple[int, int], real: tuple[int, ...], zeros: float) -> Model:
    """A 1x1 convolution behind a Reshape whose result the file declares otherwise than it is."""
    nodes = [node("Reshape", ["x", "shape"], ["r"]), node("Conv", ["r", "w"], ["y"])]
    feed = {"x": normal(*real), "shape": np.array(real, np.int64)}
    model = network(
        nodes,
        {"x": list("abcd"), "shape": [4]},
        {"w": sparse(*weight, 1, 1, zeros=zeros)},
        types={"shape": np.int64},
        declared={"r": dims},
    )
    return model, [feed]


for dims in ([4, 64, 1, 1], [1, 64, 1, 1], [1, 64, 17, 16], ["n", 64, "h", "w"], [1, 64, 2, 2]):
    case(f"declared {'x'.join(map(str, dims))}, is 1x64x17x16", claims=("Conv",))(
        partial(declared, dims, (32, 64), (1, 64, 17, 16), 0.9)
    )
case("declared 1x2048x1x1, is 1x2048x7x7", claims=("Conv",))(
    partial(declared, [1, 2048, 1, 1], (2048, 2048), (1, 2048, 7, 7), 0.97)
)


@case("one symbol, two sizes", claims=("MatMul",))
def one_symbol_two_sizes() -> Model:
    """Both inputs are declared [N,S,256] and fed with N = 2 and N = 1."""
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("Add", ["a", "b"], ["c"]), node("MatMul", ["c", "w"], ["y"])]
    free = ["N", "S", 256]
    return network(nodes, {"x": free, "b": free}, {"w": sparse(256, 256)}), [
        {"x": normal(2, 128, 256), "b": normal(1, 128, 256, seed=1)}
    ]


@case("part of no channels", claims=("Conv",))
def part_of_no_channels() -> Model:
    nodes = [
        node("Conv", ["x", "w"], ["c"], pads=[1] * 4),
        node("Split", ["c", "parts"], ["a", "b"], axis=1),
        node("Concat", ["b", "a"], ["y"], axis=1),
    ]
    constants = {"w": sparse(64, 64, 3, 3), "parts": np.array([0, 64], np.int64)}
    return network(nodes, {"x": [1, 64, 28, 28]}, constants, opset=13), [{"x": normal(1, 64, 28, 28)}]


def attention_of(*sources: str, scale: str = "") -> list[onnx.NodeProto]:
    """Attention of the projections of `sources` (of queries, keys, values), its scores times a number if one is named."""
    nodes = []
    for name, source in zip("qkv", sources, strict=True):
        nodes += [
            node("MatMul", [source, f"w{name}"], [f"{name}1"]),
            node("Reshape", [f"{name}1", "split"], [f"{name}2"]),
            node("Transpose", [f"{name}2"], [f"{name}3"], perm=[0, 2, 3, 1] if name == "k" else [0, 2, 1, 3]),
        ]
    nodes.append(node("MatMul", ["q3", "k3"], ["s"]))
    if scale:
        nodes.append(node("Mul", ["s", scale], ["s2"]))
    return [
        *nodes,
        node("Softmax", ["s2" if scale else "s"], ["p"], axis=-1),
        node("MatMul", ["p", "v3"], ["o"]),
        node("Transpose", ["o"], ["o2"], perm=[0, 2, 1, 3]),
        node("Reshape", ["o2", "join"], ["o3"]),
        node("MatMul", ["o3", "wo"], ["y"]),
    ]


def cross_attention(keys: int) -> Model:
    nodes = attention_of("x", "m", "m", scale="scale")
    constants = {f"w{name}": sparse(256, 256) for name in "qkvo"} | {
        "split": np.array([0, 0, 4, 64], np.int64),
        "join": np.array([0, 0, 256], np.int64),
        "scale": np.float32(0.125),
    }
    return network(nodes, {"x": ["N", "S", 256], "m": ["N", "M", 256]}, constants, opset=13), [
        {"x": normal(1, 5, 256), "m": normal(1, keys, 256, seed=1)}
    ]


for keys in (7, 0):
    case(f"attention to {keys} keys", claims=("MatMul",))(partial(cross_attention, keys))


def flattened(first: list[int | str], real: tuple[int, ...], sizes: tuple[int, ...]) -> Model:
    """A Gemm over the tokens of all sequences, behind a Reshape of run-time sizes that the file declares as `first`; the
    Reshapes around the Gemm go by the sizes of another input (by rank 2) or of what was declared (by rank 3)."""
    channels = real[-1]
    own = len(sizes) == 3
    nodes = [
        node("Reshape", ["x", "sizes"], ["r"]),
        node("Shape", ["r" if own else "of"], ["all"]),
        node("Slice", ["all", "zero", "two"], ["outer"]),
        node("Concat", ["outer", "in"], ["target"], axis=0),
        node("Reshape", ["r", "target"], ["t"]),
        node("Concat", ["minus", "in"], ["flat"], axis=0),
        node("Reshape", ["t", "flat"], ["f"]),
        node("Gemm", ["f", "w"], ["g"]),
        node("Concat", ["outer", "out"], ["back"], axis=0),
        node("Reshape", ["g", "back"], ["h"]),
        node("Relu", ["h"], ["y"]),
    ]
    numbers = {"zero": [0], "two": [2], "in": [channels], "minus": [-1], "out": [24]}
    constants = {name: np.array(value, np.int64) for name, value in numbers.items()} | {"w": sparse(channels, 24)}
    inputs: dict[str, list[int | str]] = {"x": [*"ab", "c"][: len(real)], "sizes": [len(sizes)]}
    feed = {"x": normal(*real), "sizes": np.array(sizes, np.int64)}
    if not own:
        inputs["of"] = ["n", "s", 1]
        feed["of"] = normal(3, 5, 1)
    types = {"sizes": np.int64}
    return network(nodes, inputs, constants, ["y", "t"], types=types, declared={"r": first}), [feed]


case("flattened tokens declared nxn")(partial(flattened, ["n", "n"], (15, 17), (15, 17)))
for dims in ([2, 28, "n"], [1, 28, "n"], [2, "n", 19], [1, 1, "n"]):
    case(f"flattened tokens declared {'x'.join(map(str, dims))}")(partial(flattened, dims, (3, 28, 19), (3, 28, 19)))


@case("heads declared otherwise")
def heads_declared_otherwise() -> Model:
    """Eight heads of 32 channels, declared as four of 64."""
    nodes = attention_of("x", "x", "x")
    constants = {f"w{name}": np.roll(sparse(256, 256), i, axis=1) for i, name in enumerate("qkvo")}
    constants["join"] = np.array([0, 0, 256], np.int64)
    declared = {f"{name}2": ["N", "S", 4, 64] for name in "qkv"}
    inputs = {"x": ["N", "S", 256], "split": [4]}
    feed = {"x": normal(1, 5, 256), "split": np.array([1, 5, 8, 32], np.int64)}
    return network(nodes, inputs, constants, types={"split": np.int64}, declared=declared), [feed]


@case("one channel declared as eight")
def one_channel_declared_as_eight() -> Model:
    nodes = [
        node("Reshape", ["x", "sizes"], ["r"]),
        node("Add", ["r", "b"], ["a"]),
        node("MatMul", ["a", "w"], ["y"]),
    ]
    feed = {"x": normal(5, 3), "sizes": np.array([5, 3, 1], np.int64)}
    return network(
        nodes,
        {"x": ["n", "s"], "sizes": [3]},
        {"b": normal(8, seed=1), "w": sparse(8, 16)},
        types={"sizes": np.int64},
        declared={"r": ["n", "s", 8]},
    ), [feed]


@case("resized channels declared as theirs")
def resized_channels_declared_as_theirs() -> Model:
    nodes = [
        node("Reshape", ["x", "sizes"], ["r"]),
        node("Resize", ["r", "", "", "to"], ["u"], mode="nearest", coordinate_transformation_mode="asymmetric"),
        node("Conv", ["u", "w"], ["y"]),
    ]
    constants = {"to": np.array([1, 64, 14, 14], np.int64), "w": sparse(32, 64, 1, 1)}
    return network(
        nodes,
        {"x": ["n", "c", "h", "w"], "sizes": [4]},
        constants,
        types={"sizes": np.int64},
        declared={"r": [1, 64, 7, 7]},
    ), [{"x": normal(1, 32, 7, 7), "sizes": np.array([1, 32, 7, 7], np.int64)}]


def parts_without_elements(*shapes: tuple[int, ...]) -> Model:
    """onnxruntime asks nothing of the sizes of parts without elements. Channels that they have all the same are written
    by nobody: no weight reads them. They are the last ones."""
    names = [f"x{i}" for i in range(len(shapes))]
    written = sum(shape[-1] for shape in shapes if np.prod(shape) > 0)
    weight = sparse_bytes(sum(shape[-1] for shape in shapes), 16)
    weight[written:] = 0
    nodes = [
        node("QLinearConcat", [*Q, *(n for name in names for n in (name, *Q))], ["c"], domain=MICROSOFT, axis=-1),
        node("QLinearMatMul", ["c", *Q, "w", "s", "wz", *Q], ["y"]),
    ]
    constants = {"s": np.float32(0.05), "z": np.uint8(3), "wz": np.int8(0), "w": weight}
    inputs = {name: [f"{name}_{axis}" for axis in range(len(shape))] for name, shape in zip(names, shapes, strict=True)}
    feed = {name: bytes_of(*shape) for name, shape in zip(names, shapes, strict=True)}
    return network(nodes, inputs, constants, types=dict.fromkeys([*names, "y"], np.uint8)), [feed]


for shapes in (
    ((2, 5, 8), (2, 4, 0)),
    ((2, 4, 0), (2, 5, 8)),
    ((3, 8), (7, 0)),
    ((0, 8), (3, 0)),
    ((2, 0, 4), (3, 0, 4)),
    ((2, 5, 7), (0, 4, 5)),
    ((3, 0, 4), (2, 5, 8)),
    ((2, 5, 8), (2, 0, 2), (2, 5, 6)),
):
    case(f"parts {' and '.join('x'.join(map(str, shape)) for shape in shapes)}")(
        partial(parts_without_elements, *shapes)
    )


def channels_that_nobody_writes(whole: tuple[int, ...], empty: tuple[int, ...], axis: int) -> Model:
    """As parts without elements, of floats; what is not written is cut off."""
    bounds = {"zero": [0], "end": [2 * whole[axis]], "axis": [axis]}
    nodes = [
        node("Conv" if axis == 1 else "MatMul", ["x", "w"], ["a"]),
        node("Concat", ["a", "e", "x"], ["c"], axis=axis),
        node("Slice", ["c", *bounds], ["s"]),
        node("Relu", ["s"], ["y"]),
    ]
    channels = whole[axis]
    weight = sparse(channels, channels, 1, 1) if axis == 1 else sparse(channels, channels)
    constants = {"w": weight} | {name: np.array(value, np.int64) for name, value in bounds.items()}
    inputs = {name: [f"{name}_{i}" for i in range(len(whole))] for name in "xe"}
    inputs["x"][axis] = channels
    return network(nodes, inputs, constants), [{"x": normal(*whole), "e": normal(*empty)}]


for whole, empty, axis in (
    ((2, 8, 5, 5), (0, 3, 5, 5), 1),
    ((2, 8, 5, 5), (2, 3, 0, 7), 1),
    ((3, 5, 12), (0, 5, 12), -1),
    ((5, 12), (0, 4), -1),
):
    case(f"nobody writes {'x'.join(map(str, empty))}", claims=("Concat",))(
        partial(channels_that_nobody_writes, whole, empty, axis)
    )


def tokens_through_gemm(batch: int, tokens: int) -> Model:
    """A Gemm over the tokens of all sequences. Where no sequence has a token, the target's 0 takes the product's width."""
    nodes = [
        node("Shape", ["x"], ["sizes"]),
        node("Slice", ["sizes", "first", "second"], ["kept"]),
        node("ReduceProd", ["kept"], ["count"], keepdims=1),
        node("Concat", ["count", "wide"], ["flat"], axis=0),
        node("Reshape", ["x", "flat"], ["rows"]),
        node("Gemm", ["rows", "w"], ["product"]),
        node("Concat", ["kept", "wide"], ["back"], axis=0),
        node("Reshape", ["product", "back"], ["y"]),
    ]
    constants = {
        "first": np.array([0], np.int64),
        "second": np.array([2], np.int64),
        "wide": np.array([49], np.int64),
        "w": sparse(49, 49),
    }
    return network(nodes, {"x": ["n", "m", 49]}, constants, opset=17), [{"x": normal(batch, tokens, 49)}]


for batch, tokens in ((0, 0), (0, 5), (3, 5)):
    case(f"Gemm over {tokens} tokens of {batch} sequences", claims=("Gemm",))(
        partial(tokens_through_gemm, batch, tokens)
    )
