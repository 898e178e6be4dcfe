"""Small networks drawn by seed, for never_slower.py: image, token, recurrent and audio networks and classifiers, dense to
95 % zeros, in floats and in every form of onnxruntime.quantization, with neighbours that stay with the CPU provider."""

from __future__ import annotations

import itertools
import logging
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from builders import mobilenet_v2
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as with_seed
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime_ep_sparsecpu import models
from onnxruntime_ep_sparsecpu.models import GraphBuilder

sys.path.append(str(Path(__file__).resolve().parent / "random_graphs"))

import grammar

Random = np.random.Generator
ZEROS = [0.0, 0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95]
TOKENS = [1, 1, 2, 3, 4, 7, 8, 12, 16, 50, 128]


@dataclass
class Drawn:
    """A model of floats before it gets its form. axes: sizes of symbolic axes, as it is run with them."""

    name: str
    model: onnx.ModelProto
    axes: Mapping[str, int] = field(default_factory=dict)

    def feeds(self, seed: int) -> dict[str, np.ndarray]:
        return dict(models.random_inputs(self.model, self.axes, seed))


@dataclass
class Network:
    name: str
    make: Callable[[], tuple[bytes, dict[str, np.ndarray]]]  # the file's bytes, and feeds


def pick(r: Random, options: Sequence[Any]) -> Any:
    return options[int(r.integers(len(options)))]


class _MixedBuilder(GraphBuilder):
    """Each layer has a share of zeros of its own."""

    def weight(self, shape: Sequence[int], fan_in: int, gain: float = 1.0, sparsity: float | None = None) -> str:
        drawn = pick(self.rng, ZEROS)
        return super().weight(shape, fan_in, gain, drawn if sparsity is None else sparsity)


def _builder(r: Random) -> tuple[GraphBuilder, str]:
    """And its share of zeros, in words."""
    zeros, seed = pick(r, ZEROS), int(r.integers(1 << 30))
    if r.random() < 0.3:
        return _MixedBuilder(seed), "mixed"
    return GraphBuilder(seed, zeros), f"{zeros:.0%}"


# ---- images


def _channel_vector(g: GraphBuilder, channels: int) -> str:
    return g.constant(g.floats((channels, 1, 1), 0.2, 1.0))


def _group_norm(g: GraphBuilder, x: str, channels: int) -> str:
    """As torch exports it: InstanceNormalization of a Reshape."""
    groups = min(channels, 8)
    ones, zeros = g.constant(np.ones(groups, np.float32)), g.constant(np.zeros(groups, np.float32))
    y = g.op("InstanceNormalization", [g.op("Reshape", [x, g.ints(0, groups, -1)]), ones, zeros])
    y = g.op("Reshape", [y, g.op("Shape", [x])])
    return g.op("Add", [g.op("Mul", [y, _channel_vector(g, channels)]), _channel_vector(g, channels)])


def _resize_linear(g: GraphBuilder, x: str, channels: int) -> str:
    scales = g.constant(np.array([1, 1, 2, 2], np.float32))
    y = g.op("Resize", [x, "", scales], mode="linear", coordinate_transformation_mode="half_pixel")
    return g.op("MaxPool", [y], kernel_shape=[2, 2], strides=[2, 2])


def _instance_norm(g: GraphBuilder, x: str, channels: int) -> str:
    ones, zeros = g.constant(np.ones(channels, np.float32)), g.constant(np.zeros(channels, np.float32))
    return g.op("InstanceNormalization", [x, ones, zeros])


def _where(g: GraphBuilder, x: str, channels: int) -> str:
    return g.op("Where", [g.op("Greater", [x, g.constant(np.float32(0.2))]), x, g.constant(np.float32(0.0))])


