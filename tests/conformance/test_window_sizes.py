"""Windows of convolutions and pools, exhaustively over kernel, stride, dilation, pads, sizes and rounding of the output
size: shape and values are the CPU provider's. Four operators share a model, the sizes are those of its free axis.

By hand, with larger kernels and sizes: SPARSECPU_WINDOWS=5 python -m pytest tests/conformance/test_window_sizes.py"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import Any, TypeVar

import numpy as np
import onnxruntime as ort
import pytest
from harness import PROVIDER, assert_close, nodes
from onnx import NodeProto, TensorProto, helper, numpy_helper

T = TypeVar("T")
LARGEST = int(os.environ.get("SPARSECPU_WINDOWS", "3"))
SIZES = range(1, 4 * LARGEST - 1)
CHANNELS = 2


def branches(kernel: int, window: dict[str, Any], dilation: int, ceil: int, axis: int) -> list[NodeProto]:
    """Of one input: a convolution and the three pools, along one axis of an image (axis 2: of a signal)."""
    shape = {0: [kernel, 1], 1: [1, kernel], 2: [kernel]}[axis]

    def along(values: list[int], other: int) -> list[int]:
        ends = [values[: len(values) // 2], values[len(values) // 2 :]] if len(values) > 1 else [values]
        if axis == 2:
            return values
        return [v for end in ends for v in (end + [other] if axis == 0 else [other] + end)]

    at: dict[str, Any] = {"kernel_shape": shape, "strides": along([window["stride"]], 1)}
    at |= {"auto_pad": window["auto_pad"]} if "auto_pad" in window else {"pads": along(window["pads"], 0)}
    spread = {"dilations": along([dilation], 1)} if dilation > 1 else {}
    return [
        helper.make_node("Conv", ["a", f"w{axis}"], ["conv"], **at, **spread),
        helper.make_node("MaxPool", ["a"], ["max"], ceil_mode=ceil, **at, **spread),
        helper.make_node("AveragePool", ["a"], ["average"], ceil_mode=ceil, **at, **spread),
        helper.make_node("AveragePool", ["a"], ["padded"], ceil_mode=ceil, count_include_pad=1, **at, **spread),
    ]


def attempt(call: Callable[[], T]) -> T | None:
    """None where the CPU provider does not take the window, or it does not fit the size."""
    try:
        return call()
    except Exception:  # noqa: BLE001
        return None


def session(made: list[NodeProto], kernel: int, axis: int, opset: int, providers: list[Any]) -> ort.InferenceSession:
    spatial = {0: ["size", 2], 1: [2, "size"], 2: ["size"]}[axis]
    ones = [1] * len(spatial)
    rng = np.random.default_rng(kernel)
    taps = {0: [kernel, 1], 1: [1, kernel], 2: [kernel]}[axis]
    constants = {
        "identity": np.eye(CHANNELS, dtype=np.float32).reshape(CHANNELS, CHANNELS, *ones),
        "far": np.array([1.5, -2], np.float32),  # what a layer leaves beside its image is no zero
        f"w{axis}": rng.standard_normal((3, CHANNELS, *taps)).astype(np.float32),
    }
    layer = helper.make_node("Conv", ["x", "identity", "far"], ["a"])
    graph = helper.make_graph(
        [layer, *made],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, CHANNELS, *spatial])],
        [helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, None) for node in made],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model.SerializeToString(), options, providers=providers)


def windows(kernel: int) -> Iterator[tuple[dict[str, Any], int]]:
    """Window and dilation. onnxruntime takes no pool with a pad as large as the kernel, no dilation with auto_pad."""
    for stride, dilation in product(range(1, 4), (1, 2)):
        for pads in product(range(kernel + 1), repeat=2):
            yield {"stride": stride, "pads": list(pads)}, dilation
        if dilation == 1:
            for how in ("VALID", "SAME_UPPER", "SAME_LOWER"):
                yield {"stride": stride, "auto_pad": how}, dilation


@pytest.mark.parametrize("axis", [0, 1, 2], ids=["rows", "columns", "signal"])
@pytest.mark.parametrize(("opset", "ceil"), [(11, 0), (19, 0), (19, 1)])  # averages changed with opset 19
@pytest.mark.parametrize("kernel", range(1, LARGEST + 1))
def test_every_window(kernel: int, opset: int, ceil: int, axis: int) -> None:
    claimed = 0
    for window, dilation in windows(kernel):
        convolution, *pools = branches(kernel, window, dilation, ceil, axis)
        for made in ([convolution], pools):  # a pool takes sizes that a convolution does not
            claimed += same_at_every_size(made, kernel, axis, opset, f"{window}, dilation {dilation}")
    assert claimed > 20, "nothing was claimed: the comparison says nothing"


def same_at_every_size(made: list[NodeProto], kernel: int, axis: int, opset: int, what: str) -> int:
    """Number of claimed nodes."""
    cpu = attempt(partial(session, made, kernel, axis, opset, ["CPUExecutionProvider"]))
    if cpu is None:
        return 0
    here = session(made, kernel, axis, opset, [(PROVIDER, {"min_sparsity": "0"}), "CPUExecutionProvider"])
    for size in SIZES:
        spatial = {0: (size, 2), 1: (2, size), 2: (size,)}[axis]
        x = np.random.default_rng(size).standard_normal((1, CHANNELS, *spatial)).astype(np.float32)
        expected = attempt(partial(cpu.run, None, {"x": x}))
        if expected is None:
            continue
        try:
            assert_close(here.run(None, {"x": x}), expected)
        except Exception as error:
            raise AssertionError(f"{what}, size {size}: {error}") from error
    return sum(node["provider"] == PROVIDER for node in nodes(here))
