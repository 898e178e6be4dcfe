"""Runs models on the CPU provider and on SparseCPUProvider in a child process, and says where the two differ.

The rule: where the CPU provider creates a session and runs, SparseCPUProvider does too and gives the same. A death, a
hang, and memory out of proportion break it as a wrong value does, so the models run in a process that may die."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import resource
import signal
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from harness import BOUND, Variant, assert_close, available_levels, claimed
from roundings import DRAWS, nudged_feed, nudged_model, touched

Feed = Mapping[str, np.ndarray]

ADDRESS_SPACE = 4 << 30  # of a child; bytes
START_SECONDS = 600  # of a child, on a machine that has much else to do
ON_CPU = "CPU provider"
FILLS = (0, 0x20, 0x7F, 0x80, 0xA5, 0xD0, 0xFF)  # whatever saturates behind one of them does not behind another
CPU_SECONDS = 60  # what the CPU provider takes longer for, a Loop without end for example, is no reference
MEMORY_FACTOR, MEMORY_SLACK = 3, 96 << 20  # peak growth allowed: so many times the CPU provider's, plus bytes


def every_variant() -> dict[str, Variant]:
    """Provider options for every way that float and int8 layers run on this machine."""
    variants: dict[str, Variant] = {level: {"isa": level} for level in available_levels()}
    for level in ("avx512", "avx512_vnni"):
        if level in variants:
            variants[f"{level}, jit off"] = {"isa": level, "jit": "off"}
    return variants


@dataclass(frozen=True)
class Trial:
    """A model, what to feed it, and the sets of provider options to run it with.

    bound: largest difference of float outputs, as a share of the largest finite value.
    steps: largest difference of integer outputs.
    claims: op types of which at least one node must be claimed with every set of options that has min_sparsity=0.
    any_for_nan: where the CPU provider gives NaN, any value is right: a mutation, or functions of functions, may make
        values infinite or NaN, and zero times those is zero on SparseCPUProvider (README).
    level: of the optimizations of both sessions, as ONNX Runtime names it.

    What the last bits of its sums change is allowed, too (roundings.py)."""

    model: bytes
    feeds: Sequence[Feed]
    options: Sequence[Variant]
    bound: float = BOUND
    steps: int = 0
    threads: int = 2
    claims: tuple[str, ...] = ()
    any_for_nan: bool = False
    level: str = "ORT_ENABLE_ALL"


@dataclass
class Verdict:
    """cpu_error: what the CPU provider raised; then nothing but death, hang and memory counts."""

    cpu_error: str = ""
    failures: list[str] = field(default_factory=list)
    claimed: int = 0  # nodes, over all sets of options


def sanitized() -> bool:
    return any("libasan" in line or "libtsan" in line for line in Path("/proc/self/maps").read_text().splitlines())


def session_of(trial: Trial, options: Variant | None) -> ort.InferenceSession:
    """On the CPU provider for None, else on SparseCPUProvider with these options."""
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = trial.threads
    settings.log_severity_level = 4
    settings.graph_optimization_level = getattr(ort.GraphOptimizationLevel, trial.level)
    # ONNX Runtime plans the reuse of memory by declared shapes, also by those that do not hold.
    settings.enable_mem_reuse = False
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    here = [] if options is None else [("SparseCPUProvider", options)]
    return ort.InferenceSession(trial.model, settings, providers=[*here, "CPUExecutionProvider"], enable_fallback=0)


def every_value_an_output(model: bytes, sizes: bool) -> bytes:
    """And nothing declared of them, since a declaration may not hold. Not sizes: nor can ONNX Runtime derive any, from
    those of inputs and constants: it may derive others than it has in a run, and then no memory of the real size can be
    bound."""
    result = onnx.load_from_string(model)
    names = [output.name for output in result.graph.output]
    names += [name for node in result.graph.node for name in node.output if name]
    del result.graph.output[:], result.graph.value_info[:]
    result.graph.output.extend(onnx.ValueInfoProto(name=name) for name in dict.fromkeys(names))
    if not sizes:
        given = {value.name for value in result.graph.input}
        for constant in result.graph.initializer:
            if constant.name not in given:  # then it is one that could be fed, and is none for shape inference
                info = onnx.helper.make_tensor_value_info(constant.name, constant.data_type, constant.dims)
                result.graph.input.append(info)
        for value in result.graph.input:
            for dim in value.type.tensor_type.shape.dim:
                dim.Clear()
    return bytes(result.SerializeToString())


def run_into(session: ort.InferenceSession, feed: Feed, like: Sequence[Any], byte: int) -> list[np.ndarray]:
    """The outputs of a run that finds this byte everywhere in the memory for them."""
    binding = session.io_binding()
    for name, array in feed.items():
        binding.bind_cpu_input(name, np.ascontiguousarray(array))
    for output, value in zip(session.get_outputs(), like, strict=True):
        filled = np.frombuffer(bytes([byte]) * value.nbytes, value.dtype).reshape(value.shape)
        binding.bind_ortvalue_output(output.name, ort.OrtValue.ortvalue_from_numpy(filled.copy()))
    session.run_with_iobinding(binding)
    return [value.numpy().copy() for value in binding.get_outputs()]


def why_no_measure(trial: Trial, refused: bool) -> str:
    """Why the values of the CPU provider are no measure: it leaves memory unwritten, as it does for some shapes that do
    not fit each other, and the outputs depend on what is there (refused: or anything does); or `any_for_nan` holds and
    a float inside, which may be quantized behind, is NaN."""
    reasons = (no_measure(trial, every_value_an_output(trial.model, sizes), refused) for sizes in (True, False))
    return next(filter(None, reasons), "")


def no_measure(trial: Trial, every: bytes, refused: bool) -> str:
    try:
        session = session_of(replace(trial, model=every), None)
        outputs = range(len(session.get_outputs() if refused else onnx.load_from_string(trial.model).graph.output))
        for feed in trial.feeds:
            like = session.run(None, dict(feed))
            if trial.any_for_nan and any(value.dtype.kind == "f" and np.isnan(value).any() for value in like):
                return "a value inside is NaN"
            filled = [run_into(session, feed, like, byte) for byte in FILLS]
            if any(filled[0][i].tobytes() != other[i].tobytes() for i in outputs for other in filled[1:]):
                return "it leaves memory unwritten"
    except Exception:  # noqa: BLE001  values that are no tensors of numbers
        return ""
    return ""


def roundings(trial: Trial, expected: list[list[np.ndarray]]) -> list[list[float]]:
    """For every run and output, how far other last bits of what goes into sums move the CPU provider's values, and twice
    that: some of them may move and others not."""
    free = [[0.0] * len(outputs) for outputs in expected]
    for draw in range(DRAWS):
        session = session_of(replace(trial, model=nudged_model(trial.model, draw)), None)
        moved = run_all(session, [nudged_feed(feed, draw) for feed in trial.feeds])
        for run, outputs in enumerate(expected):
            for index, (here, there) in enumerate(zip(outputs, moved[run], strict=True)):
                apart = np.nan_to_num(np.abs(here.astype(np.float64) - there), posinf=0.0)
                free[run][index] = max(free[run][index], 2 * float(apart.max(initial=0)))
    return free


def refused_once_touched(trial: Trial) -> str:
    """Why the CPU provider, too, refuses the model where anything in its graph is optimized: ONNX Runtime merges declared
    shapes that contradict each other, once."""
    level = "ORT_ENABLE_BASIC" if trial.level == "ORT_DISABLE_ALL" else trial.level
    try:
        session_of(replace(trial, model=touched(trial.model), level=level), None)
    except Exception as error:  # noqa: BLE001
        return one_line(error)
    return ""


def run_all(session: ort.InferenceSession, feeds: Sequence[Feed]) -> list[list[np.ndarray]]:
    return [session.run(None, dict(feed)) for feed in feeds]


def memory_growth(work: Callable[[], None]) -> int:
    """Bytes by which the resident memory of this process rises while `work` runs."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    before = status_bytes("VmRSS")
    work()
    return status_bytes("VmHWM") - before


