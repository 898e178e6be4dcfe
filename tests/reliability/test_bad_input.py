"""Unusual and broken models and feeds: the CPU provider's result where it has one, else an error; never a crash."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import small
from harness import PROVIDER, Variant, assert_close, claimed, compare, cpu_session, every_float_variant, sparse_session
from onnx import helper, numpy_helper
from onnxruntime_ep_sparsecpu.models import GraphBuilder

Feed = dict[str, np.ndarray]


def outcome(make: object, model: onnx.ModelProto, feed: Feed, **options: object) -> list[np.ndarray] | None:
    """The outputs, or None if making or running the session raised."""
    try:
        return make(model, **options).run(None, feed)  # type: ignore[operator]
    except Exception:  # noqa: BLE001  any error counts: which one is ONNX Runtime's affair
        return None


def assert_same_outcome(model: onnx.ModelProto, feed: Feed, **options: object) -> None:
    expected = outcome(cpu_session, model, feed)
    actual = outcome(sparse_session, model, feed, min_sparsity=0, **options)
    assert (actual is None) == (expected is None), f"CPU provider: {expected}; {PROVIDER}: {actual}"
    if actual is not None and expected is not None:
        assert_close(actual, expected)


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(5).standard_normal(shape).astype(np.float32)


@every_float_variant
@pytest.mark.parametrize("shape", [(0, 8, 16, 16), (2, 8, 0, 16), (2, 8, 16, 0), (0, 8, 0, 0)])
def test_zero_size_image(shape: tuple[int, ...], variant: Variant) -> None:
    """The CPU provider refuses some convolutions of no pixels; there a result is as right as its error."""
    for model in (small.one_conv(normal(5, 8, 1, 1), ["n", 8, "h", "w"]), small.residual_net()):
        expected = outcome(cpu_session, model, small.feed(*shape))
        actual = outcome(sparse_session, model, small.feed(*shape), min_sparsity=0, **variant)
        if expected is not None:
            assert actual is not None
            assert_close(actual, expected)


@every_float_variant
@pytest.mark.parametrize("shape", [(0, 7, 12), (3, 0, 12), (0, 0, 12)])
def test_zero_tokens(shape: tuple[int, ...], variant: Variant) -> None:
    assert_same_outcome(small.one_product(normal(12, 9), ["n", "s", 12]), small.feed(*shape), **variant)


@pytest.mark.parametrize("weight_shape", [(0, 4), (4, 0), (0, 0)])
def test_zero_size_weight(weight_shape: tuple[int, int]) -> None:
    model = small.one_product(np.zeros(weight_shape, np.float32), [3, weight_shape[0]])
    assert_same_outcome(model, small.feed(3, weight_shape[0]))


@every_float_variant
@pytest.mark.parametrize("weight", [normal(1, 1), normal(1, 40), normal(40, 1), normal(700, 3)])
def test_thin_product(weight: np.ndarray, variant: Variant) -> None:
    model = small.one_product(weight, ["n", weight.shape[0]])
    session = compare(model, [small.feed(m, weight.shape[0]) for m in (1, 2, 33)], **variant, min_sparsity=0)
    assert claimed(session)


@every_float_variant
@pytest.mark.parametrize("fill", ["zeros", "one nonzero", "dense", "one empty row", "denormals"])
def test_unusual_weights(fill: str, variant: Variant) -> None:
    weight = normal(9, 20, 3, 3)
    if fill in ("zeros", "one nonzero"):
        weight[:] = 0
    if fill == "one nonzero":
        weight[4, 7, 2, 0] = 3
    if fill == "one empty row":
        weight[3] = 0
    if fill == "denormals":
        weight *= np.float32(1e-40)
    model = small.one_conv(weight, ["n", 20, "h", "w"], normal(9), pads=[1] * 4)
    session = compare(model, [small.feed(2, 20, 13, 11), small.feed(1, 20, 1, 1)], **variant, min_sparsity=0)
    assert claimed(session, "Conv")


@every_float_variant
@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
def test_special_activation_reaches_only_its_window(special: float, variant: Variant) -> None:
    """Other lanes of the same vectors hold other pixels and images: nothing may leak between them. The weights
    have no zeros, since skipping one would drop 0 * Inf."""
    model = small.one_conv(np.abs(normal(6, 4, 3, 3)) + np.float32(0.1), ["n", 4, "h", "w"], pads=[1] * 4)
    sparse, cpu = sparse_session(model, **variant, min_sparsity=0), cpu_session(model)
    for place in [(0, 1, 0, 0), (1, 3, 6, 8), (2, 0, 12, 9)]:
        feed = small.feed(3, 4, 13, 10)
        feed["x"][place] = special
        got, want = sparse.run(None, feed), cpu.run(None, feed)
        assert_close(got, want)
        assert not np.isfinite(want[0]).all()


@every_float_variant
def test_nan_stays_in_its_image(variant: Variant) -> None:
    """With zeros in the weights, pooling and a classifier: the other images of the batch keep their results."""
    session = sparse_session(small.residual_net(), **variant, min_sparsity=0)
    feed = small.feed(5, 8, 14, 14)
    (clean,) = session.run(None, feed)
    feed["x"][2] = np.nan
    (dirty,) = session.run(None, feed)
    others = [0, 1, 3, 4]
    np.testing.assert_array_equal(dirty[others], clean[others])
    assert np.isnan(dirty[2]).any()


@every_float_variant
@pytest.mark.parametrize("special", [np.nan, np.inf])
def test_special_weight_is_a_nonzero(special: float, variant: Variant) -> None:
    weight = normal(5, 6, 1, 1)
    weight[2, 3] = special
    model = small.one_conv(weight, [1, 6, 4, 5])
    compare(model, [small.feed(1, 6, 4, 5)], **variant, min_sparsity=0)


@every_float_variant
def test_wrong_shapes_at_run_raise_and_leave_the_session_usable(variant: Variant) -> None:
    model = small.one_conv(normal(4, 8, 5, 5), ["n", 8, "h", "w"])
    session = sparse_session(model, **variant, min_sparsity=0)
    assert claimed(session, "Conv")
    good = small.feed(1, 8, 9, 9)
    (before,) = session.run(None, good)
    for bad in [(1, 8, 3, 9), (1, 7, 9, 9), (1, 8, 9), (8, 9, 9, 1, 1)]:
        with pytest.raises(Exception, match=r"\w+ \w+"):
            session.run(None, small.feed(*bad))
    np.testing.assert_array_equal(session.run(None, good)[0], before)


HUGE = 1 << 52


def test_sizes_past_the_address_space() -> None:
    g = GraphBuilder(1, 0.5)
    x = g.op("Relu", [g.conv("x", 3, 4, 1)])
    padded = g.op("Pad", [x, g.ints(0, 0, HUGE, 0, 0, 0, HUGE, 0), g.constant(np.float32(0))])
    model = g.model({"x": ["n", 3, "h", "w"]}, {padded: ["n", 4, "h2", "w2"]})
    assert_same_outcome(model, small.feed(1, 3, 4, 4))


def test_declared_sizes_past_the_address_space() -> None:
    model = small.one_conv(normal(4, 3, 1, 1), [HUGE, 3, HUGE, HUGE])
    assert_same_outcome(model, small.feed(1, 3, 4, 4))


@pytest.mark.parametrize(
    "attributes",
    [
        {"dilations": [HUGE, HUGE]},
        {"strides": [HUGE, HUGE]},
        {"strides": [0, 1]},
        {"strides": [-1, 1]},
        {"dilations": [0, 1]},
        {"pads": [-1, 0, 0, 0]},
        {"group": 3},
        {"group": 0},
        {"kernel_shape": [3, 5]},
        {"pads": [2, 2]},
        {"auto_pad": "SIDEWAYS"},
    ],
    ids=str,
)
def test_malformed_attributes(attributes: dict[str, object]) -> None:
    """The checker would refuse some of these, so the model is not checked."""
    node = helper.make_node("Conv", ["x", "w"], ["y"], **attributes)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", 1, ["n", 4, "h", "w"])],
        [helper.make_tensor_value_info("y", 1, None)],
        [numpy_helper.from_array(normal(4, 4, 3, 3), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert_same_outcome(model, small.feed(1, 4, 9, 9))


@pytest.mark.parametrize("shape", [(4, 3, 3, 3), (4, 4, 3), (4,), ()])
def test_weight_that_does_not_fit(shape: tuple[int, ...]) -> None:
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", 1, ["n", 4, "h", "w"])],
        [helper.make_tensor_value_info("y", 1, None)],
        [numpy_helper.from_array(normal(*shape) if shape else np.float32(1), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert_same_outcome(model, small.feed(1, 4, 9, 9))


def test_raw_data_of_the_wrong_size() -> None:
    model = small.one_conv(normal(4, 8, 1, 1), [1, 8, 4, 4])
    model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:-5]
    with pytest.raises(Exception, match="size|shape|bytes|data"):
        sparse_session(model, min_sparsity=0)


@pytest.mark.parametrize("damage", ["short", "missing"])
def test_damaged_external_data(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(
        small.one_conv(normal(64, 64, 1, 1), [1, 64, 4, 4]),
        path,
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    data = tmp_path / "weights.bin"
    if damage == "short":
        data.write_bytes(data.read_bytes()[:100])
    else:
        data.unlink()
    with pytest.raises(Exception, match=r"weights\.bin|external|file|out of bounds"):
        sparse_session(path, min_sparsity=0)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("isa", "sse9"),
        ("min_sparsity", "1.5"),
        ("min_sparsity", "nan"),
        ("min_sparsity", "many"),
        ("neighbours", "maybe"),
        ("jit", "yes"),
        ("log", "loud"),
        ("assume", "h"),
        ("colour", "blue"),
    ],
)
def test_bad_option_raises_although_falling_back_is_allowed(key: str, value: str) -> None:
    model = small.residual_net().SerializeToString()
    with pytest.raises(Exception, match=key):
        ort.InferenceSession(model, providers=[(PROVIDER, {key: value})])
