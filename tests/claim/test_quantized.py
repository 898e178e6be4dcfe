"""Quantized operators and units: what they are recognised as equals onnxruntime, bit for bit where it is integer."""

from __future__ import annotations

from typing import Any

import byte_oracle
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from describe import Network, basic, describe, optimized
from onnx import TensorProto
from onnxruntime_ep_sparsecpu import _native

claim = _native.claim
F, U8, S8 = np.float32, np.uint8, np.int8
FLOAT_FORM = "(float in onnxruntime)"
KINDS = {np.uint8: TensorProto.UINT8, np.int8: TensorProto.INT8}


class Quantized(Network):
    """Pieces of quantized models, with numbers that leave few values saturated."""

    def bytes_input(self, name: str, shape: list[int | str | None], dtype: Any = U8) -> str:
        return self.input(name, shape, KINDS[dtype])

    def parameters(self, scale: Any, zero: Any, dtype: Any) -> tuple[str, str]:
        return self.constant(scale), self.constant(zero, dtype)

    def dq(self, x: str, scale: Any = 0.02, zero: Any = 3, dtype: Any = U8, **attributes: Any) -> str:
        return self.add("DequantizeLinear", x, *self.parameters(scale, zero, dtype), **attributes)

    def q(self, x: str, scale: float = 0.3, zero: int = 0, dtype: Any = U8) -> str:
        return self.add("QuantizeLinear", x, *self.parameters(scale, zero, dtype))

    def weights(self, shape: tuple[int, ...], dtype: Any = S8, zero: int = 0) -> str:
        w = self.random.integers(-90, 91, shape)
        w[self.random.random(shape) < 0.7] = 0
        return self.constant(w + zero, dtype)

    def bias(self, rows: int, scale: Any) -> str:
        return self.dq(
            self.constant(self.random.integers(-900, 900, rows), np.int32),
            scale,
            np.zeros(np.shape(scale)),
            np.int32,
            **({"axis": 0} if np.ndim(scale) else {}),
        )

    def byte_model(self, output: str, dtype: Any | None = U8) -> onnx.ModelProto:
        model = self.model(output)
        model.graph.output[0].type.tensor_type.elem_type = KINDS[dtype] if dtype else TensorProto.FLOAT
        return model


def computed(model: onnx.ModelProto, feeds: dict[str, Any]) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)[0]


def followed(model: onnx.ModelProto, feeds: dict[str, Any]) -> tuple[Any, list[str]]:
    """The recognised Ops run by the oracle, and their patterns."""
    graph = basic(model)
    nodes = claim.recognise(graph)
    values = {i: feeds[v["name"]] for i, v in enumerate(graph["values"]) if v["name"] in feeds}
    for node in nodes:
        assert node["ops"] or node["unit"] >= 0, node["reason"]
        for op in node["ops"]:
            window = dict(graph["nodes"][op["node"]]["attributes"])
            if op["kind"] == "quantized_linear" and op["axes"] == "image":
                taps = op["weight"].shape[2]
                window.setdefault("kernel_shape", [int(taps**0.5)] * 2)
            values[op["output"]] = byte_oracle.run(op, [values[i] for i in op["inputs"]], window)
    return values[graph["outputs"][0]], sorted({n["pattern"] for n in nodes})


def check(model: onnx.ModelProto, feeds: dict[str, Any], pattern: str, exact: bool = True) -> None:
    model.ir_version = 10
    expected = computed(model, feeds)
    got, patterns = followed(model, feeds)
    assert got.dtype == expected.dtype and got.shape == expected.shape
    assert any(p.startswith(pattern) for p in patterns), patterns
    assert any(FLOAT_FORM in p for p in patterns) == (not exact), patterns
    if exact:
        np.testing.assert_array_equal(got, expected)
    elif expected.dtype == F:
        np.testing.assert_allclose(got, expected, atol=3e-6 * np.abs(expected).max())
    else:
        assert np.abs(got.astype(int) - expected.astype(int)).max() <= 1


