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
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from harness import BOUND, Variant, assert_close, available_levels, claimed

Feed = Mapping[str, np.ndarray]

ADDRESS_SPACE = 4 << 30  # of a child; bytes
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

    bound: largest difference of float outputs, as a share of the largest finite value; integers are always equal.
    claims: op types of which at least one node must be claimed with every set of options that has min_sparsity=0."""

    model: bytes
    feeds: Sequence[Feed]
    options: Sequence[Variant]
    bound: float = BOUND
    threads: int = 2
    claims: tuple[str, ...] = ()


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
    here = [] if options is None else [("SparseCPUProvider", options)]
    return ort.InferenceSession(trial.model, settings, providers=[*here, "CPUExecutionProvider"], enable_fallback=0)


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

    def here(options: Variant) -> None:
        stage = "creation"
        try:
            session = session_of(trial, options)
            verdict.claimed += len(claimed(session))
            missing = [op for op in trial.claims if options.get("min_sparsity") == "0" and not claimed(session, op)]
            stage = "run"
            actual = run_all(session, trial.feeds)
            stage = "values"
            for got, want in zip(actual, expected, strict=True):
                same(got, want, trial.bound)
            assert not missing, f"not claimed: {missing}"
        except Exception as error:  # noqa: BLE001
            if not verdict.cpu_error:
                verdict.failures.append(f"{options}: {stage}: {one_line(error)}")

    tell("CPU provider")
    allowed = MEMORY_FACTOR * memory_growth(on_cpu) + MEMORY_SLACK
    for options in trial.options:
        tell(str(options))
        growth = memory_growth(lambda options=options: here(options))  # type: ignore[misc]
        if growth > allowed and not sanitized():
            verdict.failures.append(f"{options}: memory: {growth >> 20} MiB, allowed are {allowed >> 20}")
    return verdict


def same(actual: Sequence[np.ndarray], expected: Sequence[np.ndarray], bound: float) -> None:
    assert len(actual) == len(expected)
    for got, want in zip(actual, expected, strict=True):
        assert_close([got], [want], bound if want.dtype.kind == "f" else 0.0)


def serve(connection: Connection, log: str) -> None:
    """What the child does: trials in, verdicts out; strings on the way say what is run next."""
    errors = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(errors, 1)
    os.dup2(errors, 2)
    if not sanitized():
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ort.set_default_logger_severity(4)
    while (trial := connection.recv()) is not None:
        connection.send(examine(trial, connection.send))


class Child:
    """A process that examines one trial at a time; after a death or a hang, a fresh one takes its place."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self.environment = dict(environment or {})
        self.process: Any = None

    def start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.log = tempfile.NamedTemporaryFile(prefix="child-", suffix=".log")  # noqa: SIM115  lives as long as the process
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, self.log.name), daemon=True)
        kept = {key: os.environ.get(key) for key in self.environment}
        os.environ.update(self.environment)
        try:
            self.process.start()
        finally:
            for key, value in kept.items():
                os.environ.pop(key) if value is None else os.environ.__setitem__(key, value)
        theirs.close()

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.connection.close()
            self.log.close()
            self.process = None

    def examine(self, trial: Trial, seconds: float = 120) -> Verdict:
        """seconds: for each step, a provider with a set of options."""
        if self.process is None:
            self.start()
        step = "start"
        try:
            self.connection.send(trial)
            while True:
                if not self.connection.poll(seconds):
                    return self.ended(step, f"hangs: no result in {seconds:.0f} s")
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
        if step == "CPU provider":
            return Verdict(cpu_error=how)
        return Verdict(failures=[f"{step}: {how} {tail[-600:]}".rstrip()])
