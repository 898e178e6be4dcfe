"""Why is my model not faster? From the question to the answer, step by step.

    python examples/debug_fallback.py                      # a network made for it
    python examples/debug_fallback.py model.onnx

The same on the command line: sparsecpu explain, prune, benchmark and compare.
"""

from __future__ import annotations

import argparse
import tempfile

import onnx
import onnxruntime as ort
import onnxruntime_ep_sparsecpu
from onnxruntime_ep_sparsecpu import models, tools


def troubled_network() -> onnx.ModelProto:
    """Three convolutions: one well pruned, one whose weight is an input of the model, and one not pruned enough."""
    g = models.GraphBuilder(seed=0)
    x = "image"
    for sparsity in (0.9, 0.9, 0.2):
        x = g.op("Relu", [g.conv(x, 64, 64, 3, sparsity=sparsity)])
    model = g.model({"image": [1, 64, 28, 28]}, {x: [1, 64, 28, 28]})
    middle = [node for node in model.graph.node if node.op_type == "Conv"][1]
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == middle.input[1])
    model.graph.input.append(onnx.helper.make_tensor_value_info(weight.name, weight.data_type, weight.dims))
    return model


def inputs_that_have_defaults(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    stored = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name in stored]


def show_left(report: dict) -> None:
    """Prints the layers that are left to the CPU provider, heaviest first."""
    nodes = [node for graph in report["graphs"] for node in graph["nodes"]]
    layers = [node for node in nodes if node["op_type"] in ("Conv", "MatMul", "Gemm")]
    left = sorted((node for node in layers if not node["provider"]), key=lambda node: -node["cpu_us"])
    print(f"   {len(layers) - len(left)} of {len(layers)} layers run on SparseCPUProvider")
    for node in left:
        print(f"   {node['name']} is left: {node['reason']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", help="path of a model")
    parser.add_argument("--seconds", type=float, default=2.0, help="of measurement, for each provider")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        path = arguments.model or f"{folder}/model.onnx"
        if not arguments.model:
            onnx.save(troubled_network(), path)

        print("1. What get_providers() says proves nothing: it lists a provider that took no node, too.")
        session = ort.InferenceSession(path, providers=["SparseCPUProvider", "CPUExecutionProvider"])
        print(f"   {session.get_providers()}")

        print("2. The report has a reason for every node.")
        show_left(onnxruntime_ep_sparsecpu.report(session))

        print("3. A weight that is an input of the model may change with every run, so it cannot be packed.")
        model = onnx.load(path)
        extra = inputs_that_have_defaults(model)
        for value in extra:
            model.graph.input.remove(value)
        print(f"   removed from the inputs: {', '.join(value.name for value in extra) or 'none'}")
        fixed = f"{folder}/fixed.onnx"
        onnx.save(model, fixed)
        if extra:
            show_left(tools.explain(tools.open_source(fixed)))

        print("4. Would more zeros help? Prune a copy, before training for it.")
        pruned = f"{folder}/pruned.onnx"
        tools.prune(tools.open_source(fixed), pruned, 0.9)
        source = tools.open_source(pruned)
        show_left(tools.explain(source))

        print("5. What the prediction promises, a measurement confirms: both providers in turns.")
        feeds = tools.make_feeds(source.proto)
        result = tools.benchmark(
            source, feeds, versus="CPUExecutionProvider", seconds=arguments.seconds, warm_up=arguments.seconds / 5
        )
        ratio = result["comparison"]
        print(
            f"   {ratio['ratio']:.2f}x as fast as the CPU provider "
            f"(rounds: {ratio['ratio_min']:.2f}x to {ratio['ratio_max']:.2f}x)"
        )

        print("6. And if the outputs look wrong: every layer alone, against the CPU provider.")
        comparison = tools.compare(source, feeds, {"neighbours": "off"}, per_op=True)
        worst = max(comparison["per_op"], key=lambda row: row["relative_error"], default=None)
        if worst is not None:
            print(
                f"   {len(comparison['per_op'])} layers compared; the largest error, {worst['relative_error']:.1e} "
                f"of the largest value, is that of {worst['node']}"
            )
        print(f"   first that differs: {comparison['first_different'] or 'none'}")


if __name__ == "__main__":
    main()
