"""Small graphs for the tests of lowering, and the levels they run at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
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


class Pair:
    """A model on both providers: everything that can be claimed is. `run` compares one feed."""

    def __init__(self, model: onnx.ModelProto, level: str, **options: object) -> None:
        self.cpu = cpu_session(model)
        self.sparse = sparse_session(model, isa=level, **{"min_sparsity": 0, **options})

    def run(self, **feed: np.ndarray) -> list[np.ndarray]:
        expected = self.cpu.run(None, feed)
        actual = self.sparse.run(None, feed)
        if expected[0].dtype == np.float32:
            assert_close(actual, expected)
        else:
            for got, want in zip(actual, expected, strict=True):
                np.testing.assert_array_equal(got, want)
        return actual
