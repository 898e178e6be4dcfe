"""What onnxruntime saves of a model that it has optimized; in a process of its own, since some models make it die."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from tempfile import TemporaryDirectory

import onnxruntime as ort


def saved_here(model: bytes, level: str) -> bytes:
    options = ort.SessionOptions()
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    options.log_severity_level = 4
    with TemporaryDirectory() as folder:
        path = Path(folder) / "saved.onnx"
        options.optimized_model_filepath = str(path)
        ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return path.read_bytes()


class Saver:
    """Starts its process when it is first asked, and another one after a death."""

    def __init__(self) -> None:
        self.pool: ProcessPoolExecutor | None = None

    def save(self, model: bytes, level: str) -> bytes | None:
        """None where the CPU provider makes no session of it."""
        if self.pool is None:
            self.pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        try:
            return self.pool.submit(saved_here, model, level).result()
        except BrokenProcessPool:
            self.pool = None
            return None
        except Exception:  # noqa: BLE001  what ONNX Runtime raises is its affair
            return None

    def stop(self) -> None:
        """A process that ends waits for its children: this one would wait for more to do."""
        if self.pool is not None:
            self.pool.shutdown()
            self.pool = None


SAVER = Saver()
