"""Our outputs against those of the CPU provider: of the model, and of every operator that runs here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort

import onnxruntime_ep_sparsecpu as sparsecpu
from onnxruntime_ep_sparsecpu.tools import sessions
from onnxruntime_ep_sparsecpu.tools.assignment import Node, is_here, nodes_of, with_totals
from onnxruntime_ep_sparsecpu.tools.errors import UserError
from onnxruntime_ep_sparsecpu.tools.feeds import assuming, make_feeds
from onnxruntime_ep_sparsecpu.tools.hardware import has_vnni
from onnxruntime_ep_sparsecpu.tools.source import Model, Source, as_source

Array = npt.NDArray[Any]

TOLERANCE = 1e-4  # of the largest magnitude; what fp32 rounding stays below in whole networks
_SMALLEST_MAGNITUDE = 1e-6  # below it, errors are compared with this instead of with the values


def compare(
    model: Model,
    feeds: Mapping[str, Any] | None = None,
    options: Mapping[str, str] | None = None,
    *,
    per_op: bool = False,
    tolerance: float = TOLERANCE,
    steps: int = 0,
    threads: int = 0,
) -> dict[str, Any]:
    """Runs the model here and on the CPU provider, and compares what comes out.

    feeds: random ones if None. options: of the provider; `assume` is set to the shapes of the feeds. tolerance, steps:
    see difference. per_op: compares also every value that a kernel makes here, with that of the CPU provider on a copy
    of the model that has these values as outputs. A value inside a fusion (a Conv's output that goes into a fused Relu)
    or inside a QDQ unit is in no memory; the fused whole is compared. With the option neighbours=off nothing is fused,
    so that each Conv, MatMul or Gemm is compared alone. The kernels are those of any run, but where several layers
    share a step, each part of one going into the next, they run one after the other to show what is between. A value
    that differs makes those computed from it differ, too: the first is the one to look at. The bodies of If and Loop
    are not looked into.

    Returns `model`, `provider`, `options`, `totals` (what is claimed, see explain), `outputs` (see difference),
    `cpu_changes` (where outputs differ: the relative errors, by output, of the CPU provider without its own fusions,
    None where it cannot run so: how much the network makes of rounding), `per_op` (the same as outputs with `node`,
    `op_type`, `kernel` and `fused`, the other nodes in it by `node` and `op_type`; None if not asked for), `unchecked`
    (names of nodes whose value the model file does not have: ONNX Runtime has made them), `inside` (how many values of
    nodes that run here are in no memory), `first_different` (name of a node or output, or None), `rounding` (whether
    outputs differ, by at most twice their `cpu_changes`), `saturates` (whether INT8 layers run here on a CPU without
    VNNI, where products of ONNX Runtime's saturate), `tolerance`, `steps` and `equal`. Raises UserError when a session
    cannot be created or run, and when nothing runs here: there is nothing to compare then.
    """
    source = as_source(model)
    inputs = make_feeds(source) if feeds is None else feeds
    given = assuming(inputs, source.proto, options)
    return _Comparison(source, inputs, given, tolerance, steps, threads).result(per_op)


@dataclass(frozen=True)
class _Comparison:
    """The arguments of compare, and its steps."""

    source: Source
    feeds: Mapping[str, Any]
    options: Mapping[str, str]
    tolerance: float
    steps: int
    threads: int

    def result(self, per_op: bool) -> dict[str, Any]:
        here = self._session_here(self.source)
        report = with_totals(sparsecpu.report(here))
        if not report["totals"]["claimed_nodes"]:
            raise UserError(
                f"{sparsecpu.get_ep_name()} claims no node of {self.source.name}, so there is nothing to compare "
                "(sparsecpu explain tells why; the option min_sparsity=0 takes whatever is supported)"
            )
        expected = self._run(self._session_there(self.source))
        outputs = differences(self._run(here), expected, self.tolerance, self.steps)
        rows, unchecked, inside = self._operators(here) if per_op else (None, [], 0)
        different = [row["node"] for row in rows or () if not row["equal"]]
        unequal = [row for row in outputs if not row["equal"]]
        changes = self._cpu_changes(expected) if unequal else None
        return {
            "model": self.source.name,
            "provider": sparsecpu.get_ep_name(),
            "options": self.options,
            "totals": report["totals"],
            "outputs": outputs,
            "cpu_changes": changes,
            "per_op": rows,
            "unchecked": unchecked,
            "inside": inside,
            "first_different": next(iter([*different, *(row["value"] for row in unequal)]), None),
            "rounding": bool(unequal) and all(_is_rounding(row, (changes or {}).get(row["value"])) for row in unequal),
            "saturates": not has_vnni() and any(_is_int8(node) for node in nodes_of(report) if is_here(node)),
            "tolerance": self.tolerance,
            "steps": self.steps,
            "equal": not different and not unequal,
        }

    def _session_here(self, source: Source) -> Any:
        return sessions.create(source, sparsecpu.get_ep_name(), self.options, self.threads)

    def _session_there(self, source: Source, settings: Any = None) -> Any:
        return sessions.create(source, sessions.CPU_PROVIDER, threads=self.threads, settings=settings)

    def _run(self, session: Any) -> dict[str, Any]:
        names = [value.name for value in session.get_outputs()]
        return dict(zip(names, sessions.run(session, self.feeds, self.source), strict=True))

    def _cpu_changes(self, expected: Mapping[str, Any]) -> dict[str, float | None] | None:
        settings = sessions.session_options(self.threads)
        settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        try:
            changed = self._run(self._session_there(self.source, settings))
        except UserError:
            return None
        return {row["value"]: row["relative_error"] for row in differences(changed, expected)}

    def _operators(self, session: Any) -> tuple[list[dict[str, Any]], list[str], int]:
        """`per_op`, `unchecked` and `inside`. session: here, of the model itself."""
        sparsecpu._keep_values(session, True)
        self._run(session)
        actual = dict(_arrays(sparsecpu._kept_values(session)))
        sparsecpu._keep_values(session, False)
        known = {output for node in self.source.proto.graph.node for output in node.output}
        kernels = {value: owners for value, owners in _kernels(_main_graph(session)) if value in actual}
        expected = self._expected([value for value in kernels if value in known])
        rows = []
        for value, (main, *fused) in kernels.items():
            if value not in expected:
                continue
            (row,) = differences(actual, {value: expected[value]}, self.tolerance, self.steps)
            rows.append(
                {
                    "node": _name(main),
                    "op_type": main["op_type"],
                    "kernel": main["kernel"],
                    "fused": [{"node": _name(node), "op_type": node["op_type"]} for node in fused],
                    **row,
                }
            )
        made = {value for node in _main_graph(session) if is_here(node) for value in node["outputs"] if value}
        unchecked = [_name(owners[0]) for value, owners in kernels.items() if value not in known]
        return rows, unchecked, len(made - actual.keys())

    def _expected(self, values: list[str]) -> dict[str, Any]:
        """What the CPU provider makes of these values, on a copy of the model that has them as outputs."""
        model = onnx.ModelProto()
        model.CopyFrom(self.source.proto)
        present = {output.name for output in model.graph.output}
        # ONNX Runtime infers the types.
        model.graph.output.extend(onnx.ValueInfoProto(name=value) for value in values if value not in present)
        outputs = self._run(self._session_there(self.source.changed(model)))
        return {value: outputs[value] for value in values}


def _is_rounding(row: Mapping[str, Any], change: float | None) -> bool:
    """change: the relative error of the CPU provider from itself. What is wrong beyond numbers is no rounding."""
    return change is not None and not row["note"] and row["relative_error"] <= 2 * change


def _is_int8(node: Node) -> bool:
    return node["group_sparsity"] is not None


def _name(node: Node) -> str:
    """Of a node, or of its first output if it has none."""
    return str(node["name"] or node["outputs"][0])


def differences(
    actual: Mapping[str, Any], expected: Mapping[str, Any], tolerance: float = TOLERANCE, steps: int = 0
) -> list[dict[str, Any]]:
    """The difference of every expected value, in order, with its name as `value`. Raises UserError for one that is no
    tensor."""
    rows = []
    for name, want in expected.items():
        if not isinstance(want, np.ndarray):
            raise UserError(f"output {name} is a {type(want).__name__}; expected a tensor")
        rows.append({"value": name, **difference(actual[name], want, tolerance, steps)})
    return rows


def difference(actual: Array, expected: Array, tolerance: float = TOLERANCE, steps: int = 0) -> dict[str, Any]:
    """How far two arrays are apart.

    Returns `dtype` and `shape` of the expected one; `max_error` (largest absolute difference; of integers in steps);
    `relative_error` (max_error as a share of the expected one's largest magnitude, at least 1e-6); `rms_error` (root of
    the mean square of the difference, as a share of that of the expected one); `same` (how many entries are the same)
    of `size`; `equal`; and `note` (what is wrong beyond numbers, or ""). The three errors are None where there are no
    numbers to subtract. Equal are: floats with relative_error <= tolerance, and infinities and NaN in the same places;
    integers with max_error <= steps; all else if it is the same.
    """
    row = {"dtype": str(expected.dtype), "shape": list(expected.shape), "size": expected.size}
    nothing = {"max_error": None, "relative_error": None, "rms_error": None}
    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        note = f"{actual.dtype} {list(actual.shape)}, expected {expected.dtype} {list(expected.shape)}"
        return {**row, **nothing, "same": 0, "equal": False, "note": note}
    if expected.dtype.kind not in "fiu":
        count = int(np.count_nonzero(actual == expected))
        return {**row, **nothing, "same": count, "equal": count == expected.size, "note": ""}
    got, want = actual.astype(np.float64), expected.astype(np.float64)
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    finite = np.isfinite(got) & np.isfinite(want)
    misplaced = int(np.count_nonzero(~finite & ~same))
    error = np.abs(got[finite] - want[finite])
    max_error = float(error.max(initial=0))
    relative = max_error / max(float(np.abs(want[finite]).max(initial=0)), _SMALLEST_MAGNITUDE)
    power = float(np.square(want[finite]).sum())
    within = relative <= tolerance if expected.dtype.kind == "f" else max_error <= steps
    return {
        **row,
        "max_error": max_error,
        "relative_error": relative,
        "rms_error": float(np.sqrt(np.square(error).sum() / power)) if power else relative,
        "same": int(np.count_nonzero(same)),
        "equal": within and not misplaced,
        "note": f"{misplaced} infinities or NaN in one of the two" if misplaced else "",
    }


def _main_graph(session: Any) -> list[Node]:
    graphs = sparsecpu.report(session)["graphs"]
    nodes: list[Node] = next((graph["nodes"] for graph in graphs if not graph["parent_node"]), [])
    return nodes


def _arrays(values: Iterable[tuple[bytes, int, list[int], bytes]]) -> Iterator[tuple[str, Array]]:
    """Kept values by name, as arrays."""
    for name, element_type, shape, data in values:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(element_type)
        yield name.decode("utf-8", errors="replace"), np.frombuffer(data, dtype).reshape(shape)


def _kernels(nodes: list[Node]) -> Iterator[tuple[str, list[Node]]]:
    """The values of claimed nodes, in order, each with the nodes that one kernel computes it by: the one whose kernel
    it is, then those fused into it (of a unit, only its main node)."""
    hosts = [index if node["computed_in"] is None else node["computed_in"] for index, node in enumerate(nodes)]
    fused: dict[int, list[Node]] = {}
    for index, node in enumerate(nodes):
        if hosts[index] != index == node["unit"]:
            fused.setdefault(hosts[index], []).append(node)
    for host, node in zip(hosts, nodes, strict=True):
        for value in node["outputs"]:
            if is_here(node) and value:
                yield value, [nodes[host], *fused.get(host, [])]
