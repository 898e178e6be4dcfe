"""Pruning of a model's constant weights: by their size alone, or with calibration data by what they do to the outputs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx
from onnx import numpy_helper

from onnxruntime_ep_sparsecpu import magnitude
from onnxruntime_ep_sparsecpu.tools import comparison, sessions
from onnxruntime_ep_sparsecpu.tools.errors import UserError, reading
from onnxruntime_ep_sparsecpu.tools.one_shot.pruner import OneShot
from onnxruntime_ep_sparsecpu.tools.one_shot.stages import reason_to_leave
from onnxruntime_ep_sparsecpu.tools.samples import Sample, samples_of
from onnxruntime_ep_sparsecpu.tools.saving import check_name, save
from onnxruntime_ep_sparsecpu.tools.source import Model, Source, as_source
from onnxruntime_ep_sparsecpu.tools.weights import Weight, find_weights, is_number

Array = npt.NDArray[Any]

_SHOWN_NAMES = 8  # of nodes, in an error


def prune(
    model: Model,
    out: str | Path,
    sparsity: float,
    pattern: str = "unstructured",
    exclude: Iterable[str] = (),
    feeds: Mapping[str, Any] | None = None,
    tick: Callable[[float], None] = lambda share: None,
    calibration: Any = None,
) -> dict[str, Any]:
    """Writes to `out` a copy of the model in which that share (0..1) of every weight is zero.

    Weights are the constant ones of Conv, MatMul, Gemm and their INT8 forms, where zero is the zero point; depthwise
    convolutions stay as they are. A tensor that several nodes share is pruned once. Each weight gets the sparsity by
    itself. pattern: see magnitude.prune. exclude: regular expressions; a weight stays if one is found in its name or
    in that of a node that uses it, and each must be found somewhere. feeds: inputs on which the CPU provider runs both
    models, to compare the outputs once the file is written. tick: called with the share of the work that is done, 0..1.
    External data is written to one file next to `out`, a tensor at a time. No file is left half written.

    Without calibration the smallest weights go. calibration: inputs to run the model with (see samples.samples_of);
    then those go that change the outputs of their layers least on these inputs, and the other weights and the biases
    make up for it. That takes the float weights of the main graph, and all of them in memory. Of inputs with an
    `attention_mask`, the tokens that it masks out do not count.

    Returns `model`, `out`, `sparsity`, `pattern`, `calibration` (the number of feeds, or None), `layers` (of each
    weight: `node`, `op_type`, `weight`, `shape`, `zeros_before` and `zeros`, as counts of `size`; with calibration
    also `error` and `magnitude_error`, see one_shot.pruner.Pruned), `kept` (weights that stay, with `node`, `op_type`,
    `weight` and `reason`), `external_data` (file name or None), `outputs` (see comparison.difference; without
    feeds on the first of the calibration, None without either) and `unchecked` (why the outputs could not be compared, or None).
    Raises UserError if nothing is left to prune, or a file cannot be read or written.
    """
    source, out = as_source(model), str(out)
    check_name(source, out)
    copy = onnx.ModelProto()
    copy.CopyFrom(source.proto)
    weights = find_weights(copy, source.folder)
    chosen, kept = _choose(weights, [_expression(text, weights) for text in exclude], calibration is not None)
    if not chosen:
        raise UserError(f"{source.name} has no weight to prune: " + _why_none(kept))
    if calibration is None:
        prunes = _Magnitude(chosen, sparsity, pattern, tick)
        data, seen = save(copy, source, out, prunes), None
        layers = prunes.layers
    else:
        one_shot = OneShot(copy, source, chosen, sparsity, pattern, tick)
        samples = samples_of(calibration, copy, "calibration")
        first = list(islice(samples, 1))
        layers = _one_shot(one_shot, chain(first, samples))
        feeds = first[0][1] if feeds is None else feeds
        data, seen = save(copy, source, out, partial(_replaced, arrays=one_shot.changed)), one_shot.samples
    outputs, unchecked = (None, None) if feeds is None else _output_difference(source, out, feeds)
    return {
        "model": source.name,
        "out": out,
        "sparsity": sparsity,
        "pattern": pattern,
        "calibration": seen,
        "layers": layers,
        "kept": kept,
        "external_data": data,
        "outputs": outputs,
        "unchecked": unchecked,
    }


def _expression(text: str, weights: list[Weight]) -> re.Pattern[str]:
    """Raises UserError for one that is none, and for one that finds nothing: a name has been mistyped."""
    try:
        expression = re.compile(text)
    except re.error as error:
        raise UserError(f"--exclude {text} is no regular expression: {error}") from error
    if weights and not any(_found(expression, weight) for weight in weights):
        names = [weight.names["node"] for weight in weights]
        some = ", ".join(names[:_SHOWN_NAMES]) + (", ..." if len(names) > _SHOWN_NAMES else "")
        raise UserError(f"--exclude {text} is found in the name of no weight and of no node that has one: {some}")
    return expression


def _choose(
    weights: list[Weight], exclude: list[re.Pattern[str]], calibrated: bool
) -> tuple[list[Weight], list[dict[str, Any]]]:
    chosen, kept = [], []
    for weight in weights:
        reason = _reason_to_keep(weight, exclude) or (reason_to_leave(weight) if calibrated else "")
        if reason:
            kept.append({**weight.names, "reason": reason})
        else:
            chosen.append(weight)
    return chosen, kept


def _reason_to_keep(weight: Weight, exclude: list[re.Pattern[str]]) -> str:
    """Why a weight is not pruned; "" if it is."""
    if any(_found(expression, weight) for expression in exclude):
        return "excluded"
    if 0 in weight.tensor.dims:
        return "empty"
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


def _found(expression: re.Pattern[str], weight: Weight) -> bool:
    """In the weight's name or that of a node, as they are stored or as results call them."""
    names = weight.names
    return any(map(expression.search, {names["node"], names["weight"], *(node.name for node in weight.nodes)}))


def _why_none(kept: list[dict[str, Any]]) -> str:
    if not kept:
        return "no Conv, MatMul or Gemm with constant weights"
    return "; ".join(sorted({layer["reason"] for layer in kept}))


class _Magnitude:
    """Prunes tensors that are among the weights as they are saved; `layers` tells what it did, in their order."""

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
        with reading("weight {weight} of {op_type} '{node}'".format(**weight.names)):
            before = numpy_helper.to_array(tensor)
            after = magnitude.prune(
                before, self._sparsity, self._pattern, weight.input_axis, weight.zero_point, weight.scale
            )
            tensor.CopyFrom(numpy_helper.from_array(after, tensor.name))
            self._done[place] = _row(weight, before, after)
        self._tick(len(self._done) / len(self._weights))


def _row(weight: Weight, before: Array, after: Array) -> dict[str, Any]:
    zeros_before, zeros = (magnitude.zeros(array, weight.zero_point) for array in (before, after))
    return {
        **weight.names,
        "nodes": len(weight.nodes),
        "shape": list(before.shape),
        "size": before.size,
        "zeros_before": zeros_before,
        "zeros": zeros,
    }


def _one_shot(one_shot: OneShot, samples: Iterable[Sample]) -> list[dict[str, Any]]:
    return [
        {**_row(done.weight, done.before, done.after), "error": done.error, "magnitude_error": done.magnitude_error}
        for done in one_shot.prune(samples)
    ]


def _replaced(tensor: onnx.TensorProto, arrays: Mapping[int, Array]) -> None:
    if id(tensor) in arrays:
        tensor.CopyFrom(numpy_helper.from_array(arrays[id(tensor)], tensor.name))


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