def data(g: Quantized, shape: list[int], dtype: Any = U8) -> Any:
    low, high = byte_oracle.limits(dtype is S8)
    return g.random.integers(low, high + 1, shape).astype(dtype)


def forms(model: onnx.ModelProto) -> list[str]:
    """Operators that onnxruntime's CPU provider runs."""
    return [n.op_type for n in optimized(model, ort.GraphOptimizationLevel.ORT_ENABLE_ALL).graph.node]


@pytest.mark.parametrize("dtype", [U8, S8])
@pytest.mark.parametrize("weights", [(S8, 0), (S8, 5), (U8, 128)])
@pytest.mark.parametrize("per_channel", [False, True])
def test_qlinear_conv(dtype: Any, weights: tuple[Any, int], per_channel: bool) -> None:
    kind, zero = weights
    if dtype is S8 and kind is U8:
        pytest.skip("onnxruntime has no kernel")
    g = Quantized()
    x = g.bytes_input("x", [1, 8, 9, 9], dtype)
    scale = g.random.uniform(0.005, 0.02, 6) if per_channel else 0.01
    zeros = np.full(6, zero) if per_channel else zero
    y = g.add("QLinearConv", x, *g.parameters(0.02, 3, dtype), g.weights((6, 4, 3, 3), kind, zero),
              *g.parameters(scale, zeros, kind), *g.parameters(0.1, 9, dtype),
              g.constant(g.random.integers(-900, 900, 6), np.int32), group=2, pads=[1] * 4, strides=[2, 2])  # fmt: skip
    check(g.byte_model(y, dtype), {"x": data(g, [1, 8, 9, 9], dtype)}, "qlinear conv")


@pytest.mark.parametrize("dtype", [U8, S8])
@pytest.mark.parametrize("per_channel", [False, True])
def test_qlinear_matmul(dtype: Any, per_channel: bool) -> None:
    g = Quantized()
    x = g.bytes_input("x", ["n", "s", 16], dtype)
    scale = g.random.uniform(0.005, 0.02, 6) if per_channel else 0.01
    y = g.add("QLinearMatMul", x, *g.parameters(0.02, 3, dtype), g.weights((16, 6)),
              *g.parameters(scale, np.zeros(np.shape(scale)), S8), *g.parameters(0.1, 9, dtype))  # fmt: skip
    check(g.byte_model(y, dtype), {"x": data(g, [2, 7, 16], dtype)}, "qlinear matmul")


@pytest.mark.parametrize("to_float", [False, True])
def test_qgemm(to_float: bool) -> None:
    g = Quantized()
    x = g.bytes_input("x", ["n", 16])
    output = [] if to_float else [*g.parameters(0.1, 9, U8)]
    y = g.add("QGemm", x, *g.parameters(0.02, 3, U8), g.weights((6, 16)), *g.parameters(0.01, 0, S8),
              g.constant(np.arange(6) * 50, np.int32), *output, domain="com.microsoft", transB=1, alpha=0.7)  # fmt: skip
    check(g.byte_model(y, None if to_float else U8), {"x": data(g, [5, 16])}, "qgemm")


@pytest.mark.parametrize("dtype", [U8, S8])
@pytest.mark.parametrize("op", ["QLinearAdd", "QLinearMul"])
@pytest.mark.parametrize(
    "other", ["same", "pooled", "pooled first", "number", "number first", "vector", "vector first"]
)
def test_binary(dtype: Any, op: str, other: str) -> None:
    g = Quantized()
    shape = [2, 8, 5, 5]
    feeds = {"x": data(g, shape, dtype)}
    x = g.bytes_input("x", shape, dtype)
    if other.startswith("number"):
        y = g.constant(77, dtype)
    elif other.startswith("vector"):
        y = g.constant(data(g, [8, 1, 1], dtype), dtype)
    else:
        small = shape if other == "same" else [2, 8, 1, 1]
        feeds["y"] = data(g, small, dtype)
        y = g.bytes_input("y", small, dtype)
    sides = [(x, *g.parameters(0.021, 3, dtype)), (y, *g.parameters(0.033, 40, dtype))]
    if other.endswith("first"):
        sides.reverse()
    z = g.add(op, *sides[0], *sides[1], *g.parameters(0.05, 17, dtype), domain="com.microsoft")
    check(g.byte_model(z, dtype), feeds, op.lower().replace("qlinear", "qlinear "))


