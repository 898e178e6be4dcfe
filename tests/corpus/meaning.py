"""What nodes mean: results that nobody reads, operators of other domains, shapes of biases, float arithmetic in the
order in which it is written, and special values."""

from __future__ import annotations

from functools import partial

import numpy as np
import onnx
from case import Model, bytes_of, case, network, node, normal, sparse, sparse_bytes
from onnx import helper, numpy_helper

X = ["xs", "xz"]
Y = ["ys", "yz"]


def dead_unit(op: str, inputs: list[str], attributes: dict[str, object]) -> Model:
    """A QDQ unit that changes the scale and whose result nobody reads."""
    nodes = [
        node("DequantizeLinear", ["x", "s", "z"], ["d"]),
        node(op, inputs, ["r"], **attributes),
        node("QuantizeLinear", ["r", "s2", "z"], ["dead"]),
        node("DequantizeLinear", ["x", "s", "z"], ["d2"]),
        node("Relu", ["d2"], ["y"]),
    ]
    constants = {
        "s": np.float32(0.1),
        "s2": np.float32(0.2),
        "z": np.int8(0),
        "up": np.array([1, 1, 2, 2], np.float32),
    }
    return network(nodes, {"x": [1, 4, 6, 6]}, constants, types={"x": np.int8}), [
        {"x": bytes_of(1, 4, 6, 6, dtype=np.int8)}
    ]


NEAREST = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
for op, inputs, attributes in (
    ("Resize", ["d", "", "up"], NEAREST),
    ("Relu", ["d"], {}),
    ("MaxPool", ["d"], {"kernel_shape": [2, 2]}),
    ("AveragePool", ["d"], {"kernel_shape": [2, 2]}),
    ("Add", ["d", "d"], {}),
    ("Concat", ["d", "d"], {"axis": 1}),
    ("Sigmoid", ["d"], {}),
    ("Flatten", ["d"], {}),
):
    case(f"dead unit of {op}")(partial(dead_unit, op, inputs, attributes))


def foreign(op: str) -> Model:
    """A function of another domain named as an activation, between a quantized convolution and its QuantizeLinear."""
    body = [node("Neg", ["i"], ["n"]), node("LeakyRelu", ["n"], ["o"], alpha=0.5)]
    function = helper.make_function("my.lib", op, ["i"], ["o"], body, [helper.make_opsetid("", 17)])
    nodes = [
        node("QuantizeLinear", ["x", *X], ["q"]),
        node("DequantizeLinear", ["q", *X], ["d"]),
        node("DequantizeLinear", ["w", "ws"], ["wf"]),
        node("Conv", ["d", "wf"], ["c"], pads=[1] * 4),
        node(op, ["c"], ["a"], domain="my.lib"),
        node("QuantizeLinear", ["a", *Y], ["aq"]),
        node("DequantizeLinear", ["aq", *Y], ["y"]),
    ]
    constants = numbers(0.02, 0.004, 0.03) | {"w": sparse_bytes(64, 64, 3, 3)}
    # A byte here and there differs by a step: the sums of a convolution in float are rounded in another order.
    return network(nodes, {"x": [1, 64, 28, 28]}, constants, functions=[function]), [{"x": normal(1, 64, 28, 28)}]


def numbers(x: float, w: float, y: float) -> dict[str, np.ndarray]:
    scales = {"xs": np.float32(x), "ws": np.float32(w), "ys": np.float32(y)}
    return scales | {"xz": np.uint8(128), "yz": np.uint8(128)}


for op in ("Relu", "Clip"):
    case(f"foreign {op}", bound=0.01)(partial(foreign, op))


@case("foreign Cast")
def foreign_cast() -> Model:
    body = [node("Cast", ["i"], ["a"], to=onnx.TensorProto.FLOAT), node("Neg", ["a"], ["o"])]
    function = helper.make_function("my.lib", "Cast", ["i"], ["o"], body, [helper.make_opsetid("", 17)], ["to"])
    nodes = [
        node("DynamicQuantizeLinear", ["x"], ["a", "s", "z"]),
        node("MatMulInteger", ["a", "w", "z"], ["i"]),
        node("Cast", ["i"], ["c"], to=1, domain="my.lib"),
        node("Mul", ["s", "ws"], ["sc"]),
        node("Mul", ["c", "sc"], ["y"]),
    ]
    constants = {"ws": np.float32(0.004), "w": sparse_bytes(256, 256)}
    return network(nodes, {"x": [128, 256]}, constants, functions=[function]), [{"x": normal(128, 256)}]


