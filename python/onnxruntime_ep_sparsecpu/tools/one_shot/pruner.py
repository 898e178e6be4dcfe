"""One-shot pruning of the layers of a model, stage by stage."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from onnxruntime_ep_sparsecpu import magnitude
from onnxruntime_ep_sparsecpu.tools.errors import UserError, reading
from onnxruntime_ep_sparsecpu.tools.one_shot import surgeon
from onnxruntime_ep_sparsecpu.tools.one_shot.activations import Activations
from onnxruntime_ep_sparsecpu.tools.one_shot.forms import Form, Product, cell_starts
from onnxruntime_ep_sparsecpu.tools.one_shot.graph import Graph
from onnxruntime_ep_sparsecpu.tools.one_shot.moments import Moments
from onnxruntime_ep_sparsecpu.tools.one_shot.stages import Bias, Layer, Stage, Use, find_layers, plan
from onnxruntime_ep_sparsecpu.tools.one_shot.store import Store
from onnxruntime_ep_sparsecpu.tools.samples import MASK, Sample
from onnxruntime_ep_sparsecpu.tools.source import Source
from onnxruntime_ep_sparsecpu.tools.weights import Weight

Array = npt.NDArray[Any]

_LEAST_ROWS = 32  # inputs that a layer must see: fewer say nothing of what the next ones will be
_ACTIVATION_BYTES = 1 << 30  # kept in memory between two stages; what is beyond goes to files

_Moments = dict[tuple[str, Form], Moments]  # by the input of a layer and its form


class Pruned(NamedTuple):
    """before, after: the weight's array as it is stored. error, magnitude_error: root of the mean square by which the
    layer's output on the calibration data differs from that with the dense weight, as a share of the output's own; the
    latter with the smallest weights at zero instead, and nothing else changed."""

    weight: Weight
    before: Array
    after: Array
    error: float
    magnitude_error: float


class OneShot:
    """changed: the new arrays, biases among them, by the identity of the model's tensors that they replace."""

    def __init__(
        self,
        model: onnx.ModelProto,
        source: Source,
        weights: list[Weight],
        sparsity: float,
        pattern: str,
        tick: Callable[[float], None] = lambda share: None,
    ) -> None:
        """weights: of the model, those that stages.reason_to_leave has nothing against. The other arguments are those
        of tools.prune."""
        self._source, self._sparsity, self._pattern, self._tick = source, sparsity, pattern, tick
        self._graph = Graph(model)
        self._plan = plan(find_layers(weights, self._graph), self._graph)
        self.changed: dict[int, Array] = {}
        self.samples = 0

    def prune(self, samples: Iterable[Sample]) -> Iterator[Pruned]:
        """Yields what became of each weight. Raises UserError for samples that the model does not run with, for values
        that are no numbers or too large for their squares, and for a layer that sees too few."""
        with closing(Store(_ACTIVATION_BYTES)) as store:
            activations = Activations(self._graph, self._source, self.changed, store)
            activations.add(samples)
            self.samples = activations.samples
            for number, stage in enumerate(self._plan.stages):
                moments: _Moments = {}
                values = activations.run(
                    stage.values, self._plan.values_after(number), partial(self._plan.lasts, number=number)
                )
                for seen, (label, found) in enumerate(values, 1):
                    _add(moments, stage, label, found)
                    self._tell(number, seen / self.samples / 2)
                for done, layer in enumerate(stage.layers, 1):
                    _check(layer, moments, self.samples)
                    yield self._prune(layer, moments)
                    self._tell(number, (1 + done / len(stage.layers)) / 2)

    def _tell(self, stage: int, share: float) -> None:
        self._tick((stage + share) / len(self._plan.stages))

    def _prune(self, layer: Layer, moments: _Moments) -> Pruned:
        weight = layer.weight
        with reading("weight {weight} of {op_type} '{node}'".format(**weight.names)):
            before = numpy_helper.to_array(weight.tensor, self._source.folder)
            smallest = magnitude.prune(before, self._sparsity, self._pattern, weight.input_axis)
        hessian = _hessian(layer, moments)
        dense, by_size = layer.matrices(before), layer.matrices(smallest)
        starts = cell_starts(dense.shape[2], layer.uses[0].form.channels(layer.shape), self._pattern)
        after = layer.stored(surgeon.solve(dense, hessian, self._sparsity, starts, by_size), before.dtype)
        self.changed[id(weight.tensor)] = after
        sparse = layer.matrices(after)
        for use in layer.uses:
            if use.bias is not None:
                self._correct(use, use.bias, dense - sparse, moments[use.value, use.form].mean)
        error, other = (surgeon.relative_error(w, dense, hessian) for w in (sparse, by_size))
        return Pruned(weight, before, after, error, other)

    def _correct(self, use: Use, bias: Bias, lost: Array, mean: Array) -> None:
        """Adds to a bias the mean of what the outputs have lost. lost: [groups, outputs, columns], mean: [groups,
        columns]."""
        old = numpy_helper.to_array(bias.tensor, self._source.folder)
        shift = use.form.alpha * bias.factor * np.einsum("goc,gc->go", lost, mean)
        self.changed[id(bias.tensor)] = (old + shift.reshape(old.shape)).astype(old.dtype)


def _add(moments: _Moments, stage: Stage, label: str, values: Mapping[str, Array]) -> None:
    """Adds the inputs of a stage's layers on one sample; layers of the same input and form share their moments."""
    seen = set()
    for layer in stage.layers:
        for use in layer.uses:
            key = use.value, use.form
            if key in seen:
                continue
            seen.add(key)
            x = values[use.value]
            if not np.isfinite(x).all():
                name = use.node.name or use.node.output[0]
                raise UserError(
                    f"{label}: the input {use.value} of {use.node.op_type} '{name}' has infinities or NaN; expected numbers"
                )
            with reading(f"{use.node.op_type} '{use.node.name}' or its input {use.value}"):
                moments.setdefault(key, Moments(*layer.columns)).add(use.form.rows(_unmasked(x, use.form, values)))


def _hessian(layer: Layer, moments: _Moments) -> Array:
    """The sum of those of its uses."""
    total: Array = np.zeros(())
    for use in layer.uses:
        total = total + use.form.alpha**2 * moments[use.value, use.form].hessian(centred=use.bias is not None)
    return total


def _unmasked(x: Array, form: Form, values: Mapping[str, Array]) -> Array:
    """Without the tokens that are masked out: nobody looks at them."""
    mask = values.get(MASK)
    if mask is None or not isinstance(form, Product) or form.input_transposed:
        return x
    if x.shape[:-1] in (mask.shape, (mask.size,)):
        x = x[mask.reshape(x.shape[:-1]) != 0]
    return x


def _check(layer: Layer, moments: _Moments, samples: int) -> None:
    """Whether the layer has seen enough, of numbers that can be squared."""
    name = "{op_type} '{node}'".format(**layer.weight.names)
    seen = [moments[use.value, use.form] for use in layer.uses]
    rows = sum(each.count for each in seen)
    if rows < _LEAST_ROWS:
        raise UserError(
            f"{name} sees {rows} rows of input in {samples} run{'s' * (samples > 1)}; expected at least {_LEAST_ROWS}: "
            "calibrate with more samples"
        )
    if not all(each.finite for each in seen):
        raise UserError(f"{name} sees inputs whose squares are no float32 numbers; expected smaller ones")
