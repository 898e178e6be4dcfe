"""Pruned fp32 networks made on the spot: real architectures, random weights, magnitude pruning.

They exist so that a speed-up can be shown and measured without downloading anything: `sparsecpu demo` and
the tests build them. Weights are deterministic for a seed, and scaled after pruning so that activations keep
their size from the first layer to the last; the outputs of two providers can then be compared.

A dimension is an int (static) or a str (the name of a symbolic axis).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from onnxruntime_ep_sparsecpu.magnitude import prune

Dim = int | str
FloatArray = npt.NDArray[np.float32]

_OPSET = 17
_IR_VERSION = 8  # the oldest that carries opset 17; newer numbers are refused by older runtimes


class GraphBuilder:
    """Builds one ONNX graph node by node; every method returns the name of the value it made."""

    def __init__(self, seed: int = 0, sparsity: float = 0.0) -> None:
        self.rng = np.random.default_rng(seed)
        self.sparsity = sparsity
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[onnx.TensorProto] = []
        self._count = 0

    def unique(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}_{self._count}"

    def constant(self, array: npt.ArrayLike, prefix: str = "const") -> str:
        name = self.unique(prefix)
        self._initializers.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def ints(self, *values: int) -> str:
        """An int64 vector, as Reshape, Slice and ReduceMean take their axes and shapes."""
        return self.constant(np.array(values, np.int64), "ints")

    def floats(self, shape: Sequence[int], scale: float = 1.0, offset: float = 0.0) -> FloatArray:
        """Normally distributed values: offset + scale * N(0, 1)."""
        return (self.rng.standard_normal(tuple(shape)) * scale + offset).astype(np.float32)

    def op(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        return self.multi(kind, inputs, 1, **attributes)[0]

    def multi(self, kind: str, inputs: Sequence[str], count: int, **attributes: Any) -> list[str]:
        """A node with `count` outputs."""
        name = self.unique(kind)
        outputs = [name] if count == 1 else [f"{name}_{i}" for i in range(count)]
        self._nodes.append(helper.make_node(kind, list(inputs), outputs, name=name, **attributes))
        return outputs

    def weight(self, shape: Sequence[int], fan_in: int, gain: float = 1.0, sparsity: float | None = None) -> str:
        """A pruned weight whose output variance is gain^2 times that of its input."""
        array = prune(self.floats(shape), self.sparsity if sparsity is None else sparsity)
        power = max(float(np.square(array).mean()), 1e-12)
        return self.constant((array * (gain / np.sqrt(fan_in * power))).astype(np.float32), "weight")

    def conv(
        self,
        x: str,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        gain: float = 2.0**0.5,
        sparsity: float | None = None,
    ) -> str:
        """Conv with bias, padded to keep the size at stride 1. Grouped weights stay dense unless told."""
        if sparsity is None and groups > 1:
            sparsity = 0.0
        shape = (out_channels, in_channels // groups, kernel, kernel)
        weight = self.weight(shape, shape[1] * kernel * kernel, gain, sparsity)
        bias = self.constant(self.floats((out_channels,), 0.01), "bias")
        return self.op(
            "Conv",
            [x, weight, bias],
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[(kernel - 1) // 2] * 4,
            group=groups,
        )

    def linear(self, x: str, inputs: int, outputs: int, gain: float = 1.0) -> str:
        """MatMul + Add over the last axis."""
        y = self.op("MatMul", [x, self.weight((inputs, outputs), inputs, gain)])
        return self.op("Add", [y, self.constant(self.floats((outputs,), 0.01), "bias")])

    def classifier(self, x: str, channels: int, classes: int) -> str:
        """GlobalAveragePool, Flatten, Gemm."""
        flat = self.op("Flatten", [self.op("GlobalAveragePool", [x])], axis=1)
        return self.gemm(flat, channels, classes)

    def gemm(self, x: str, inputs: int, outputs: int, gain: float = 1.0) -> str:
        """Gemm with the weight stored [outputs, inputs], as torch exports nn.Linear."""
        weight = self.weight((outputs, inputs), inputs, gain)
        return self.op("Gemm", [x, weight, self.constant(self.floats((outputs,), 0.01), "bias")], transB=1)

    def model(
        self,
        inputs: Mapping[str, Sequence[Dim]],
        outputs: Mapping[str, Sequence[Dim]],
        opset: int = _OPSET,
    ) -> onnx.ModelProto:
        """The checked model, with inferred shapes. All inputs and outputs are float tensors. opset: of ONNX's own
        operators; others are of version 1."""
        graph = helper.make_graph(
            self._nodes,
            "network",
            [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, list(s)) for n, s in inputs.items()],
            [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, list(s)) for n, s in outputs.items()],
            self._initializers,
        )
        versions = {"": opset} | {node.domain: 1 for node in self._nodes if node.domain}
        opsets = [helper.make_opsetid(domain, version) for domain, version in versions.items()]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
        onnx.checker.check_model(model)
        return onnx.shape_inference.infer_shapes(model)


def resnet50(sparsity: float = 0.9, *, batch: Dim = 1, height: Dim = 224, width: Dim = 224) -> onnx.ModelProto:
    """ResNet-50 v1.5 (stride in the 3x3 conv), BatchNormalization already folded. The stem stays dense."""
    g = GraphBuilder(seed=50, sparsity=sparsity)
    x = g.op("Relu", [g.conv("input", 3, 64, 7, 2, sparsity=0.0)])
    x = g.op("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    channels = 64
    for stage, (blocks, inner) in enumerate([(3, 64), (4, 128), (6, 256), (3, 512)]):
        for block in range(blocks):
            stride = 2 if block == 0 and stage else 1
            x = _bottleneck(g, x, channels, inner, stride, project=block == 0)
            channels = 4 * inner
    logits = g.classifier(x, channels, 1000)
    return g.model({"input": [batch, 3, height, width]}, {logits: [batch, 1000]})


def _bottleneck(g: GraphBuilder, x: str, channels: int, inner: int, stride: int, project: bool) -> str:
    y = g.op("Relu", [g.conv(x, channels, inner, 1)])
    y = g.op("Relu", [g.conv(y, inner, inner, 3, stride)])
    y = g.conv(y, inner, 4 * inner, 1, gain=0.4)
    skip = g.conv(x, channels, 4 * inner, 1, stride, gain=1.0) if project else x
    return g.op("Relu", [g.op("Add", [y, skip])])


def mobilenet_v1(sparsity: float = 0.9, *, batch: Dim = 1, height: Dim = 224, width: Dim = 224) -> onnx.ModelProto:
    """MobileNetV1: the pointwise convolutions are pruned, the depthwise ones and the stem stay dense."""
    g = GraphBuilder(seed=1, sparsity=sparsity)
    x = g.op("Relu", [g.conv("input", 3, 32, 3, 2, sparsity=0.0)])
    channels = 32
    plan = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    for out_channels, stride in plan:
        x = g.op("Relu", [g.conv(x, channels, channels, 3, stride, groups=channels)])
        x = g.op("Relu", [g.conv(x, channels, out_channels, 1)])
        channels = out_channels
    logits = g.classifier(x, channels, 1000)
    return g.model({"input": [batch, 3, height, width]}, {logits: [batch, 1000]})


def bert(
    sparsity: float = 0.9,
    *,
    batch: Dim = 1,
    sequence: Dim = 128,
    layers: int = 12,
    hidden: int = 768,
    heads: int = 12,
) -> onnx.ModelProto:
    """A BERT encoder (post-norm, erf GELU) from hidden states [batch, sequence, hidden] to hidden states."""
    g = GraphBuilder(seed=7, sparsity=sparsity)
    x = "hidden_states"
    for _ in range(layers):
        x = _layer_norm(g, g.op("Add", [_attention(g, x, hidden, heads), x]), hidden)
        y = _gelu(g, g.linear(x, hidden, 4 * hidden))
        x = _layer_norm(g, g.op("Add", [g.linear(y, 4 * hidden, hidden), x]), hidden)
    shape: list[Dim] = [batch, sequence, hidden]
    return g.model({"hidden_states": shape}, {x: shape})


def _attention(g: GraphBuilder, x: str, hidden: int, heads: int) -> str:
    split = g.ints(0, 0, heads, hidden // heads)

    def project(permutation: list[int]) -> str:
        return g.op("Transpose", [g.op("Reshape", [g.linear(x, hidden, hidden), split])], perm=permutation)

    query, key, value = project([0, 2, 1, 3]), project([0, 2, 3, 1]), project([0, 2, 1, 3])
    root = g.constant(np.float32(np.sqrt(hidden // heads)))
    scores = g.op("Softmax", [g.op("Div", [g.op("MatMul", [query, key]), root])], axis=-1)
    context = g.op("Transpose", [g.op("MatMul", [scores, value])], perm=[0, 2, 1, 3])
    return g.linear(g.op("Reshape", [context, g.ints(0, 0, hidden)]), hidden, hidden)


def _layer_norm(g: GraphBuilder, x: str, hidden: int) -> str:
    scale, bias = g.constant(np.ones(hidden, np.float32)), g.constant(np.zeros(hidden, np.float32))
    return g.op("LayerNormalization", [x, scale, bias], axis=-1, epsilon=1e-12)


def _gelu(g: GraphBuilder, x: str) -> str:
    """x/2 * (1 + erf(x / sqrt 2)) in the five nodes that torch exports at opset 17."""
    erf = g.op("Erf", [g.op("Div", [x, g.constant(np.float32(np.sqrt(2)))])])
    gate = g.op("Add", [erf, g.constant(np.float32(1))])
    return g.op("Mul", [g.op("Mul", [x, gate]), g.constant(np.float32(0.5))])


NETWORKS: Mapping[str, Callable[[float], onnx.ModelProto]] = {
    "resnet50": resnet50,
    "mobilenet": mobilenet_v1,
    "bert": bert,
}
"""The networks that commands take by name: name -> builder(sparsity)."""


def random_inputs(
    model: onnx.ModelProto, axes: Mapping[str, int] | None = None, seed: int = 0
) -> dict[str, FloatArray]:
    """Normally distributed feeds for every input that is not an initializer.

    axes: the size of each symbolic axis. Raises KeyError when one is missing.
    """
    rng = np.random.default_rng(seed)
    stored = {tensor.name for tensor in model.graph.initializer}
    feeds: dict[str, FloatArray] = {}
    for value in model.graph.input:
        if value.name in stored:
            continue
        dims = value.type.tensor_type.shape.dim
        shape = [(axes or {})[d.dim_param] if d.dim_param else d.dim_value for d in dims]
        feeds[value.name] = rng.standard_normal(shape).astype(np.float32)
    return feeds
