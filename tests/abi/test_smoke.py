"""The provider as a user meets it: selection, options, errors, registration, report. Runs on every supported
onnxruntime (smoke_versions.py), so it needs nothing but onnxruntime, onnx, numpy and pytest."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import onnxruntime_ep_sparsecpu as sparsecpu
import pytest
from onnx import TensorProto, helper, numpy_helper

NAME = "SparseCPUProvider"
SIZE = 64
CLAIM_ALL = {"min_sparsity": "0"}


def sparse_weights(seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    weights = random.standard_normal((SIZE, SIZE)).astype(np.float32) / 4
    weights[random.random((SIZE, SIZE)) < 0.9] = 0
    return weights


def serialized(graph: onnx.GraphProto) -> bytes:
    return bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    )


def float_value(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", SIZE])


def linear_model() -> bytes:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"], name="linear"),
        helper.make_node("Relu", ["m"], ["y"], name="activation"),
        helper.make_node("CumSum", ["y", "axis"], ["z"], name="running_sum"),
    ]
    weights = [numpy_helper.from_array(sparse_weights(), "w"), numpy_helper.from_array(np.array(1), "axis")]
    return serialized(helper.make_graph(nodes, "main", [float_value("x")], [float_value("z")], weights))


def branch(name: str, operator: str) -> onnx.GraphProto:
    nodes = [
        helper.make_node("MatMul", ["h", "w"], [name + "_m"], name=name + "_linear"),
        helper.make_node(operator, [name + "_m"], [name + "_y"], name=name + "_activation"),
    ]
    return helper.make_graph(nodes, name, [], [float_value(name + "_y")])


def branching_model() -> bytes:
    """Both branches use a value and the weights of the graph around them."""
    nodes = [
        helper.make_node("Relu", ["x"], ["h"], name="before"),
        helper.make_node(
            "If", ["c"], ["y"], name="choice", then_branch=branch("then", "Relu"), else_branch=branch("else", "Sigmoid")
        ),
        helper.make_node("Relu", ["y"], ["z"], name="after"),
    ]
    condition = helper.make_tensor_value_info("c", TensorProto.BOOL, [])
    weights = [numpy_helper.from_array(sparse_weights(), "w")]
    return serialized(helper.make_graph(nodes, "main", [float_value("x"), condition], [float_value("z")], weights))


def inputs(rows: int = 20) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(rows).standard_normal((rows, SIZE)).astype(np.float32)}


def assert_right(session: ort.InferenceSession, model: bytes, feeds: dict[str, np.ndarray]) -> None:
    expected = ort.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, feeds)[0]
    np.testing.assert_allclose(session.run(None, feeds)[0], expected, rtol=1e-4, atol=1e-4)


def nodes_of(session: ort.InferenceSession) -> dict[str, dict[str, Any]]:
    report = sparsecpu.report(session)
    return {node["name"]: node for graph in report["graphs"] for node in graph["nodes"]}


def options_with(register: str) -> ort.SessionOptions:
    options = ort.SessionOptions()
    if register == "add_provider":
        options.add_provider(NAME, CLAIM_ALL)
    else:
        sparsecpu.add_to(options, CLAIM_ALL)
    return options


SELECTIONS: dict[str, dict[str, Any]] = {
    "name": {"providers": [NAME]},
    "name and CPU": {"providers": [NAME, "CPUExecutionProvider"]},
    "tuple": {"providers": [(NAME, CLAIM_ALL), "CPUExecutionProvider"]},
    "provider_options": {"providers": [NAME, "CPUExecutionProvider"], "provider_options": [CLAIM_ALL, {}]},
}


@pytest.mark.parametrize("how", SELECTIONS)
def test_selected_by_name(how: str) -> None:
    model = linear_model()
    session = ort.InferenceSession(model, **SELECTIONS[how])
    assert NAME in session.get_providers()
    assert NAME in ort.get_available_providers()
    assert_right(session, model, inputs())
    assert set(nodes_of(session)) == {"linear", "activation", "running_sum"}


@pytest.mark.parametrize("how", ["add_provider", "add_to"])
def test_selected_in_session_options(how: str) -> None:
    model = linear_model()
    session = ort.InferenceSession(model, options_with(how))
    assert_right(session, model, inputs())
    assert sparsecpu.report(session)["options"] == CLAIM_ALL


def test_report() -> None:
    session = ort.InferenceSession(linear_model(), providers=[(NAME, CLAIM_ALL), "CPUExecutionProvider"])
    report = sparsecpu.report(session)
    assert report["provider"] == NAME
    assert report["version"] == sparsecpu.__version__
    assert report["onnxruntime"] == ort.__version__
    assert report["isa"] in sparsecpu.available_isas()
    nodes = nodes_of(session)
    assert nodes["running_sum"]["provider"] == ""
    assert nodes["running_sum"]["reason"]
    assert nodes["activation"]["provider"] == NAME
    region = report["regions"][nodes["activation"]["region"]]
    assert region["fused_node"].startswith(NAME)
    # Any number of times, also for the session that was asked before another was made.
    other = ort.InferenceSession(linear_model(), providers=[NAME])
    assert sparsecpu.report(other)["id"] != report["id"]
    assert sparsecpu.report(session) == report


def test_report_of_a_session_without_the_provider() -> None:
    session = ort.InferenceSession(linear_model(), providers=["CPUExecutionProvider"])
    with pytest.raises(ValueError, match="does not use SparseCPUProvider"):
        sparsecpu.report(session)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("isa", "avx9", "expected auto, scalar, avx2, avx512 or avx512_vnni"),
        ("min_sparsity", "1.5", "expected auto or a number from 0 to 1"),
        ("min_sparsity", "nan", "expected auto or a number from 0 to 1"),
        ("neighbours", "yes", "expected on or off"),
        ("jit", "true", "expected on or off"),
        ("log", "loud", "expected off, error, warning, info or verbose"),
        ("assume", "batch", "expected name=size"),
        ("assume", "batch=0", "expected name=size"),
        ("assume", "batch=1,seq=8,batch=2", "expected one size for 'batch', not 1 and 2"),
        ("sparsity", "0.5", "expected isa, min_sparsity, neighbours, jit, log or assume"),
    ],
)
def test_bad_option_raises(key: str, value: str, expected: str) -> None:
    """With ONNX Runtime's fall back to the CPU provider on, as it is by default."""
    with pytest.raises(Exception, match=expected) as raised:
        ort.InferenceSession(linear_model(), providers=[(NAME, {key: value}), "CPUExecutionProvider"])
    assert key in str(raised.value)
    assert value in str(raised.value)


