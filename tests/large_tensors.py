"""Tensors of more than 2^31 elements or bytes, by hand: ``python tests/large_tensors.py``. Takes some 5 GB and a minute.

Every model reads a tensor whose last pixels lie beyond 2^31 and keeps few of them, so that numpy can say what is right."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import onnxruntime_ep_sparsecpu as sparsecpu
from onnx import TensorProto, helper, numpy_helper

SIDE = 23201  # SIDE * SIDE * 4 > 2^31
STRIDE = 8


def session(
    nodes: list, shape: list, dtype: int, constants: dict[str, np.ndarray]
) -> tuple[ort.InferenceSession, list[str]]:
    body = helper.make_graph(
        nodes,
        "large",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info("y", dtype, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    made = ort.InferenceSession(
        model.SerializeToString(),
        providers=[("SparseCPUProvider", {"min_sparsity": "0"}), "CPUExecutionProvider"],
        enable_fallback=0,
    )
    return made, [n["op_type"] for g in sparsecpu.report(made)["graphs"] for n in g["nodes"] if n["provider"]]


def bytes_beyond() -> None:
    """QLinearConv over [1, 4, SIDE, SIDE] bytes: more than 2^31 elements."""
    x = np.random.default_rng(0).integers(0, 256, (1, 4, SIDE, 1), np.uint8) * np.ones(SIDE, np.uint8)
    x[..., -1] = 255 - x[..., -1]
    weights = np.array([1, 0, 2, 1], np.uint8).reshape(1, 4, 1, 1)
    one, zero = np.array(1, np.float32), np.array(0, np.uint8)
    q = ["one", "zero"]
    node = helper.make_node("QLinearConv", ["x", *q, "w", *q, "scale", "zero"], ["y"], strides=[STRIDE] * 2)
    constants = {"one": one, "zero": zero, "w": weights, "scale": np.array(4, np.float32)}
    made, claimed = session([node], list(x.shape), TensorProto.UINT8, constants)
    picked = x[:, :, ::STRIDE, ::STRIDE].astype(np.int32)
    want = np.rint((picked * weights.astype(np.int32)).sum(1, keepdims=True) / 4).clip(0, 255).astype(np.uint8)
    print("bytes: claimed", claimed, "wrong", int((made.run(None, {"x": x})[0] != want).sum()))


def floats_beyond() -> None:
    """Conv over [1, 1, SIDE, SIDE] floats: more than 2^31 bytes."""
    x = np.random.default_rng(0).standard_normal((1, 1, SIDE, 1)).astype(np.float32) * np.ones(SIDE, np.float32)
    x[..., -1] *= -3
    weights = np.array([2, -1], np.float32).reshape(2, 1, 1, 1)
    node = helper.make_node("Conv", ["x", "w"], ["y"], strides=[STRIDE] * 2)
    made, claimed = session([node], list(x.shape), TensorProto.FLOAT, {"w": weights})
    want = x[:, :, ::STRIDE, ::STRIDE] * weights.reshape(1, 2, 1, 1)
    print("floats: claimed", claimed, "largest difference", float(np.abs(made.run(None, {"x": x})[0] - want).max()))


if __name__ == "__main__":
    bytes_beyond()
    floats_beyond()
