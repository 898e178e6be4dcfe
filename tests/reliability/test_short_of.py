"""Systems that are short of threads, of CPUs or of executable memory, those with more CPUs than a session has threads,
and those on which a lock is held for long.

Each runs in a process of its own, in which a preloaded library (faults.c) answers for the system.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from test_concurrency import run_script


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("faults") / "faults.so"
    source = Path(__file__).with_name("faults.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


@pytest.mark.parametrize(("threads", "cpus", "workers"), [(1, 64, 1), (2, 64, 2), (3, 64, 3), (5, 2, 2)])
def test_work_is_cut_for_the_threads_of_the_session(faults: Path, threads: int, cpus: int, workers: int) -> None:
    """As soon as all of them have been seen in one run: on a busy machine they come late to some."""
    printed = run_script(
        """
        import ctypes, sys, time
        import numpy as np
        import onnxruntime as ort
        import small
        from harness import sparse_session
        from onnxruntime_ep_sparsecpu import report
        threads, cpus, workers = map(int, sys.argv[1:])
        ctypes.CDLL(None).set_cpus(cpus)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        session, feed = sparse_session(small.residual_net(), options, min_sparsity=0), small.feed(1, 8, 80, 80)
        assert report(session)["threads"] == 0
        seen, outputs = [0], []
        limit = time.monotonic() + 120
        while seen[-1] < workers and time.monotonic() < limit:
            outputs.append(session.run(None, feed)[0])
            seen.append(report(session)["threads"])
        for _ in range(20):
            outputs.append(session.run(None, feed)[0])
            seen.append(report(session)["threads"])
        assert seen == sorted(seen)
        assert all(np.array_equal(output, outputs[0]) for output in outputs)
        print(seen[-1])
        """,
        *map(str, (threads, cpus, workers)),
        preload=faults,
    )
    assert int(printed) == workers


@pytest.mark.parametrize("left", [0, 1, 2])
def test_a_limit_on_threads(faults: Path, left: int) -> None:
    printed = run_script(
        """
        import ctypes, sys
        import onnxruntime as ort
        import small
        from harness import assert_close, claimed, cpu_session, sparse_session
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        model, feed = small.residual_net(), small.feed(2, 8, 20, 20)
        system = ctypes.CDLL(None)
        system.set_cpus(5)
        system.set_threads_left(int(sys.argv[1]))
        session = sparse_session(model, options, min_sparsity=0)
        system.set_threads_left(-1)
        assert_close(session.run(None, feed), cpu_session(model).run(None, feed))
        print(len(claimed(session, "Conv")))
        """,
        str(left),
        preload=faults,
    )
    assert int(printed) > 1


def test_no_executable_memory(faults: Path) -> None:
    """However the system refuses it, the sparse layers run without generated code."""
    run_script(
        """
        import ctypes
        import small
        from harness import assert_close, claimed, cpu_session, sparse_session
        ctypes.CDLL(None).set_refuses_code(1)
        model, feed = small.residual_net(), small.feed(2, 8, 20, 20)
        session = sparse_session(model, min_sparsity=0)
        assert {node["kernel"] for node in claimed(session, "Conv")} == {"spmm"}
        assert_close(session.run(None, feed), cpu_session(model).run(None, feed))
        """,
        preload=faults,
    )


def test_fork_while_another_thread_makes_sessions(faults: Path) -> None:
    """Nearly all of the time that thread holds a lock of the library: the child would find it taken for ever."""
    printed = run_script(
        """
        import ctypes, os, signal, threading, time
        import onnxruntime as ort
        import small
        from harness import claimed, sparse_session
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        model, feed, stop = small.residual_net(), small.feed(1, 8, 20, 20), threading.Event()
        def make_session():
            return claimed(sparse_session(model, options, min_sparsity=0), "Conv")
        def make_sessions():
            while not stop.is_set():
                make_session()
        assert make_session()
        ctypes.CDLL(None).set_linger_us(10_000)
        maker = threading.Thread(target=make_sessions)
        maker.start()
        good = 0
        for attempt in range(8):
            time.sleep(0.037)
            child = os.fork()
            if child == 0:
                signal.alarm(20)
                os._exit(0 if make_session() else 1)
            good += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        stop.set()
        maker.join()
        print(good)
        """,
        preload=faults,
    )
    assert int(printed) >= 7  # one is left to locks of Python's and ONNX Runtime's own
