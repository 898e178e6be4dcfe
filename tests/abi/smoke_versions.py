"""Runs the smoke tests on several onnxruntime versions, each installed into a folder of its own.

    python tests/abi/smoke_versions.py [--versions 1.25.1 1.32.0] [--keep FOLDER]

Needs pip, and the package onnxruntime_ep_sparsecpu importable (installed, or PYTHONPATH=build/dev/python).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

VERSIONS = ("1.25.1", "1.28.0", "1.32.0")
TEST = Path(__file__).resolve().parent / "test_smoke.py"


def install(version: str, folder: Path) -> Path:
    """The folder that holds this version; what it depends on comes from the running environment."""
    target = folder / f"onnxruntime-{version}"
    if not (target / "onnxruntime").is_dir():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target)]
        subprocess.run([*command, f"onnxruntime=={version}"], check=True)
    return target


def run(version: str, folder: Path) -> bool:
    target = install(version, folder)
    path = os.pathsep.join(filter(None, [str(target), os.environ.get("PYTHONPATH", "")]))
    print(f"== onnxruntime {version}", flush=True)
    # Without the conftest of the folders above: the smoke tests need nothing but this file.
    command = [sys.executable, "-m", "pytest", "-q", "--noconftest", "-p", "no:cacheprovider", str(TEST)]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, check=False).returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--versions", nargs="+", default=list(VERSIONS))
    parser.add_argument("--keep", type=Path, help="folder for the installed versions, kept for the next run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        failed = [version for version in arguments.versions if not run(version, folder)]
    print(f"failed: {', '.join(failed)}" if failed else f"passed: {', '.join(arguments.versions)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
