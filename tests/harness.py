"""Shared by every test that runs a model: sessions on the two providers, the bound between their outputs, the
instruction-set levels of this machine, what a report says was claimed, and child processes that end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import onnxruntime_ep_sparsecpu as sparsecpu
import pytest

PROVIDER = "SparseCPUProvider"
LEVELS = ("scalar", "avx2", "avx512", "avx512_vnni")
BOUND = 1e-4  # largest difference, as a share of the output's largest magnitude

_LEVEL_FLAGS: Mapping[str, set[str]] = {
    "scalar": set(),
    "avx2": {"avx2", "fma"},
    "avx512": {"avx512f", "avx512bw", "avx512dq", "avx512vl"},
    "avx512_vnni": {"avx512_vnni"},
}

Model = onnx.ModelProto | str | Path
Variant = dict[str, str]  # provider options


def _cpu_flags() -> set[str]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((set(line.split(":")[1].split()) for line in lines if line.startswith("flags")), set[str]())


def available_levels() -> list[str]:
    """Levels this machine can run, ascending; read from the kernel, not from the provider under test."""
    flags = _cpu_flags()
    cap = os.environ.get("SPARSECPU_ISA", LEVELS[-1])
    allowed = LEVELS[: LEVELS.index(cap) + 1]
    return [level for level in allowed if flags >= _LEVEL_FLAGS[level]]


def has_vnni() -> bool:
    """Whether onnxruntime's own int8 kernels multiply u8 by s8 exactly; SPARSECPU_ISA plays no part in it."""
    return bool(_cpu_flags() & {"avx512_vnni", "avx_vnni"})


def float_variants() -> dict[str, Variant]:
    """Provider options for every way that float layers run on this machine: its levels, the last one with and without
    generated code. avx512_vnni has the float kernels of avx512 and is not listed."""
    levels = [level for level in available_levels() if level != "avx512_vnni"]
    variants: dict[str, Variant] = {level: {"isa": level} for level in levels}
    if "avx512" in variants:
        variants["avx512, jit off"] = {"isa": "avx512", "jit": "off"}
    return variants


every_float_variant = pytest.mark.parametrize("variant", float_variants().values(), ids=float_variants())


def serialized(model: Model) -> bytes | str:
    return model.SerializeToString() if isinstance(model, onnx.ModelProto) else str(model)


def cpu_session(model: Model, session_options: ort.SessionOptions | None = None) -> ort.InferenceSession:
    return ort.InferenceSession(serialized(model), session_options, providers=["CPUExecutionProvider"])


def sparse_session(
    model: Model, session_options: ort.SessionOptions | None = None, **options: object
) -> ort.InferenceSession:
    """A session on SparseCPUProvider with these provider options; a failure is never hidden by a fall back."""
    providers = [(PROVIDER, {key: str(value) for key, value in options.items()}), "CPUExecutionProvider"]
    return ort.InferenceSession(serialized(model), session_options, providers=providers, enable_fallback=0)


def saved_by_onnxruntime(
    model: Model,
    path: Path,
    level: ort.GraphOptimizationLevel = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
) -> Path:
    """The file that onnxruntime writes of a model it has optimized for its CPU provider."""
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 3  # such files are for one machine, it warns from ORT_ENABLE_ALL on
    cpu_session(model, options)
    return path


def assert_close(actual: Sequence[np.ndarray], expected: Sequence[np.ndarray], bound: float = BOUND) -> None:
    """Equal shapes, types and non-finite values; finite values within `bound` of the largest magnitude."""
    assert len(actual) == len(expected)
    for index, (got, want) in enumerate(zip(actual, expected, strict=True)):
        assert got.shape == want.shape, f"output {index}: shape {got.shape}, expected {want.shape}"
        assert got.dtype == want.dtype, f"output {index}: {got.dtype}, expected {want.dtype}"
        finite = np.isfinite(want)
        np.testing.assert_array_equal(got[~finite], want[~finite], f"output {index}: non-finite values differ")
        if not finite.any():
            continue
        largest = float(np.abs(want[finite]).max())
        error = float(np.abs(got[finite].astype(np.float64) - want[finite]).max())
        assert error <= bound * max(largest, 1e-6), f"output {index}: off by {error:.3g}, largest value {largest:.3g}"


def nodes(session: ort.InferenceSession, *ops: str) -> list[dict[str, Any]]:
    """The report's nodes of these op types (all without any), those of If and Loop bodies included."""
    every = [node for graph in sparsecpu.report(session)["graphs"] for node in graph["nodes"]]
    return [node for node in every if not ops or node["op_type"] in ops]


def claimed(session: ort.InferenceSession, *ops: str) -> list[dict[str, Any]]:
    return [node for node in nodes(session, *ops) if node["provider"] == PROVIDER]


def weighted(session: ort.InferenceSession) -> list[dict[str, Any]]:
    """Claimed MatMul and Gemm nodes whose right side is constant."""
    return [node for node in claimed(session, "MatMul", "Gemm") if node["sparsity"] is not None]


def assert_claimed(session: ort.InferenceSession, share: float, *ops: str) -> None:
    """At least `share` of the nodes of these op types run on SparseCPUProvider, and there are some."""
    every, here = nodes(session, *ops), claimed(session, *ops)
    assert every, f"the report lists no {ops} node"
    left = {node["name"]: node["reason"] for node in every if node["provider"] != PROVIDER}
    assert len(here) >= share * len(every), f"{len(here)} of {len(every)} {ops} claimed; left: {left}"


def compare(
    model: Model,
    feeds: Sequence[Mapping[str, np.ndarray]],
    *,
    session_options: ort.SessionOptions | None = None,
    bound: float = BOUND,
    **options: object,
) -> ort.InferenceSession:
    """Runs every feed on both providers, compares, and returns the SparseCPUProvider session."""
    sparse, cpu = sparse_session(model, session_options, **options), cpu_session(model)
    for feed in feeds:
        assert_close(sparse.run(None, dict(feed)), cpu.run(None, dict(feed)), bound)
    return sparse


@contextlib.contextmanager
def child(command: Sequence[str], limit: float = 300.0, **settings: Any) -> Iterator[subprocess.Popen[Any]]:
    """A child process that is killed after `limit` seconds, and its own children with it; when the block ends, too.

    SIGINT interrupts it also where this process ignores it (nohup), which a child would otherwise inherit. settings: of
    subprocess.Popen.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(command, start_new_session=True, **settings)
    finally:
        signal.signal(signal.SIGINT, before)

    def kill() -> None:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)

    watchdog = threading.Timer(limit, kill)
    watchdog.start()
    try:
        yield process
    finally:
        watchdog.cancel()
        kill()
        with process:  # closes its pipes
            pass


def run_child(command: Sequence[str], limit: float = 300.0, **settings: Any) -> subprocess.CompletedProcess[str]:
    """What a child process printed, and its exit status: -9 if it was killed after `limit` seconds."""
    with child(command, limit, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **settings) as process:
        out, error = process.communicate()
    return subprocess.CompletedProcess(command, process.returncode, out, error)