@case("column of a number a row as C", bound=0.0)
def column_bias() -> Model:
    """Gemm whose C is [M,1] where M is N."""
    rows = 512
    nodes = [
        node("QuantizeLinear", ["x", *X], ["q"]),
        node("DequantizeLinear", ["q", *X], ["d"]),
        node("DequantizeLinear", ["w", "ws", "wz"], ["wf"]),
        node("DequantizeLinear", ["c", "bs"], ["cf"]),
        node("Gemm", ["d", "wf", "cf"], ["g"], transB=1),
        node("QuantizeLinear", ["g", *Y], ["gq"]),
        node("DequantizeLinear", ["gq", *Y], ["y"]),
    ]
    constants = numbers(0.02, 0.004, 0.05) | {
        "bs": np.float32(0.02) * np.float32(0.004),
        "wz": np.int8(0),
        "w": sparse_bytes(512, 256),
        "c": np.random.default_rng(0).integers(-30000, 30000, (rows, 1)).astype(np.int32),
    }
    return network(nodes, {"x": [rows, 256]}, constants, opset=13), [{"x": normal(rows, 256)}]


def bias_at_the_limit(channels: int, sparse_weight: bool) -> Model:
    """A channel with tiny weights and a bias that is not: the int32 bias that quantize_static writes saturates."""
    weight = sparse_bytes(channels, 16, 3, 3, zeros=0.95 if sparse_weight else 0.0)
    bias = np.zeros(channels, np.int32)
    bias[3] = -2147483647
    nodes = [
        node("QuantizeLinear", ["x", *X], ["xq"]),
        node("DequantizeLinear", ["xq", *X], ["xd"]),
        node("DequantizeLinear", ["w", "ws", "wz"], ["wd"], axis=0),
        node("DequantizeLinear", ["b", "bs", "bz"], ["bd"], axis=0),
        node("Conv", ["xd", "wd", "bd"], ["c"], pads=[1] * 4),
        node("QuantizeLinear", ["c", *Y], ["cq"]),
        node("DequantizeLinear", ["cq", *Y], ["y"]),
    ]
    constants = numbers(0.02, 0.01, 0.5) | {
        "w": weight,
        "ws": np.full(channels, 0.01, np.float32),
        "wz": np.zeros(channels, np.int8),
        "b": bias,
        "bs": np.full(channels, 0.01 * 0.02, np.float32),
        "bz": np.zeros(channels, np.int32),
    }
    return network(nodes, {"x": [1, 16, 14, 14]}, constants, opset=13), [{"x": normal(1, 16, 14, 14)}]


case("int32 bias at the limit, dense")(partial(bias_at_the_limit, 8, False))
case("int32 bias at the limit, sparse")(partial(bias_at_the_limit, 32, True))


@case("int32 bias at the lowest value of QLinearConv")
def lowest_bias() -> Model:
    nodes = [node("QLinearConv", ["x", *X, "w", "ws", "wz", *Y, "b"], ["y"])]
    constants = numbers(0.05, 0.01, 0.05) | {
        "wz": np.int8(0),
        "w": sparse_bytes(64, 64, 3, 3, zeros=0.95),
        "b": np.full(64, -(2**31), np.int32),
    }
    return network(nodes, {"x": [1, 64, 28, 28]}, constants, types=dict.fromkeys("xy", np.uint8)), [
        {"x": bytes_of(1, 64, 28, 28)}
    ]


def after_product(nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray]) -> Model:
    product = node("MatMul", ["x", "w"], ["a"])
    return network([product, *nodes], {"x": [128, 256]}, {"w": sparse(256, 256, scale=0.25)} | constants, opset=13), [
        {"x": normal(128, 256)}
    ]


