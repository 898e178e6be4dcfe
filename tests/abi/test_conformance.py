"""Our own ABI declarations against the official header and the installed onnxruntime."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from harness import run_child

ROOT = Path(__file__).resolve().parents[2]
HEADER = ROOT / "provider" / "abi" / "ort_abi.h"
PLACES = ("/usr/include/onnxruntime", "/usr/local/include/onnxruntime", "/usr/include/onnxruntime/core/session")


def official_include_dir() -> Path | None:
    """Folder of onnxruntime_c_api.h: ONNXRUNTIME_INCLUDE_DIR, or where distributions put it."""
    for place in (os.environ.get("ONNXRUNTIME_INCLUDE_DIR", ""), *PLACES):
        if place and (Path(place) / "onnxruntime_c_api.h").is_file():
            return Path(place)
    return None


def test_against_official_header() -> None:
    include_dir = official_include_dir()
    if include_dir is None:
        pytest.skip("no onnxruntime_c_api.h: set ONNXRUNTIME_INCLUDE_DIR to the folder that holds it (1.23 or newer)")
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    command = [compiler, "-std=c++20", "-fsyntax-only", "-I", str(ROOT / "provider"), "-I", str(include_dir)]
    result = run_child([*command, str(ROOT / "tests/abi/conformance.cc")])
    assert result.returncode == 0, result.stderr


def test_slots_are_where_their_comments_say() -> None:
    """The gap arrays and the slot numbers in comments are two statements of one fact."""
    body = re.search(r"\nstruct OrtApi \{\n(.*?)\n\};", HEADER.read_text(), re.DOTALL)
    assert body is not None
    text = re.sub(r"\s+", " ", body[1])
    slot, seen = 0, 0
    for gap, number in re.findall(r"Slot gap\d+\[(\d+)\];|\(\*\w+\)\([^;]*\); // (\d+)", text):
        if gap:
            slot += int(gap)
            continue
        assert int(number) == slot
        slot += 1
        seen += 1
    assert seen == len(re.findall(r"\(\*\w+\)\(", text)) > 50


def test_conformance_file_covers_every_slot() -> None:
    checks = (ROOT / "tests/abi/conformance.cc").read_text()
    for struct, body in re.findall(r"\nstruct (Ort\w+) \{\n(.*?)\n\};", HEADER.read_text(), re.DOTALL):
        for member in re.findall(r"\(\*(\w+)\)\(", body):
            assert f"CHECK({struct}, {member})" in checks, f"{struct}::{member} is not compared"