@pytest.mark.parametrize("dtype", [U8, S8])
@pytest.mark.parametrize("op", ["QLinearSigmoid", "QLinearLeakyRelu", "QLinearGlobalAveragePool"])
def test_unary(dtype: Any, op: str) -> None:
    for seed in range(20):
        g = Quantized(seed=seed)
        scales = g.random.uniform(0.01, 0.08, 2)
        x = g.bytes_input("x", [2, 8, 16, 16], dtype)
        attributes = {} if op == "QLinearSigmoid" else {"alpha": 0.1} if "Leaky" in op else {"channels_last": 0}
        y = g.add(op, x, *g.parameters(scales[0], 3, dtype), *g.parameters(scales[1] / 8, 9, dtype),
                  domain="com.microsoft", **attributes)  # fmt: skip
        check(g.byte_model(y, dtype), {"x": data(g, [2, 8, 16, 16], dtype)}, "qlinear")


def test_concat_changes_the_scale_of_what_differs() -> None:
    g = Quantized()
    x, y = g.bytes_input("x", [1, 8, 5, 5]), g.bytes_input("y", [1, 4, 5, 5])
    z = g.add("QLinearConcat", *g.parameters(0.05, 17, U8), x, *g.parameters(0.05, 17, U8), y,
              *g.parameters(0.033, 40, U8), domain="com.microsoft", axis=1)  # fmt: skip
    model = g.byte_model(z)
    check(model, {"x": data(g, [1, 8, 5, 5]), "y": data(g, [1, 4, 5, 5])}, "qlinear concat")
    assert [op["kind"] for op in claim.recognise(basic(model))[0]["ops"]] == ["lookup", "concat"]


def qdq_linear(op: str, dtype: Any = U8, bias: str = "int", activation: str = "", zero: int = 0, to_bytes: bool = True,
               per_channel: bool = False, weights: tuple[Any, int] = (S8, 0)) -> tuple[onnx.ModelProto, Any]:  # fmt: skip
    g = Quantized()
    conv = op == "Conv"
    shape = [1, 8, 9, 9] if conv else [5, 8]
    x = g.dq(g.bytes_input("x", shape, dtype), 0.02, 3, dtype)
    scale = g.random.uniform(0.005, 0.02, 6) if per_channel else 0.01
    zeros = np.full(6, weights[1]) if per_channel else weights[1]
    axis = {"axis": 0 if conv else 1} if per_channel else {}
    w = g.dq(g.weights((6, 8, 3, 3) if conv else (8, 6), *weights), scale, zeros, weights[0], **axis)
    inputs = [x, w]
    if bias == "int":
        inputs.append(g.bias(6, (F(0.02) * np.asarray(scale, F)).astype(F)))
    elif bias == "float":
        inputs.append(g.constant(g.random.uniform(-0.2, 0.2, 6)))
    y = g.add(op, *inputs, **({"pads": [1] * 4} if conv else {}))
    if activation == "Relu":
        y = g.add("Relu", y)
    elif activation == "Clip":
        y = g.add("Clip", y, g.constant(0.0), g.constant(6.0))
    if to_bytes:
        y = g.q(y, 6 / 255 if activation == "Clip" else 0.1, zero, dtype)
    return g.byte_model(y, dtype if to_bytes else None), data(g, shape, dtype)


