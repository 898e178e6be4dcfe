"""`sparsecpu check-hardware`: does this machine fit, and what to expect of it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from onnxruntime_ep_sparsecpu.commands import arguments as shared
from onnxruntime_ep_sparsecpu.commands import output
from onnxruntime_ep_sparsecpu.commands.command import Command
from onnxruntime_ep_sparsecpu.tools.hardware import check_hardware

_LAYERS = (
    output.Column("layer"),
    output.Column("fp32: zeros needed", numeric=True, width=18),
    output.Column("at 90% zeros", numeric=True, width=12),
    output.Column("int8: zero groups needed", numeric=True, width=24),
    output.Column("at 90% zeros", numeric=True, width=12),
)


def _cores(cpu: Mapping[str, Any]) -> str:
    text = f"{cpu['usable']} usable" + (f" CPUs on {cpu['physical']} cores" if cpu["physical"] else " CPUs")
    if cpu["quota"] is None:
        return text + ", no cgroup quota"
    warning = ""
    if cpu["quota"] < cpu["usable"]:
        warning = " (fewer than there are CPUs: set intra_op_num_threads to it)"
    return f"{text}, cgroup quota {cpu['quota']:g} CPUs{warning}"


def _cache(cache: Mapping[str, Any]) -> str:
    kind = {"Data": " data", "Instruction": " code"}.get(cache["type"], "")
    shared_by = f" for {cache['shared_by']} CPUs" if cache["shared_by"] > 1 else ""
    return f"L{cache['level']}{kind} {output.size(cache['bytes']).replace('.0', '')}{shared_by}"


def _code(result: Mapping[str, Any]) -> str:
    if result["generated_code"]:
        return "yes: sparse layers run machine code made for them"
    if not result["executable_memory"]:
        return "no: the system refuses executable memory; sparse layers run a slower kernel"
    return "no: needs AVX-512, and Xbyak when the library is built; sparse layers run a slower kernel"


def _peak(result: Mapping[str, Any]) -> str:
    one, every = result["peak"]["one"], result["peak"]["all"]
    threads = result["cpu"]["usable"]
    parts = [
        f"{kind} {one[kind] / 1e9:.0f} GMAC/s on one thread, {every[kind] / 1e9:.0f} on {threads}"
        for kind in ("fp32", "int8")
        if one[kind]
    ]
    return "; ".join(parts) or "unknown: the scalar level has no vectors"


def _self_test(tests: list[dict[str, Any]]) -> list[str]:
    """One line a level, then one a kernel that failed."""
    lines = []
    for level in dict.fromkeys(test["level"] for test in tests):
        some = [test for test in tests if test["level"] == level]
        passed, cases = (sum(test[key] for test in some) for key in ("passed", "cases"))
        verdict = "[green]all equal scalar[/green]" if passed == cases else "[red]WRONG[/red]"
        lines.append(f"{level}: {passed} of {cases} cases of {len(some)} kernels, {verdict}")
        lines += [
            f"[red]  {t['kernel']}: {t['passed']} of {t['cases']}[/red]" for t in some if t["passed"] < t["cases"]
        ]
    return lines or ["only the scalar level: nothing to compare"]


def _show(result: Mapping[str, Any], out: Console) -> None:
    isa, ort = result["isa"], result["onnxruntime"]
    fits = "[green]fits[/green]" if ort["fits"] else "[red]does not fit[/red]"
    facts = [
        ("CPU", escape(result["cpu"]["name"])),
        ("cores", _cores(result["cpu"])),
        ("caches", ", ".join(_cache(cache) for cache in result["caches"]) or "unknown"),
        ("instruction sets", f"found {', '.join(isa['found'])}"),
        ("", f"used [bold]{isa['used']}[/bold]: {escape(isa['why'])}"),
        ("generated code", _code(result)),
        ("onnxruntime", f"{ort['version'] or 'missing'}, {fits}: {escape(ort['advice'])}"),
        *(("self-test" if i == 0 else "", line) for i, line in enumerate(_self_test(result["self_test"]))),
        ("peak", _peak(result)),
    ]
    grid = Table.grid(Column(width=17, style="bold"), Column(overflow="fold"))
    for name, text in facts:
        grid.add_row(name, text)
    out.print(grid)
    if result["expect"]:
        out.print("\n[bold]What to expect[/bold], as the provider predicts it on this machine, one thread:")
        table = output.table(_LAYERS)
        for row in result["expect"]:
            cells = []
            for kind in ("fp32", "int8"):
                cell = row[kind]
                cells += ["", ""] if cell is None else [f"{cell['needed']:.0%}", f"{cell['speed_up']:.1f}x"]
            table.add_row(escape(row["layer"]), *cells)
        out.print(table)
        out.print(
            "INT8 skips groups of 4 input channels whose weights are all zero: 90% zeros without a pattern make\n"
            "about 66% of them. To measure on this machine: sparsecpu benchmark resnet50 --sparsity 0.9 [--int8]."
        )


def _run(arguments: argparse.Namespace) -> int:
    result = check_hardware()
    output.print_result(result, arguments.json, _show)
    return 0 if result["ok"] else 1


COMMAND = Command(
    "check-hardware",
    help="check that this machine fits, and what to expect",
    description="Print what this machine has and what of it is used, test every kernel against the scalar\none, and "
    "predict the speed-up of typical layers. Exit status 1 if a test fails or\nonnxruntime does not fit.",
    examples="""
sparsecpu check-hardware
sparsecpu check-hardware --json | jq .isa
SPARSECPU_ISA=avx2 sparsecpu check-hardware
""",
    add_arguments=shared.add_json,
    run=_run,
)
