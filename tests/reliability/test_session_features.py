"""What ONNX Runtime offers around a session works with SparseCPUProvider in it, or fails with a clear sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import small
from harness import PROVIDER, assert_close, claimed, compare, cpu_session, nodes, sparse_session
from onnx import helper, numpy_helper
from onnxruntime_ep_sparsecpu.models import GraphBuilder, bert
from test_concurrency import run_script

FEED = small.feed(2, 8, 20, 20)


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    return cpu_session(small.residual_net()).run(None, FEED)[0]


def test_io_binding_with_preallocated_output(expected: np.ndarray) -> None:
    session = sparse_session(small.residual_net(), min_sparsity=0)
    output = np.full((2, 10), np.nan, np.float32)
    binding = session.io_binding()
    binding.bind_cpu_input("x", FEED["x"])
    binding.bind_output(session.get_outputs()[0].name, "cpu", 0, np.float32, output.shape, output.ctypes.data)
    session.run_with_iobinding(binding)
    assert_close([output], [expected])


def test_io_binding_with_allocated_output(expected: np.ndarray) -> None:
    session = sparse_session(small.residual_net(), min_sparsity=0)
    binding = session.io_binding()
    binding.bind_ortvalue_input("x", ort.OrtValue.ortvalue_from_numpy(FEED["x"]))
    binding.bind_output(session.get_outputs()[0].name)
    for _ in range(3):
        session.run_with_iobinding(binding)
        assert_close(binding.copy_outputs_to_cpu(), [expected])


def test_unaligned_input(expected: np.ndarray) -> None:
    raw = np.empty(FEED["x"].nbytes + 4, np.uint8)
    view = raw[4:].view(np.float32).reshape(FEED["x"].shape)
    view[:] = FEED["x"]
    session = sparse_session(small.residual_net(), min_sparsity=0)
    assert_close(session.run(None, {"x": view}), [expected])


def test_parallel_execution_mode(expected: np.ndarray) -> None:
    options = ort.SessionOptions()
    options.execution_mode = ort.ExecutionMode.ORT_PARALLEL
    options.inter_op_num_threads = options.intra_op_num_threads = 2
    for neighbours in ("on", "off"):
        session = sparse_session(small.residual_net(), options, min_sparsity=0, neighbours=neighbours)
        assert claimed(session, "Conv")
        assert_close(session.run(None, FEED), [expected])


def test_global_thread_pool() -> None:
    printed = run_script("""
        import onnxruntime as ort
        ort.set_global_thread_pool_sizes(2, 1)
        import small
        from harness import assert_close, claimed, cpu_session, sparse_session
        options = ort.SessionOptions()
        options.use_per_session_threads = False
        model, feed = small.residual_net(), small.feed(2, 8, 20, 20)
        sessions = [sparse_session(model, options, min_sparsity=0) for _ in range(3)]
        for session in sessions:
            assert claimed(session, "Conv")
            assert_close(session.run(None, feed), cpu_session(model, options).run(None, feed))
        print("done")
    """)
    assert printed.strip() == "done"


def test_free_dimension_override() -> None:
    options = ort.SessionOptions()
    for name, size in {"n": 2, "h": 20, "w": 20}.items():
        options.add_free_dimension_override_by_name(name, size)
    session = compare(small.residual_net(), [FEED], session_options=options, min_sparsity=0)
    assert claimed(session, "Conv")


@pytest.mark.parametrize("level", ["ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL"])
@pytest.mark.parametrize("network", ["image", "encoder"])
def test_graph_optimization_level(level: str, network: str) -> None:
    options = ort.SessionOptions()
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    if network == "image":
        model, feed = small.residual_net(), FEED
    else:
        model = bert(0.8, batch="n", sequence="s", layers=1, hidden=48, heads=4)
        feed = {"hidden_states": small.feed(2, 9, 48)["x"]}
    session = compare(model, [feed], session_options=options, min_sparsity=0)
    assert claimed(session, "Conv", "MatMul", "Gemm")


def test_behind_another_provider(expected: np.ndarray) -> None:
    model = small.residual_net().SerializeToString()
    others = [name for name in ort.get_available_providers() if name not in (PROVIDER, "CPUExecutionProvider")]
    session = ort.InferenceSession(model, providers=[*others, (PROVIDER, {"min_sparsity": "0"})], enable_fallback=0)
    assert claimed(session, "Conv")
    assert_close(session.run(None, FEED), [expected])


def test_behind_the_cpu_provider_nothing_is_left_to_claim(expected: np.ndarray) -> None:
    model = small.residual_net().SerializeToString()
    providers = ["CPUExecutionProvider", (PROVIDER, {"min_sparsity": "0"})]
    session = ort.InferenceSession(model, providers=providers, enable_fallback=0)
    assert not claimed(session)
    assert_close(session.run(None, FEED), [expected])


def test_cpu_fallback_disabled(expected: np.ndarray) -> None:
    """A model that is claimed whole runs; one that is not fails the session, as it should."""
    options = ort.SessionOptions()
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    model = small.residual_net().SerializeToString()
    session = ort.InferenceSession(model, options, providers=[(PROVIDER, {"min_sparsity": "0"})], enable_fallback=0)
    assert_close(session.run(None, FEED), [expected])
    g = GraphBuilder()
    rest = g.model({"x": ["n", 4]}, {g.op("Cos", [g.gemm("x", 4, 4)]): ["n", 4]}).SerializeToString()
    with pytest.raises(Exception, match="fallback"):
        ort.InferenceSession(rest, options, providers=[(PROVIDER, {"min_sparsity": "0"})], enable_fallback=0)
    with pytest.raises(Exception, match="explicitly added the CPU EP"):
        sparse_session(small.residual_net(), options, min_sparsity=0)


def test_saving_the_optimized_model_fails_clearly(tmp_path: Path) -> None:
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    with pytest.raises(Exception, match="compiled nodes"):
        sparse_session(small.residual_net(), options, min_sparsity=0)


def test_saving_in_ort_format_leaves_the_model_to_the_cpu_provider(tmp_path: Path, expected: np.ndarray) -> None:
    """ONNX Runtime then only assigns nodes and compiles none; the file runs on either provider."""
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.ort")
    session = sparse_session(small.residual_net(), options, min_sparsity=0)
    assert not claimed(session)
    assert "did not take it" in nodes(session, "Conv")[0]["reason"]
    assert_close(session.run(None, FEED), [expected])
    for session in (
        cpu_session(tmp_path / "optimized.ort"),
        sparse_session(tmp_path / "optimized.ort", min_sparsity=0),
    ):
        assert_close(session.run(None, FEED), [expected])
    assert claimed(session, "Conv")


@pytest.mark.parametrize("regions", [1, 3])
def test_a_file_in_ort_format_has_any_number_of_regions(tmp_path: Path, regions: int) -> None:
    """ONNX Runtime then compiles each in a call of its own."""
    graph = GraphBuilder(sparsity=0.9)
    value = "x"
    for _ in range(regions):
        value = graph.op("Sin", [graph.linear(value, 16, 16)])
    model = graph.model({"x": [1, 16]}, {value: [1, 16]})
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "m.ort")
    feed = {"x": np.linspace(-1, 1, 16, dtype=np.float32).reshape(1, 16)}
    expected = cpu_session(model, options).run(None, feed)
    session = sparse_session(tmp_path / "m.ort", min_sparsity=0)
    assert len({node["region"] for node in claimed(session)}) == regions
    assert_close(session.run(None, feed), expected)


def byte_chain(kinds: str) -> onnx.ModelProto:
    """Quantized convolutions: s of pruned weights, u of dense ones that are not supported."""
    rng = np.random.default_rng(0)
    graph = GraphBuilder()
    scale, weight_scale = (graph.constant(np.asarray(value, np.float32)) for value in (0.05, 0.02))
    zero = graph.constant(np.asarray(120, np.uint8))

    def requantized(value: str) -> str:
        return graph.op("DequantizeLinear", [graph.op("QuantizeLinear", [value, scale, zero]), scale, zero])

    value = requantized("x")
    for kind in kinds:
        kept = rng.random((64, 64, 1, 1)) < 0.05
        weight = rng.integers(-63, 64, (64, 64, 3, 3)) * kept if kind == "s" else rng.integers(0, 256, (64, 64, 3, 3))
        stored, weight_zero = (
            graph.constant(np.asarray(array, np.int8 if kind == "s" else np.uint8))
            for array in (weight, 0 if kind == "s" else 90)
        )
        floats = graph.op("DequantizeLinear", [stored, weight_scale, weight_zero])
        value = requantized(graph.op("Conv", [value, floats], pads=[1] * 4))
    return graph.model({"x": [1, 64, 28, 28]}, {value: [1, 64, 28, 28]})


@pytest.mark.parametrize("kinds", ["s", "us", "su", "sus", "usu"])
def test_quantized_convolutions_in_ort_format(tmp_path: Path, kinds: str) -> None:
    """ONNX Runtime died of compiled nodes beside its own QLinearConv."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "m.ort")
    feed = {"x": np.random.default_rng(1).standard_normal((1, 64, 28, 28)).astype(np.float32)}
    expected = cpu_session(byte_chain(kinds), options).run(None, feed)
    session = sparse_session(tmp_path / "m.ort")
    assert bool(claimed(session)) == ("u" not in kinds)
    assert_close(session.run(None, feed), expected)