# The table of ort_forms.h: operator, options, what onnxruntime runs, whether that is integer.
FORMS: list[tuple[str, dict[str, Any], str, bool]] = [
    ("Conv", {}, "QLinearConv", True),
    ("Conv", {"per_channel": True}, "QLinearConv", True),
    ("Conv", {"bias": "float"}, "QLinearConv", True),
    ("Conv", {"bias": "none", "zero": 40}, "QLinearConv", True),
    ("Conv", {"weights": (U8, 128)}, "QLinearConv", True),
    ("Conv", {"weights": (S8, 4)}, "QLinearConv", True),
    ("Conv", {"activation": "Relu"}, "QLinearConv", True),
    ("Conv", {"activation": "Clip"}, "QLinearConv", True),
    ("Conv", {"activation": "Relu", "zero": 9}, "FusedConv", False),
    ("Conv", {"activation": "Clip", "zero": 9}, "FusedConv", False),
    ("Conv", {"to_bytes": False}, "Conv", False),
    ("Conv", {"dtype": S8}, "Conv", False),
    ("Conv", {"dtype": S8, "bias": "float"}, "Conv", False),
    ("Conv", {"dtype": S8, "activation": "Relu", "zero": -128}, "Conv", False),
    ("MatMul", {"bias": "none"}, "QLinearMatMul", True),
    ("MatMul", {"bias": "none", "per_channel": True}, "QLinearMatMul", True),
    ("MatMul", {"bias": "none", "activation": "Relu"}, "QLinearMatMul", True),
    ("MatMul", {"bias": "none", "activation": "Relu", "zero": 9}, "MatMul", False),
    ("MatMul", {"bias": "none", "to_bytes": False}, "MatMulIntegerToFloat", True),
    ("MatMul", {"bias": "none", "dtype": S8}, "MatMul", False),
    ("MatMul", {"bias": "none", "dtype": S8, "to_bytes": False}, "MatMul", False),
    ("Gemm", {}, "QGemm", True),
    ("Gemm", {"bias": "none"}, "QGemm", True),
    ("Gemm", {"bias": "float"}, "QGemm", True),
    ("Gemm", {"per_channel": True}, "QGemm", True),
    ("Gemm", {"to_bytes": False}, "QGemm", True),
    ("Gemm", {"bias": "float", "to_bytes": False}, "Gemm", False),
    ("Gemm", {"activation": "Relu"}, "QGemm", True),
    ("Gemm", {"activation": "Relu", "zero": 9}, "FusedGemm", False),
    ("Gemm", {"dtype": S8}, "QGemm", True),
    ("Gemm", {"dtype": S8, "bias": "float"}, "QGemm", True),
    ("Gemm", {"dtype": S8, "activation": "Relu", "zero": -128}, "QGemm", True),
]


@pytest.mark.parametrize("row", FORMS, ids=lambda row: f"{row[0]}-{row[1]}")
def test_the_form_that_onnxruntime_picks(row: tuple[str, dict[str, Any], str, bool]) -> None:
    op, options, form, integer = row
    model, x = qdq_linear(op, **options)
    assert form in forms(model)
    check(model, {"x": x}, "qdq " + op.lower(), integer)


ELEMENTWISE: list[tuple[str, dict[str, Any], str]] = [
    ("Sigmoid", {}, "QLinearSigmoid"),
    ("LeakyRelu", {"alpha": 0.2}, "QLinearLeakyRelu"),
    ("Relu", {}, "Relu"),
    ("GlobalAveragePool", {}, "QLinearGlobalAveragePool"),
]


@pytest.mark.parametrize("dtype", [U8, S8])
@pytest.mark.parametrize("row", ELEMENTWISE, ids=lambda row: row[0])
def test_qdq_unary(dtype: Any, row: tuple[str, dict[str, Any], str]) -> None:
    op, attributes, form = row
    g = Quantized()
    x = g.dq(g.bytes_input("x", [1, 8, 16, 16], dtype), 0.05, 3, dtype)
    model = g.byte_model(g.q(g.add(op, x, **attributes), 0.02, 5, dtype), dtype)
    assert form in forms(model)
    check(model, {"x": data(g, [1, 8, 16, 16], dtype)}, "qdq " + op.lower())


