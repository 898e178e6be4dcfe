"""Windows: what several of them read of one tensor, nearest Resize, and sizes out of all proportion."""

from __future__ import annotations

from functools import partial
from itertools import product

import numpy as np
import onnx
from case import MICROSOFT, Dims, Model, bytes_of, case, network, node, normal, sparse, sparse_bytes


def two_windows(size: int, stride: int) -> Model:
    """A region's input is read by a convolution and a pool, neither of them padded."""
    steps = [stride] * 2
    nodes = [
        node("Conv", ["x", "w"], ["a"], strides=steps),
        node("MaxPool", ["x"], ["b"], kernel_shape=[3, 3], strides=steps),
        node("Conv", ["b", "v"], ["y2"]),
        node("Relu", ["a"], ["y1"]),
    ]
    weights = {"w": sparse(64, 64, 3, 3), "v": sparse(64, 64, 3, 3, scale=0.2)}
    return network(nodes, {"x": [1, 64, size, size]}, weights, ["y1", "y2"]), [{"x": normal(1, 64, size, size)}]


for size, stride in ((8, 1), (8, 2), (9, 1), (13, 2), (20, 1), (33, 1), (47, 2), (56, 1), (64, 2), (79, 1)):
    case(f"two windows, size {size} stride {stride}", claims=("Conv",))(partial(two_windows, size, stride))


FLOOR = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
HALF_PIXEL = {"coordinate_transformation_mode": "half_pixel", "nearest_mode": "round_prefer_floor"}


def resize(mode: dict[str, str], scale: float | None, size: int | None, image: int) -> Model:
    """Nearest Resize between two convolutions, by scale or by size."""
    if size is not None:
        inputs, target = ["a", "", "", "s"], np.array([1, 64, size, size], np.int64)
    else:
        inputs, target = ["a", "", "s"], np.array([1, 1, scale, scale], np.float32)
    nodes = [
        node("Conv", ["x", "w"], ["a"], pads=[1] * 4),
        node("Resize", inputs, ["b"], mode="nearest", **mode),
        node("Conv", ["b", "w"], ["y"], pads=[1] * 4),
    ]
    constants = {"w": sparse(64, 64, 3, 3), "s": target}
    return network(nodes, {"x": [1, 64, image, image]}, constants, opset=13), [{"x": normal(1, 64, image, image)}]


for name, mode, scale, size, image in (
    ("to 24, floor", FLOOR, None, 24, 20),
    ("by 1.2, floor", FLOOR, 1.2, None, 20),
    ("by 1.04 to the same size, floor", FLOOR, 1.04, None, 20),
    ("by 1.7, floor", FLOOR, 1.7, None, 28),
    ("by 1.3, half pixel", HALF_PIXEL, 1.3, None, 20),
    ("by 2, floor", FLOOR, 2.0, None, 20),
):
    case(f"nearest resize {name}", claims=("Conv",))(partial(resize, mode, scale, size, image))


def huge(kernel: int, **attributes: object) -> Model:
    """A window whose pads or dilations are far larger than the image."""
    nodes = [node("Conv", ["x", "w"], ["y"], **attributes)]
    return network(nodes, {"x": ["n", 8, "h", "w"]}, {"w": np.ones((8, 8, kernel, kernel), np.float32)}), [
        {"x": np.ones((1, 8, 5, 5), np.float32)}
    ]


def pool_larger_than_image(op: str, size: int, stride: int) -> Model:
    """The CPU provider divides what is missing by the stride, towards zero: one window, or none."""
    nodes = [node("Conv", ["x", "w"], ["a"]), node(op, ["a"], ["y"], kernel_shape=[3, 3], strides=[stride, stride])]
    return network(nodes, {"x": ["n", 8, "h", "w"]}, {"w": sparse(8, 8, 1, 1)}), [{"x": normal(1, 8, size, size)}]


for op, (size, stride) in product(("MaxPool", "AveragePool"), ((2, 2), (2, 3), (1, 3))):
    case(f"{op} 3x3 of {size}x{size} in steps of {stride}", claims=(op,))(
        partial(pool_larger_than_image, op, size, stride)
    )
