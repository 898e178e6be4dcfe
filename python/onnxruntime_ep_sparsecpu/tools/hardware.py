"""Whether this machine and its onnxruntime fit, whether the kernels compute rightly here, and what to expect."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Any

import onnx

import onnxruntime_ep_sparsecpu as sparsecpu
from onnxruntime_ep_sparsecpu import _native, models
from onnxruntime_ep_sparsecpu.tools.assignment import explain, is_layer, nodes_of
from onnxruntime_ep_sparsecpu.tools.errors import UserError, first_line
from onnxruntime_ep_sparsecpu.tools.self_test import self_test
from onnxruntime_ep_sparsecpu.tools.source import Source, quantize

machine = _native.machine

_BY_NAME = (1, 25)  # onnxruntime from which on providers=["SparseCPUProvider"] works
_EXPECTED_AT = 0.9  # share of zeros for which a speed-up is predicted


def check_hardware() -> dict[str, Any]:
    """What `sparsecpu check-hardware` prints; takes some seconds, most of them for the self-test and measurements.

    Returns a dict with

    - ``cpu``: ``name``, and of this process ``usable`` (CPUs of its affinity mask), ``physical`` cores and ``quota`` (CPUs
      of its cgroup, or None); ``caches``: ``level``, ``type``, ``bytes`` and ``shared_by`` (CPUs) of each that CPU 0 has;
    - ``isa``: the levels ``found``, the one ``used``, and ``why``, a sentence; ``executable_memory`` and
      ``generated_code`` (of the level used): whether the system allows it and the build can make it;
    - ``onnxruntime``: ``version``, ``fits`` and ``advice``, a sentence;
    - ``self_test``: one entry a level and kernel, see self_test;
    - ``peak``: multiply-adds a second, of ``one`` thread and of ``all``, for ``fp32`` and ``int8`` (None without VNNI);
    - ``expect``: for some layers, of ``fp32`` and ``int8`` each, ``needed`` (the zeros from which on they gain; INT8:
      zero groups of 4 input channels) and ``speed_up`` (predicted with 90 % zeros without a pattern);
    - ``ok``: whether the self-test passed and onnxruntime fits.

    Raises UserError if ``SPARSECPU_ISA`` names no level.
    """
    try:
        levels = sparsecpu.available_isas()
    except RuntimeError as error:
        raise UserError(first_line(error)) from error
    tests = self_test(levels)
    ort = _onnxruntime()
    used = levels[-1]
    return {
        "cpu": {
            "name": cpu_name(),
            "usable": machine.usable_cpus(),
            "physical": _physical_cores(),
            "quota": _cgroup_quota(),
        },
        "caches": _caches(),
        "isa": {"found": [name for name, _, runs in machine.levels() if runs], "used": used, "why": _why(used)},
        "executable_memory": machine.executable_memory(),
        "generated_code": machine.generates_code(used),
        "onnxruntime": ort,
        "self_test": tests,
        "peak": {"one": _peak(used, 1), "all": _peak(used, machine.usable_cpus())},
        "expect": _expectations() if ort["fits"] else [],
        "ok": ort["fits"] and all(test["passed"] == test["cases"] for test in tests),
    }


def cpu_name() -> str:
    """As the processor calls itself; its architecture where it does not."""
    return _cpu_info().get("model name", platform.machine())


def has_vnni() -> bool:
    """Whether the CPU adds up products of bytes without saturating, in either encoding of the instructions."""
    return bool({"avx512_vnni", "avx_vnni"} & set(_cpu_info().get("flags", "").split()))


def _cpu_info() -> dict[str, str]:
    """The first processor of /proc/cpuinfo; empty where there is none."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return {}
    lines = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in lines}


def _why(used: str) -> str:
    levels = machine.levels()
    found, own = next((name, flags) for name, flags, runs in reversed(levels) if runs)
    if used != found:
        return f"SPARSECPU_ISA={os.environ.get('SPARSECPU_ISA')} keeps it below {found}, the best that this CPU has"
    if found == levels[-1][0]:
        return "the highest level there is"
    above, flags, _ = next(level for level in levels if not level[2])
    missing = [flag for flag in flags if flag not in (*own, *_cpu_info().get("flags", "").split())]
    if missing:
        return f"the best that this CPU has; {above} needs {', '.join(missing)}"
    return f"the best that may be used: the operating system does not save the registers of {above}"


