"""Makes every allocation of SparseCPUProvider fail in turn, while a session is created and while it runs first.

    LD_PRELOAD=LIBRARY python tests/reliability/allocation_failures.py LIBRARY [--most 100] [--from STEP]

LIBRARY is fail_allocation.cc, compiled. Each failure must end in an exception or in the right values, and the session
must work afterwards. Prints each step before it is taken, so that the last line names the one that killed the process,
and what is wrong; --from leaves out the steps before that one. --most: failures of each model and stage, the first 30
and others spread over the rest."""

from __future__ import annotations

import argparse
import ctypes
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[1] / "int8")]

import numpy as np
import onnx
import onnxruntime as ort
from byte_models import U8, ByteGraph, random_bytes
from harness import assert_close, claimed
from onnxruntime_ep_sparsecpu import models
from small import feed, residual_net

Model = tuple[onnx.ModelProto, dict[str, np.ndarray]]


def byte_network() -> Model:
    g = ByteGraph(0)
    x = g.input("x", [1, 8, 9, 9])
    layers = [g.mix(g.mix(x, 8), 8), g.mix(x, 8)]
    numbers = g.numbers(0.05, 3, U8)
    y = g.microsoft("QLinearAdd", layers[0], *numbers, layers[1], *numbers, *numbers)
    return g.model({y: U8}), {"x": random_bytes(g.random, (1, 8, 9, 9))}


def encoder() -> Model:
    model = models.bert(layers=1, hidden=32, heads=2, batch="n", sequence="s")
    return model, {"hidden_states": np.random.default_rng(0).standard_normal((2, 9, 32)).astype(np.float32)}


MODELS: dict[str, Callable[[], Model]] = {
    "images": lambda: (residual_net(), feed(2, 8, 12, 12)),
    "tokens": encoder,
    "bytes": byte_network,
}


def session_of(model: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 2
    options.log_severity_level = 4
    providers = [("SparseCPUProvider", {"min_sparsity": "0"}), "CPUExecutionProvider"]
    return ort.InferenceSession(model, options, providers=providers, enable_fallback=0)


def chosen(total: int, most: int) -> list[int]:
    """Of 1 to total: the first, and others evenly."""
    first = list(range(1, min(total, 30) + 1))
    rest = np.linspace(31, total, max(0, most - 30)).astype(int).tolist() if total > 30 else []
    return sorted({*first, *rest})


class Failing:
    """Counts the allocations of some work, or makes one of them fail."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.library = library
        self.errors = self.results = 0

    def count(self, work: Callable[[], Any]) -> tuple[Any, int]:
        self.library.fail_at(0)
        result = work()
        return result, int(self.library.fail_at(0))

    def at(self, n: int, work: Callable[[], Any]) -> Any:
        """None if it raised."""
        self.library.fail_at(n)
        try:
            result = work()
            self.results += 1
            return result
        except Exception:  # noqa: BLE001  any error is as good
            self.errors += 1
            return None
        finally:
            self.library.fail_at(0)


def steps(failing: Failing, most: int) -> Iterator[tuple[str, Callable[[], None]]]:
    """Name and deed of each failure, model by model."""
    for name, build in MODELS.items():
        proto, inputs = build()
        model = proto.SerializeToString()
        session, at_creation = failing.count(lambda model=model: session_of(model))
        assert claimed(session), "nothing is claimed"
        expected, at_run = failing.count(lambda session=session, inputs=inputs: session.run(None, inputs))
        assert at_creation > 30 and at_run > 0, f"{name}: {at_creation} and {at_run} allocations were seen"
        print(f"# {name}: {at_creation} allocations at creation, {at_run} in the first run", flush=True)

        def while_creating(n: int, model: Any = model, inputs: Any = inputs, expected: Any = expected) -> None:
            session = failing.at(n, lambda: session_of(model))
            if session is not None:
                assert_close(session.run(None, inputs), expected)

        def while_running(n: int, model: Any = model, inputs: Any = inputs, expected: Any = expected) -> None:
            session = session_of(model)
            result = failing.at(n, lambda: session.run(None, inputs))
            if result is not None:
                assert_close(result, expected)
            assert_close(session.run(None, inputs), expected)

        for n in chosen(at_creation, most):
            yield f"{name}, creation, allocation {n}", lambda n=n, go=while_creating: go(n)  # type: ignore[misc]
        for n in chosen(at_run, most):
            yield f"{name}, run, allocation {n}", lambda n=n, go=while_running: go(n)  # type: ignore[misc]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library")
    parser.add_argument("--most", type=int, default=100)
    parser.add_argument("--from", dest="begin", type=int, default=0)
    arguments = parser.parse_args()
    ort.set_default_logger_severity(4)
    failing = Failing(ctypes.CDLL(arguments.library))
    failing.library.fail_at.restype = ctypes.c_long
    failing.library.fail_at.argtypes = [ctypes.c_long]
    for number, (name, deed) in enumerate(steps(failing, arguments.most)):
        if number < arguments.begin:
            continue
        print(f"{number} {name}", flush=True)
        try:
            deed()
        except Exception as error:  # noqa: BLE001
            print(f"! {name}: {' '.join(str(error).split())[:300]}", flush=True)
    print(f"done: {failing.errors} errors, {failing.results} results", flush=True)


if __name__ == "__main__":
    main()
