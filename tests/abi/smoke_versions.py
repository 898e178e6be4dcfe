"""Runs the smoke tests on several onnxruntime versions, each installed into a folder of its own.

    python tests/abi/smoke_versions.py [--versions 1.25.1 1.32.0] [--keep FOLDER] [--int8] [--resize]

With --int8 also the tests of INT8, with --resize those of the pixels that Resize takes, which compare with the bits of
that version's CPU provider. Needs pip, and the
package onnxruntime_ep_sparsecpu importable (installed, or PYTHONPATH=build/dev/python).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

VERSIONS = ("1.25.1", "1.28.0", "1.32.0")
TESTS = Path(__file__).resolve().parents[1]
# Without the conftest of the folders above: the smoke tests need nothing but this file.
SMOKE = ("--noconftest", str(TESTS / "abi" / "test_smoke.py"))
INT8 = (str(TESTS / "int8"),)
RESIZE = (str(TESTS / "conformance" / "test_resize.py"),)


def install(version: str, folder: Path) -> Path:
    """The folder that holds this version; what it depends on comes from the running environment."""
    target = folder / f"onnxruntime-{version}"
    if not (target / "onnxruntime").is_dir():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target)]
        subprocess.run([*command, f"onnxruntime=={version}"], check=True)
    return target


def run(version: str, folder: Path, suites: Sequence[Sequence[str]]) -> bool:
    target = install(version, folder)
    path = os.pathsep.join(filter(None, [str(target), os.environ.get("PYTHONPATH", "")]))
    print(f"== onnxruntime {version}", flush=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": path}
    return all(subprocess.run([*command, *suite], env=environment, check=False).returncode == 0 for suite in suites)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--versions", nargs="+", default=list(VERSIONS))
    parser.add_argument("--keep", type=Path, help="folder for the installed versions, kept for the next run")
    parser.add_argument("--int8", action="store_true", help="also run the tests of INT8")
    parser.add_argument("--resize", action="store_true", help="also run the tests of Resize")
    arguments = parser.parse_args()
    suites = [SMOKE, *([INT8] if arguments.int8 else []), *([RESIZE] if arguments.resize else [])]
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        failed = [version for version in arguments.versions if not run(version, folder, suites)]
    print(f"failed: {', '.join(failed)}" if failed else f"passed: {', '.join(arguments.versions)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
