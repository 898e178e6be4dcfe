"""Output shapes against what ONNX Runtime's CPU provider computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import sparsecpu_testing as claim
from describe import Network, describe
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors
from random_checks import examples

REFUSALS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


def computed(model: onnx.ModelProto, shape: list[int]) -> list[int] | None:
    """None if ONNX Runtime refuses."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    model.ir_version = 10
    try:
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        (result,) = session.run(None, {"x": np.zeros(shape, np.float32)})
    except REFUSALS:
        return None
    return list(result.shape)


def predicted(model: onnx.ModelProto, shape: list[int]) -> list[int]:
    return claim.infer_shapes(describe(model), {"x": shape})[model.graph.output[0].name]


def symbols(rank: int) -> list[str]:
    return [f"d{i}" for i in range(rank)]


@st.composite
def windows(draw: st.DrawFn, dilated: bool = True) -> tuple[dict[str, Any], list[int]]:
    """Attributes of a window and an image size, 1-D or 2-D."""
    spatial = draw(st.integers(1, 2))

    def several(low: int, high: int) -> list[int]:
        return draw(st.lists(st.integers(low, high), min_size=spatial, max_size=spatial))

    attributes: dict[str, Any] = {"kernel_shape": several(1, 4), "strides": several(1, 3)}
    auto_pad = draw(st.sampled_from(["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    if auto_pad == "NOTSET":
        attributes["pads"] = [
            min(p, k - 1) for p, k in zip(several(0, 3) + several(0, 3), attributes["kernel_shape"] * 2)
        ]
    else:
        attributes["auto_pad"] = auto_pad
        attributes["strides"] = [min(s, k + 1) for s, k in zip(attributes["strides"], attributes["kernel_shape"])]
    if dilated and auto_pad in ("NOTSET", "VALID"):
        attributes["dilations"] = several(1, 2)
    return attributes, several(1, 9)


@settings(max_examples=examples(150), deadline=None)
@given(windows())
def test_conv(case: tuple[dict[str, Any], list[int]]) -> None:
    attributes, size = case
    g = Network()
    x = g.input("x", symbols(2 + len(size)))
    model = g.model(g.add("Conv", x, g.weight((5, 2, *attributes["kernel_shape"]), 0.5), **attributes))
    expected = computed(model, [2, 2, *size])
    assume(expected is not None)
    assert predicted(model, [2, 2, *size]) == expected


@settings(max_examples=examples(200), deadline=None)
@given(windows(dilated=False), st.sampled_from(["MaxPool", "AveragePool"]), st.booleans())
def test_pool(case: tuple[dict[str, Any], list[int]], op: str, ceil_mode: bool) -> None:
    attributes, size = case
    g = Network()
    x = g.input("x", symbols(2 + len(size)))
    model = g.model(g.add(op, x, ceil_mode=int(ceil_mode), **attributes))
    expected = computed(model, [2, 3, *size])
    assume(expected is not None)
    # A window larger than the padded image gives ONNX Runtime a size that no window fits; here it is an error.
    padded = [s + sum(attributes.get("pads", [0] * 2 * len(size))[i :: len(size)]) for i, s in enumerate(size)]
    same = attributes.get("auto_pad", "").startswith("SAME")
    assume(same or all(k <= p for k, p in zip(attributes["kernel_shape"], padded, strict=True)))
    assert predicted(model, [2, 3, *size]) == expected


@settings(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=4),
    st.lists(st.integers(-1, 6), min_size=1, max_size=4),
    st.booleans(),
)
def test_reshape(shape: list[int], target: list[int], allow_zero: bool) -> None:
    assume(target.count(-1) <= 1 and not (allow_zero and 0 in target and -1 in target))
    g = Network()
    x = g.input("x", symbols(len(shape)))
    model = g.model(g.add("Reshape", x, g.constant(target, np.int64), allowzero=int(allow_zero)))
    expected = computed(model, shape)
    assume(expected is not None)
    assert predicted(model, shape) == expected


@pytest.mark.parametrize("axis", [-3, -1, 0, 1, 2, 4])
def test_flatten(axis: int) -> None:
    g = Network()
    model = g.model(g.add("Flatten", g.input("x", symbols(4)), axis=axis))
    assert predicted(model, [2, 3, 4, 5]) == computed(model, [2, 3, 4, 5])


@pytest.mark.parametrize("op, axes, shape", [("Squeeze", [2, -1], [2, 3, 1, 1]), ("Unsqueeze", [0, -1], [2, 3])])
def test_squeeze_and_unsqueeze(op: str, axes: list[int], shape: list[int]) -> None:
    g = Network()
    model = g.model(g.add(op, g.input("x", symbols(len(shape))), g.constant(axes, np.int64)))
    assert predicted(model, shape) == computed(model, shape)


@settings(max_examples=examples(100), deadline=None)
@given(
    st.lists(st.integers(1, 12), min_size=2, max_size=2),
    st.lists(st.floats(0.125, 3.0, width=32), min_size=2, max_size=2),
)
def test_resize(size: list[int], scale: list[float]) -> None:
    assume(all(s * f >= 1 for s, f in zip(size, scale, strict=True)))
    g = Network()
    x = g.input("x", symbols(4))
    scales = g.constant([1, 1, *scale])
    model = g.model(g.add("Resize", x, "", scales, mode="nearest", nearest_mode="floor"))
    expected = computed(model, [1, 2, *size])
    assume(expected is not None)
    assert predicted(model, [1, 2, *size]) == expected


@pytest.mark.parametrize("shape", [[0, 4, 9, 9], [2, 4, 0, 9], [2, 4, 9, 0], [0, 4, 0, 0]])
def test_empty_tensors_stay_empty(shape: list[int]) -> None:
    g = Network()
    x = g.input("x", symbols(4))
    y = g.add("Relu", g.conv(x, 4, 6, 3, strides=[2, 2]))
    y = g.add("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    shapes = claim.infer_shapes(g.describe(y), {"x": shape})
    assert 0 in shapes[y] and all(d >= 0 for d in shapes[y])


def test_a_misfit_names_node_value_and_expectation() -> None:
    g = Network()
    y = g.conv(g.input("x", symbols(4)), 4, 6)
    with pytest.raises(Exception, match=r"node0.*\[1,5,9,9\].*4 channels are expected"):
        claim.infer_shapes(g.describe(y), {"x": [1, 5, 9, 9]})
    with pytest.raises(Exception, match=r"node0.*rank 3 to 4"):
        claim.infer_shapes(g.describe(y), {"x": [1, 4]})
