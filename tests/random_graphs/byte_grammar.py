"""A grammar of chains of byte operators, with units of floats among them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from byte_chain import MICROSOFT, Bytes, Chain, Draw
from byte_operators import binary, border, concat, convolution, part, pool, product, reorder, unary
from byte_units import integers, unit
from hypothesis import assume
from hypothesis import strategies as st
from onnx import helper
from subject import Subject

Rule = Callable[[Chain, Bytes], Bytes]
LAYERS: list[Rule] = [product, convolution]
EXACT: list[Rule] = [*LAYERS, convolution, binary, binary, binary, unary, pool, pool, concat, reorder, part, border]
LARGEST = {1: 40, 2: 17, 3: 17, 4: 9, 5: 5}  # sizes, by rank


@st.composite
def byte_chains(draw: Draw) -> Subject:
    """QLinear operators alone, whose bits are the CPU provider's; or a few of them with floats among them. The first
    has weights, since others run next to layers. An operator reads one of the last results, and those that nobody reads
    are outputs, or dead."""
    c = Chain(draw)
    rank = draw(st.sampled_from([1, 2, 2, 2, 3, 3, 3, 3, *[4] * 7, 5]))
    made = [c.input(tuple(draw(st.integers(1, LARGEST[rank])) for _ in range(rank)), c.dtype)]
    with_floats = draw(st.integers(0, 2)) == 0
    rules = draw(st.lists(st.sampled_from(EXACT), min_size=1, max_size=2 if with_floats else 6))
    others = [draw(st.sampled_from([unit, unit, integers]))] if with_floats else []
    layers = [draw(st.sampled_from(LAYERS)) for _ in range(2)]
    for rule in [layers[0], *draw(st.permutations([*rules, layers[1], *others]))]:
        x = draw(st.sampled_from([made[-1], made[-1], *made[-3:]]))
        if int(np.prod(x.shape)) < 30_000 and x.shape:
            made.append(rule(c, x))
    assume(c.nodes)
    read = {name for node in c.nodes for name in node.input}
    ends = [x.name for x in made[1:] if x.name not in read and x.name in {n for node in c.nodes for n in node.output}]
    outputs = ends if draw(st.booleans()) else [draw(st.sampled_from(ends))]
    infos = [onnx.ValueInfoProto(name=name) for name in dict.fromkeys(outputs)]
    graph = helper.make_graph(c.nodes, "bytes", c.inputs, infos, c.constants)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return Subject(model, [c.feed], steps=2 if with_floats else 0)