@pytest.mark.parametrize("dtype", [U8, S8])
@pytest.mark.parametrize("op", ["Add", "Mul", "Concat", "Add relu"])
def test_qdq_binary(dtype: Any, op: str) -> None:
    g = Quantized()
    a, b = (g.dq(g.bytes_input(n, [1, 8, 5, 5], dtype), s, z, dtype) for n, s, z in (("x", 0.02, 3), ("y", 0.03, 40)))
    relu = op.endswith("relu")
    y = g.add(op.split()[0], a, b, **({"axis": 1} if op == "Concat" else {}))
    y = g.q(g.add("Relu", y) if relu else y, 0.05, (0 if dtype is U8 else -128) if relu else 20, dtype)
    model = g.byte_model(y, dtype)
    assert "QLinear" + op.split()[0] in forms(model)
    feeds = {"x": data(g, [1, 8, 5, 5], dtype), "y": data(g, [1, 8, 5, 5], dtype)}
    check(model, feeds, "qdq " + op.split()[0].lower())


@pytest.mark.parametrize("conv", [False, True])
@pytest.mark.parametrize("weights", [(U8, 128), (S8, 0)])
def test_integer_chain(conv: bool, weights: tuple[Any, int]) -> None:
    g = Quantized()
    shape = [1, 8, 9, 9] if conv else [2, 7, 8]
    x = g.q(g.input("x", shape), 0.02, 3)
    w = g.weights((6, 8, 3, 3) if conv else (8, 6), *weights)
    y = g.add("ConvInteger" if conv else "MatMulInteger", x, w, g.constant(3, U8), g.constant(weights[1], weights[0]))
    bias = g.random.integers(-900, 900, 6)
    y = g.add("Add", y, g.constant(bias.reshape(1, 6, 1, 1) if conv else bias, np.int32))
    y = g.add("Mul", g.add("Cast", y, to=1), g.constant(0.0002))
    feeds = {"x": g.random.standard_normal(shape).astype(F)}
    check(g.byte_model(y, None), feeds, "integer " + ("conv" if conv else "matmul"))


def test_dynamic_quantization_is_one_unit_with_all_it_feeds() -> None:
    g = Quantized()
    x = g.input("x", ["n", "s", 8])
    dynamic = g.add("DynamicQuantizeLinear", x, outputs=3)
    scale, zero = g.nodes[-1].output[1:]
    outputs = []
    for _ in range(2):
        y = g.add("Cast", g.add("MatMulInteger", dynamic, g.weights((8, 6)), zero, g.constant(0, S8)), to=1)
        outputs.append(g.add("Mul", y, g.add("Mul", scale, g.constant(0.01))))
    nodes = claim.recognise(basic(g.model(*outputs)))
    assert {n["unit"] for n in nodes} == {0}
    (ops,) = [n["ops"] for n in nodes if n["ops"]]
    assert [op["kind"] for op in ops] == ["dynamic_quantize", "quantized_linear", "quantized_linear"]
    assert all(op["dynamic"] for op in ops[1:])


def pruned_network(form: str, sparsity: float, dtype: Any = U8) -> dict[str, Any]:
    """A chain of convolutions at 28x28 in one of onnxruntime's forms."""
    g = Quantized()
    y = g.bytes_input("x", [1, 64, 28, 28], dtype)
    for _ in range(4):
        w = g.random.integers(-100, 100, (64, 64, 3, 3))
        w[g.random.random(w.shape) < sparsity] = 0
        parameters = (*g.parameters(0.02, 3, dtype), g.constant(w, S8), *g.parameters(0.01, 0, S8))
        if form == "qdq":
            conv = g.add("Conv", g.dq(y, 0.02, 3, dtype), g.dq(parameters[2], 0.01, 0, S8), pads=[1] * 4)
            y = g.q(conv, 0.1, 3, dtype)
        else:
            y = g.add("QLinearConv", y, *parameters, *g.parameters(0.1, 3, dtype), pads=[1] * 4)
    return basic(g.byte_model(y, dtype))


