"""QLinearConv, QLinearMatMul and QGemm models from a few numbers each; scales are chosen so that ties are met."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from byte_models import I32, S8, U8, Array, ByteGraph, random_bytes
from hypothesis import strategies as st

# Powers of two make exact ties, 1/3 and 0.1 make near ones; the first y scale saturates nearly everything.
SCALES = [0.5, 0.25, 1 / 3, 0.1, 0.0371]
STRENGTHS = [0.02, 0.5, 1.0, 3.0]

POINTS = {U8: [0, 3, 128, 255], S8: [-128, -7, 0, 127]}


@dataclass
class Numbers:
    """The quantization of a layer. strength: about how many times the type's range its sums reach."""

    x_type: Any = U8
    y_type: Any = U8
    x_scale: float = 0.5
    x_zero: int = 3
    y_zero: int = 128
    strength: float = 0.5
    w_type: Any = S8
    w_zero: int = 0
    per_channel: bool = False
    power_of_two: bool = False
    bias: bool = True
    density: float = 0.4
    extreme: bool = False
    seed: int = 0

    def w_scale(self, g: ByteGraph, rows: int) -> Any:
        scale = g.random.choice(SCALES, rows) if self.power_of_two else g.random.uniform(0.01, 0.1, rows)
        return scale if self.per_channel else scale[0]

    def w_zeros(self, rows: int) -> Any:
        return np.full(rows, self.w_zero) if self.per_channel else self.w_zero

    def y_scale(self, taps: int, w_scale: Any) -> float:
        """taps: weights of an output value."""
        spread = 74 * 60 * float(np.sqrt(max(taps * self.density, 1)))
        scale = self.x_scale * float(np.mean(w_scale)) * spread * 2 / (self.strength * 255)
        return float(2.0 ** np.round(np.log2(scale))) if self.power_of_two else scale


@st.composite
def numbers(draw: st.DrawFn, matmul: bool = False) -> Numbers:
    x_type = draw(st.sampled_from([U8, U8, S8]))
    w_type = draw(st.sampled_from([S8, U8])) if x_type is U8 else S8
    return Numbers(
        x_type=x_type,
        y_type=x_type,
        x_scale=draw(st.sampled_from(SCALES)),
        x_zero=draw(st.sampled_from(POINTS[x_type])),
        y_zero=draw(st.sampled_from(POINTS[x_type])),
        strength=draw(st.sampled_from(STRENGTHS)),
        w_type=w_type,
        w_zero=draw(st.sampled_from([128, 128, 113, 0, 255] if w_type is U8 else [0, 0, 5, -100])),
        per_channel=draw(st.booleans()),
        power_of_two=draw(st.booleans()),
        bias=draw(st.booleans()) and not matmul,
        density=draw(st.sampled_from([0.05, 0.3, 1.0])),
        extreme=draw(st.sampled_from([False, False, True])),
        seed=draw(st.integers(0, 999)),
    )


@dataclass
class Image:
    """A QLinearConv."""

    n: Numbers = field(default_factory=Numbers)
    batch: int = 1
    channels: int = 8
    rows: int = 8
    size: tuple[int, ...] = (9, 9)
    kernel: tuple[int, ...] = (3, 3)
    attributes: dict[str, Any] = field(default_factory=dict)
    symbolic: bool = False

    def model(self) -> tuple[onnx.ModelProto, dict[str, Array]]:
        n = self.n
        g = ByteGraph(n.seed)
        shape = [self.batch, self.channels, *self.size]
        x = g.input("x", ["n", self.channels, *"hw"[: len(self.size)]] if self.symbolic else shape, n.x_type)
        y = add_conv(g, x, self.channels, self.rows, self.kernel, n, **self.attributes)
        return g.model({y: n.y_type}), {"x": random_bytes(g.random, shape, n.x_type, n.extreme)}


def add_conv(
    g: ByteGraph, x: str, channels: int, rows: int, kernel: tuple[int, ...], n: Numbers, **attributes: Any
) -> str:
    inner = channels // attributes.get("group", 1)
    w = g.pruned((rows, inner, *kernel), n.w_type, n.w_zero, n.density)
    w_scale = n.w_scale(g, rows)
    y_scale = n.y_scale(inner * int(np.prod(kernel)), w_scale)
    bias = [g.bias(rows)] if n.bias else []
    return str(
        g.op("QLinearConv", x, *g.numbers(n.x_scale, n.x_zero, n.x_type), w, *g.numbers(w_scale, n.w_zeros(rows), n.w_type),
             *g.numbers(y_scale, n.y_zero, n.y_type), *bias, **attributes)
    )  # fmt: skip


def matmul_model(
    n: Numbers, shape: tuple[int, ...], columns: int, symbolic: bool = False
) -> tuple[onnx.ModelProto, dict[str, Array]]:
    g = ByteGraph(n.seed)
    k = shape[-1]
    x = g.input("x", [*"abcd"[: len(shape) - 1], k] if symbolic else shape, n.x_type)
    w = g.pruned((k, columns), n.w_type, n.w_zero, n.density)
    w_scale = n.w_scale(g, columns)
    y = g.op("QLinearMatMul", x, *g.numbers(n.x_scale, n.x_zero, n.x_type), w, *g.numbers(w_scale, n.w_zeros(columns), n.w_type),
             *g.numbers(n.y_scale(k, w_scale), n.y_zero, n.y_type))  # fmt: skip
    return g.model({y: n.y_type}), {"x": random_bytes(g.random, shape, n.x_type, n.extreme)}


def gemm_model(
    n: Numbers, m: int, k: int, columns: int, trans: tuple[int, int], alpha: float, to_float: bool
) -> tuple[onnx.ModelProto, dict[str, Array]]:
    g = ByteGraph(n.seed)
    shape = (k, m) if trans[0] else (m, k)
    x = g.input("x", shape, n.x_type)
    w = g.pruned((columns, k) if trans[1] else (k, columns), n.w_type, n.w_zero, n.density)
    w_scale = n.w_scale(g, columns)
    bias = g.constant(g.random.integers(-2000, 2000, columns), I32) if n.bias else ""
    output = [] if to_float else [*g.numbers(n.y_scale(k, w_scale) * alpha, n.y_zero, n.y_type)]
    y = g.microsoft("QGemm", x, *g.numbers(n.x_scale, n.x_zero, n.x_type), w, *g.numbers(w_scale, n.w_zeros(columns), n.w_type),
                    bias, *output, transA=trans[0], transB=trans[1], alpha=alpha)  # fmt: skip
    return g.model({y: np.float32 if to_float else n.y_type}), {"x": random_bytes(g.random, shape, n.x_type, n.extreme)}
