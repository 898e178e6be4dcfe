"""Networks for the tests beyond those of onnxruntime_ep_sparsecpu.models: MobileNetV2, VGG-16, a YOLOv8-type
detector. All weights are random, deterministic and pruned."""

from __future__ import annotations

import numpy as np
import onnx
from onnxruntime_ep_sparsecpu.models import Dim, GraphBuilder


def mobilenet_v2(sparsity: float = 0.9, *, batch: Dim = 1, height: Dim = 224, width: Dim = 224) -> onnx.ModelProto:
    """Inverted residuals with ReLU6 (Clip with constant bounds) and a linear bottleneck."""
    g = GraphBuilder(seed=2, sparsity=sparsity)
    low, high = g.constant(np.float32(0)), g.constant(np.float32(6))

    def relu6(x: str) -> str:
        return g.op("Clip", [x, low, high])

    x = relu6(g.conv("input", 3, 32, 3, 2, sparsity=0.0))
    channels = 32
    plan = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    for expansion, out_channels, repeats, first_stride in plan:
        for repeat in range(repeats):
            stride = first_stride if repeat == 0 else 1
            inner = channels * expansion
            y = relu6(g.conv(x, channels, inner, 1)) if expansion > 1 else x
            y = relu6(g.conv(y, inner, inner, 3, stride, groups=inner))
            y = g.conv(y, inner, out_channels, 1, gain=1.0)
            x = g.op("Add", [x, y]) if stride == 1 and channels == out_channels else y
            channels = out_channels
    logits = g.classifier(relu6(g.conv(x, channels, 1280, 1)), 1280, 1000)
    return g.model({"input": [batch, 3, height, width]}, {logits: [batch, 1000]})