@case("rounding by a large number")
def rounding_by_a_large_number() -> Model:
    """(16 a + 1.5 * 2^23) - 1.5 * 2^23 is a whole number: which one may depend on rounding, so its fraction is compared."""
    nodes = [node("Mul", ["a", "k"], ["b"]), node("Add", ["b", "m"], ["c"]), node("Sub", ["c", "m"], ["d"])]
    floor = [node("Floor", ["d"], ["e"]), node("Sub", ["d", "e"], ["y"])]
    return after_product(nodes + floor, {"k": np.float32(16), "m": np.float32(12582912)})


@case("rounding by a large number beside a large weight")
def rounding_beside_a_large_weight() -> Model:
    """(a + 1.5 * 2^23) - 1.5 * 2^23 again; one column of the product is as large as that number."""
    nodes = [node("Add", ["a", "m"], ["c"]), node("Sub", ["c", "m"], ["d"])]
    floor = [node("Floor", ["d"], ["e"]), node("Sub", ["d", "e"], ["y"])]
    model, feeds = after_product(nodes + floor, {"m": np.float32(12582912)})
    changed = onnx.load_from_string(model)
    weights = next(array for array in changed.graph.initializer if array.name == "w")
    values = numpy_helper.to_array(weights).copy()
    values[3, 5] = 2.0**22
    weights.CopyFrom(numpy_helper.from_array(values, "w"))
    return bytes(changed.SerializeToString()), feeds


@case("quotient by a vector with a zero", claims=("MatMul",))
def quotient_by_zero() -> Model:
    divisors = np.ones(256, np.float32)
    divisors[7] = 0
    nodes = [node("Div", ["a", "d"], ["b"]), node("Clip", ["b", "lo", "hi"], ["y"])]
    return after_product(nodes, {"d": divisors, "lo": np.float32(-6), "hi": np.float32(6)})


def at_minus_infinity(gate: str) -> Model:
    """The gate is 0 there, and 0 * -inf is NaN."""
    nodes = [
        node("Conv", ["x", "w"], ["c"], group=64),
        node("Sigmoid" if gate == "SiLU" else gate, ["c"], ["s" if gate == "SiLU" else "y"]),
    ]
    nodes += [node("Mul", ["c", "s"], ["y"])] if gate == "SiLU" else []
    return network(nodes, {"x": [1, 64, 16, 16]}, {"w": np.ones((64, 1, 1, 1), np.float32)}), [
        {"x": np.full((1, 64, 16, 16), -np.inf, np.float32)}
    ]


for gate in ("SiLU", "HardSwish", "Relu"):
    case(f"{gate} of minus infinity")(partial(at_minus_infinity, gate))


@case("dead product beside a function")
def dead_product_beside_a_function() -> Model:
    """Its reader is read by nobody and goes after the product was claimed, which leaves a region without outputs."""
    body = [node("Neg", ["i"], ["n"]), node("Relu", ["n"], ["o"])]
    function = helper.make_function("my.lib", "Relu", ["i"], ["o"], body, [helper.make_opsetid("", 17)])
    nodes = [
        node("MatMul", ["x", "w"], ["a"]),
        node("Relu", ["a"], ["y"], domain="my.lib"),
        node("MatMul", ["y", "w"], ["b"]),
        node("Identity", ["b"], ["dead"]),
    ]
    constants = {"w": sparse(256, 256)}
    return network(nodes, {"x": ["n", "s", 256]}, constants, functions=[function]), [{"x": normal(2, 9, 256)}]


@case("slope of LeakyRelu is NaN")
def leaky_relu_by_nan() -> Model:
    constants = {"s": np.float32(0.05), "z": np.uint8(100), "wz": np.int8(0), "w": sparse_bytes(16, 16)}
    nodes = [
        node("QLinearMatMul", ["x", "s", "z", "w", "s", "wz", "s", "z"], ["a"]),
        node("QLinearLeakyRelu", ["a", "s", "z", "s", "z"], ["y"], alpha=float("nan"), domain="com.microsoft"),
    ]
    types = {"x": np.uint8, "y": np.uint8}
    return network(nodes, {"x": [4, 16]}, constants, types=types), [{"x": bytes_of(4, 16)}]


