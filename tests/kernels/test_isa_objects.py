"""A file compiled for an instruction-set level exports its table and nothing else: the linker keeps one copy of an
inline function, and a copy with AVX-512 instructions must never be the one that runs before dispatch."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

import pytest
from harness import run_child

ROOT = Path(__file__).resolve().parents[2]
FLAGS = {
    "scalar": [],
    "avx2": ["-mavx2", "-mfma"],
    "avx512": ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx2", "-mfma"],
}
FLAGS["avx512_vnni"] = [*FLAGS["avx512"], "-mavx512vnni"]
UNITS = [("scalar", "table"), ("avx2", "table"), ("avx512", "table"), *((level, "quantized") for level in FLAGS)]
COMPILER = shutil.which(os.environ.get("CXX", "c++"))


@pytest.mark.skipif(COMPILER is None or shutil.which("nm") is None, reason="needs a C++ compiler and nm")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the levels are those of x86-64")
@pytest.mark.parametrize(("level", "table"), UNITS)
def test_only_the_table_is_exported(level: str, table: str, tmp_path: Path) -> None:
    assert COMPILER is not None
    unit = tmp_path / "table.o"
    source = ROOT / "provider" / "kernels" / level / f"{table}.cc"
    common = ["-std=c++20", "-O1", "-ffp-contract=off", "-w", f"-I{ROOT / 'provider'}"]
    compiled = run_child([COMPILER, *common, *FLAGS[level], "-c", str(source), "-o", str(unit)])
    assert compiled.returncode == 0, compiled.stderr
    nm = run_child(["nm", "-C", "--defined-only", "-g", str(unit)])
    assert nm.returncode == 0, nm.stderr
    assert [line.split(maxsplit=2)[2] for line in nm.stdout.splitlines()] == [f"sparsecpu::{level}::{table}"]
