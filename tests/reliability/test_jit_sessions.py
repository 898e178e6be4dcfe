"""Sessions with generated code: where it is used, where the system refuses it, and what shares a process with it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime as ort
import pytest
import small
from harness import assert_close, available_levels, claimed, cpu_session, sparse_session
from onnxruntime_ep_sparsecpu import _native, models
from test_concurrency import run_script

GENERATED, STREAM = "jit spmm", "spmm"
pytestmark = pytest.mark.skipif(
    not _native.kernels.jit_available(available_levels()[-1]),
    reason="needs AVX-512, Xbyak at build time and executable memory",
)


def kernels_of(session: ort.InferenceSession) -> set[str]:
    """Of the sparse layers."""
    return {node["kernel"] for node in claimed(session, "Conv", "MatMul", "Gemm")} & {GENERATED, STREAM}


def test_the_option_chooses_the_kernel() -> None:
    model = small.residual_net()
    assert kernels_of(sparse_session(model, min_sparsity=0)) == {GENERATED}
    assert kernels_of(sparse_session(model, min_sparsity=0, jit="on")) == {GENERATED}
    assert kernels_of(sparse_session(model, min_sparsity=0, jit="off")) == {STREAM}
    assert kernels_of(sparse_session(model, min_sparsity=0, jit="on", isa="avx2")) == {STREAM}


@pytest.mark.parametrize("network", ["resnet50", "mobilenet_v1", "bert"])
def test_both_kernels_give_one_result(network: str) -> None:
    model = {
        "resnet50": lambda: models.resnet50(0.9),
        "mobilenet_v1": lambda: models.mobilenet_v1(0.9),
        "bert": lambda: models.bert(0.9, layers=2),
    }[network]()
    feed = models.random_inputs(model)
    generated, stream = (sparse_session(model, min_sparsity=0, jit=jit) for jit in ("on", "off"))
    assert kernels_of(generated) == {GENERATED}
    assert kernels_of(stream) == {STREAM}
    # Sums in another order, through the layers of the network: nearer than to the CPU provider.
    assert_close(generated.run(None, feed), stream.run(None, feed), 2e-5)


def test_two_sessions_of_one_model() -> None:
    """Side by side, and the second after the first is gone."""
    model, feed = small.residual_net(), small.feed(2, 8, 20, 20)
    expected = cpu_session(model).run(None, feed)
    first, second = (sparse_session(model, min_sparsity=0) for _ in range(2))
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(session.run, None, feed) for session in (first, second) * 10]
        results = [future.result(timeout=60) for future in futures]
    del first
    results += [second.run(None, feed) for _ in range(3)]
    for result in results:
        assert_close(result, expected)
        np.testing.assert_array_equal(result[0], results[0][0])


def test_code_survives_a_fork() -> None:
    printed = run_script("""
        import os
        import numpy as np
        import small
        from harness import claimed, sparse_session
        session = sparse_session(small.residual_net(), min_sparsity=0)
        assert "jit spmm" in {node["kernel"] for node in claimed(session, "Conv")}
        feed = small.feed(2, 8, 20, 20)
        (expected,) = session.run(None, feed)
        child = os.fork()
        if child == 0:
            same = np.array_equal(session.run(None, feed)[0], expected)
            del session  # the child's mapping, not the parent's
            new = sparse_session(small.residual_net(), min_sparsity=0)
            os._exit(0 if same and np.array_equal(new.run(None, feed)[0], expected) else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        assert np.array_equal(session.run(None, feed)[0], expected)
    """)
    assert printed.split() == ["0"]


@pytest.mark.parametrize("when", ["before the first session", "after a session"])
def test_refused_executable_memory(when: str) -> None:
    """The stream kernels take over; a session that already has its code keeps it."""
    printed = run_script(
        """
        import sys
        import small
        from harness import assert_close, claimed, cpu_session, sparse_session
        from refusal import refuse_executable_memory
        model, feed = small.residual_net(), small.feed(2, 8, 20, 20)
        def kernel(session):
            assert_close(session.run(None, feed), cpu_session(model).run(None, feed))
            (name,) = {node["kernel"] for node in claimed(session, "Conv")}
            return name
        earlier = sparse_session(model, min_sparsity=0) if sys.argv[1] == "after a session" else None
        try:
            refuse_executable_memory()
        except OSError as error:
            print("no filters:", error)
            sys.exit()
        print(kernel(sparse_session(model, min_sparsity=0)))
        print(kernel(earlier) if earlier else "")
    """,
        when,
    )
    if printed.startswith("no filters"):
        pytest.skip(printed)
    later, earlier = printed.split("\n")[:2]
    assert later == STREAM
    assert earlier == (GENERATED if when == "after a session" else "")


def test_regions_share_one_allocation_that_ends_with_the_session() -> None:
    """Every layer is a region; allocations of their own would begin at whole pages."""
    printed = run_script("""
        import small
        from harness import claimed, sparse_session
        from memory import generated_code_bytes, writable_code
        model = small.residual_net(batch=2, height=20, width=20)
        session = sparse_session(model, min_sparsity=0, neighbours="off")
        layers = [node for node in claimed(session) if node["kernel"] == "jit spmm"]
        assert len({layer["region"] for layer in layers}) == len(layers) == 5
        session.run(None, small.feed(2, 8, 20, 20))
        print(generated_code_bytes(), len(writable_code()), *[layer["packed_bytes"] for layer in layers])
        del session
        print(generated_code_bytes())
    """)
    mapped, writable, *code, left = map(int, printed.split())
    assert writable == 0
    assert left == 0

    def pages(size: int) -> int:
        return -(-size // 4096)

    assert mapped == pages(sum(code)) * 4096
    assert pages(sum(code)) < sum(map(pages, code))


def test_many_layers() -> None:
    """Three hundred layers, all generated, in one allocation."""
    printed = run_script("""
        import numpy as np
        from harness import assert_close, claimed, cpu_session, sparse_session
        from memory import generated_code_bytes
        from onnxruntime_ep_sparsecpu import models
        g = models.GraphBuilder(seed=5, sparsity=0.9)
        x = "x"
        for _ in range(300):
            x = g.op("Sigmoid", [g.conv(x, 24, 24, 1)])  # so that values stay small
        model = g.model({"x": [1, 24, 6, 6]}, {x: [1, 24, 6, 6]})
        session = sparse_session(model, min_sparsity=0)
        layers = [node for node in claimed(session, "Conv") if node["kernel"] == "jit spmm"]
        feed = models.random_inputs(model)
        assert_close(session.run(None, feed), cpu_session(model).run(None, feed))
        print(len(layers), sum(layer["packed_bytes"] for layer in layers), generated_code_bytes())
    """)
    layers, code, mapped = map(int, printed.split())
    assert layers == 300
    assert code <= mapped <= code + (2 << 20)


def test_sessions_come_and_go_without_growth() -> None:
    printed = run_script("""
        import gc
        import small
        from harness import sparse_session
        from memory import generated_code_bytes, mappings, resident_bytes
        model, feed = small.residual_net(), small.feed(2, 8, 20, 20)
        def round_of_sessions(count):
            for _ in range(count):
                sparse_session(model, min_sparsity=0).run(None, feed)
            gc.collect()
            return len(mappings()), resident_bytes()
        round_of_sessions(20)
        maps, resident = round_of_sessions(5)
        maps_after, resident_after = round_of_sessions(60)
        print(maps_after - maps, resident_after - resident, generated_code_bytes())
    """)
    maps, resident, code = map(int, printed.split())
    assert code == 0
    assert maps <= 5
    assert resident < 8 << 20