@case("QLinearMatMul with an infinite multiplier")
def infinite_multiplier() -> Model:
    """Zero sums times infinity are NaN, which the CPU provider turns into a byte in a way of its own."""
    q = ["s", "z"]
    nodes = [node("QLinearMatMul", ["x", *q, "w", *q[:1], "wz", *q], ["y"])]
    constants = {"s": np.float32(1e30), "z": np.uint8(3), "wz": np.int8(0), "w": sparse_bytes(8, 16)}
    types = {"x": np.uint8, "y": np.uint8}
    return network(nodes, {"x": [5, 8]}, constants, types=types), [{"x": bytes_of(5, 8)}]


def unordered_clip(least: float, most: float) -> Model:
    """onnxruntime creates no kernel for such a Clip, but runs it as the activation of the convolution before it."""
    nodes = [node("Conv", ["x", "w"], ["a"], pads=[1] * 4), node("Clip", ["a"], ["y"], min=least, max=most)]
    return network(nodes, {"x": ["n", 64, 9, 9]}, {"w": sparse(64, 64, 3, 3)}, opset=9), [{"x": normal(1, 64, 9, 9)}]


NAN = float("nan")
for bounds in ((NAN, 0.5), (-0.1, NAN), (0.5, -0.3)):
    everywhere = ({}, {"min_sparsity": "0"}, {"neighbours": "off"})
    case(f"Clip from {bounds[0]} to {bounds[1]}", options=everywhere)(partial(unordered_clip, *bounds))


def power_of_higher_rank(exponent: float) -> Model:
    """An exponent of rank 4 gives a result of rank 4, also within a GELU or a norm that is written out."""
    nodes = [node("MatMul", ["x", "w"], ["v"]), node("Pow", ["v", "e"], ["p"])]
    if exponent == 3:
        nodes += [
            node("Mul", ["p", "cubic"], ["c"]),
            node("Add", ["v", "c"], ["i"]),
            node("Mul", ["i", "inner"], ["j"]),
            node("Tanh", ["j"], ["t"]),
            node("Add", ["t", "one"], ["g"]),
            node("Mul", ["v", "g"], ["h"]),
            node("Mul", ["h", "half"], ["n"]),
        ]
    else:
        nodes += [
            node("ReduceMean", ["p"], ["m"], axes=[-1]),
            node("Sqrt", ["m"], ["d"]),
            node("Div", ["v", "d"], ["q"]),
            node("Mul", ["q", "scale"], ["n"]),
        ]
    nodes.append(node("MatMul", ["n", "w"], ["y"]))
    numbers = {"cubic": 0.044715, "inner": 0.7978845608, "one": 1, "half": 0.5}
    constants = {name: np.float32(number) for name, number in numbers.items()} | {
        "w": sparse(64, 64),
        "e": np.full((1, 1, 1, 1), exponent, np.float32),
        "scale": np.ones(64, np.float32),
    }
    return network(nodes, {"x": ["n", 9, 64]}, constants, opset=13), [{"x": normal(2, 9, 64)}]


case("exponent 3 of rank 4 in a GELU")(partial(power_of_higher_rank, 3))


def clipped_unit(least: float, most: float) -> Model:
    """A bound that is NaN is none."""
    nodes = [
        node("DequantizeLinear", ["x", *X], ["d"]),
        node("DequantizeLinear", ["w", "ws"], ["wf"]),
        node("Conv", ["d", "wf"], ["a"]),
        node("Clip", ["a", "least", "most"], ["c"]),
        node("QuantizeLinear", ["c", *Y], ["q"]),
        node("DequantizeLinear", ["q", *Y], ["y"]),
    ]
    constants = numbers(0.02, 0.02, 0.03) | {
        "w": sparse_bytes(64, 64, 1, 1),
        "least": np.float32(least),
        "most": np.float32(most),
    }
    # The CPU provider computes in floats: a byte here and there differs by a step.
    return network(nodes, {"x": ["n", 64, 9, 9]}, constants, types={"x": np.uint8}), [{"x": bytes_of(1, 64, 9, 9)}]


