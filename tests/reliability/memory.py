"""How much memory this process holds."""

from __future__ import annotations

import os
from pathlib import Path


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def mappings() -> list[str]:
    return Path("/proc/self/maps").read_text().splitlines()


def generated_code_bytes() -> int:
    """Of all memory that is executable and no file."""
    fields = [line.split() for line in mappings()]
    spans = [f[0].split("-") for f in fields if len(f) == 5 and "x" in f[1]]
    return sum(int(end, 16) - int(begin, 16) for begin, end in spans)


def writable_code() -> list[str]:
    return [line for line in mappings() if {"w", "x"} <= set(line.split()[1])]