def vgg16(sparsity: float = 0.9, *, batch: Dim = 1, size: int = 64) -> onnx.ModelProto:
    """VGG-16 with its three fully connected layers; `size` is a multiple of 32."""
    g = GraphBuilder(seed=16, sparsity=sparsity)
    x, channels = "input", 3
    for convs, out_channels in [(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)]:
        for _ in range(convs):
            dense_stem = 0.0 if channels == 3 else None
            x = g.op("Relu", [g.conv(x, channels, out_channels, 3, sparsity=dense_stem)])
            channels = out_channels
        x = g.op("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])
    x = g.op("Flatten", [x], axis=1)
    features = 512 * (size // 32) ** 2
    for outputs in (1024, 1024):
        x = g.op("Relu", [g.gemm(x, features, outputs, gain=2.0**0.5)])
        features = outputs
    logits = g.gemm(x, features, 1000)
    return g.model({"input": [batch, 3, size, size]}, {logits: [batch, 1000]})


def _vector(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


class _Yolo:
    """YOLOv8n: CSP backbone with C2f blocks, SPPF, a two-way feature pyramid and a decoupled head with DFL."""

    CLASSES, BINS = 80, 16

    def __init__(self, sparsity: float) -> None:
        self.g = GraphBuilder(seed=8, sparsity=sparsity)

    def conv_silu(
        self, x: str, cin: int, cout: int, kernel: int, stride: int = 1, sparsity: float | None = None
    ) -> str:
        y = self.g.conv(x, cin, cout, kernel, stride, gain=1.2, sparsity=sparsity)
        return self.g.op("Mul", [y, self.g.op("Sigmoid", [y])])

    def c2f(self, x: str, cin: int, cout: int, repeats: int, shortcut: bool) -> str:
        half = cout // 2
        parts = self.g.multi("Split", [self.conv_silu(x, cin, cout, 1), self.g.ints(half, half)], 2, axis=1)
        for _ in range(repeats):
            y = self.conv_silu(self.conv_silu(parts[-1], half, half, 3), half, half, 3)
            parts.append(self.g.op("Add", [parts[-1], y]) if shortcut else y)
        return self.conv_silu(self.g.op("Concat", parts, axis=1), half * (2 + repeats), cout, 1)

    def sppf(self, x: str, channels: int) -> str:
        parts = [self.conv_silu(x, channels, channels // 2, 1)]
        for _ in range(3):
            parts.append(self.g.op("MaxPool", [parts[-1]], kernel_shape=[5, 5], strides=[1, 1], pads=[2] * 4))
        return self.conv_silu(self.g.op("Concat", parts, axis=1), channels * 2, channels, 1)

    def upsample(self, x: str) -> str:
        scales = self.g.constant(_vector(1, 1, 2, 2))
        return self.g.op(
            "Resize", [x, "", scales], mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
        )

    def backbone(self) -> tuple[str, str, str]:
        """Feature maps at strides 8, 16 and 32 with 64, 128 and 256 channels."""
        x = self.conv_silu(self.conv_silu("images", 3, 16, 3, 2, sparsity=0.0), 16, 32, 3, 2)
        p3 = self.c2f(self.conv_silu(self.c2f(x, 32, 32, 1, True), 32, 64, 3, 2), 64, 64, 2, True)
        p4 = self.c2f(self.conv_silu(p3, 64, 128, 3, 2), 128, 128, 2, True)
        p5 = self.c2f(self.conv_silu(p4, 128, 256, 3, 2), 256, 256, 1, True)
        return p3, p4, self.sppf(p5, 256)

    def pyramid(self, p3: str, p4: str, p5: str) -> list[tuple[str, int]]:
        def cat(*parts: str) -> str:
            return self.g.op("Concat", list(parts), axis=1)

        n4 = self.c2f(cat(self.upsample(p5), p4), 384, 128, 1, False)
        out3 = self.c2f(cat(self.upsample(n4), p3), 192, 64, 1, False)
        out4 = self.c2f(cat(self.conv_silu(out3, 64, 64, 3, 2), n4), 192, 128, 1, False)
        out5 = self.c2f(cat(self.conv_silu(out4, 128, 128, 3, 2), p5), 384, 256, 1, False)
        return [(out3, 64), (out4, 128), (out5, 256)]

    def branch(self, x: str, channels: int, inner: int, outputs: int) -> str:
        y = self.conv_silu(self.conv_silu(x, channels, inner, 3), inner, inner, 3)
        return self.g.conv(y, inner, outputs, 1, gain=0.5)

    def head(self, maps: list[tuple[str, int]]) -> str:
        """[batch, 4 + classes, anchors]: distances to the four sides in cells, then class scores."""
        rows = []
        for x, channels in maps:
            box = self.branch(x, channels, 64, 4 * self.BINS)
            score = self.branch(x, channels, 80, self.CLASSES)
            both = self.g.op("Concat", [box, score], axis=1)
            rows.append(self.g.op("Reshape", [both, self.g.ints(0, 4 * self.BINS + self.CLASSES, -1)]))
        every = self.g.op("Concat", rows, axis=2)
        box, score = self.g.multi("Split", [every, self.g.ints(4 * self.BINS, self.CLASSES)], 2, axis=1)
        return self.g.op("Concat", [self.distances(box), self.g.op("Sigmoid", [score])], axis=1)

    def distances(self, box: str) -> str:
        """Distribution focal loss decoding: the expected bin of a softmax, as a 1x1 convolution."""
        bins = self.g.op(
            "Transpose", [self.g.op("Reshape", [box, self.g.ints(0, 4, self.BINS, -1)])], perm=[0, 2, 1, 3]
        )
        weight = self.g.constant(_vector(*range(self.BINS)).reshape(1, self.BINS, 1, 1))
        expected = self.g.op("Conv", [self.g.op("Softmax", [bins], axis=1), weight], kernel_shape=[1, 1])
        return self.g.op("Reshape", [expected, self.g.ints(0, 4, -1)])


def yolov8(
    sparsity: float = 0.9, *, batch: Dim = "batch", height: Dim = "height", width: Dim = "width"
) -> onnx.ModelProto:
    """A YOLOv8n-type detector; height and width are multiples of 32 at run time."""
    net = _Yolo(sparsity)
    output = net.head(net.pyramid(*net.backbone()))
    return net.g.model({"images": [batch, 3, height, width]}, {output: [batch, 84, "anchors"]})