for bounds in ((NAN, 1.0), (-1.0, NAN), (NAN, NAN)):
    case(f"QDQ Clip from {bounds[0]} to {bounds[1]}", bound=0.01)(partial(clipped_unit, *bounds))


def signed_zeros(op: str) -> Model:
    """The sign of a zero says which infinity its inverse is."""
    making = [node("Mul", ["r", "less"], ["m"]), node(op, ["m"], ["s"])] if op == "Ceil" else [node(op, ["r"], ["s"])]
    nodes = [
        node("Conv", ["x", "w"], ["a"]),
        node("Relu", ["a"], ["r"]),
        *making,
        node("Reciprocal", ["s"], ["i"]),
        node("Clip", ["i", "low", "high"], ["y"]),
    ]
    numbers = {"less": -0.01, "low": -50, "high": 50}
    constants = {name: np.float32(number) for name, number in numbers.items()} | {"w": sparse(64, 64, 1, 1)}
    return network(nodes, {"x": ["n", 64, 6, 6]}, constants), [{"x": normal(1, 64, 6, 6)}]


for op in ("Neg", "Ceil"):
    case(f"signed zeros of {op}")(partial(signed_zeros, op))


@case("dynamic quantization of minus infinity")
def dynamic_minus_infinity() -> Model:
    nodes = [
        node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        node("MatMulInteger", ["q", "w", "z"], ["i"]),
        node("Cast", ["i"], ["c"], to=onnx.TensorProto.FLOAT),
        node("Mul", ["s", "ws"], ["sw"]),
        node("Mul", ["c", "sw"], ["y"]),
    ]
    x = normal(5, 64)
    x[2, 3] = -np.inf
    return network(nodes, {"x": ["n", 64]}, {"w": sparse_bytes(64, 64), "ws": np.float32(0.01)}), [{"x": x}]


@case("bias of floats past 32 bits of its unit")
def bias_past_its_unit() -> Model:
    """Weights of zeros have a scale of almost nothing."""
    nodes = [
        node("DequantizeLinear", ["x", *X], ["d"]),
        node("DequantizeLinear", ["w", "ws", "wz"], ["wf"]),
        node("Gemm", ["d", "wf", "b"], ["g"]),
        node("QuantizeLinear", ["g", *Y], ["y"]),
    ]
    constants = numbers(0.02, 1.7e-8, 0.02) | {"wz": np.int8(0), "w": np.zeros((34, 66), np.int8), "b": normal(1, 66)}
    types = {"x": np.uint8, "y": np.uint8}
    return network(nodes, {"x": ["n", 34]}, constants, types=types), [{"x": bytes_of(7, 34)}]


def of_no_image(
    op: str, first: list[onnx.NodeProto], constants: dict[str, np.ndarray], feeds: list[np.ndarray]
) -> Model:
    """A number for all of a value that is no image."""
    inputs, attributes = {"Sum": (["r", "c"], {}), "Celu": (["r"], {"alpha": 0.5})}.get(op, (["r"], {}))
    nodes = [*first, node("Reshape", ["m", "shape"], ["r"]), node(op, inputs, ["y"], **attributes)]
    dims = feeds[0].shape if len(feeds) == 1 else ("n", "s", *feeds[0].shape[2:])
    return network(nodes, {"x": dims}, constants | {"c": np.float32(0.5)}), [{"x": x} for x in feeds]


def of_five_axes(op: str) -> Model:
    constants = {"w": sparse(30, 60), "shape": np.array([0, 0, 3, 5, 4])}
    return of_no_image(op, [node("MatMul", ["x", "w"], ["m"])], constants, [normal(1, 1, 30), normal(2, 9, 30)])


def of_no_axes(op: str) -> Model:
    constants = {"w": normal(1, 3, 1, 1), "shape": np.array([], np.int64)}
    return of_no_image(op, [node("Conv", ["x", "w"], ["m"])], constants, [normal(1, 3, 1, 1)])


for op in ("Neg", "Sum", "Celu"):
    case(f"{op} of five axes")(partial(of_five_axes, op))
    case(f"{op} of no axes")(partial(of_no_axes, op))
