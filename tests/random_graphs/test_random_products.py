"""Random stacks of MatMul and Gemm in the forms that exporters write: SparseCPUProvider against the CPU provider."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from harness import Variant, claimed, compare, float_variants
from hypothesis import given, settings
from hypothesis import strategies as st
from onnxruntime_ep_sparsecpu.models import GraphBuilder
from random_checks import CHECKS, EXAMPLES

SPARSITIES = st.sampled_from([0.0, 0.6, 0.9, 0.98, 1.0])
WIDTHS = st.integers(1, 70)
VARIANTS = st.sampled_from(list(float_variants().values()))


def random_feed(shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)}


def activation(draw: st.DrawFn, g: GraphBuilder, x: str) -> str:
    kind = draw(st.sampled_from(["none", "Relu", "Sigmoid", "Tanh", "GELU"]))
    if kind == "none":
        return x
    if kind == "GELU":
        erf = g.op("Erf", [g.op("Div", [x, g.constant(np.float32(2**0.5))])])
        gate = g.op("Mul", [x, g.op("Add", [erf, g.constant(np.float32(1))])])
        return g.op("Mul", [gate, g.constant(np.float32(0.5))])
    return g.op(kind, [x])


def layer_over_tokens(draw: st.DrawFn, g: GraphBuilder, x: str, inputs: int, outputs: int) -> str:
    """MatMul (+ Add), or a Gemm of the tokens of all sequences in one axis, whose sizes the model computes."""
    weight, bias = g.weight((inputs, outputs), inputs), g.constant(g.floats((outputs,), 0.1))
    if draw(st.booleans()):
        y = g.op("MatMul", [x, weight])
        return g.op("Add", draw(st.permutations([y, bias]))) if draw(st.booleans()) else y
    sizes = g.op("Slice", [g.op("Shape", [x]), g.ints(0), g.ints(2)])
    count = g.op("ReduceProd", [sizes], keepdims=1) if draw(st.booleans()) else g.ints(-1)
    flat = g.op("Reshape", [x, g.op("Concat", [count, g.ints(inputs)], axis=0)])
    y = g.op("Gemm", [flat, weight, bias] if draw(st.booleans()) else [flat, weight])
    return g.op("Reshape", [y, g.op("Concat", [sizes, g.ints(outputs)], axis=0)])


@st.composite
def token_stacks(draw: st.DrawFn) -> tuple[onnx.ModelProto, list[tuple[int, ...]]]:
    """Layers (+ activation) (+ residual) on [batch, tokens, features], symbolic or static."""
    g = GraphBuilder(draw(st.integers(0, 99)))
    features = inputs = draw(WIDTHS)
    x = "x"
    for _ in range(draw(st.integers(1, 4))):
        outputs = draw(st.one_of(WIDTHS, st.just(features)))
        g.sparsity = draw(SPARSITIES)
        y = activation(draw, g, layer_over_tokens(draw, g, x, features, outputs))
        x = g.op("Add", [x, y]) if outputs == features and draw(st.booleans()) else y
        features = outputs
    shapes = [(draw(st.integers(1, 4)), draw(st.integers(1, 40)), inputs) for _ in range(3)]
    if draw(st.booleans()):
        return g.model({"x": ["n", "s", inputs]}, {x: ["n", "s", features]}), shapes
    return g.model({"x": list(shapes[0])}, {x: [*shapes[0][:2], features]}), shapes[:1]


@settings(CHECKS, max_examples=EXAMPLES)
@given(stack=token_stacks(), variant=VARIANTS)
def test_random_token_stack(stack: tuple[onnx.ModelProto, list[tuple[int, ...]]], variant: Variant) -> None:
    model, shapes = stack
    session = compare(model, [random_feed(shape) for shape in shapes], **variant, min_sparsity=0)
    assert claimed(session, "MatMul", "Gemm")


@pytest.mark.parametrize("sparsity", [0.4, 0.9])
@pytest.mark.parametrize("variant", float_variants().values(), ids=float_variants().keys())
def test_kernels_change_with_the_number_of_rows(sparsity: float, variant: Variant) -> None:
    """One session: row-major for the fewest, then a stream of weights, then generated code, where there are these."""
    g = GraphBuilder(0, sparsity)
    wide = g.op("Relu", [g.op("MatMul", ["x", g.weight((200, 330), 200)])])
    y = g.op("Add", [g.op("MatMul", [wide, g.weight((330, 200), 330)]), "x"])
    model = g.model({"x": ["rows", 200]}, {y: ["rows", 200]})
    compare(
        model,
        [random_feed((rows, 200)) for rows in (1, 2, 7, 8, 16, 17, 32, 33, 48, 100, 1)],
        **variant,
        min_sparsity=0,
    )


@settings(CHECKS, max_examples=EXAMPLES)
@given(data=st.data(), variant=VARIANTS)
def test_random_gemm(data: st.DataObject, variant: Variant) -> None:
    """transA, transB, alpha, beta; C absent, scalar, per row, per column, full, or an activation."""
    draw = data.draw
    g = GraphBuilder(draw(st.integers(0, 99)), draw(SPARSITIES))
    m, k, n = draw(st.integers(1, 40)), draw(WIDTHS), draw(WIDTHS)
    trans_a, trans_b = draw(st.integers(0, 1)), draw(st.integers(0, 1))
    inputs = ["x", g.weight((n, k) if trans_b else (k, n), k)]
    c_shape = draw(st.sampled_from([None, (), (1,), (n,), (1, n), (m, 1), (m, n)]))
    if c_shape is not None:
        inputs.append(g.constant(g.floats(c_shape)))
    alpha, beta = draw(st.sampled_from([1.0, 0.5])), draw(st.sampled_from([1.0, 2.0, 0.0]))
    y = g.op("Gemm", inputs, transA=trans_a, transB=trans_b, alpha=alpha, beta=beta)
    shape = (k, m) if trans_a else (m, k)
    model = g.model({"x": list(shape)}, {activation(draw, g, y): [m, n]})
    compare(model, [random_feed(shape)], **variant, min_sparsity=0)


@settings(CHECKS, max_examples=max(1, EXAMPLES // 3))
@given(m=st.integers(1, 40), k=WIDTHS, n=WIDTHS, beta=st.sampled_from([1.0, -0.5]), data=st.data())
def test_gemm_that_adds_an_activation(m: int, k: int, n: int, beta: float, data: st.DataObject) -> None:
    """ONNX Runtime makes a Gemm of MatMul and a residual Add: its C is then no constant."""
    g = GraphBuilder(m, 0.8)
    first = g.op("Relu", [g.gemm("x", k, n)])
    y = g.op("Gemm", ["x", g.weight((k, n), k), first], beta=beta)
    variant = data.draw(VARIANTS)
    compare(g.model({"x": [m, k]}, {y: [m, n]}), [random_feed((m, k))], **variant, min_sparsity=0)


@settings(CHECKS, max_examples=max(1, EXAMPLES // 3))
@given(rows=st.integers(1, 40), k=WIDTHS, n=WIDTHS, sparsity=SPARSITIES, variant=VARIANTS)
def test_reshape_gemm_reshape(rows: int, k: int, n: int, sparsity: float, variant: Variant) -> None:
    """What is left of MatMul + Add on three axes after ONNX Runtime's own rewriting, or as exported."""
    g = GraphBuilder(rows, sparsity)
    flat = g.op("Reshape", ["x", g.ints(-1, k)])
    y = g.op("Reshape", [g.gemm(flat, k, n), g.ints(2, rows, n)])
    model = g.model({"x": [2, rows, k]}, {y: [2, rows, n]})
    session = compare(model, [random_feed((2, rows, k))], **variant, min_sparsity=0)
    assert claimed(session, "Gemm", "MatMul")
