"""A random model on its way through the twists: the file, what to feed it, and what its values are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper

Feed = dict[str, np.ndarray]
Values = list[dict[str, np.ndarray]]  # of every run: all values of the graph by name, inputs included


@dataclass
class Subject:
    """steps: by how many steps integer outputs may differ, where onnxruntime computes in float before it rounds."""

    model: onnx.ModelProto
    feeds: list[Feed]
    steps: int = 0
    made: int = 0  # values, by twists

    def unique(self, prefix: str) -> str:
        self.made += 1
        return f"{prefix}_of_twist_{self.made}"

    def constant(self, array: np.ndarray, prefix: str = "constant") -> str:
        name = self.unique(prefix)
        self.model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def input(self, prefix: str, arrays: Sequence[np.ndarray], dims: Sequence[int | str]) -> str:
        """A graph input that is fed with these arrays, run after run."""
        name = self.unique(prefix)
        element = helper.np_dtype_to_tensor_dtype(arrays[0].dtype)
        self.model.graph.input.append(helper.make_tensor_value_info(name, element, list(dims)))
        for feed, array in zip(self.feeds, arrays, strict=True):
            feed[name] = array
        return name

    def add(self, kind: str, inputs: Sequence[str], at: int | None = None, **attributes: object) -> str:
        """A node with one output; at: its place among the nodes, the end by default."""
        name = self.unique(kind)
        node = helper.make_node(kind, list(inputs), [name], name=name, **attributes)
        nodes = self.model.graph.node
        nodes.insert(len(nodes) if at is None else at, node)
        return name

    def place_behind(self, value: str) -> int:
        """The first place among the nodes where this value can be read."""
        nodes = self.model.graph.node
        return next((i + 1 for i, node in enumerate(nodes) if value in node.output), 0)

    def reroute(self, value: str, to: str, begin: int) -> bool:
        """The nodes from `begin` on read `to` instead of `value`; whether there are any."""
        readers = [node for node in self.model.graph.node[begin:] if value in node.input]
        for node in readers:
            node.input[:] = [to if name == value else name for name in node.input]
        return bool(readers)

    def output(self, name: str) -> None:
        self.model.graph.output.append(onnx.ValueInfoProto(name=name))

    def forget_shapes(self) -> None:
        """Nothing is declared but the inputs: a twist may have changed the rest."""
        del self.model.graph.value_info[:]
        for value in self.model.graph.output:
            value.ClearField("type")

    def values(self) -> Values | None:
        """All values, as the CPU provider computes them; None where it does not run."""
        return evaluate(self.model, self.feeds)


def evaluate(model: onnx.ModelProto, feeds: Sequence[Feed]) -> Values | None:
    """All values of the main graph for each feed, as the CPU provider computes them without optimizations; None where
    it does not run."""
    open_model = onnx.ModelProto()
    open_model.CopyFrom(model)
    del open_model.graph.output[:]
    names = [name for node in model.graph.node for name in node.output if name]
    outputs = {value.name for value in model.graph.output}  # some may be constants, of what onnxruntime has saved
    constants = {c.name: numpy_helper.to_array(c) for c in model.graph.initializer if c.name in outputs}
    open_model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        session = ort.InferenceSession(open_model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return [constants | dict(zip(names, session.run(None, feed), strict=True)) | feed for feed in feeds]
    except Exception:  # noqa: BLE001  what ONNX Runtime raises is its affair
        return None
