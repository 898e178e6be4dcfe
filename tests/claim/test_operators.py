"""What an operator is: its domain and version count as much as its name, in every pattern. Whatever a graph lacks, no
question about it reads memory that is not its own."""

from __future__ import annotations

import copy
import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import sparsecpu_testing as claim
from attention_writer import Writer
from describe import Description, Network, describe
from quantized_models import Quantized


def float_network() -> Description:
    g = Network()
    x = g.conv(g.input("x", ["n", 8, "h", "w"]), 8, 8)
    x = g.add("Relu", g.add("Add", x, g.conv(x, 8, 8)))
    x = g.add("Clip", x, g.constant(0.0), g.constant(6.0))
    x = g.add("MaxPool", x, kernel_shape=[2, 2])
    x = g.add("Mul", x, g.add("Sigmoid", x))
    x = g.add("Resize", x, "", g.constant([1, 1, 2, 2]), mode="nearest")
    x = g.add("Flatten", g.add("GlobalAveragePool", g.add("Concat", x, x, axis=1)))
    return g.describe(g.add("Gemm", x, g.weight((16, 4), 0.5)))


def written_norm() -> Description:
    g = Network()
    x = g.add("MatMul", g.input("x", ["n", "s", 8]), g.weight((8, 8), 0.5))
    centred = g.add("Sub", x, g.add("ReduceMean", x, axes=[-1]))
    variance = g.add("ReduceMean", g.add("Pow", centred, g.constant(2.0)), axes=[-1])
    y = g.add("Div", centred, g.add("Sqrt", g.add("Add", variance, g.constant(1e-5))))
    return g.describe(g.add("Add", g.add("Mul", y, g.constant([1.0] * 8)), g.constant([0.5] * 8)))


def tanh_gelu() -> Description:
    g = Network()
    x = g.add("MatMul", g.input("x", ["n", "s", 8]), g.weight((8, 8), 0.5))
    cubic = g.add("Mul", g.add("Pow", x, g.constant(3.0)), g.constant(0.044715))
    tanh = g.add("Tanh", g.add("Mul", g.add("Add", x, cubic), g.constant(0.7978845608)))
    return g.describe(g.add("Mul", g.add("Mul", x, g.add("Add", tanh, g.constant(1.0))), g.constant(0.5)))


def attention() -> Description:
    g = Writer()
    x = g.tokens("x")
    q, k, v = (g.split(g.add("MatMul", x, g.weight((32, 32), 0.5))) for _ in range(3))
    scores = g.scaled(g.add("MatMul", q, g.add("Transpose", k, perm=[0, 1, 3, 2])), 0.3)
    scores = g.add("Add", scores, g.input("mask", [2, 1, 1, 6]))
    return g.describe(g.join(g.add("MatMul", g.add("Softmax", scores, axis=-1), v), x))


def qdq() -> Description:
    g = Quantized()
    x = g.dq(g.bytes_input("x", ["n", 8, 6, 6]))
    x = g.add("Conv", x, g.dq(g.weights((8, 8, 1, 1)), 0.01, 0, np.int8), g.bias(8, 0.0002))
    x = g.q(g.add("Relu", x))
    y = g.q(g.add("MaxPool", g.dq(x, 0.3, 0), kernel_shape=[2, 2]), 0.4)
    z = g.q(g.add("Add", g.dq(y, 0.4, 0), g.dq(y, 0.4, 0)))
    z = g.q(g.add("Concat", g.dq(z, 0.3, 0), g.dq(y, 0.4, 0), axis=1))
    return describe(g.byte_model(g.q(g.add("Flatten", g.dq(z, 0.3, 0)))))


def qlinear() -> Description:
    g = Quantized()
    q, w = g.parameters(0.02, 3, np.uint8), g.parameters(0.01, 0, np.int8)
    x = g.add("QLinearConv", g.bytes_input("x", ["n", 8, 6, 6]), *q, g.weights((8, 8, 1, 1)), *w, *q)
    x = g.add("QLinearAdd", x, *q, x, *q, *q, domain="com.microsoft")
    x = g.add("QLinearMul", x, *q, g.constant([9], np.uint8), *q, *q, domain="com.microsoft")
    return describe(g.byte_model(g.add("QLinearLeakyRelu", x, *q, *q, domain="com.microsoft")))