def _shuffle(g: GraphBuilder, x: str, channels: int) -> str:
    y = g.op("Reshape", [x, g.constant(np.array([0, 2, channels // 2, -1], np.int64))])
    return g.op("Reshape", [g.op("Transpose", [y], perm=[0, 2, 1, 3]), g.op("Shape", [x])])


def _tail(kind: str, **attributes: Any) -> Callable[[GraphBuilder, str, int], str]:
    return lambda g, x, channels: g.op(kind, [x], **attributes)


def _squeeze(g: GraphBuilder, x: str, channels: int) -> str:
    gate = g.op("Relu", [g.conv(g.op("GlobalAveragePool", [x]), channels, 8, 1)])
    return g.op("Mul", [x, g.op("Sigmoid", [g.conv(gate, 8, channels, 1)])])


ODD: dict[str, Callable[[GraphBuilder, str, int], str]] = {
    "resize linear": _resize_linear,
    "softmax over channels": _tail("Softmax", axis=1),
    "group norm": _group_norm,
    "instance norm": _instance_norm,
    "prelu": lambda g, x, channels: g.op("PRelu", [x, _channel_vector(g, channels)]),
    "where": _where,
    "shuffle": _shuffle,
    "lrn": _tail("LRN", size=5),
    "squeeze": _squeeze,
    "elu": _tail("Elu"),
    "softplus": _tail("Softplus"),
    "average pool": _tail("AveragePool", kernel_shape=[3, 3], pads=[1] * 4),
    "max pool": _tail("MaxPool", kernel_shape=[3, 3], pads=[1] * 4),
    "reflect pad": lambda g, x, c: g.op("Pad", [x, g.ints(0, 0, 1, 1, 0, 0, 0, 0)], mode="reflect"),
}
ACTIVATIONS = ["Relu", "Relu", "Relu", "Sigmoid", "HardSwish", "LeakyRelu", "SiLU", ""]


def _activate(g: GraphBuilder, x: str, kind: str) -> str:
    if kind == "SiLU":
        return g.op("Mul", [x, g.op("Sigmoid", [x])])
    return g.op(kind, [x]) if kind else x


def _image_layer(r: Random, g: GraphBuilder, x: str, c: int, activation: str) -> tuple[str, str]:
    kind = pick(r, ["3x3", "3x3", "1x1", "1x1", "residual", "inverted", "5x5"])
    if kind == "residual":
        y = g.conv(_activate(g, g.conv(x, c, c, 3), activation), c, c, 3, gain=0.7)
        return _activate(g, g.op("Add", [y, x]), activation), kind
    if kind == "inverted":
        y = _activate(g, g.conv(x, c, 2 * c, 1), activation)
        y = _activate(g, g.conv(y, 2 * c, 2 * c, 3, groups=2 * c), activation)
        return g.op("Add", [g.conv(y, 2 * c, c, 1), x]), kind
    return _activate(g, g.conv(x, c, c, int(kind[0])), activation), kind


def images(r: Random) -> Drawn:
    c, size = int(pick(r, [8, 16, 32, 48, 64, 96, 128])), int(pick(r, [7, 14, 20, 28, 56]))
    while c * c * size * size > 12_000_000:  # a 3x3 layer of 100 million multiply-adds
        size //= 2
    batch = int(pick(r, [1, 1, 1, 2, 8])) if c * c * size * size < 1_000_000 else 1
    g, zeros = _builder(r)
    x, kinds, activation = "x", [], pick(r, ACTIVATIONS)
    for _ in range(int(r.integers(1, 5))):
        x, kind = _image_layer(r, g, x, c, activation)
        kinds.append(kind)
        if r.random() < 0.4:
            kind = pick(r, list(ODD))
            kinds.append(kind)
            x = ODD[kind](g, x, c)
    if r.random() < 0.3:
        x = g.classifier(x, c, 10)
    symbolic = r.random() < 0.3
    sides: list[int | str] = ["h", "w"] if symbolic else [size, size]
    model = g.model({"x": ["n" if symbolic else batch, c, *sides]}, {x: [f"o{i}" for i in range(4)]})
    name = f"images {batch}x{c}x{size}x{size}{' symbolic' * symbolic} {zeros} {activation} {', '.join(kinds)}"
    return Drawn(name, model, {"n": batch, "h": size, "w": size})


# ---- tokens


def _rms_norm(g: GraphBuilder, x: str, c: int) -> str:
    square = g.op("ReduceMean", [g.op("Pow", [x, g.constant(np.float32(2))])], axes=[-1])
    root = g.op("Sqrt", [g.op("Add", [square, g.constant(np.float32(1e-6))])])
    return g.op("Mul", [g.op("Div", [x, root]), g.constant(g.floats((c,), 0.1, 1))])


def _rotate(g: GraphBuilder, x: str, c: int) -> str:
    left, right = g.multi("Split", [x, g.ints(c // 2, c - c // 2)], 2, axis=-1)
    turned = g.op("Concat", [g.op("Neg", [right]), left], axis=-1)
    return g.op(
        "Add", [g.op("Mul", [x, g.constant(np.float32(0.6))]), g.op("Mul", [turned, g.constant(np.float32(0.8))])]
    )


TOKEN_ODD: dict[str, Callable[[GraphBuilder, str, int], str]] = {
    "layer norm": models._layer_norm,
    "rms norm": _rms_norm,
    "rotate": _rotate,
    "softmax": _tail("Softmax", axis=-1),
    "where": _where,
    "cumsum": lambda g, x, c: g.op("CumSum", [x, g.constant(np.int64(1))]),
    "elu": _tail("Elu"),
}


def tokens(r: Random) -> Drawn:
    c, count = int(pick(r, [64, 128, 256, 384, 512])), int(pick(r, TOKENS))
    batch = int(pick(r, [1, 1, 1, 2, 4]))
    g, zeros = _builder(r)
    x, kinds = "x", []
    for _ in range(int(r.integers(1, 4))):
        kind = pick(r, ["feed forward", "feed forward", "linear", "attention", *TOKEN_ODD])
        kinds.append(kind)
        if kind == "feed forward":
            y = g.linear(x, c, 2 * c)
            y = models._gelu(g, y) if r.random() < 0.5 else _activate(g, y, pick(r, ["Relu", "SiLU"]))
            x = g.op("Add", [g.linear(y, 2 * c, c), x])
        elif kind == "attention":
            x = g.op("Add", [models._attention(g, x, c, 4), x])
        elif kind == "linear":
            x = g.linear(x, c, c)
        else:
            x = TOKEN_ODD[kind](g, x, c)
    x = g.linear(x, c, int(pick(r, [c, c, 16, 1000])))
    symbolic = r.random() < 0.6
    lead: list[int | str] = ["n", "s"] if symbolic else [batch, count]
    model = g.model({"x": [*lead, c]}, {x: ["o0", "o1", "o2"]})
    name = f"tokens {batch}x{count}x{c}{' symbolic' * symbolic} {zeros} {', '.join(kinds)}"
    return Drawn(name, model, {"n": batch, "s": count})


# ---- recurrent networks, audio, classifiers


def recurrent(r: Random) -> Drawn:
    """An LSTM cell written out step by step over the same weights."""
    c, steps = int(pick(r, [64, 128, 256])), int(r.integers(2, 7))
    batch, unnamed = int(pick(r, [1, 1, 1, 4])), r.random() < 0.7
    g, zeros = _builder(r)
    into, again = g.weight((4 * c, c), c), g.weight((4 * c, c), c)
    bias = g.constant(g.floats((4 * c,), 0.1))
    hidden, cell = "x", "c0"
    for _ in range(steps):
        gates = g.op("Add", [g.op("Gemm", ["x", into, bias], transB=1), g.op("Gemm", [hidden, again, bias], transB=1)])
        i, o, f, z = g.multi("Split", [gates, g.ints(c, c, c, c)], 4, axis=1)
        keep = g.op("Mul", [g.op("Sigmoid", [f]), cell])
        cell = g.op("Add", [keep, g.op("Mul", [g.op("Sigmoid", [i]), g.op("Tanh", [z])])])
        hidden = g.op("Mul", [g.op("Sigmoid", [o]), g.op("Tanh", [cell])])
    rows = "unk__1" if unnamed else batch
    model = g.model({"x": [rows, c], "c0": [rows, c]}, {hidden: [rows, c]})
    return Drawn(f"recurrent {batch}x{c} {steps} steps{' unnamed' * unnamed} {zeros}", model, {"unk__1": batch})


def audio(r: Random) -> Drawn:
    c, length = int(pick(r, [1, 16, 32, 64, 128])), int(pick(r, [64, 256, 1024, 4096, 8192]))
    batch = int(pick(r, [1, 1, 8])) if length <= 256 else 1
    g, zeros = _builder(r)
    x, channels, kinds = "x", c, []
    for _ in range(int(r.integers(1, 4))):
        kernel = 256 if channels == 1 else int(pick(r, [1, 3, 3, 5]))
        dilation = 1 if channels == 1 else int(pick(r, [1, 1, 2, 16, length // 2]))
        stride = 16 if channels == 1 else 1
        out = 64 if channels == 1 else channels
        weight = g.weight((out, channels, kernel), channels * kernel)
        pad = dilation * (kernel - 1) // 2
        x = g.op(
            "Conv",
            [x, weight, g.constant(g.floats((out,), 0.1))],
            dilations=[dilation],
            strides=[stride],
            pads=[pad, pad],
        )
        channels = out
        activation = pick(r, ["Relu", "Tanh", "Elu", ""])
        x = _activate(g, x, activation)
        kinds.append(f"k{kernel} d{dilation} {activation}")
    model = g.model({"x": [batch, c, length]}, {x: ["o0", "o1", "o2"]})
    return Drawn(f"audio {batch}x{c}x{length} {zeros} {', '.join(kinds)}", model)


def classifiers(r: Random) -> Drawn:
    batch = int(pick(r, [1, 1, 2, 4, 8, 16, 32]))
    widths = [int(pick(r, [32, 64, 128, 256, 512, 1024])) for _ in range(int(r.integers(2, 5)))]
    g, zeros = _builder(r)
    x = "x"
    for k, n in itertools.pairwise(widths):
        x = _activate(g, g.gemm(x, k, n), pick(r, ["Relu", "Sigmoid", "Tanh", "Elu", ""]))
    symbolic = r.random() < 0.5
    rows = pick(r, ["n", "unk__1"]) if symbolic else batch
    model = g.model({"x": [rows, widths[0]]}, {x: [rows, widths[-1]]})
    name = f"classifier {batch} rows{f' ({rows})' * symbolic} {'-'.join(map(str, widths))} {zeros}"
    return Drawn(name, model, {"n": batch, "unk__1": batch})


def exported(r: Random) -> Drawn:
    """Whole networks as exporters write them, made small."""
    zeros, symbolic, size = pick(r, ZEROS[2:]), r.random() < 0.5, int(pick(r, [32, 64, 96]))
    kind = pick(r, ["resnet50", "mobilenet_v1", "mobilenet_v2", "bert", "bert"])
    if kind == "bert":
        count = int(pick(r, TOKENS))
        model = models.bert(zeros, layers=2, hidden=128, heads=4, sequence="s" if symbolic else count)
        return Drawn(f"bert {count} tokens{' symbolic' * symbolic} {zeros:.0%}", model, {"s": count})
    builder = {"resnet50": models.resnet50, "mobilenet_v1": models.mobilenet_v1, "mobilenet_v2": mobilenet_v2}[kind]
    model = builder(zeros, batch="n" if symbolic else 1, height=size, width=size)
    return Drawn(f"{kind} {size}x{size}{' symbolic' * symbolic} {zeros:.0%}", model, {"n": 1})


FAMILIES = [images, images, images, tokens, tokens, recurrent, audio, classifiers, exported]


def from_grammar(seed: int, count: int) -> list[Drawn]:
    """Networks of the grammar of the random tests."""
    drawn: list[Drawn] = []

    @with_seed(seed)
    @settings(max_examples=count, phases=[Phase.generate], database=None, deadline=None, suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(grammar.networks(opsets=[17]))
    def collect(network: Any) -> None:
        model, shapes = network[:2]
        shape = shapes[0]
        dims = [d.dim_param for d in model.graph.input[0].type.tensor_type.shape.dim]
        axes = {name: size for name, size in zip(dims, shape, strict=True) if name}
        drawn.append(Drawn(f"grammar {len(model.graph.node)} nodes", model, axes))

    collect()
    return drawn[:count]


# ---- forms


class _Calibration(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, drawn: Drawn) -> None:
        self.feeds = iter([drawn.feeds(seed) for seed in range(2)])

    def get_next(self) -> Any:
        return next(self.feeds, None)


def _quantized(drawn: Drawn, form: str) -> bytes:
    logging.disable(logging.WARNING)  # of models that were not preprocessed
    with tempfile.TemporaryDirectory() as folder:
        source, path = Path(folder, "float.onnx"), Path(folder, "q.onnx")
        onnx.save(drawn.model, source)
        if form == "dynamic":
            quantize_dynamic(source, path, weight_type=QuantType.QInt8)
        else:
            kind = QuantFormat.QOperator if form.startswith("qoperator") else QuantFormat.QDQ
            activations = QuantType.QInt8 if form.endswith("s8") else QuantType.QUInt8
            quantize_static(source, path, _Calibration(drawn), quant_format=kind, activation_type=activations,
                            weight_type=QuantType.QInt8, per_channel=form.endswith("channels"))  # fmt: skip
        return path.read_bytes()


FORMS = ["float"] * 6 + ["qdq", "qdq, s8", "qdq, channels", "qdq, s8", "qoperator", "qoperator, channels", "qoperator, s8", "qoperator, s8", "dynamic", "dynamic"]  # fmt: skip


def _make(drawn: Drawn, form: str) -> tuple[bytes, dict[str, np.ndarray]]:
    data = drawn.model.SerializeToString() if form == "float" else _quantized(drawn, form)
    return data, drawn.feeds(seed=7)


def networks(seed: int, count: int) -> list[Network]:
    """The same for the same seed, in any number."""
    result: list[Network] = []
    grammar = from_grammar(seed, 2 + count // 8)
    for index in range(count):
        r = np.random.default_rng([seed, index])
        if index % 8 == 7 and index // 8 < len(grammar):
            drawn, form = grammar[index // 8], "float"
        else:
            drawn, form = pick(r, FAMILIES)(r), pick(r, FORMS)
        result.append(Network(f"{seed}/{index} {form}: {drawn.name}", lambda d=drawn, f=form: _make(d, f)))
    return result