def status_bytes(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(key + ":"))


# onnxruntime looks in a body for dequantized weights that are outside it. Whether it gets so far depends on what other
# transformations have made of the nodes around, and so on which are its own.
OUTSIDE_WEIGHTS = "TransposeDQWeightsForMatMulNBits Missing required weight"


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[-300:]


def examine(trial: Trial, tell: Callable[[str], None] = lambda _: None) -> Verdict:
    """Runs the trial in this process; `tell` hears what is run next, so that a death can be placed."""
    verdict = Verdict()
    expected: list[list[np.ndarray]] = []

    def on_cpu() -> None:
        try:
            expected.extend(run_all(session_of(trial, None), trial.feeds))
        except Exception as error:  # noqa: BLE001  what ONNX Runtime raises is its affair
            verdict.cpu_error = one_line(error) or type(error).__name__

    def here(options: Variant, ran: list[tuple[ort.InferenceSession, list[list[np.ndarray]]]]) -> None:
        stage = "creation"
        try:
            session = session_of(trial, options)
            stage = "run"
            ran.append((session, run_all(session, trial.feeds)))
        except Exception as error:  # noqa: BLE001
            fail(options, stage, error)

    def check(options: Variant, session: ort.InferenceSession, actual: list[list[np.ndarray]]) -> None:
        nodes = len(claimed(session))
        verdict.claimed += nodes
        missing = [op for op in trial.claims if options.get("min_sparsity") == "0" and not claimed(session, op)]
        try:
            if nodes:
                all_same(actual, expected, trial)
            assert not missing, f"not claimed: {missing}"
        except Exception as error:  # noqa: BLE001
            fail(options, "values", error)

    def fail(options: Variant, stage: str, error: Exception) -> None:
        if not verdict.cpu_error:
            verdict.failures.append(f"{options}: {stage}: {one_line(error)}")

    tell(ON_CPU)
    allowed = MEMORY_FACTOR * memory_growth(on_cpu) + MEMORY_SLACK
    for options in trial.options:
        tell(str(options))
        ran: list[tuple[ort.InferenceSession, list[list[np.ndarray]]]] = []
        growth = memory_growth(partial(here, options, ran))
        if ran:
            check(options, *ran[0])  # outside, since it takes memory of its own
        if growth > allowed and not sanitized():
            verdict.failures.append(f"{options}: memory: {growth >> 20} MiB, allowed are {allowed >> 20}")
    if any(OUTSIDE_WEIGHTS in failure for failure in verdict.failures):
        return Verdict(cpu_error=OUTSIDE_WEIGHTS, claimed=verdict.claimed)
    if any(": creation: " in failure for failure in verdict.failures) and (refused := refused_once_touched(trial)):
        return Verdict(cpu_error=refused, claimed=verdict.claimed)
    refused, differs = (any(stage in failure for failure in verdict.failures) for stage in (": run: ", ": values: "))
    if (refused or differs) and (reason := why_no_measure(trial, refused)):
        return Verdict(cpu_error=reason, claimed=verdict.claimed)
    return verdict


