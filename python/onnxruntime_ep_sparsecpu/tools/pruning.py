"""Magnitude pruning of a model's constant weights, to see what speed a sparsity would give before training for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import onnx
from onnx import external_data_helper, numpy_helper

from onnxruntime_ep_sparsecpu import magnitude
from onnxruntime_ep_sparsecpu.tools import comparison, sessions
from onnxruntime_ep_sparsecpu.tools.errors import UserError, first_line, reading
from onnxruntime_ep_sparsecpu.tools.source import Source
from onnxruntime_ep_sparsecpu.tools.weights import Weight, find_weights, is_number, stored_tensors

_PAGE = 4096  # external tensors begin at whole pages, as the ONNX specification recommends for mapping them


def prune(
    source: Source,
    out: str,
    sparsity: float,
    pattern: str = "unstructured",
    exclude: Iterable[str] = (),
    feeds: Mapping[str, Any] | None = None,
    tick: Callable[[float], None] = lambda share: None,
) -> dict[str, Any]:
    """Writes to `out` a copy of the model in which that share (0..1) of every weight is zero, the smallest first.

    Weights are the constant ones of Conv, MatMul, Gemm and their INT8 forms, where zero is the zero point; depthwise
    convolutions stay as they are. A tensor that several nodes share is pruned once. Each weight gets the sparsity by
    itself. pattern: see magnitude.prune. exclude: regular expressions; a weight stays if one is found in its name or
    in that of a node that uses it. feeds: inputs on which the CPU provider runs both models, to compare the outputs
    once the file is written. tick: called with the share of the weights that is done, 0..1. External data is written to one file next to `out`,
    a tensor at a time.

    Returns `model`, `out`, `sparsity`, `pattern`, `layers` (of each weight: `node`, `op_type`, `weight`, `shape`,
    `zeros_before` and `zeros`, as counts of `size`), `kept` (weights that stay, with `node`, `op_type`, `weight` and
    `reason`), `external_data` (file name or None), `outputs` (see comparison.difference; None without feeds) and
    `unchecked` (why the outputs could not be compared, or None).
    Raises UserError if nothing is left to prune, or a file cannot be read or written.
    """
    if source.path is not None and Path(out).resolve() == source.path.resolve():
        raise UserError(f"{out} is the model itself: give the pruned one a name of its own")
    model = onnx.ModelProto()
    model.CopyFrom(source.proto)
    weights = find_weights(model, source.folder)
    chosen, kept = _choose(weights, [_expression(text) for text in exclude])
    if not chosen:
        raise UserError(f"{source.name} has no weight to prune: " + _why_none(kept))
    prunes = _Pruner(chosen, sparsity, pattern, tick)
    data = _write(model, source, out, prunes)
    outputs, unchecked = (None, None) if feeds is None else _output_difference(source, out, feeds)
    return {
        "model": source.name,
        "out": out,
        "sparsity": sparsity,
        "pattern": pattern,
        "layers": prunes.layers,
        "kept": kept,
        "external_data": data,
        "outputs": outputs,
        "unchecked": unchecked,
    }


def _expression(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise UserError(f"--exclude {text} is no regular expression: {error}") from error


def _choose(weights: list[Weight], exclude: list[re.Pattern[str]]) -> tuple[list[Weight], list[dict[str, Any]]]:
    chosen, kept = [], []
    for weight in weights:
        reason = _reason_to_keep(weight, exclude)
        if reason:
            kept.append({**_names(weight), "reason": reason})
        else:
            chosen.append(weight)
    return chosen, kept


def _reason_to_keep(weight: Weight, exclude: list[re.Pattern[str]]) -> str:
    """Why a weight is not pruned; "" if it is."""
    names = [weight.tensor.name, *(node.name for node in weight.nodes)]
    if any(expression.search(name) for expression in exclude for name in names):
        return "excluded"
    if weight.depthwise:
        return "depthwise: one input channel for each output, which no zero makes faster"
    if weight.is_input:
        return "an input of the model too, so it is not constant"
    if weight.other_readers:
        reader = weight.other_readers[0]
        return f"{reader.op_type} '{reader.name}' reads it too"
    if not is_number(weight.tensor):
        return f"{_type_name(weight.tensor)} weights are not pruned"
    return ""


def _type_name(tensor: onnx.TensorProto) -> str:
    types = onnx.TensorProto.DataType
    return types.Name(tensor.data_type).lower() if tensor.data_type in types.values() else f"type {tensor.data_type}"


def _why_none(kept: list[dict[str, Any]]) -> str:
    if not kept:
        return "no Conv, MatMul or Gemm with constant weights"
    return "; ".join(sorted({layer["reason"] for layer in kept}))


def _names(weight: Weight) -> dict[str, Any]:
    node = weight.nodes[0]
    return {"node": node.name or node.output[0], "op_type": node.op_type, "weight": weight.tensor.name or node.input[1]}


class _Pruner:
    """Prunes tensors that are among the weights; `layers` tells what it did, in the order of the weights."""

    def __init__(self, weights: list[Weight], sparsity: float, pattern: str, tick: Callable[[float], None]) -> None:
        self._weights = weights  # they keep their tensors alive, so that identities stay theirs
        self._places = {id(weight.tensor): place for place, weight in enumerate(weights)}
        self._sparsity, self._pattern, self._tick = sparsity, pattern, tick
        self._done: dict[int, dict[str, Any]] = {}

    @property
    def layers(self) -> list[dict[str, Any]]:
        return [self._done[place] for place in sorted(self._done)]

    def __call__(self, tensor: onnx.TensorProto) -> None:
        """Does nothing to a tensor that is no weight. External data must have been loaded."""
        place = self._places.get(id(tensor))
        if place is None:
            return
        weight = self._weights[place]
        names = _names(weight)
        with reading(f"weight {names['weight']} of {names['op_type']} '{names['node']}'"):
            before = numpy_helper.to_array(tensor)
            after = magnitude.prune(
                before, self._sparsity, self._pattern, weight.input_axis, weight.zero_point, weight.scale
            )
            tensor.CopyFrom(numpy_helper.from_array(after, tensor.name))
            zeros_before, zeros = (magnitude.zeros(array, weight.zero_point) for array in (before, after))
        self._done[place] = {
            **names,
            "nodes": len(weight.nodes),
            "shape": list(before.shape),
            "size": before.size,
            "zeros_before": zeros_before,
            "zeros": zeros,
        }
        self._tick(len(self._done) / len(self._weights))


def _write(model: onnx.ModelProto, source: Source, out: str, prunes: _Pruner) -> str | None:
    """Prunes and saves; returns the name of the file with external data, if there is any."""
    tensors = list(stored_tensors(model.graph))
    data_path = Path(out + ".data")
    sources = {
        (Path(source.folder) / external_data_helper.ExternalDataInfo(tensor).location).resolve()
        for tensor in tensors
        if external_data_helper.uses_external_data(tensor)
    }
    if data_path.resolve() in sources:
        raise UserError(f"{data_path} holds the weights of {source.name}: give the pruned model another name")
    try:
        with open(data_path, "wb") if sources else BytesIO() as data:
            for tensor in tensors:
                external = external_data_helper.uses_external_data(tensor)
                if external:
                    with reading(f"the external data of {tensor.name}"):
                        external_data_helper.load_external_data_for_tensor(tensor, source.folder)
                    tensor.data_location = onnx.TensorProto.DEFAULT
                    del tensor.external_data[:]
                prunes(tensor)
                if external:
                    _move_out(tensor, data, data_path.name)
        onnx.save(model, out)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot write {out}: {first_line(error)}") from error
    return data_path.name if sources else None


def _move_out(tensor: onnx.TensorProto, data: BinaryIO, name: str) -> None:
    """Appends the elements of a tensor to the file, and leaves the place in the tensor."""
    data.write(b"\0" * (-data.tell() % _PAGE))
    offset, length = data.tell(), len(tensor.raw_data)
    data.write(tensor.raw_data)
    external_data_helper.set_external_data(tensor, name, offset, length)
    tensor.ClearField("raw_data")


def _output_difference(
    source: Source, out: str, feeds: Mapping[str, Any]
) -> tuple[list[dict[str, Any]] | None, str | None]:
    """`outputs` and `unchecked` of prune. One session after the other, so that only one copy of the weights is in
    memory."""

    def outputs(model: Source) -> dict[str, Any]:
        session = sessions.create(model, sessions.CPU_PROVIDER)
        names = [value.name for value in session.get_outputs()]
        return dict(zip(names, sessions.run(session, feeds, model), strict=True))

    try:
        before = outputs(source)
        return comparison.differences(outputs(Source(out, Path(out))), before), None
    except UserError as error:
        return None, str(error)