for reach in (500, 2000, 5000, 100_000):
    case(f"dilation and pads of {reach}")(partial(huge, 3, dilations=[reach] * 2, pads=[reach] * 4))
far = 2**31
for name, kernel, attributes in (
    ("stride past 32 bits", 1, {"pads": [0, 0, 0, far], "strides": [1, far]}),
    ("pads past 32 bits in large steps", 3, {"pads": [0, 0, 0, far], "strides": [1, far // 2]}),
):
    case(name)(partial(huge, kernel, **attributes))
case("pads past 32 bits", cpu_raises=True)(partial(huge, 3, pads=[0, 0, 0, far]))


def of_no_pixels(shape: tuple[int, ...], pads: int, ending: str, free: Dims) -> Model:
    """Images without pixels; where there are pads, the result has some."""
    border = np.array([0, 0, 2, 2, 0, 0, 2, 2], np.int64)
    window = node("Conv", ["x", "w"], ["y" if not ending else "a"], pads=[pads] * 4)
    nodes = {
        "": [window],
        "Pad": [window, node("Pad", ["a", "p"], ["y"])],
        "pool": [window, node("GlobalAveragePool", ["a"], ["y"])],
        "behind Pad": [node("Pad", ["x", "p"], ["a"]), node("Conv", ["a", "w"], ["y"])],
    }[ending]
    constants = {"w": sparse(64, 64, 3, 3)} | ({"p": border} if "Pad" in ending else {})
    return network(nodes, {"x": free}, constants), [{"x": np.zeros(shape, np.float32)}]


for shape in ((1, 64, 0, 9), (1, 64, 9, 0), (0, 64, 9, 9), (1, 64, 0, 0)):
    text = "x".join(map(str, shape))
    for pads, ending in ((2, ""), (1, ""), (5, ""), (1, "Pad"), (1, "pool"), (0, "behind Pad")):
        refused = shape[0] > 0 and pads == 1
        title = f"image {text}, pads {pads} {ending}".rstrip()
        case(title, cpu_raises=refused)(partial(of_no_pixels, shape, pads, ending, ["n", 64, "h", "w"]))


@case("infinite weight on the border")
def infinite_weight() -> Model:
    """What it makes of the zeros around an image depends on the provider's way to compute a convolution."""
    weights = sparse(8, 8, 3, 3)
    weights[6, 2, 0, 1] = np.inf
    conv = node("Conv", ["x", "w"], ["y"], pads=[1] * 4)
    return network([conv], {"x": [1, 8, 9, 9]}, {"w": weights}), [{"x": normal(1, 8, 9, 9)}]


@case("height of two billion declared", cpu_raises=True)
def endless_image() -> Model:
    nodes = [node("Conv", ["x", "w"], ["a"], pads=[3, 1, 1, 1]), node("Pad", ["a", "p"], ["y"])]
    constants = {"w": sparse(64, 64, 3, 3), "p": np.array([0, 0, 2, 2, 0, 0, 2, 2])}
    return network(nodes, {"x": ["n", 64, 2**31 - 1, "w"]}, constants), [{"x": normal(1, 64, 8, 8)}]


@case("height of a trillion declared, and windows that reach far", cpu_raises=True)
def endless_windows() -> Model:
    """More vectors at the borders than there are numbers."""
    far = 100_000
    nodes = [node("Conv", ["x", "w"], ["y"], dilations=[far] * 2, pads=[far] * 4)]
    weight = np.ones((16, 8, 3, 3), np.float32)
    return network(nodes, {"x": ["n", 8, 1 << 40, "w"]}, {"w": weight}), [{"x": normal(1, 8, 5, 5)}]


def same_with_dilations(op: str, auto_pad: str, opset: int) -> Model:
    window = {"kernel_shape": [3, 3], "strides": [2, 2], "dilations": [2, 2], "auto_pad": auto_pad}
    nodes = [node("Conv", ["x", "w"], ["a"]), node(op, ["a"], ["y"], **window)]
    model = network(nodes, {"x": [1, 32, 13, 14]}, {"w": sparse(32, 32, 1, 1)}, opset=opset)
    return model, [{"x": normal(1, 32, 13, 14)}]


for op, opset in (("MaxPool", 11), ("AveragePool", 19)):
    for auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        case(f"{op} {auto_pad} with dilations")(partial(same_with_dilations, op, auto_pad, opset))


def end_pads(pads: list[int], layer: str, size: int) -> Model:
    """A window of one pixel whose pads are past the image: what lies there is no rest of the layer before."""
    before = [node("Conv", ["x", "w", "b"], ["a"], pads=[1] * 4), node("Relu", ["a"], ["r"])]
    last = [node("Conv", ["r", "v", "b"], ["y"], pads=pads)]
    if layer == "Pad":
        last = [node("Pad", ["r", "p"], ["e"]), node("Conv", ["e", "v", "b"], ["y"])]
    constants = {
        "w": sparse(64, 64, 3, 3, zeros=0.95),
        "v": sparse(64, 64, 1, 1, zeros=0.95),
        "b": np.abs(normal(64)),
        "p": np.array([0, 0, *pads[:2], 0, 0, *pads[2:]]),
    }
    return network(before + last, {"x": ["n", 64, size, size]}, constants), [{"x": normal(1, 64, size, size)}]


def end_pads_of_bytes(size: int) -> Model:
    def layer(x: str, y: str, weight: str, pads: int) -> onnx.NodeProto:
        inputs = [x, "s", "z", weight, "s", "none", "s", "z", "c"]
        return node("QLinearConv", inputs, [y], pads=[0, 0, pads, pads])

    constants = {
        "s": np.float32(0.05),
        "z": np.uint8(100),
        "none": np.int8(0),
        "w": sparse_bytes(16, 8, 1, 1, zeros=0.5, largest=9),
        "v": sparse_bytes(16, 16, 1, 1, zeros=0.5, largest=9),
        "c": np.arange(-400, 400, 50, dtype=np.int32),
    }
    nodes = [layer("x", "a", "w", 0), layer("a", "y", "v", 1)]
    x = bytes_of(2, 8, size, size) // 2
    return network(nodes, {"x": ["n", 8, size, size]}, constants, types={"x": np.uint8, "y": np.uint8}), [{"x": x}]


for layer, pads, size in product(("Conv", "Pad"), ([0, 0, 1, 1], [0, 0, 0, 2], [0, 0, 3, 0]), (7, 9)):
    case(f"1x1 {layer} with pads {pads} of {size}")(partial(end_pads, pads, layer, size))
for size in (7, 11):
    case(f"1x1 of bytes with pads at the end of {size}", bound=0.0)(partial(end_pads_of_bytes, size))


def byte_average(pixels: int, window: int, stride: int, ceil: int) -> Model:
    """onnxruntime divides sums of bytes by all taps where pads count, wherever the window lies."""
    inputs = ["x", "s", "z", "s", "z"]
    attributes = {"kernel_shape": [1, window], "strides": [1, stride], "ceil_mode": ceil, "count_include_pad": 1}
    nodes = [node("QLinearAveragePool", inputs, ["y"], domain=MICROSOFT, **attributes)]
    constants = {"s": np.float32(0.1), "z": np.uint8(0)}
    model = network(nodes, {"x": ["n", 8, "h", "w"]}, constants, types={"x": np.uint8, "y": np.uint8})
    return model, [{"x": np.full((1, 8, 1, pixels), 100, np.uint8)}]


for pixels, window, stride, ceil in ((7, 2, 3, 1), (2, 3, 2, 0), (5, 3, 2, 1)):
    title = f"average of bytes, {pixels} pixels, window {window} in steps of {stride}{', ceil' * ceil}"
    case(title, bound=0.0, options=({"min_sparsity": "0"},))(partial(byte_average, pixels, window, stride, ceil))
