"""Constant operands of every shape: biases, scales, zero points, slopes, masks, statistics. All axes have the same size,
so that nothing but the shape tells along which one a vector lies. Wherever the CPU provider takes a model, outputs are
its own; what it refuses need not load here either."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np
import pytest
from differential import Child, Trial
from harness import BOUND
from onnx import NodeProto, TensorProto, helper, numpy_helper

N = 8  # every axis, every channel count
Shape = tuple[int, ...]
node = helper.make_node
F, U8, S8, I32 = np.float32, np.uint8, np.int8, np.int32
RNG = np.random.default_rng(0)
MATRIX = RNG.standard_normal((N, N)).astype(F)
BYTES = RNG.integers(-30, 31, (N, N)).astype(S8)  # sums stay within 16 bits, where onnxruntime may saturate
PARAMETERS = {"s": F(0.05), "z": U8(3), "ws": F(0.01), "wz": S8(0), "ys": F(0.07)}
OPTIONS = ({"min_sparsity": "0"}, {"min_sparsity": "0", "neighbours": "off"})


def numbers(shape: Shape, dtype: Any = F) -> np.ndarray:
    """Different ones, so that the axis shows."""
    count = int(np.prod(shape))
    return (np.arange(1, count + 1) * (1 if dtype is not F else 0.125)).astype(dtype).reshape(shape)


def shapes(rank: int) -> list[Shape]:
    """Every shape of at most `rank` axes of size 1 or N."""
    return [shape for r in range(rank + 1) for shape in product((1, N), repeat=r)]


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    process = Child()
    yield process
    process.stop()


def check(
    child: Child,
    nodes: list[NodeProto],
    constants: Mapping[str, Any],
    x: Shape,
    dtype: Any = F,
    bound: float = BOUND,
    out: Any = F,
) -> int:
    """Returns how many nodes were claimed; 0 where the CPU provider refuses the model."""
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, x)],
        [helper.make_tensor_value_info("y", helper.np_dtype_to_tensor_dtype(np.dtype(out)), None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    feed = np.random.default_rng(1)
    values = feed.standard_normal(x).astype(F) if dtype is F else feed.integers(0, 256, x).astype(dtype)
    verdict = child.examine(Trial(model, [{"x": values}], OPTIONS, bound))
    assert not verdict.failures, "\n".join(verdict.failures)
    return 0 if verdict.cpu_error else verdict.claimed


def sweep(child: Child, of: Callable[[Shape], tuple[Any, ...]], rank: int, least: int) -> None:
    """Checks every shape; at least so many of them run here."""
    claimed = {shape: check(child, *of(shape)) for shape in shapes(rank)}
    assert sum(count > 0 for count in claimed.values()) >= least, claimed


@pytest.mark.parametrize("transposed", [0, 1])
def test_bias_of_gemm(child: Child, transposed: int) -> None:
    layer = node("Gemm", ["x", "w", "c"], ["y"], transB=transposed)
    sweep(child, lambda s: ([layer], {"w": MATRIX, "c": numbers(s)}, (N, N)), 2, 5)


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div"])
@pytest.mark.parametrize("rank", [2, 3, 4])
def test_constant_next_to_tokens(child: Child, op: str, rank: int) -> None:
    nodes = [node("MatMul", ["x", "w"], ["a"]), node(op, ["a", "c"], ["y"])]
    sweep(child, lambda s: (nodes, {"w": MATRIX, "c": numbers(s)}, (N,) * rank), rank, 3)


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "PRelu"])
@pytest.mark.parametrize("rank", [3, 4])
def test_constant_next_to_an_image(child: Child, op: str, rank: int) -> None:
    nodes = [node("Conv", ["x", "w"], ["a"]), node(op, ["a", "c"], ["y"])]
    weight = MATRIX.reshape(N, N, *[1] * (rank - 2))
    sweep(child, lambda s: (nodes, {"w": weight, "c": numbers(s)}, (N,) * rank), rank, 3)


@pytest.mark.parametrize("which", range(1, 5))
def test_statistics_of_batch_normalization(child: Child, which: int) -> None:
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("BatchNormalization", ["a", "1", "2", "3", "4"], ["y"])]
    plain = {str(i): np.ones(N, F) for i in range(1, 5)}
    sweep(child, lambda s: (nodes, {"w": MATRIX, **plain, str(which): numbers(s)}, (N, N, N)), 2, 1)


@pytest.mark.parametrize("which", ["scale", "shift"])
def test_layer_normalization(child: Child, which: str) -> None:
    nodes = [node("MatMul", ["x", "w"], ["a"]), node("LayerNormalization", ["a", "scale", "shift"], ["y"])]
    plain = {"scale": np.ones(N, F), "shift": np.ones(N, F)}
    sweep(child, lambda s: (nodes, {"w": MATRIX, **plain, which: numbers(s)}, (N, N, N)), 3, 1)


@pytest.mark.parametrize("which", ["scale", "shift"])
def test_written_layer_normalization(child: Child, which: str) -> None:
    nodes = [
        node("MatMul", ["x", "w"], ["a"]), node("ReduceMean", ["a"], ["m"], axes=[-1]), node("Sub", ["a", "m"], ["c"]),
        node("Pow", ["c", "two"], ["p"]), node("ReduceMean", ["p"], ["v"], axes=[-1]), node("Add", ["v", "e"], ["ve"]),
        node("Sqrt", ["ve"], ["d"]), node("Div", ["c", "d"], ["n"]), node("Mul", ["n", "scale"], ["t"]),
        node("Add", ["t", "shift"], ["y"]),
    ]  # fmt: skip
    plain = {"scale": np.ones(N, F), "shift": np.ones(N, F), "two": F(2), "e": F(1e-5)}
    sweep(child, lambda s: (nodes, {"w": MATRIX, **plain, which: numbers(s)}, (N, N, N)), 3, 1)


def dequantized(op: str, shape: Shape, **attributes: Any) -> tuple[list[NodeProto], dict[str, Any], Shape]:
    """DequantizeLinear, a layer with this int32 bias, QuantizeLinear."""
    image = op == "Conv"
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["xq"]), node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
        node("DequantizeLinear", ["w", "ws", "wz"], ["wd"]), node("DequantizeLinear", ["c", "cs"], ["cd"]),
        node(op, ["xd", "wd", "cd"], ["a"], **attributes), node("QuantizeLinear", ["a", "ys", "z"], ["aq"]),
        node("DequantizeLinear", ["aq", "ys", "z"], ["y"]),
    ]  # fmt: skip
    constants = {
        **PARAMETERS, "w": BYTES[..., None, None] if image else BYTES, "c": numbers(shape, I32) * 40,
        "cs": F(0.05) * F(0.01),
    }  # fmt: skip
    return nodes, constants, (N,) * (4 if image else 2)


@pytest.mark.parametrize(("op", "rank", "least"), [("Conv", 2, 1), ("Gemm", 2, 5)])
def test_bias_of_a_quantized_layer(child: Child, op: str, rank: int, least: int) -> None:
    sweep(child, lambda s: dequantized(op, s), rank, least)


@pytest.mark.parametrize("op", ["Conv", "Gemm"])
@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("axis", [0, 1])
def test_scales_of_weights_and_bias(child: Child, op: str, transposed: int, axis: int) -> None:
    """A scale a channel: weights along `axis`; that of the bias may have any length."""
    for count, of_bias in product((1, N), (1, 3, N)):
        nodes, constants, x = dequantized(op, (N,), **({"transB": transposed} if op == "Gemm" else {}))
        constants["ws"], constants["wz"] = numbers((count,)) * F(0.01), np.zeros(count, S8)
        constants["cs"] = (numbers((of_bias,)) * F(0.01)) * F(0.05)
        nodes[2] = node("DequantizeLinear", ["w", "ws", "wz"], ["wd"], axis=axis)
        nodes[3] = node("DequantizeLinear", ["c", "cs"], ["cd"], axis=0)
        check(child, nodes, constants, x)


@pytest.mark.parametrize("which", ["ws", "wz", "c"])
@pytest.mark.parametrize("op", ["QLinearConv", "QLinearMatMul", "QGemm"])
def test_operands_of_quantized_operators(child: Child, op: str, which: str) -> None:
    image, domain = op == "QLinearConv", "com.microsoft" if op == "QGemm" else ""
    inputs = ["x", "s", "z", "w", "ws", "wz"] + (["c", "ys", "z"] if op == "QGemm" else ["ys", "z"])
    layer = node(op, inputs + (["c"] if image else []), ["y"], domain=domain)

    def of(shape: Shape) -> tuple[Any, ...]:
        constants = {**PARAMETERS, "w": BYTES[..., None, None] if image else BYTES, "c": numbers((N,), I32) * 40}
        constants[which] = {"ws": numbers(shape) * F(0.01), "wz": np.zeros(shape, S8), "c": numbers(shape, I32) * 40}[
            which
        ]
        if op == "QLinearMatMul":
            del constants["c"]
        return [layer], constants, (N,) * (4 if image else 2), U8, 0.0, U8

    if op != "QLinearMatMul" or which != "c":
        sweep(child, of, 2, 1)


@pytest.mark.parametrize("which", ["bias", "scale", "wz"])
@pytest.mark.parametrize("op", ["MatMulInteger", "ConvInteger"])
def test_operands_of_integer_chains(child: Child, op: str, which: str) -> None:
    image = op == "ConvInteger"
    nodes = [
        node(op, ["x", "w", "z", "wz"], ["i"]), node("Add", ["i", "bias"], ["b"]),
        node("Cast", ["b"], ["f"], to=TensorProto.FLOAT), node("Mul", ["f", "scale"], ["y"]),
    ]  # fmt: skip
    weight = BYTES[..., None, None] if image else BYTES

    def of(shape: Shape) -> tuple[Any, ...]:
        constants = {"w": weight, "z": U8(3), "wz": S8(0), "bias": I32(5), "scale": F(0.01)}
        constants[which] = {"bias": numbers(shape, I32), "scale": numbers(shape), "wz": np.zeros(shape, S8)}[which]
        return nodes, constants, (N,) * (4 if image else 3), U8

    sweep(child, of, 4 if image else 3, 1)


@pytest.mark.parametrize("op", ["QLinearAdd", "QLinearMul"])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("rank", [2, 3, 4])
def test_constant_next_to_bytes(child: Child, op: str, first: bool, rank: int) -> None:
    q = ["s", "z"]
    sides = [["a", *q], ["c", *q]]
    ends = [*sides[first], *sides[not first]]
    layer = (
        node("QLinearConv", ["x", *q, "w", "ws", "wz", "ys", "z"], ["a"])
        if rank == 4
        else node("QLinearMatMul", ["x", *q, "w", "ws", "wz", "ys", "z"], ["a"])
    )
    nodes = [layer, node(op, [*ends, "ys", "z"], ["y"], domain="com.microsoft")]
    weight = BYTES[..., None, None] if rank == 4 else BYTES
    constants = {**PARAMETERS, "w": weight}
    sweep(child, lambda s: (nodes, {**constants, "c": numbers(s, U8)}, (N,) * rank, U8, 0.0, U8), rank, 2)


def test_mask_of_scores(child: Child) -> None:
    """Heads, queries and keys have one size; the mask is a constant."""
    heads = {"perm": [0, 2, 1, 3]}
    nodes = [node("MatMul", ["x", "w"], ["p"]), node("Reshape", ["p", "split"], ["r"])]
    nodes += [node("Transpose", ["r"], ["q"], **heads), node("Transpose", ["r"], ["k"], perm=[0, 2, 3, 1])]
    nodes += [node("MatMul", ["q", "k"], ["s"]), node("Add", ["s", "m"], ["sm"]), node("Softmax", ["sm"], ["a"])]
    nodes += [node("MatMul", ["a", "q"], ["o"]), node("Transpose", ["o"], ["t"], **heads)]
    nodes += [node("Reshape", ["t", "join"], ["y"])]
    weight = RNG.standard_normal((64, 64)).astype(F) / 8
    constants = {"w": weight, "split": np.array([8, 8, 8, 8]), "join": np.array([8, 8, 64])}
    sweep(child, lambda s: (nodes, {**constants, "m": numbers(s)}, (8, 8, 64)), 4, 16)