def test_a_context_model_fails_clearly(tmp_path: Path) -> None:
    options = ort.SessionOptions()
    options.add_session_config_entry("ep.context_enable", "1")
    options.add_session_config_entry("ep.context_file_path", str(tmp_path / "context.onnx"))
    with pytest.raises(Exception, match=f"{PROVIDER}.*EPContext"):
        sparse_session(small.residual_net(), options, min_sparsity=0)
    assert not (tmp_path / "context.onnx").exists()


def test_profiling_leaves_a_readable_file(tmp_path: Path, expected: np.ndarray) -> None:
    options = ort.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(tmp_path / "profile")
    session = sparse_session(small.residual_net(), options, min_sparsity=0)
    assert_close(session.run(None, FEED), [expected])
    assert PROVIDER in Path(session.end_profiling()).read_text()


def conv_body(name: str, weight: str | None, output: str) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Conv and Relu on the outer value x; with its own weight, or the outer scope's `weight`."""
    own = np.random.default_rng(3).standard_normal((8, 8, 1, 1)).astype(np.float32)
    stored = [] if weight else [numpy_helper.from_array(own, f"{name}_weight")]
    nodes_ = [
        helper.make_node("Conv", ["x", weight or f"{name}_weight"], [f"{name}_conv"], name=f"{name}_conv"),
        helper.make_node("Relu", [f"{name}_conv"], [output], name=f"{name}_relu"),
    ]
    return nodes_, stored


