"""The registry of the corpus: small models that SparseCPUProvider once failed on, built by code.

To add one, write a function in the module of its kind (or a new module in this folder; all are found)::

    @case("two windows on one input", claims=("Conv",))
    def two_windows() -> Model:
        nodes = [node("Conv", ["x", "w"], ["y"], pads=[1] * 4)]
        return network(nodes, {"x": [1, 64, "h", "w"]}, {"w": sparse(64, 64, 3, 3)}), [{"x": normal(1, 64, 9, 9)}]

and run it with ``pytest tests/corpus -k two_windows``. Whatever is wrong must show as a death, a hang, an error where
the CPU provider has none, another value, or memory out of proportion."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from harness import BOUND, Variant
from onnx import helper, numpy_helper

node = helper.make_node
Model = tuple[bytes, list[dict[str, np.ndarray]]]  # serialized, and what to feed it, run after run
Dims = Sequence[int | str]

MICROSOFT = "com.microsoft"


@dataclass(frozen=True)
class Case:
    name: str
    build: Callable[[], Model]
    options: tuple[Variant, ...]
    bound: float
    threads: int
    claims: tuple[str, ...]
    cpu_raises: bool


CASES: dict[str, Case] = {}


def case(
    name: str,
    *,
    options: tuple[Variant, ...] = ({}, {"min_sparsity": "0"}),
    bound: float = BOUND,
    threads: int = 2,
    claims: tuple[str, ...] = (),
    cpu_raises: bool = False,
) -> Callable[[Callable[[], Model]], Callable[[], Model]]:
    """Registers a function that returns a model (bytes) and its feeds (a list, one for every run) as a case.

    It runs on the CPU provider, then on SparseCPUProvider with each of `options` on every instruction-set level of the
    machine, in a process of its own, and everything must be equal.

    name: unique; short words, shown in the test's name.
    options: sets of provider options; by default none, and min_sparsity=0 (whatever is supported).
    bound: of float outputs, as a share of the largest finite value; 0.0 where the bits must be the CPU provider's.
        Integer outputs are always compared exactly.
    threads: of the session (intra_op_num_threads).
    claims: op types the case is about, of which a node must run on SparseCPUProvider at min_sparsity=0; leave it empty
        where handing the node back is as right.
    cpu_raises: the CPU provider refuses the model or the feed; then SparseCPUProvider may do either, but not die, hang
        or take memory out of proportion.

    For a family, call it in a loop: ``case(f"size {n}")(partial(build, n))``."""

    def register(build: Callable[[], Model]) -> Callable[[], Model]:
        assert name not in CASES, f"two cases are named {name!r}"
        CASES[name] = Case(name, build, options, bound, threads, claims, cpu_raises)
        return build

    return register


def network(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Dims],
    constants: Mapping[str, np.ndarray],
    outputs: Sequence[str] = ("y",),
    *,
    types: Mapping[str, type] | None = None,
    declared: Mapping[str, Dims] | None = None,
    functions: Sequence[onnx.FunctionProto] = (),
    opset: int = 17,
) -> bytes:
    """A serialized model, unchecked. Inputs and outputs are float32 unless `types` says otherwise; `declared` are
    shapes of values inside, true or not."""

    def info(name: str, dims: Dims | None) -> onnx.ValueInfoProto:
        dtype = np.dtype((types or {}).get(name, np.float32))
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtype), dims)

    graph = helper.make_graph(
        nodes,
        "g",
        [info(name, dims) for name, dims in inputs.items()],
        [info(name, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
        value_info=[info(name, dims) for name, dims in (declared or {}).items()],
    )
    domains = {"": opset, MICROSOFT: 1} | {f.domain: 1 for f in functions}
    opsets = [helper.make_opsetid(domain, version) for domain, version in domains.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=functions)
    return bytes(model.SerializeToString())


def sparse(*shape: int, zeros: float = 0.9, scale: float = 0.125) -> np.ndarray:
    """Normal weights of which a share is zero."""
    rng = np.random.default_rng(sum(shape))
    values = (rng.standard_normal(shape) * scale).astype(np.float32)
    values[rng.random(shape) < zeros] = 0
    return values


def sparse_bytes(*shape: int, zeros: float = 0.9, largest: int = 60) -> np.ndarray:
    """int8 weights, zero in groups of four along axis 1. Two of them times 255 stay within 16 bits, where onnxruntime
    saturates on CPUs without VNNI."""
    rng = np.random.default_rng(sum(shape))
    values = rng.integers(-largest, largest + 1, shape).astype(np.int8)
    groups = np.repeat(rng.random((shape[0], -(-shape[1] // 4), *shape[2:])) < zeros, 4, axis=1)
    values[groups[:, : shape[1]]] = 0
    return values


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def bytes_of(*shape: int, dtype: type = np.uint8, seed: int = 0) -> np.ndarray:
    limits = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(limits.min, limits.max + 1, shape).astype(dtype)