def dynamic() -> Description:
    g = Quantized()
    g.add("DynamicQuantizeLinear", g.input("x", ["n", 8]), outputs=3)
    x, scale, zero = "value0_0", "value0_1", "value0_2"
    sums = g.add("MatMulInteger", x, g.weights((8, 8)), zero)
    return g.describe(g.add("Mul", g.add("Cast", sums, to=1), g.add("Mul", scale, g.constant(0.01))))


NETWORKS: list[Callable[[], Description]] = [
    float_network, written_norm, tanh_gelu, attention, qdq, qlinear, dynamic,
]  # fmt: skip
every_network = pytest.mark.parametrize("build", NETWORKS)


def taken(graph: Description) -> list[bool]:
    return [bool(node["ops"]) or node["unit"] >= 0 for node in claim.recognise(graph)]


@every_network
def test_all_is_taken(build: Callable[[], Description]) -> None:
    """Else the tests below say nothing."""
    assert all(taken(build())), [node["reason"] for node in claim.recognise(build())]


@every_network
@pytest.mark.parametrize(
    "changes",
    [
        {"domain": "my.lib"},
        {"domain": "my.lib", "op_type": "{domain}.{op_type}"},  # a function may have any name
        {"domain": "com.microsoft.nchwc"},
        {"since_version": 99},
        {"domain": "", "op_type": "com.microsoft.{op_type}"},
    ],
    ids=str,
)
def test_another_operator_of_the_same_name(build: Callable[[], Description], changes: dict[str, Any]) -> None:
    graph = build()
    for i, node in enumerate(graph["nodes"]):
        other = copy.deepcopy(graph)
        for key, value in changes.items():
            other["nodes"][i][key] = value.format(**node) if isinstance(value, str) else value
        if changes == {"since_version": 99} and node["domain"]:
            continue
        assert not taken(other)[i], (node["op_type"], changes)


def test_old_versions() -> None:
    """Add broadcast by an attribute before opset 7."""
    g = Network()
    graph = g.describe(g.add("Add", g.add("Relu", g.input("x", [2, 3])), g.input("y", [2, 3])))
    graph["nodes"][1]["since_version"] = 6
    assert taken(graph) == [True, False]
    assert "of opset 6 is not supported" in claim.recognise(graph)[1]["reason"]


def cut(graph: Description, nodes: int, dead: bool) -> Description:
    """The first nodes; dead: what they leave is nobody's."""
    result = copy.deepcopy(graph)
    result["nodes"] = result["nodes"][:nodes]
    made = {o for node in result["nodes"] for o in node["outputs"]}
    used = {i for node in result["nodes"] for i in node["inputs"]}
    result["outputs"] = [] if dead else sorted(made - used)
    return result


def mutations(graph: Description) -> Iterator[Description]:
    for i in range(len(graph["nodes"])):
        yield from (cut(graph, i + 1, dead) for dead in (False, True))
        for key in ("inputs", "outputs"):
            lists = graph["nodes"][i][key][:-1], [], [-1] * 8
            for values in lists:
                result = copy.deepcopy(graph)
                result["nodes"][i][key] = list(values)
                yield result


def claim_mutations(build: Callable[[], Description]) -> None:
    for graph in mutations(build()):
        for options in ({}, {"min_sparsity": 0.0}):
            with suppress(RuntimeError):  # a sentence: the graph is left to the CPU provider
                claim.claim(graph, **options)


@every_network
def test_what_is_missing_is_not_looked_for(build: Callable[[], Description]) -> None:
    """In a process of its own: reading what is not there may end it."""
    process = multiprocessing.get_context("fork").Process(target=claim_mutations, args=(build,))
    process.start()
    process.join(120)
    process.kill()
    assert process.exitcode == 0


def test_a_node_that_nobody_reads_is_left() -> None:
    g = Network()
    g.conv(g.input("x", [1, 64, 28, 28]), 64, 64, sparsity=0.95)
    graph = g.describe(g.add("Relu", "x"))
    decisions = claim.claim(graph, min_sparsity=0.0)["decisions"]
    assert decisions[0]["region"] < 0 and "nobody uses" in decisions[0]["reason"]