def _physical_cores() -> int | None:
    """Distinct cores among all CPUs of the machine, or None where the system does not tell."""
    cores = set()
    for path in Path("/sys/devices/system/cpu").glob("cpu[0-9]*/topology/thread_siblings_list"):
        cores.add(_read(path))
    return len(cores) or None


def _cgroup_quota() -> float | None:
    """CPUs that the cgroup allows this process at once; None without a limit."""
    quota, _, period = _read(Path("/sys/fs/cgroup/cpu.max")).partition(" ")
    if not quota:  # version 1
        quota = _read(Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"))
        period = _read(Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us"))
    if not quota.isdecimal() or not period.isdecimal() or int(period) == 0:
        return None
    return int(quota) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _caches() -> list[dict[str, Any]]:
    caches = []
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        size = re.fullmatch(r"(\d+)([KM]?)", _read(folder / "size"))
        if size is None:
            continue
        unit = {"": 1, "K": 1 << 10, "M": 1 << 20}[size[2]]
        cpus = _read(folder / "shared_cpu_list")
        entry = {
            "level": int(_read(folder / "level") or 0),
            "type": _read(folder / "type"),
            "bytes": int(size[1]) * unit,
        }
        caches.append({**entry, "shared_by": sum(_length(part) for part in cpus.split(",") if part)})
    return caches


def _length(part: str) -> int:
    """CPUs of "3" or "0-7"."""
    first, _, last = part.partition("-")
    return int(last or first) - int(first) + 1


def _onnxruntime() -> dict[str, Any]:
    try:
        import onnxruntime
    except ImportError:
        return {"version": None, "fits": False, "advice": "it is not installed: pip install onnxruntime"}
    version = str(onnxruntime.__version__)
    try:
        sparsecpu.register()
    except Exception as error:  # noqa: BLE001  (whatever onnxruntime raises is the advice)
        return {"version": version, "fits": False, "advice": f"the provider cannot be registered: {first_line(error)}"}
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers and (int(numbers[1]), int(numbers[2])) < _BY_NAME:
        return {"version": version, "fits": False, "advice": "1.25 or newer selects the provider by name; use add_to()"}
    return {"version": version, "fits": True, "advice": 'select it with providers=["SparseCPUProvider"]'}


def _peak(level: str, threads: int) -> dict[str, float | None]:
    return {
        "fp32": 16 * machine.fma_peak(level, threads) or None,
        "int8": 64 * machine.vnni_peak(level, threads) or None,
    }


def _expectations() -> list[dict[str, Any]]:
    """What the price of each layer says, in a session of its own kind on this machine."""
    network = _layers()
    kinds = {"fp32": network, "int8": quantize(network)}
    rows: dict[str, dict[str, Any]] = {}
    for kind, model in kinds.items():
        for node in nodes_of(explain(Source(f"the {kind} layers", model))):
            if is_layer(node) and node["here_us"] and node["needed_sparsity"] is not None:
                row = rows.setdefault(node["layer"].removeprefix("a "), {})
                row[kind] = {"needed": node["needed_sparsity"], "speed_up": node["cpu_us"] / node["here_us"]}
    return [{"layer": layer, "fp32": row.get("fp32"), "int8": row.get("int8")} for layer, row in rows.items()]


def _layers() -> onnx.ModelProto:
    """One layer of each sort that differs in price, side by side, with 90 % zeros."""
    g = models.GraphBuilder(sparsity=_EXPECTED_AT)
    inputs: dict[str, list[models.Dim]] = {}
    outputs: dict[str, list[models.Dim]] = {}
    for name, channels, size, kernel in (("wide", 64, 56, 3), ("middle", 256, 14, 3), ("small", 512, 7, 1)):
        inputs[name] = [1, channels, size, size]
        outputs[g.conv(name, channels, channels, kernel)] = [1, channels, size, size]
    for rows in (128, 1):
        inputs[f"rows{rows}"] = [rows, 768]
        outputs[g.gemm(f"rows{rows}", 768, 768)] = [rows, 768]
    return g.model(inputs, outputs)
