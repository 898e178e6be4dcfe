"""Sizes that only a run knows: sums in which the product is the smaller operand, and layers that are declared to have
few rows and have many."""

from __future__ import annotations

from functools import partial

import numpy as np
from case import MICROSOFT, Model, bytes_of, case, network, node, normal, sparse, sparse_bytes

Q = ["s", "z"]
BYTES = {"s": np.float32(0.05), "z": np.uint8(128), "wz": np.int8(0), "ws": np.float32(0.01)}
IMAGE = ["n", 64, "h", "w"]
TOKENS = ["n", "s", 256]


def product_of_tokens(activation: str, x: tuple[int, ...], b: tuple[int, ...]) -> Model:
    nodes = [
        node("MatMul", ["x", "w"], ["p"]),
        node("Add", ["p", "b"], ["c"]),
        node(activation, ["c"], ["d"]),
        node("MatMul", ["d", "w"], ["y"]),
    ]
    return network(nodes, {"x": TOKENS, "b": TOKENS}, {"w": sparse(256, 256)}), [
        {"x": normal(*x), "b": normal(*b, seed=1)}
    ]


def product_of_images(x: tuple[int, ...], b: tuple[int, ...]) -> Model:
    nodes = [
        node("Conv", ["x", "w"], ["p"], pads=[1] * 4),
        node("Add", ["b", "p"], ["c"]),
        node("Relu", ["c"], ["d"]),
        node("Conv", ["d", "w"], ["y"], pads=[1] * 4),
    ]
    return network(nodes, {"x": IMAGE, "b": IMAGE}, {"w": sparse(64, 64, 3, 3)}), [
        {"x": normal(*x), "b": normal(*b, seed=1)}
    ]


def product_of_bytes(x: tuple[int, ...], b: tuple[int, ...]) -> Model:
    layer = ["w", "ws", "wz"]
    nodes = [
        node("QLinearConv", ["x", *Q, *layer, *Q], ["p"], pads=[1] * 4),
        node("QLinearAdd", ["p", *Q, "b", *Q, "s2", "z"], ["c"], domain=MICROSOFT),
        node("QLinearConv", ["c", "s2", "z", *layer, *Q], ["y"], pads=[1] * 4),
    ]
    constants = BYTES | {"s2": np.float32(0.04), "w": sparse_bytes(64, 64, 3, 3)}
    model = network(nodes, {"x": IMAGE, "b": IMAGE}, constants, types=dict.fromkeys("xby", np.uint8))
    return model, [{"x": bytes_of(*x), "b": bytes_of(*b, seed=1)}]


for x, b in (((1, 40, 256), (2, 40, 256)), ((1, 1, 256), (3, 5, 256)), ((2, 1, 256), (1, 9, 256))):
    for activation in ("Relu", "Sigmoid"):
        name = f"product {'x'.join(map(str, x))} and {'x'.join(map(str, b))}, {activation}"
        case(name, claims=("MatMul",))(partial(product_of_tokens, activation, x, b))
for x, b in (
    ((1, 64, 9, 11), (2, 64, 9, 11)),
    ((1, 64, 1, 1), (2, 64, 7, 5)),
    ((1, 64, 1, 11), (1, 64, 8, 11)),
    ((3, 64, 7, 5), (3, 64, 1, 1)),
):
    sizes = f"{'x'.join(map(str, x))} and {'x'.join(map(str, b))}"
    case(f"product {sizes}", claims=("Conv",))(partial(product_of_images, x, b))
    case(f"product of bytes {sizes}", claims=("QLinearConv",))(partial(product_of_bytes, x, b))


