"""Small graphs for the tests of lowering, and the levels they run at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from harness import assert_close, available_levels, cpu_session, sparse_session
from onnx import TensorProto, helper, numpy_helper

Shape = Sequence[int | str] | None
FLOAT, U8, I64 = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT64

every_level = pytest.mark.parametrize("level", [level for level in available_levels() if level != "avx512_vnni"])


def constant(array: Any, name: str, dtype: Any = np.float32) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(array, dtype), name)


def sparse_weights(rng: np.random.Generator, *shape: int, density: float = 0.3) -> np.ndarray:
    """Weights of which this share is not zero, scaled so that results stay near one."""
    weights = rng.standard_normal(shape).astype(np.float32) / np.sqrt(np.prod(shape[1:]) * density)
    return np.where(rng.random(shape) < density, weights, 0).astype(np.float32)


def graph(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Shape],
    outputs: Sequence[str],
    constants: Sequence[onnx.TensorProto],
    *,
    dtype: int = FLOAT,
    types: Mapping[str, int] | None = None,
    value_info: Mapping[str, Shape] | None = None,
) -> onnx.ModelProto:
    """A model of opset 17; every input and output is of `dtype` unless `types` names another."""

    def info(name: str, shape: Shape) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, (types or {}).get(name, dtype), shape)

    body = helper.make_graph(
        list(nodes),
        "graph",
        [info(name, shape) for name, shape in inputs.items()],
        [info(name, None) for name in outputs],
        list(constants),
        value_info=[info(name, shape) for name, shape in (value_info or {}).items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(body, opset_imports=opsets, ir_version=8)


def cross_attention(heads: int, depth: int) -> onnx.ModelProto:
    """Attention of x [N, S, heads * depth] to m [N, M, heads * depth], as exporters write it."""
    rng = np.random.default_rng(4)
    width = heads * depth
    nodes = []
    for name, source in (("q", "x"), ("k", "m"), ("v", "m")):
        nodes += [
            helper.make_node("MatMul", [source, "w" + name], [name + "1"]),
            helper.make_node("Reshape", [name + "1", "split"], [name + "2"]),
            helper.make_node(
                "Transpose", [name + "2"], [name + "3"], perm=[0, 2, 3, 1] if name == "k" else [0, 2, 1, 3]
            ),
        ]
    nodes += [
        helper.make_node("MatMul", ["q3", "k3"], ["s"]),
        helper.make_node("Mul", ["s", "scale"], ["s2"]),
        helper.make_node("Softmax", ["s2"], ["p"], axis=-1),
        helper.make_node("MatMul", ["p", "v3"], ["o"]),
        helper.make_node("Transpose", ["o"], ["o2"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", ["o2", "join"], ["o3"]),
        helper.make_node("MatMul", ["o3", "wo"], ["o4"]),
        helper.make_node("Add", ["o4", "b"], ["y"]),
    ]
    constants = [constant(sparse_weights(rng, width, width), name) for name in ("wq", "wk", "wv", "wo")]
    constants += [constant([0, 0, heads, depth], "split", np.int64), constant([0, 0, width], "join", np.int64)]
    constants += [constant(depth**-0.5, "scale"), constant(np.arange(width), "b")]
    return graph(nodes, {"x": ["N", "S", width], "m": ["N", "M", width]}, ["y"], constants)


class Pair:
    """A model on both providers: everything that can be claimed is. `run` compares one feed."""

    def __init__(self, model: onnx.ModelProto, level: str, **options: object) -> None:
        # ONNX Runtime plans the reuse of memory by declared shapes, also by those that do not hold, on the CPU provider
        # and among the nodes that ours leaves to it.
        session_options = ort.SessionOptions()
        session_options.enable_mem_reuse = False
        self.cpu = cpu_session(model, session_options)
        self.sparse = sparse_session(model, session_options, isa=level, **{"min_sparsity": 0, **options})

    def accepts(self, **feed: np.ndarray) -> bool:
        """Whether the CPU provider runs this; where it raises, ours may raise, too, and may not."""
        try:
            self.cpu.run(None, feed)
        except Exception:  # noqa: BLE001  which error it is, is ONNX Runtime's affair
            return False
        return True

    def run(self, **feed: np.ndarray) -> list[np.ndarray]:
        expected = self.cpu.run(None, feed)
        actual = self.sparse.run(None, feed)
        if expected[0].dtype == np.float32:
            assert_close(actual, expected)
        else:
            for got, want in zip(actual, expected, strict=True):
                np.testing.assert_array_equal(got, want)
        return actual
