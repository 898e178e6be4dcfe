"""A grammar of random image networks in the patterns that SparseCPUProvider supports, and next to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, floor

import numpy as np
import onnx
from functions import beside, function
from hypothesis import assume
from hypothesis import strategies as st
from network import OPSETS, Draw, Network, Sizes, Value, draw_sizes


def extents(sizes: Sizes, reach: int, stride: int, before: int, after: int, ceil_mode: bool) -> Sizes:
    room = [size + before + after - reach for size in sizes]
    assume(min(room) >= 0)
    result = [left // stride + 1 for left in room]
    if ceil_mode:  # one more for what is left over, if it begins inside
        result = [
            n + ((n - 1) * stride < left and n * stride < size + before)
            for n, left, size in zip(result, room, sizes, strict=True)
        ]
    return result


def draw_window(
    draw: Draw, x: Value, largest: int, pads: list[int], dilated: bool, ceil_mode: bool
) -> tuple[dict[str, object], list[Sizes]]:
    """Attributes of a convolution or pool, some of which are left out where that is the same, and the sizes they lead
    to. pads: how far past the kernel they may reach; ceil_mode: it may have that."""
    axes = range(len(x.spatial))
    kernel = [draw(st.sampled_from([k for k in (1, 1, 2, 3, 3, 4, 5) if k <= largest])) for _ in axes]
    stride = [draw(st.sampled_from([1, 1, 1, 2, 3, 4])) for _ in axes]
    dilation = [draw(st.sampled_from([1, 1, 1, 2, 3])) if dilated else 1 for _ in axes]
    padding, ceil_mode = [0] * 2 * len(axes), ceil_mode and draw(st.booleans())
    auto_pad = draw(st.sampled_from(["NOTSET", "NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    if auto_pad.startswith("SAME"):  # the CPU provider takes no dilation here, and no stride past the kernel
        stride = [min(pair) for pair in zip(stride, kernel, strict=True)]
        dilation, ceil_mode = [1 for _ in axes], False
        sizes = [[-(-size // s) for size in axis] for axis, s in zip(x.spatial, stride, strict=True)]
    else:
        if auto_pad == "NOTSET":
            most = [k + draw(st.sampled_from(pads)) for k in kernel] * 2
            padding = [
                draw(st.sampled_from([0, 0, min(k // 2, top), top, draw(st.integers(0, top))]))
                for k, top in zip(kernel * 2, most, strict=True)
            ]
        sizes = [
            extents(
                x.spatial[i],
                dilation[i] * (kernel[i] - 1) + 1,
                stride[i],
                padding[i],
                padding[i + len(axes)],
                ceil_mode,
            )
            for i in axes
        ]
    given = {
        "kernel_shape": kernel,
        "strides": stride,
        "dilations": dilation,
        "pads": padding,
        "auto_pad": auto_pad,
        "ceil_mode": int(ceil_mode),
    }
    defaults = {
        "strides": [1 for _ in axes],
        "dilations": [1 for _ in axes],
        "pads": [0] * 2 * len(axes),
        "auto_pad": "NOTSET",
        "ceil_mode": 0,
    }
    if auto_pad != "NOTSET":
        given.pop("pads")
    bare = draw(st.booleans())
    return {
        k: v for k, v in given.items() if v != defaults.get(k) or (not bare and k in ("strides", "auto_pad"))
    }, sizes


def conv(draw: Draw, g: Network, x: Value) -> Value:
    attributes, sizes = draw_window(draw, x, 5, [0, 0, 0, 3], dilated=True, ceil_mode=False)
    kind = draw(st.sampled_from(["full", "full", "full", "grouped", "depthwise"]))
    divisors = [d for d in range(2, x.channels) if x.channels % d == 0]
    groups = {"full": 1, "depthwise": x.channels, "grouped": draw(st.sampled_from(divisors or [1]))}[kind]
    channels = draw(st.integers(1, 40)) if groups == 1 else groups * draw(st.integers(1, 3))
    per_group = x.channels // groups
    kernel = np.array(attributes["kernel_shape"])
    if draw(st.booleans()):
        del attributes["kernel_shape"]
    sparsity = draw(st.sampled_from([0.0, 0.5, 0.9, 0.97, 1.0]))
    inputs = [x.name, g.weight((channels, per_group, *kernel), per_group * int(kernel.prod()), sparsity=sparsity)]
    if draw(st.booleans()):
        inputs.append(g.constant(g.floats((channels,), 0.1), "bias"))
    if groups > 1 or draw(st.booleans()):
        attributes["group"] = groups
    return Value(g.op("Conv", inputs, **attributes), channels, sizes)


def pool(draw: Draw, g: Network, x: Value) -> Value:
    kind = draw(st.sampled_from(["MaxPool", "AveragePool"]))
    dilated = g.opset >= (10 if kind == "MaxPool" else 19)
    attributes, sizes = draw_window(
        draw, x, 4, [-1], dilated, ceil_mode=g.opset >= 10
    )  # onnxruntime takes no larger pads
    if kind == "AveragePool":
        attributes |= g.some({"count_include_pad": [0, 1, 1]})
    return Value(g.op(kind, [x.name], **attributes), x.channels, sizes)


def activation(draw: Draw, g: Network, x: Value) -> Value:
    if draw(st.integers(0, 9)) == 0:
        one_each = draw(st.sampled_from([x.channels, 1]))
        shape = (
            draw(st.sampled_from([(), (1,)]))
            if one_each == 1 and draw(st.booleans())
            else (one_each, *[1] * len(x.spatial))
        )
        return x.named(g.op("PRelu", [x.name, g.constant(g.floats(shape, 0.3))]))
    return x.named(function(draw, g, x.name))


def rescale(draw: Draw, g: Network, x: Value) -> Value:
    """A constant factor, shift or bound, per channel or one for all, on either side; or BatchNormalization."""
    kind = draw(st.sampled_from(["Add", "Mul", "Sub", "Div", "Max", "Min", "Sum", "BatchNormalization"]))
    if kind == "BatchNormalization":
        scale, shift, mean = (g.constant(g.floats((x.channels,), 0.3, offset)) for offset in (1.0, 0.0, 0.0))
        variance = g.constant(np.abs(g.floats((x.channels,))) + np.float32(0.5))
        return x.named(
            g.op(kind, [x.name, scale, shift, mean, variance], **g.some({"epsilon": [0.1], "momentum": [0.5]}))
        )
    ones = [1] * len(x.spatial)
    shapes = [(), (1,), (1, 1, *ones), (x.channels, *ones), (1, x.channels, *ones)]
    return x.named(beside(draw, g, kind, x.name, draw(st.sampled_from(shapes))))


def group_norm(draw: Draw, g: Network, x: Value) -> Value:
    """Normalization of groups of channels, as torch exports it or as one operator, or of each channel."""
    groups = draw(st.sampled_from([d for d in range(1, x.channels + 1) if x.channels % d == 0]))
    epsilon = g.some({"epsilon": [1e-3]})

    def vectors(count: int) -> list[str]:
        return [g.constant(g.floats((count,), 0.3, offset)) for offset in (1.0, 0.0)]

    if g.opset >= 21 and draw(st.booleans()):
        each = vectors(x.channels)
        return x.named(g.op("GroupNormalization", [x.name, *each], num_groups=groups, **epsilon))
    if groups == x.channels:
        return x.named(g.op("InstanceNormalization", [x.name, *vectors(groups)], **epsilon))
    split = g.op("Reshape", [x.name, g.ints(0, groups, -1)])
    name = g.op(
        "Reshape", [g.op("InstanceNormalization", [split, *vectors(groups)], **epsilon), g.op("Shape", [x.name])]
    )
    for kind in ("Mul", "Add")[: draw(st.integers(0, 2))]:
        name = beside(draw, g, kind, name, (x.channels, *[1] * len(x.spatial)))
    return x.named(name)


def pad(draw: Draw, g: Network, x: Value) -> Value:
    """Of images, seldom of channels; what is negative crops."""
    mode = draw(st.sampled_from(["constant"] * 5 + ["reflect", "edge"]))
    most = min(min(sizes) for sizes in x.spatial) - 1 if mode == "reflect" else 3
    pixels = [[draw(st.integers(-1 if mode == "constant" else 0, min(3, most))) for _ in x.spatial] for _ in range(2)]
    channels = draw(st.sampled_from([0] * 9 + [1])) if mode == "constant" else 0
    sizes = [[size + a + b for size in axis] for axis, a, b in zip(x.spatial, *pixels, strict=True)]
    assume(min(map(min, sizes)) >= 1)
    pads, value = [0, channels, *pixels[0], 0, 0, *pixels[1]], draw(st.sampled_from([None, 0.0, -1.5]))
    modes = {"mode": mode} if mode != "constant" or draw(st.booleans()) else {}
    if g.opset < 11:
        name = g.op("Pad", [x.name], pads=pads, **modes, **({} if value is None else {"value": value}))
    else:
        fill = [] if value is None or mode != "constant" else [g.scalar(value)]
        inputs = [x.name, g.ints(*pads), *fill]
        if g.opset >= 18 and not channels and draw(st.booleans()):
            axes = [g.axis(2 + i, x.rank) for i in range(len(x.spatial))]
            inputs = [x.name, g.ints(*pixels[0], *pixels[1]), *(fill or [""]), g.ints(*axes)]
        name = g.op("Pad", inputs, **modes)
    return Value(name, x.channels + channels, sizes)


COORDINATES = ["asymmetric", "half_pixel", "pytorch_half_pixel", "align_corners"]
NEAREST = ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"]


def resize(draw: Draw, g: Network, x: Value) -> Value:
    """By scales, or to sizes; nearest, seldom linear."""
    assume(x.pixels() < 1500)
    mode = draw(st.sampled_from(["nearest"] * 5 + ["linear"])) if len(x.spatial) == 2 else "nearest"
    factors = [draw(st.sampled_from([1.0, 2.0, 2.0, 3.0, 1.5, 0.5, 0.7])) for _ in x.spatial]
    sizes = [
        [floor(np.float32(size) * np.float32(f)) for size in axis] for axis, f in zip(x.spatial, factors, strict=True)
    ]
    assume(min(map(min, sizes)) >= 1)
    if g.opset < 11:
        operator = "Resize" if g.opset >= 10 else "Upsample"
        assume(operator == "Resize" or min(factors) >= 1)
        scales = g.constant(np.array([1, 1, *factors], np.float32))
        return Value(g.op(operator, [x.name, scales], mode=mode), x.channels, sizes)
    forms = g.some({"coordinate_transformation_mode": COORDINATES, "nearest_mode": NEAREST})
    pixels = g.opset >= 18 and draw(st.booleans())
    before = [] if pixels else [1, 1]
    axes = {"axes": list(range(2, x.rank))} if pixels else {}
    roi = g.constant(np.zeros(0, np.float32)) if g.opset < 13 else ""
    if pixels and draw(st.booleans()):
        sizes = [axis[:1] * len(axis) for axis in sizes]
        return Value(
            g.op("Resize", [x.name, roi, "", g.ints(*(axis[0] for axis in sizes))], mode=mode, **forms, **axes),
            x.channels,
            sizes,
        )
    scales = g.constant(np.array([*before, *factors], np.float32))
    return Value(g.op("Resize", [x.name, roi, scales], mode=mode, **forms, **axes), x.channels, sizes)


def residual(draw: Draw, g: Network, x: Value) -> Value:
    """An operator of two or three activations of one shape."""
    y = g.op("Relu", [same_size(draw, g, x)])
    y = same_size(draw, g, x.named(y)) if draw(st.booleans()) else y
    kind = draw(st.sampled_from(["Add", "Add", "Mul", "Sub", "Max", "Min", "Sum"]))
    more = [g.op("Sigmoid", [x.name])] if kind in ("Max", "Min", "Sum") and draw(st.booleans()) else []
    return x.named(g.op(kind, draw(st.permutations([x.name, y, *more]))))


def same_size(draw: Draw, g: Network, x: Value, channels: int | None = None) -> str:
    kernel, channels = draw(st.sampled_from([1, 3])), channels or x.channels
    weight = g.weight((channels, x.channels, *[kernel] * len(x.spatial)), x.channels * kernel ** len(x.spatial), 0.7)
    return g.op("Conv", [x.name, weight], pads=[kernel // 2] * 2 * len(x.spatial))


def concat(draw: Draw, g: Network, x: Value) -> Value:
    """Along channels; seldom along the last axis."""
    if draw(st.integers(0, 9)) == 0:
        spatial = [*x.spatial[:-1], [2 * size for size in x.spatial[-1]]]
        return Value(g.op("Concat", [x.name, x.name], axis=g.axis(x.rank - 1, x.rank)), x.channels, spatial)
    channels = draw(st.integers(1, 20))
    other = g.op("Relu", [same_size(draw, g, x, channels)])
    parts = draw(st.permutations([(x.name, x.channels), (other, channels)]))
    if draw(st.booleans()):
        parts.append(parts[0])
    return Value(g.op("Concat", [p for p, _ in parts], axis=g.axis(1, x.rank)), sum(c for _, c in parts), x.spatial)


def parts_of(draw: Draw, g: Network, x: str, size: int, axis: int) -> list[tuple[str, int]]:
    """What Split makes of an axis: parts of given sizes or equal ones, and how large each is."""
    count = draw(st.integers(2, 3))
    assume(size >= count)
    if g.opset >= 18 and draw(st.booleans()):
        most = -(-size // count)
        assume(size > most * (count - 1))
        return list(
            zip(
                g.multi("Split", [x], count, axis=axis, num_outputs=count),
                [*[most] * (count - 1), size - most * (count - 1)],
                strict=True,
            )
        )
    if size % count == 0 and draw(st.booleans()) and g.opset < 18:
        return [(part, size // count) for part in g.multi("Split", [x], count, axis=axis)]
    cuts = sorted(draw(st.sets(st.integers(1, size - 1), min_size=count - 1, max_size=count - 1)))
    sizes = [end - begin for begin, end in zip([0, *cuts], [*cuts, size], strict=True)]
    if g.opset < 13:
        return list(zip(g.multi("Split", [x], count, axis=axis, split=sizes), sizes, strict=True))
    return list(zip(g.multi("Split", [x, g.ints(*sizes)], count, axis=axis), sizes, strict=True))


def split(draw: Draw, g: Network, x: Value) -> Value:
    """Split, one part through a convolution, some of them concatenated in another order."""
    parts = draw(st.permutations(parts_of(draw, g, x.name, x.channels, g.axis(1, x.rank))))
    name, channels = parts[0]
    parts[0] = same_size(draw, g, Value(name, channels, x.spatial), 7), 7
    used = parts[: draw(st.integers(1, len(parts)))]
    return Value(g.op("Concat", [part for part, _ in used], axis=1), sum(c for _, c in used), x.spatial)


END = 2**63 - 1


def sliced(draw: Draw, g: Network, x: str, size: int, axis: int, rank: int) -> tuple[str, int]:
    """A range of an axis, its ends counted from either side; seldom in steps."""
    step = draw(st.sampled_from([1] * 9 + [2]))
    begin = draw(st.integers(0, size - 1))
    end = draw(st.integers(begin + 1, size))
    ends = [end, end - size] if end < size else [end, END, size + 3]
    lists = {
        "starts": [draw(st.sampled_from([begin, begin - size]))],
        "ends": [draw(st.sampled_from(ends))],
        "axes": [g.axis(axis, rank) if g.opset >= 10 else axis],
    }
    if g.opset >= 10 and (step != 1 or draw(st.booleans())):
        lists["steps"] = [step]
    step = lists.get("steps", [1])[0]
    return g.listed("Slice", x, 10, **lists)[0], ceil((end - begin) / step)


def channel_slice(draw: Draw, g: Network, x: Value) -> Value:
    if draw(st.integers(0, 9)) == 0 and len(set(x.spatial[-1])) == 1:
        name, size = sliced(draw, g, x.name, x.spatial[-1][0], x.rank - 1, x.rank)
        return Value(name, x.channels, [*x.spatial[:-1], [size] * len(x.spatial[-1])])
    return Value(*sliced(draw, g, x.name, x.channels, 1, x.rank), x.spatial)


def global_average(draw: Draw, g: Network, x: Value, keepdims: int) -> str:
    if keepdims and draw(st.booleans()):
        return g.op("GlobalAveragePool", [x.name])
    return g.reduce_mean(x.name, [g.axis(2 + i, x.rank) for i in range(len(x.spatial))], keepdims)


def squeeze_excite(draw: Draw, g: Network, x: Value) -> Value:
    """A gate of each channel, made by convolutions or layers, and joined to the image by some operator."""
    inner = max(1, x.channels // 4)
    ones = Value(global_average(draw, g, x, 1), x.channels, [[1]] * len(x.spatial))
    if draw(st.booleans()):
        gate = g.op("Relu", [same_size(draw, g, ones, inner)])
        gate = same_size(draw, g, Value(gate, inner, ones.spatial), x.channels)
    else:
        flat = g.op("Reshape", [ones.name, g.ints(0, -1)]) if draw(st.booleans()) else global_average(draw, g, x, 0)
        gate = g.gemm(g.op("Relu", [g.gemm(flat, x.channels, inner)]), inner, x.channels)
        gate = unflattened(draw, g, gate, x.channels, len(x.spatial))
    gate = g.op(draw(st.sampled_from(["Sigmoid", "HardSigmoid"])), [gate])
    kind = draw(st.sampled_from(["Mul", "Mul", "Mul", "Add", "Sub", "Max"]))
    return x.named(g.op(kind, draw(st.permutations([x.name, gate]))))


def unflattened(draw: Draw, g: Network, x: str, channels: int, axes: int) -> str:
    if draw(st.booleans()):
        return g.op("Reshape", [x, g.ints(draw(st.sampled_from([0, -1])), channels, *[1] * axes)])
    return g.listed("Unsqueeze", x, 13, axes=[g.axis(2 + i, 2 + axes) for i in range(axes)])[0]


def classifier(draw: Draw, g: Network, x: Value, classes: int) -> str:
    """Averages, or all pixels, in one list of channels; then a layer."""
    kind = draw(st.sampled_from(["Flatten", "Squeeze", "Reshape", "pixels", "keepdims"]))
    features = x.channels * x.pixels()
    if kind == "pixels" and x.static() and features < 2000:
        flat = g.op("Flatten", [x.name], axis=g.axis(1, x.rank) if g.opset >= 11 else 1)
        return g.gemm(flat, features, classes)
    if kind == "keepdims":
        flat = global_average(draw, g, x, 0)
    else:
        ones = global_average(draw, g, x, 1)
        axes = [g.axis(2 + i, x.rank) if g.opset >= 11 else 2 + i for i in range(len(x.spatial))]
        flat = {
            "Squeeze": lambda: g.listed("Squeeze", ones, 13, axes=axes)[0],
            "Reshape": lambda: g.op(
                "Reshape", [ones, g.ints(*draw(st.sampled_from([(0, -1), (-1, x.channels), (0, 0)])))]
            ),
        }.get(kind, lambda: g.op("Flatten", [ones], **g.some({"axis": [1]})))()
    return g.gemm(flat, x.channels, classes) if draw(st.booleans()) else g.linear(flat, x.channels, classes)


Rule = Callable[[Draw, Network, Value], Value]
RULES: list[Rule] = [
    conv, conv, conv, activation, activation, residual, pool, pool, rescale, concat, split, channel_slice,
    squeeze_excite, pad, resize, group_norm,
]  # fmt: skip


@st.composite
def networks(draw: Draw, opsets: Sequence[int] = OPSETS) -> tuple[onnx.ModelProto, list[tuple[int, ...]]]:
    """A model with input "x" and one or two outputs, and the shapes of x to run it with."""
    g = Network(draw, draw(st.integers(0, 1000)), draw(st.sampled_from([0.5, 0.9])), draw(st.sampled_from(opsets)))
    runs, axes = draw(st.integers(1, 3)), draw(st.sampled_from(["hw", "hw", "hw", "w"]))
    # Lanes are blocks of an image, or images of a batch.
    tops = draw(st.sampled_from({"w": [[8, 90], [8, 400], [40, 9]], "hw": [[8, 30, 30]] * 2 + [[40, 7, 7]]}[axes]))
    names = ["n", *axes]
    symbolic, sizes = draw_sizes(draw, tops, runs)
    channels = draw(st.integers(1, 20))
    x = conv(draw, g, Value("x", channels, sizes[1:]))
    side = x
    for rule in draw(st.lists(st.sampled_from(RULES), min_size=1, max_size=6)):
        assume(x.pixels() * x.channels < 100_000)
        x = rule(draw, g, x)
        side = x if draw(st.integers(0, 3)) == 0 else side
    last = x.name
    outputs: dict[str, list[int | str]] = {last: ["n_out", x.channels, *(f"{axis}_out" for axis in axes)]}
    if draw(st.booleans()):
        last = classifier(draw, g, x, 11)
        outputs = {last: ["n_out", 11]}
    if side.name not in (last, x.name):
        outputs[side.name] = ["n_side", side.channels, *(f"{axis}_side" for axis in axes)]
    dims = [name if free else axis[0] for name, free, axis in zip(names, symbolic, sizes, strict=True)]
    model = g.model({"x": [dims[0], channels, *dims[1:]]}, outputs, opset=g.opset)
    batch, *spatial = sizes
    return model, [(batch[run], channels, *(axis[run] for axis in spatial)) for run in range(runs)]