def value(name: str, shape: list[int | str] | None, kind: int = onnx.TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def checked(graph: onnx.GraphProto) -> onnx.ModelProto:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


IMAGE: list[int | str] = ["n", 8, "h", "w"]
SHARED = numpy_helper.from_array(np.random.default_rng(4).standard_normal((8, 8, 1, 1)).astype(np.float32), "shared")


@pytest.mark.parametrize("condition", [True, False])
def test_if_bodies(condition: bool) -> None:
    """One branch has its own weight, the other takes one from the outer scope, which the main graph uses too."""
    own_nodes, own_weights = conv_body("own", None, "own_y")
    outer_nodes, _ = conv_body("outer", "shared", "outer_y")
    node = helper.make_node(
        "If",
        ["condition"],
        ["branch"],
        then_branch=helper.make_graph(own_nodes, "then", [], [value("own_y", IMAGE)], own_weights),
        else_branch=helper.make_graph(outer_nodes, "else", [], [value("outer_y", IMAGE)]),
    )
    after = helper.make_node("Conv", ["branch", "shared"], ["y"], name="after")
    inputs = [value("condition", [], onnx.TensorProto.BOOL), value("x", IMAGE)]
    model = checked(helper.make_graph([node, after], "g", inputs, [value("y", IMAGE)], [SHARED]))
    session = compare(model, [FEED | {"condition": np.array(condition)}], min_sparsity=0)
    assert {"own_conv", "outer_conv", "after"} <= {node["name"] for node in claimed(session, "Conv")}


def test_loop_body() -> None:
    """x <- Relu(Conv(x)) three times, with a weight of the outer scope."""
    body_nodes, _ = conv_body("body", "shared", "x_next")
    for node in body_nodes:
        node.input[:] = ["x_now" if name == "x" else name for name in node.input]
    keep = helper.make_node("Identity", ["keep_in"], ["keep_out"])
    flag = onnx.TensorProto.BOOL
    body = helper.make_graph(
        [*body_nodes, keep],
        "body",
        [value("i", [], onnx.TensorProto.INT64), value("keep_in", [], flag), value("x_now", IMAGE)],
        [value("keep_out", [], flag), value("x_next", IMAGE)],
    )
    loop = helper.make_node("Loop", ["times", "", "x"], ["y"], body=body)
    inputs = [value("times", [], onnx.TensorProto.INT64), value("x", IMAGE)]
    model = checked(helper.make_graph([loop], "g", inputs, [value("y", IMAGE)], [SHARED]))
    session = compare(model, [FEED | {"times": np.array(times)} for times in (0, 1, 3)], min_sparsity=0)
    assert claimed(session, "Conv")


@pytest.mark.parametrize("threshold", [0, 10_000])
def test_external_weights(tmp_path: Path, threshold: int) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(
        small.residual_net(),
        path,
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=threshold,
        convert_attribute=False,
    )
    assert (tmp_path / "weights.bin").stat().st_size > 10_000
    session = compare(path, [FEED], min_sparsity=0)
    assert len(claimed(session, "Conv")) == 5


def test_weight_from_a_constant_node() -> None:
    g = GraphBuilder()
    weight = numpy_helper.from_array(g.floats((8, 8, 3, 3)), "w")
    y = g.op("Conv", ["x", g.op("Constant", [], value=weight)])
    session = compare(g.model({"x": IMAGE}, {y: ["n", 8, "h2", "w2"]}), [FEED], min_sparsity=0)
    assert claimed(session, "Conv")


def test_folded_weight() -> None:
    """Transpose of a constant, as torch writes x @ w.T: ONNX Runtime folds it before providers are asked."""
    g = GraphBuilder()
    weight = g.op("Transpose", [g.weight((7, 8), 8, sparsity=0.5)], perm=[1, 0])
    model = g.model({"x": ["n", 8]}, {g.op("MatMul", ["x", weight]): ["n", 7]})
    session = compare(model, [small.feed(m, 8) for m in (1, 20)], min_sparsity=0)
    assert claimed(session, "MatMul", "Gemm")


def test_shared_weight() -> None:
    """Four layers with one weight, one of them on the CPU provider's side because its result is not an image."""
    g = GraphBuilder()
    weight, x = g.weight((8, 8, 1, 1), 8, sparsity=0.5), "x"
    for _ in range(3):
        x = g.op("Relu", [g.op("Conv", [x, weight])])
    flat = g.op("Reshape", [weight, g.ints(8, 8)])
    summed = g.op("ReduceSum", [g.op("Cos", [flat])], keepdims=0)
    session = compare(g.model({"x": IMAGE}, {g.op("Mul", [x, summed]): IMAGE}), [FEED], min_sparsity=0)
    assert len(claimed(session, "Conv")) == 3


def test_overridable_weight_is_not_constant() -> None:
    """An initializer that is also a graph input may be fed: the node is declined, and the fed weight counts."""
    model = small.one_conv(small.feed(8, 8, 1, 1)["x"], IMAGE)
    name = model.graph.initializer[0].name
    model.graph.input.append(value(name, [8, 8, 1, 1]))
    other = {name: small.feed(8, 8, 1, 1, seed=9)["x"]}
    session = compare(model, [FEED, FEED | other], min_sparsity=0)
    assert not claimed(session, "Conv")
    assert "constant" in nodes(session, "Conv")[0]["reason"]