def test_good_options() -> None:
    chosen = {"isa": "scalar", "neighbours": "off", "jit": "off", "log": "off", "assume": "batch=8, seq = 4"}
    chosen["min_sparsity"] = "0"
    model = linear_model()
    session = ort.InferenceSession(model, providers=[(NAME, chosen), "CPUExecutionProvider"])
    report = sparsecpu.report(session)
    assert report["options"] == chosen
    assert report["isa"] == "scalar"
    assert_right(session, model, inputs())


def test_nodes_of_a_provider_listed_before_stay_there() -> None:
    model = linear_model()
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider", (NAME, CLAIM_ALL)])
    assert_right(session, model, inputs())
    assert all(node["provider"] == "" for node in nodes_of(session).values())


def test_subgraphs_and_outer_values() -> None:
    model = branching_model()
    session = ort.InferenceSession(model, providers=[(NAME, CLAIM_ALL), "CPUExecutionProvider"])
    for chosen in (True, False):
        assert_right(session, model, inputs() | {"c": np.array(chosen)})
    report = sparsecpu.report(session)
    assert sorted(graph["parent_node"] for graph in report["graphs"]) == ["", "choice", "choice"]
    assert all(region["fused_node"] for region in report["regions"])


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_shapes_threads_and_concurrent_runs(threads: int) -> None:
    model = linear_model()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(model, options, providers=[(NAME, CLAIM_ALL), "CPUExecutionProvider"])
    rows = [1, 2, 15, 16, 17, 40, 3, 0] * 3
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda count: assert_right(session, model, inputs(count)), rows))


def test_wrong_input_shape_raises() -> None:
    session = ort.InferenceSession(linear_model(), providers=[(NAME, CLAIM_ALL), "CPUExecutionProvider"])
    with pytest.raises(Exception, match="x"):
        session.run(None, {"x": np.zeros((2, SIZE + 1), np.float32)})
    assert NAME in session.get_providers()  # no silent change of provider


def test_register_again_does_nothing() -> None:
    sparsecpu.register()
    sparsecpu.register()
    assert sum(device.ep_name == NAME for device in ort.get_ep_devices()) == 1


