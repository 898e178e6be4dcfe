"""Runs one model on the CPU provider and on SparseCPUProvider, and prints the latencies and what went where.

    python examples/quickstart.py [model.onnx]

Without a model it makes a pruned MobileNetV1. Inputs are random, with 1 image, 224 pixels a side and 128 tokens where the
model leaves them open.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import onnxruntime as ort
import onnxruntime_ep_sparsecpu  # registers the provider
from onnxruntime_ep_sparsecpu import models, tools


def median_ms(session: ort.InferenceSession, feed: dict[str, np.ndarray], runs: int = 30) -> float:
    times = []
    for _ in range(runs):
        begin = time.perf_counter()
        session.run(None, feed)
        times.append(time.perf_counter() - begin)
    return float(np.median(times)) * 1e3


def main() -> None:
    if len(sys.argv) > 1:
        model, feed = sys.argv[1], tools.make_feeds(sys.argv[1])
    else:
        network = models.mobilenet_v1(0.9)
        model, feed = network.SerializeToString(), tools.make_feeds(network)
    cpu = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    sparse = ort.InferenceSession(model, providers=["SparseCPUProvider", "CPUExecutionProvider"])

    pairs = zip(cpu.run(None, feed), sparse.run(None, feed), strict=True)
    print(f"largest difference: {max(float(np.abs(a - b).max()) for a, b in pairs):.2g}")
    print(f"CPU provider:       {median_ms(cpu, feed):.2f} ms")
    print(f"SparseCPUProvider:  {median_ms(sparse, feed):.2f} ms")

    report = onnxruntime_ep_sparsecpu.report(sparse)
    for node in (node for graph in report["graphs"] for node in graph["nodes"]):
        place = f"region {node['region']}" if node["provider"] else "CPU provider"
        print(f"{node['op_type']:20} {place:14} {node['reason']}")


if __name__ == "__main__":
    main()
