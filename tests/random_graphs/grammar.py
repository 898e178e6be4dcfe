"""A grammar of random image networks in the patterns that SparseCPUProvider supports.

A Chain carries the current value and its shape for every set of input shapes that the graph will be run with,
so that only graphs that fit all of them are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx
from hypothesis import assume
from hypothesis import strategies as st
from onnxruntime_ep_sparsecpu.models import GraphBuilder

Sizes = list[int]  # one size of one axis for every run
Draw = st.DrawFn


@dataclass
class Value:
    name: str
    channels: int
    height: Sizes
    width: Sizes


def extents(sizes: Sizes, kernel: int, stride: int, dilation: int, before: int, after: int) -> Sizes:
    reach = dilation * (kernel - 1) + 1
    result = [(size + before + after - reach) // stride + 1 for size in sizes]
    assume(all(size + before + after >= reach for size in sizes))
    return result


def draw_window(draw: Draw, x: Value, largest_kernel: int, dilations: bool) -> tuple[dict[str, object], Sizes, Sizes]:
    """Attributes of a convolution or pool, and the sizes they lead to."""
    kernel = [draw(st.integers(1, largest_kernel)) for _ in range(2)]
    stride = [draw(st.sampled_from([1, 1, 2, 3])) for _ in range(2)]
    dilation = [draw(st.sampled_from([1, 1, 1, 2, 3])) if dilations else 1 for _ in range(2)]
    attributes: dict[str, object] = {"kernel_shape": kernel, "strides": stride}
    auto_pad = draw(st.sampled_from(["NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    attributes["auto_pad"] = auto_pad
    if dilations and not auto_pad.startswith("SAME"):
        attributes["dilations"] = dilation
    if auto_pad.startswith("SAME"):  # the CPU provider takes no dilation here, and no stride past the kernel
        stride[:] = [min(pair) for pair in zip(stride, kernel, strict=True)]
        return attributes, *(
            [-(-size // s) for size in sizes] for sizes, s in zip((x.height, x.width), stride, strict=True)
        )
    pads = [0] * 4
    if auto_pad == "NOTSET":
        # onnxruntime takes no pool with a pad as large as the kernel.
        pads = [draw(st.integers(0, kernel[axis % 2] - (0 if dilations else 1))) for axis in range(4)]
        attributes["pads"] = pads
    height = extents(x.height, kernel[0], stride[0], dilation[0], pads[0], pads[2])
    width = extents(x.width, kernel[1], stride[1], dilation[1], pads[1], pads[3])
    return attributes, height, width


def conv(draw: Draw, g: GraphBuilder, x: Value) -> Value:
    attributes, height, width = draw_window(draw, x, 5, dilations=True)
    kind = draw(st.sampled_from(["full", "full", "full", "grouped", "depthwise"]))
    divisors = [d for d in range(2, x.channels) if x.channels % d == 0]
    groups = {"full": 1, "depthwise": x.channels, "grouped": divisors[0] if divisors else 1}[kind]
    channels = draw(st.integers(1, 40)) if groups == 1 else groups * draw(st.integers(1, 3))
    per_group = x.channels // groups
    kernel = np.array(attributes["kernel_shape"])
    sparsity = draw(st.sampled_from([0.0, 0.5, 0.9, 0.97, 1.0]))
    inputs = [x.name, g.weight((channels, per_group, *kernel), per_group * int(kernel.prod()), sparsity=sparsity)]
    if draw(st.booleans()):
        inputs.append(g.constant(g.floats((channels,), 0.1), "bias"))
    return Value(g.op("Conv", inputs, group=groups, **attributes), channels, height, width)


def pool(draw: Draw, g: GraphBuilder, x: Value) -> Value:
    attributes, height, width = draw_window(draw, x, 3, dilations=False)
    kind = draw(st.sampled_from(["MaxPool", "AveragePool"]))
    if kind == "AveragePool":
        attributes["count_include_pad"] = draw(st.integers(0, 1))
    return Value(g.op(kind, [x.name], **attributes), x.channels, height, width)


ACTIVATIONS: dict[str, dict[str, float]] = {
    "Relu": {}, "LeakyRelu": {"alpha": 0.2}, "Sigmoid": {}, "HardSigmoid": {"alpha": 0.3, "beta": 0.4}, "HardSwish": {},
    "Elu": {"alpha": 0.5}, "Selu": {}, "Celu": {"alpha": 0.5}, "Softplus": {}, "Softsign": {}, "Abs": {}, "Neg": {},
}  # fmt: skip


def activation(draw: Draw, g: GraphBuilder, x: Value) -> Value:
    kind = draw(st.sampled_from([*ACTIVATIONS, "PRelu", "Clip", "SiLU", "GELU"]))
    if kind == "SiLU":
        name = g.op("Mul", [x.name, g.op("Sigmoid", [x.name])])
    elif kind == "GELU":
        erf = g.op("Erf", [g.op("Div", [x.name, g.constant(np.float32(2**0.5))])])
        gate = g.op("Mul", [x.name, g.op("Add", [erf, g.constant(np.float32(1))])])
        name = g.op("Mul", [gate, g.constant(np.float32(0.5))])
    elif kind == "PRelu":
        name = g.op(kind, [x.name, g.constant(g.floats((draw(st.sampled_from([x.channels, 1])), 1, 1), 0.3))])
    elif kind == "Clip":
        name = g.op("Clip", [x.name, g.constant(np.float32(-0.5)), g.constant(np.float32(1.5))])
    else:
        name = g.op(kind, [x.name], **ACTIVATIONS[kind])
    return Value(name, x.channels, x.height, x.width)


def rescale(draw: Draw, g: GraphBuilder, x: Value) -> Value:
    """A constant factor or shift, per channel or one for all; or BatchNormalization."""
    kind = draw(st.sampled_from(["Add", "Mul", "Sub", "BatchNormalization"]))
    if kind == "BatchNormalization":
        scale, shift, mean = (g.constant(g.floats((x.channels,), 0.3, offset)) for offset in (1.0, 0.0, 0.0))
        variance = g.constant(np.abs(g.floats((x.channels,))) + np.float32(0.5))
        name = g.op(kind, [x.name, scale, shift, mean, variance])
    else:
        shape = draw(st.sampled_from([(1, x.channels, 1, 1), (x.channels, 1, 1), ()]))
        name = g.op(kind, [x.name, g.constant(g.floats(shape, 0.3, 1.0))])
    return Value(name, x.channels, x.height, x.width)


def group_norm(draw: Draw, g: GraphBuilder, x: Value) -> Value:
    """Normalization of groups of channels as torch exports it, or of each channel."""
    groups = draw(st.sampled_from([d for d in range(1, x.channels + 1) if x.channels % d == 0]))
    one_each = [g.constant(g.floats((groups,), 0.3, offset)) for offset in (1.0, 0.0)]
    if groups == x.channels:
        return Value(g.op("InstanceNormalization", [x.name, *one_each]), x.channels, x.height, x.width)
    name = g.op("InstanceNormalization", [g.op("Reshape", [x.name, g.ints(0, groups, -1)]), *one_each])
    name = g.op("Reshape", [name, g.op("Shape", [x.name])])
    for kind in ("Mul", "Add")[: draw(st.integers(0, 2))]:
        name = g.op(kind, [name, g.constant(g.floats((x.channels, 1, 1), 0.3, 1.0))])
    return Value(name, x.channels, x.height, x.width)


def pad(draw: Draw, g: GraphBuilder, x: Value) -> Value:
    top, left, bottom, right = (draw(st.integers(0, 3)) for _ in range(4))
    value = draw(st.sampled_from([0.0, -1.5]))
    name = g.op("Pad", [x.name, g.ints(0, 0, top, left, 0, 0, bottom, right), g.constant(np.float32(value))])
    return Value(name, x.channels, [h + top + bottom for h in x.height], [w + left + right for w in x.width])


def resize(draw: Draw, g: GraphBuilder, x: Value) -> Value:
    assume(max(x.height) * max(x.width) < 1500)
    factors = [draw(st.sampled_from([1, 2, 3])) for _ in range(2)]
    coordinate = draw(st.sampled_from(["asymmetric", "half_pixel"]))
    nearest = draw(st.sampled_from(["floor", "round_prefer_floor"]))
    scales = g.constant(np.array([1, 1, *factors], np.float32))
    name = g.op(
        "Resize",
        [x.name, "", scales],
        mode="nearest",
        coordinate_transformation_mode=coordinate,
        nearest_mode=nearest,
    )
    return Value(name, x.channels, [h * factors[0] for h in x.height], [w * factors[1] for w in x.width])


def residual(draw: Draw, g: GraphBuilder, x: Value) -> Value:
    y = g.op("Relu", [g.conv(x.name, x.channels, x.channels, draw(st.sampled_from([1, 3])), gain=0.7)])
    y = g.conv(y, x.channels, x.channels, 1, gain=0.7) if draw(st.booleans()) else y
    inputs = [x.name, y] if draw(st.booleans()) else [y, x.name]
    return Value(
        g.op(draw(st.sampled_from(["Add", "Add", "Mul", "Max", "Min"])), inputs), x.channels, x.height, x.width
    )


def concat(draw: Draw, g: GraphBuilder, x: Value) -> Value:
    channels = draw(st.integers(1, 20))
    other = g.op("Relu", [g.conv(x.name, x.channels, channels, 1)])
    parts = [(x.name, x.channels), (other, channels)]
    if draw(st.booleans()):
        parts.reverse()
    if draw(st.booleans()):
        parts.append(parts[0])
    return Value(g.op("Concat", [p for p, _ in parts], axis=1), sum(c for _, c in parts), x.height, x.width)


def split(draw: Draw, g: GraphBuilder, x: Value) -> Value:
    """Split, one side through a convolution, both concatenated in reverse order."""
    assume(x.channels >= 2)
    left = draw(st.integers(1, x.channels - 1))
    first, second = g.multi("Split", [x.name, g.ints(left, x.channels - left)], 2, axis=1)
    first = g.conv(first, left, 7, 3)
    return Value(g.op("Concat", [second, first], axis=1), x.channels - left + 7, x.height, x.width)


def channel_slice(draw: Draw, g: GraphBuilder, x: Value) -> Value:
    begin = draw(st.integers(0, x.channels - 1))
    end = draw(st.integers(begin + 1, x.channels))
    name = g.op("Slice", [x.name, g.ints(begin), g.ints(end), g.ints(1)])
    return Value(name, end - begin, x.height, x.width)


def squeeze_excite(draw: Draw, g: GraphBuilder, x: Value) -> Value:
    pooled = g.op("GlobalAveragePool", [x.name]) if draw(st.booleans()) else g.op("ReduceMean", [x.name], axes=[2, 3])
    inner = max(1, x.channels // 4)
    gate = g.op("Relu", [g.conv(pooled, x.channels, inner, 1)])
    gate = g.op("Sigmoid", [g.conv(gate, inner, x.channels, 1)])
    return Value(g.op("Mul", [x.name, gate]), x.channels, x.height, x.width)


Rule = Callable[[Draw, GraphBuilder, Value], Value]
RULES: list[Rule] = [
    conv, conv, conv, activation, activation, residual, pool, rescale, concat, split, channel_slice, squeeze_excite,
    pad, resize, group_norm,
]  # fmt: skip


@st.composite
def networks(draw: Draw) -> tuple[onnx.ModelProto, list[tuple[int, ...]]]:
    """A model with input "x" and one or two outputs, and the shapes of x to run it with."""
    g = GraphBuilder(draw(st.integers(0, 1000)), draw(st.sampled_from([0.5, 0.9])))
    runs = draw(st.integers(1, 3))
    symbolic = [draw(st.booleans()) and runs > 1 for _ in range(3)]
    sizes = [[draw(st.integers(1, top)) for _ in range(runs)] for top in (8, 30, 30)]
    sizes = [axis if free else axis[:1] * runs for axis, free in zip(sizes, symbolic, strict=True)]
    channels = draw(st.integers(1, 20))
    x = conv(draw, g, Value("x", channels, sizes[1], sizes[2]))
    side = x
    for rule in draw(st.lists(st.sampled_from(RULES), min_size=1, max_size=6)):
        assume(max(x.height) * max(x.width) * x.channels < 100_000)
        x = rule(draw, g, x)
        side = x if draw(st.integers(0, 3)) == 0 else side
    last = x.name
    outputs: dict[str, list[int | str]] = {last: ["n_out", x.channels, "h_out", "w_out"]}
    if draw(st.booleans()):
        last = g.classifier(x.name, x.channels, 11)
        outputs = {last: ["n_out", 11]}
    if side.name not in (last, x.name):
        outputs[side.name] = ["n_side", side.channels, "h_side", "w_side"]
    batch, height, width = (name if free else axis[0] for name, free, axis in zip("nhw", symbolic, sizes, strict=True))
    model = g.model({"x": [batch, channels, height, width]}, outputs)
    return model, [(n, channels, h, w) for n, h, w in zip(*sizes, strict=True)]