@pytest.mark.parametrize("form", ["qdq", "qlinear"])
@pytest.mark.parametrize("isa", [0, 1, 2, 3])
def test_claims_follow_the_groups_of_four(form: str, isa: int) -> None:
    description = pruned_network(form, 0.95)
    result = claim.claim(description, isa=isa)
    assert [len(r) for r in result["regions"]] == ([len(description["nodes"])] if isa else [])
    layer = next(d for d in result["decisions"] if d["sparsity"] >= 0)
    assert layer["sparsity"] == pytest.approx(0.95, abs=0.01)
    assert layer["group_density"] == pytest.approx(1 - 0.95**4, abs=0.01)
    for sparsity in (0.0, 0.3):
        dense = claim.claim(pruned_network(form, sparsity), isa=isa)
        assert dense["regions"] == []
        assert any("groups of 4 input channels" in d["reason"] for d in dense["decisions"])


def test_units_are_taken_whole() -> None:
    description = pruned_network("qdq", 0.95)
    for other in range(len(description["nodes"])):
        for node in description["nodes"]:
            node["assigned_elsewhere"] = False
        description["nodes"][other]["assigned_elsewhere"] = True
        result = claim.claim(description, isa=3)
        region = [d["region"] for d in result["decisions"]]
        for unit in {n["unit"] for n in claim.recognise(description)} - {-1}:
            members = [i for i, n in enumerate(claim.recognise(description)) if n["unit"] == unit]
            assert len({region[i] for i in members}) == 1
        assert region[other] == -1
        following = [[j for j, n in enumerate(description["nodes"]) if set(m["outputs"]) & set(n["inputs"])]
                     for m in description["nodes"]]  # fmt: skip
        assert claim.contraction_is_acyclic(following, region)


def reason(g: Quantized, output: str) -> str:
    nodes = claim.recognise(describe(g.byte_model(output)))
    return next(n["reason"] for n in nodes if n["reason"] and "constant folding" not in n["reason"])


def test_reasons() -> None:
    def matmul(weight: str, **dq: Any) -> str:
        x = g.dq(g.bytes_input("x", [5, 8]), 0.02, 3)
        return g.q(g.add("MatMul", x, g.dq(weight, **{"scale": 0.01, "zero": 0, "dtype": S8, **dq})))

    g = Quantized()
    assert "are not constant" in reason(g, matmul(g.bytes_input("w", [8, 6], S8)))
    g = Quantized()
    far = g.constant(np.full((8, 6), 255), U8)
    assert "minus their zero point 0 reach 255" in reason(g, matmul(far, dtype=U8))
    g = Quantized()
    assert "not per output channel" in reason(
        g, matmul(g.weights((8, 6)), scale=np.full(6, 0.1), zero=np.zeros(6), axis=0)
    )
    g = Quantized()
    y = g.q(g.dq(g.input("x", [5, 8], TensorProto.UINT16), 0.1, 0, np.uint16))
    assert "uint16" in reason(g, y)
    g = Quantized()
    x = g.add("MatMulNBits", g.input("x", [5, 8]), g.constant(np.zeros((6, 1, 8)), U8), g.constant(np.ones(6)),
              domain="com.microsoft", K=8, N=6, bits=4, block_size=16)  # fmt: skip
    assert "fewer than 8 bits" in reason(g, x)
    g = Quantized()
    x = g.add("QuantizeLinear", g.input("x", [5, 8]), g.input("scale", []), g.constant(0, U8))
    assert "computed at run time" in reason(g, x)