def test_unregister_with_a_live_session() -> None:
    model = linear_model()
    session = ort.InferenceSession(model, providers=[(NAME, CLAIM_ALL), "CPUExecutionProvider"])
    try:
        sparsecpu.unregister()
        sparsecpu.unregister()
        assert not any(device.ep_name == NAME for device in ort.get_ep_devices())
        assert_right(session, model, inputs())
        with pytest.raises(RuntimeError, match="not registered"):
            sparsecpu.add_to(ort.SessionOptions())
    finally:
        sparsecpu.register()
    del session
    test_selected_by_name("name")


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_no_register_on_request() -> None:
    code = (
        "import onnxruntime as ort, onnxruntime_ep_sparsecpu as s\n"
        "assert s.get_ep_name() not in ort.get_available_providers()\n"
        "ort.register_execution_provider_library('other name', s.get_library_path())\n"
        "s.register()\n"
        "assert s.get_ep_names() == [d.ep_name for d in ort.get_ep_devices() if 'Sparse' in d.ep_name]\n"
    )
    result = run_python(code, SPARSECPU_NO_REGISTER="1")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("version", [None, "1.22.1"])
def test_import_without_a_usable_onnxruntime_only_warns(version: str | None) -> None:
    fake = "None" if version is None else f"types.SimpleNamespace(__version__='{version}')"
    code = (
        f"import sys, types; sys.modules['onnxruntime'] = {fake}\n"
        "import onnxruntime_ep_sparsecpu as s\n"
        "try: s.register()\n"
        "except ImportError as error: print('1.25 or newer' in str(error), 'pip install' in str(error))\n"
    )
    result = run_python(code)
    assert result.returncode == 0, result.stderr
    assert "RuntimeWarning" in result.stderr
    assert result.stdout.split() == ["True", "True"]


@pytest.mark.parametrize(
    ("option", "variable", "shown"),
    [
        ("off", None, set()),
        ("info", None, {"info"}),
        ("verbose", None, {"info", "verbose"}),
        ("off", "verbose", {"info", "verbose"}),
        ("verbose", "info", {"info"}),
        ("verbose", "off", set()),
    ],
)
def test_log_is_shown_on_request(option: str, variable: str | None, shown: set[str]) -> None:
    """What the option asks for; SPARSECPU_LOG, where it is set, wins."""
    code = (
        "import base64, onnxruntime as ort, onnxruntime_ep_sparsecpu\n"
        f"model = base64.b64decode('{base64.b64encode(linear_model()).decode()}')\n"
        f"ort.InferenceSession(model, providers=[('{NAME}', {{'log': '{option}'}})])\n"
    )
    result = run_python(code, **({} if variable is None else {"SPARSECPU_LOG": variable}))
    assert result.returncode == 0, result.stderr
    written = {level for level in ("info", "verbose") if f"{NAME} [{level}]" in result.stderr}
    assert written == shown, result.stderr
    assert ("nodes run here" in result.stderr) == ("info" in shown)
    assert ("CumSum" in result.stderr) == ("verbose" in shown)


@pytest.mark.parametrize(("name", "warned"), [("batch", False), ("inner", False), ("n", True), ("x[0]", True)])
def test_an_assumed_axis_that_no_graph_has_is_a_warning(name: str, warned: bool) -> None:
    """Once; not of one that the body of an If has."""
    model = onnx.load_from_string(branching_model())
    body = model.graph.node[1].attribute[0].g
    body.initializer.append(numpy_helper.from_array(np.ones(20, bool), "keep"))
    body.node[0].input[0] = "kept"
    body.node.insert(0, helper.make_node("Compress", ["h", "keep"], ["kept"], axis=0))
    body.value_info.append(helper.make_tensor_value_info("kept", TensorProto.FLOAT, ["inner", SIZE]))
    body.output[0].type.tensor_type.shape.dim[0].dim_param = "inner"
    code = (
        "import base64, onnxruntime as ort, onnxruntime_ep_sparsecpu\n"
        f"model = base64.b64decode('{base64.b64encode(model.SerializeToString()).decode()}')\n"
        f"ort.InferenceSession(model, providers=[('{NAME}', {{'assume': '{name}=3'}})])\n"
    )
    result = run_python(code)
    assert result.returncode == 0, result.stderr
    assert result.stderr.count(f"option 'assume' names '{name}'; no graph has") == warned, result.stderr


@pytest.mark.parametrize("variable", ["SPARSECPU_LOG", "SPARSECPU_ISA"])
def test_a_bad_environment_is_an_error(variable: str) -> None:
    code = (
        "import base64, onnxruntime as ort, onnxruntime_ep_sparsecpu\n"
        f"model = base64.b64decode('{base64.b64encode(linear_model()).decode()}')\n"
        f"ort.InferenceSession(model, providers=['{NAME}'])\n"
    )
    result = run_python(code, **{variable: "bogus"})
    assert result.returncode != 0
    assert f"environment variable {variable} is 'bogus': expected" in result.stderr
