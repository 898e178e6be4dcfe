"""Functions that nobody has a kernel of: ONNX Runtime shows a model to the provider, compiles what it takes, writes the
functions out that are left, and asks again, with the fused nodes in the graph."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnxruntime_ep_sparsecpu as sparsecpu
import pytest
from harness import PROVIDER, claimed, compare, nodes
from onnx import helper, numpy_helper

CHANNELS = 8
IMAGE: list[int | str] = ["n", CHANNELS, "h", "w"]
OPSETS = [helper.make_opsetid("", 21), helper.make_opsetid("my.lib", 1)]
Names = list[onnx.NodeProto]


def value(name: str, shape: list[int | str] | None, kind: int = onnx.TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def conv(x: str, y: str) -> onnx.NodeProto:
    return helper.make_node("Conv", [x, "w"], [y], name=f"conv_{y}", pads=[1] * 4)


def apart(x: str, y: str) -> onnx.NodeProto:
    """Between a layer and a body, whose inputs are not claimed."""
    return helper.make_node("Neg", [x], [y], name=f"neg_{y}")


def norm(x: str, y: str) -> onnx.NodeProto:
    """Its scale is computed, so that it is left to ONNX Runtime, which has no kernel for it."""
    return helper.make_node("GroupNormalization", [x, "scale", "shift"], [y], name=f"norm_{y}", num_groups=4)


def block(x: str, y: str) -> onnx.NodeProto:
    return helper.make_node("Block", [x, "w"], [y], name=f"block_{y}", domain="my.lib")


BLOCK = helper.make_function(
    "my.lib",
    "Block",
    ["i", "weight"],
    ["o"],
    [helper.make_node("Conv", ["i", "weight"], ["c"], pads=[1] * 4), helper.make_node("Relu", ["c"], ["o"])],
    OPSETS[:1],
)


def branches(y: str, then: Names, otherwise: Names) -> onnx.NodeProto:
    return helper.make_node(
        "If",
        ["condition"],
        [y],
        name=f"if_{y}",
        then_branch=helper.make_graph(then, "then", [], [value(then[-1].output[0], IMAGE)]),
        else_branch=helper.make_graph(otherwise, "else", [], [value(otherwise[-1].output[0], IMAGE)]),
    )


def loop(x: str, y: str, inside: Names) -> onnx.NodeProto:
    """`inside` makes l_next of l_now."""
    flag = onnx.TensorProto.BOOL
    body = helper.make_graph(
        [*inside, helper.make_node("Identity", ["keep_in"], ["keep_out"])],
        "body",
        [value("i", [], onnx.TensorProto.INT64), value("keep_in", [], flag), value("l_now", IMAGE)],
        [value("keep_out", [], flag), value("l_next", IMAGE)],
    )
    return helper.make_node("Loop", ["times", "", x], [y], name=f"loop_{y}", body=body)


# Of each: its nodes, and how many convolutions there are once functions are written out.
GRAPHS: dict[str, tuple[Names, int]] = {
    "norm": ([conv("x", "a"), norm("a", "b"), conv("b", "y")], 2),
    "function": ([conv("x", "a"), block("a", "b"), block("b", "c"), conv("c", "y")], 4),
    "function, norm": ([block("x", "a"), norm("a", "b"), block("b", "c"), norm("c", "d"), conv("d", "y")], 3),
    "norm in a branch": (
        [
            *(conv("x", "a"), apart("a", "b")),
            branches("c", [conv("b", "t"), norm("t", "t2")], [conv("b", "e")]),
            *(apart("c", "d"), conv("d", "y")),
        ],
        4,
    ),
    "norm in a loop": (
        [
            *(conv("x", "a"), apart("a", "b")),
            loop("b", "c", [conv("l_now", "l1"), norm("l1", "l_next")]),
            apart("c", "y"),
        ],
        2,
    ),
    "everything": (
        [
            *(block("x", "a"), norm("a", "b")),
            branches("c", [block("b", "t"), norm("t", "t2")], [norm("b", "e"), conv("e", "e2")]),
            loop("c", "d", [norm("l_now", "l1"), block("l1", "l2"), conv("l2", "l3"), apart("l3", "l_next")]),
            apart("d", "y"),
        ],
        5,
    ),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_every_layer_is_claimed_and_shown_once(name: str) -> None:
    inside, convolutions = GRAPHS[name]
    rng = np.random.default_rng(0)
    weights = [numpy_helper.from_array(rng.standard_normal((CHANNELS, CHANNELS, 3, 3), np.float32) / 9, "w")]
    weights += [numpy_helper.from_array(np.linspace(0, 1, CHANNELS, dtype=np.float32), "shift")]
    feeds = {"scale": rng.standard_normal(CHANNELS, np.float32)}
    inputs = [value("x", IMAGE), value("scale", [CHANNELS])]
    text = str(inside)
    if "condition" in text:
        inputs.append(value("condition", [], onnx.TensorProto.BOOL))
    if "times" in text:
        inputs.append(value("times", [], onnx.TensorProto.INT64))
    graph = helper.make_graph(inside, "g", inputs, [value("y", IMAGE)], weights)
    model = helper.make_model(graph, opset_imports=OPSETS, functions=[BLOCK], ir_version=10)
    onnx.checker.check_model(model)
    runs = []
    for number, shape in enumerate([(1, 9, 11), (3, 16, 16)]):
        feed = feeds | {"x": rng.standard_normal((shape[0], CHANNELS, *shape[1:]), np.float32)}
        feed |= {"condition": np.array(number == 0)} if "condition" in text else {}
        runs.append(feed | ({"times": np.array(number * 2)} if "times" in text else {}))
    session = compare(model, runs, min_sparsity=0)
    assert len(nodes(session, "Conv")) == len(claimed(session, "Conv")) == convolutions
    assert not nodes(session, "Block", "GroupNormalization"), "a function that was written out is shown"
    ours = [node for node in nodes(session) if node["provider"] == PROVIDER]
    assert all(node["region"] is not None for node in ours)
    for shown in sparsecpu.report(session)["graphs"]:
        outputs = Counter(name for node in shown["nodes"] for name in node["outputs"] if name)
        assert max(outputs.values()) == 1, "a node is shown twice"