def all_same(actual: list[list[np.ndarray]], expected: list[list[np.ndarray]], trial: Trial) -> None:
    try:
        for got, want in zip(actual, expected, strict=True):
            same(got, want, trial)
    except AssertionError:
        for got, want, free in zip(actual, expected, roundings(trial, expected), strict=True):
            same(got, want, trial, free)


def same(
    actual: Sequence[np.ndarray], expected: Sequence[np.ndarray], trial: Trial, free: Sequence[float] = ()
) -> None:
    """free: how far each output may be off besides the trial's bound and steps."""
    assert len(actual) == len(expected)
    for index, (got, want) in enumerate(zip(actual, expected, strict=True)):
        more = free[index] if free else 0.0
        if want.dtype.kind == "f":
            if trial.any_for_nan and got.shape == want.shape:
                got = np.where(np.isnan(want), want, got)
            largest = float(np.abs(want[np.isfinite(want)]).max(initial=1e-6))
            assert_close([got], [want], trial.bound + more / largest)
            continue
        assert got.shape == want.shape, f"output {index}: shape {got.shape}, expected {want.shape}"
        assert got.dtype == want.dtype, f"output {index}: {got.dtype}, expected {want.dtype}"
        distance = np.abs(got.astype(np.float64) - want.astype(np.float64))
        wrong = int((distance > trial.steps + more).sum())
        assert not wrong, f"output {index}: {wrong} of {want.size} values differ by up to {distance.max():.0f}"


def serve(connection: Connection, log: str) -> None:
    """What the child does: trials in, verdicts out; strings on the way say what is run next."""
    errors = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(errors, 1)
    os.dup2(errors, 2)
    if not sanitized():
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ort.set_default_logger_severity(4)
    connection.send("ready")
    while (trial := connection.recv()) is not None:
        connection.send(examine(trial, connection.send))


class Child:
    """A process that examines one trial at a time; after a death or a hang, a fresh one takes its place."""

    def __init__(self) -> None:
        self.process: Any = None

    def start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.log = tempfile.NamedTemporaryFile(prefix="child-", suffix=".log")  # noqa: SIM115  lives as long as the process
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, self.log.name), daemon=True)
        self.process.start()
        theirs.close()
        assert self.connection.poll(START_SECONDS), "a child process does not start"
        self.connection.recv()

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.connection.close()
            self.log.close()
            self.process = None

    def examine(self, trial: Trial, seconds: float = 300) -> Verdict:
        """seconds: for each step, a provider with a set of options."""
        if self.process is None:
            self.start()
        step = "model"
        try:
            self.connection.send(trial)
            while True:
                limit = min(seconds, CPU_SECONDS) if step == ON_CPU else seconds
                if not self.connection.poll(limit):
                    return self.ended(step, f"hangs: no result in {limit:.0f} s")
                message = self.connection.recv()
                if isinstance(message, Verdict):
                    return message
                step = message
        except (EOFError, ConnectionError):
            return self.ended(step, "")

    def ended(self, step: str, how: str) -> Verdict:
        self.process.join(0 if how else 10)
        code = self.process.exitcode
        if not how:
            how = f"dies: {signal.Signals(-code).name if code is not None and code < 0 else f'exit status {code}'}"
        tail = " | ".join(Path(self.log.name).read_text(errors="replace").splitlines()[-6:])
        self.stop()
        if step == ON_CPU:
            return Verdict(cpu_error=how)
        return Verdict(failures=[f"{step}: {how} {tail[-600:]}".rstrip()])