def single_pixel(real: tuple[int, ...]) -> Model:
    """A block of layers that is declared to have one pixel, and the convolution after it."""
    nodes = [
        node("Reshape", ["x", "shape"], ["r"]),
        node("Conv", ["r", "w", "bias"], ["a"]),
        node("Relu", ["a"], ["b"]),
        node("Conv", ["b", "w"], ["c"]),
        node("Add", ["c", "r"], ["d"]),
        node("Sigmoid", ["d"], ["e"]),
        node("Conv", ["e", "w3"], ["y"], pads=[1] * 4),
    ]
    constants = {"w": sparse(64, 64, 1, 1), "bias": normal(64), "w3": sparse(32, 64, 3, 3)}
    return declared(nodes, constants, "rabcde", real, np.float32), [
        {"x": normal(*real), "shape": np.array(real, np.int64)}
    ]


def single_pixel_of_bytes(real: tuple[int, ...]) -> Model:
    layer = ["w", "ws", "wz"]
    nodes = [
        node("Reshape", ["x", "shape"], ["r"]),
        node("QLinearConv", ["r", *Q, *layer, *Q], ["a"]),
        node("QLinearAdd", ["a", *Q, "r", *Q, "s2", "z"], ["c"], domain=MICROSOFT),
        node("QLinearConv", ["c", "s2", "z", *layer, *Q], ["y"]),
    ]
    constants = BYTES | {"s2": np.float32(0.04), "w": sparse_bytes(64, 64, 1, 1)}
    return declared(nodes, constants, "rac", real, np.uint8), [
        {"x": bytes_of(*real), "shape": np.array(real, np.int64)}
    ]


def declared(nodes: list, constants: dict, names: str, real: tuple[int, ...], dtype: type) -> bytes:
    pixel = [1, 64] + [1] * (len(real) - 2)
    inputs = {"x": [f"d{axis}" for axis in range(len(real))], "shape": [len(real)]}
    types = dict.fromkeys(names + "xy", dtype) | {"shape": np.int64}
    return network(nodes, inputs, constants, types=types, declared=dict.fromkeys(names, pixel))


for real in ((1, 64, 17, 16), (3, 64, 2, 1), (2, 64, 5, 7)):
    size = "x".join(map(str, real))
    case(f"a pixel is declared, {size} comes", claims=("Conv",))(partial(single_pixel, real))
    case(f"a pixel of bytes is declared, {size} comes", claims=("QLinearConv",))(partial(single_pixel_of_bytes, real))


@case("a row is declared, 600 come", claims=("MatMul",))
def single_row() -> Model:
    nodes = [node("Reshape", ["x", "shape"], ["r"]), node("MatMul", ["r", "w"], ["y"])]
    types = {"x": np.float32, "shape": np.int64, "r": np.float32, "y": np.float32}
    model = network(
        nodes, {"x": ["a", "b", "c"], "shape": [3]}, {"w": sparse(64, 32)}, types=types, declared={"r": [1, 1, 64]}
    )
    return model, [{"x": normal(2, 300, 64), "shape": np.array([2, 300, 64], np.int64)}]


@case("layer norm of equal values far from zero", claims=("LayerNormalization",))
def norm_of_equal_values() -> Model:
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("LayerNormalization", ["a", "scale", "shift"], ["y"])]
    equal = np.repeat(sparse(48, 1, zeros=0.5), 48, axis=1)
    constants = {"w": equal, "scale": np.ones(48, np.float32), "shift": np.full(48, 0.5, np.float32)}
    return network(nodes, {"x": ["n", 48]}, constants), [{"x": 1000 * normal(40, 48)}, {"x": 1000 * normal(1, 48)}]


@case("layer norm of squares that overflow", claims=("LayerNormalization",), options=({"min_sparsity": "0"},))
def norm_of_huge_values() -> Model:
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("LayerNormalization", ["a", "scale", "shift"], ["y"])]
    weights = np.repeat(sparse(48, 1, zeros=0.5), 48, axis=1)
    weights[:, 7] *= 1e36
    constants = {"w": weights, "scale": np.ones(48, np.float32), "shift": np.full(48, 0.5, np.float32)}
    return network(nodes, {"x": ["n", 48]}, constants), [{"x": normal(40, 48)}, {"x": normal(1, 48)}]
