"""A pruned model's session holds less memory than the CPU provider's, since only nonzero weights are kept."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnxruntime_ep_sparsecpu import models
from test_concurrency import run_script

SCRIPT = """
    import sys
    import numpy as np
    import harness
    from memory import resident_bytes
    before = resident_bytes()
    session = getattr(harness, sys.argv[1])(sys.argv[2])
    after_load = resident_bytes() - before
    session.run(None, {"input": np.zeros((1, 3, 224, 224), np.float32)})
    print(after_load, resident_bytes() - before)
"""


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("memory") / "resnet50.onnx"
    onnx.save(models.resnet50(0.9), path)
    return path


def test_resident_memory_of_resnet50(resnet: Path) -> None:
    cpu_load, cpu_run = map(int, run_script(SCRIPT, "cpu_session", str(resnet)).split())
    here_load, here_run = map(int, run_script(SCRIPT, "sparse_session", str(resnet)).split())
    assert here_load < cpu_load, f"after load: {here_load >> 20} MiB here, {cpu_load >> 20} MiB on the CPU provider"
    assert here_run < cpu_run, f"after a run: {here_run >> 20} MiB here, {cpu_run >> 20} MiB on the CPU provider"
