"""Quantized models built node by node, and their exact comparison.

The expected bytes are those of onnxruntime's CPU provider. Without VNNI its own u8 x s8 kernels saturate
intermediate sums in int16 and are no reference: then every level is compared with the scalar one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from harness import assert_claimed, available_levels, cpu_session, has_vnni, sparse_session
from onnx import TensorProto, helper, numpy_helper

U8, S8, I32, F32 = np.uint8, np.int8, np.int32, np.float32
TYPES = {
    np.int64: TensorProto.INT64,
    U8: TensorProto.UINT8,
    S8: TensorProto.INT8,
    I32: TensorProto.INT32,
    F32: TensorProto.FLOAT,
}
Array = npt.NDArray[Any]
Shape = Sequence[int | str]

VARIANTS = [*({"isa": level} for level in available_levels()), {"jit": "off"}]


class ByteGraph:
    """One graph; every method returns the name of the value it made. Parameters are (scale, zero point, type)."""

    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, shape: Shape, dtype: Any = U8) -> str:
        self._inputs.append(helper.make_tensor_value_info(name, TYPES[dtype], list(shape)))
        return name

    def constant(self, array: Any, dtype: Any) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(array).astype(dtype), name))
        return name

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        names = [f"{kind}_{len(self._nodes)}_{i}" for i in range(outputs)]
        self._nodes.append(helper.make_node(kind, list(inputs), names, name=names[0], **attributes))
        return names[0] if outputs == 1 else names

    def microsoft(self, kind: str, *inputs: str, **attributes: Any) -> str:
        return str(self.op(kind, *inputs, domain="com.microsoft", **attributes))

    def numbers(self, scale: Any, zero: Any, dtype: Any) -> tuple[str, str]:
        return self.constant(scale, F32), self.constant(np.broadcast_to(zero, np.shape(scale)), dtype)

    def pruned(self, shape: Sequence[int], dtype: Any = S8, zero: int = 0, density: float = 0.4) -> str:
        """Weights of which this share differs from the zero point, by int8 or, in every second call, by as much as the
        type allows; 255, the largest distance, is none that runs here."""
        low, high = (-128, 127) if self.random.random() < 0.5 else (-255, 254)
        least, most = limits(dtype)
        w = self.random.integers(max(low, least - zero), min(high, most - zero) + 1, shape)
        w[self.random.random(shape) >= density] = 0
        return self.constant(w + zero, dtype)

    def bias(self, rows: int, size: int = 2000) -> str:
        return self.constant(self.random.integers(-size, size + 1, rows), I32)

    def quantize(self, x: str, scale: Any, zero: Any = 0, dtype: Any = U8, **attributes: Any) -> str:
        return str(self.op("QuantizeLinear", x, *self.numbers(scale, zero, dtype), **attributes))

    def dequantize(self, x: str, scale: Any, zero: Any = 0, dtype: Any = U8, **attributes: Any) -> str:
        return str(self.op("DequantizeLinear", x, *self.numbers(scale, zero, dtype), **attributes))

    def mix(self, x: str, channels: int, dtype: Any = U8, parameters: tuple[float, int] = (0.05, 3)) -> str:
        """A 1x1 layer that hardly changes its bytes: operators without weights run here only next to a layer."""
        w = np.eye(channels) * 64 + self.random.integers(-1, 2, (channels, channels))
        return str(self.op("QLinearConv", x, *self.numbers(*parameters, dtype), self.constant(w[:, :, None, None], S8),
                           *self.numbers(1 / 64, 0, S8), *self.numbers(*parameters, dtype)))  # fmt: skip

    def model(self, outputs: Mapping[str, Any], opset: int = 17) -> onnx.ModelProto:
        infos = [helper.make_tensor_value_info(name, TYPES[dtype], None) for name, dtype in outputs.items()]
        graph = helper.make_graph(self._nodes, "bytes", self._inputs, infos, self._constants)
        domains = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=domains, ir_version=8)


def limits(dtype: Any) -> tuple[int, int]:
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


def random_bytes(random: np.random.Generator, shape: Sequence[int], dtype: Any = U8, extreme: bool = False) -> Array:
    """Uniform over the type; extreme: only its two ends, so that sums are as large as they get."""
    low, high = limits(dtype)
    if extreme:
        return random.choice(np.array([low, high]), size=tuple(shape)).astype(dtype)
    return random.integers(low, high + 1, tuple(shape)).astype(dtype)


def quiet() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    return options


def reference(model: onnx.ModelProto, own_fusions: bool = True, few_bits: bool = False) -> ort.InferenceSession:
    """own_fusions=False: the CPU provider runs the graph that other providers are asked about. few_bits: the weights
    are such that it sums exactly without VNNI, too."""
    options = quiet()
    if not own_fusions:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    exact = few_bits or has_vnni()
    return cpu_session(model, options) if exact else sparse_session(model, options, min_sparsity=0, isa="scalar")


def assert_same_bits(actual: Iterable[Array], expected: Iterable[Array]) -> int:
    """Returns how many values were compared."""
    count = 0
    for index, (got, want) in enumerate(zip(actual, expected, strict=True)):
        assert got.dtype == want.dtype and got.shape == want.shape, f"output {index}: {got.dtype}{got.shape}"
        wrong = int((got != want).sum())
        assert wrong == 0, f"output {index}: {wrong} of {want.size} differ, first at {np.argwhere(got != want)[0]}"
        count += want.size
    return count


def exact(
    model: onnx.ModelProto,
    feeds: Sequence[Mapping[str, Array]],
    *ops: str,
) -> ort.InferenceSession:
    """Every level, and the last one without generated code, gives the reference's bits, and every node of these op
    types runs on SparseCPUProvider."""
    expected = _runs(reference(model), feeds)
    for variant in VARIANTS:
        session = sparse_session(model, quiet(), min_sparsity=0, **variant)
        for op in ops:
            assert_claimed(session, 1.0, op)
        for got, want in zip(_runs(session, feeds), expected, strict=True):
            assert_same_bits(got, want)
    return session


def _runs(session: ort.InferenceSession, feeds: Sequence[Mapping[str, Array]]) -> list[list[Array]]:
    return [session.run(None, dict(feed)) for feed in feeds]


def near(model: onnx.ModelProto, feeds: Sequence[Mapping[str, Array]], bound: float, *ops: str) -> None:
    """As exact, where onnxruntime computes in float: bytes differ by 1 at most, and less than 1 in 50 of them (they
    are next to ties); floats differ by `bound` of the largest."""
    expected = _runs(reference(model), feeds)
    for level in available_levels():
        session = sparse_session(model, quiet(), min_sparsity=0, isa=level)
        for op in ops:
            assert_claimed(session, 1.0, op)
        for got, want in zip(_runs(session, feeds), expected, strict=True):
            for g, w in zip(got, want, strict=True):
                assert g.dtype == w.dtype and g.shape == w.shape
                error = np.abs(g.astype(np.float64) - w.astype(np.float64))
                if w.dtype == F32:
                    assert error.max() <= bound * max(np.abs(w).max(), 1e-6)
                else:
                    assert error.max() <= 1 and (error > 0).mean() < 0.02
