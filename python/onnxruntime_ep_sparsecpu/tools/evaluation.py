"""Two models on the same inputs: what the second costs in accuracy, and what it gains in time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

import onnxruntime_ep_sparsecpu as sparsecpu
from onnxruntime_ep_sparsecpu.tools import comparison, sessions, timing
from onnxruntime_ep_sparsecpu.tools.errors import UserError
from onnxruntime_ep_sparsecpu.tools.feeds import assuming, model_inputs
from onnxruntime_ep_sparsecpu.tools.samples import MASK, Feeds, samples_of
from onnxruntime_ep_sparsecpu.tools.source import Model, Source, as_source

Array = npt.NDArray[Any]
Run = tuple[Feeds, dict[str, Array]]
"""Its inputs and outputs by name."""

NEIGHBOURS = 10
_MOST_ROWS = 10_000  # whose neighbours are looked for, among as many
_UNIT = 1e-3  # by which the length of a unit vector may differ from 1


def evaluate(
    reference: Model,
    candidate: Model,
    inputs: Any,
    labels: npt.ArrayLike | None = None,
    *,
    metric: Callable[[list[Run]], Any] | None = None,
    engine: str | None = None,
    versus: str = sessions.CPU_PROVIDER,
    options: Mapping[str, str] | None = None,
    threads: int = 0,
    seconds: float = 2.0,
    tick: timing.Tick = lambda share: None,
) -> dict[str, Any]:
    """Runs both models on the inputs, compares what comes out, and times them in turns on the first of the inputs.

    inputs: see samples.samples_of. labels: the right class of each sample. metric: of the user's, called for each
    model with its runs. engine: provider of the candidate (SparseCPUProvider if None), versus: of the reference.
    options: of SparseCPUProvider. threads: of a session, 0 for all cores. seconds: of timing, for each model. tick:
    called with the share of the work that is done, 0..1.

    An output [samples, tokens, features] of a model with an `attention_mask` counts where that is not zero, and as
    vectors by the mean of a sample's tokens; one [samples, features] as vectors as it is. Vectors of length 1 and means
    of tokens are embeddings, other vectors scores of classes.

    Returns `reference` and `candidate` (of each `model`, `provider`, `metric`), `samples`, `runs`, `outputs`, `inputs`
    (shapes of the first run), and as timing.benchmark `results` and `comparison`, by "reference" and "candidate".
    outputs, in order: `value` and what comparison.difference says of the two, with `cosine` (mean over the samples),
    `same_class` (share of samples whose largest entry is the same), `neighbours` (mean share of the 10 nearest samples,
    by cosine, that stay), `accuracy` ([reference, candidate]: share of labels that are the class with the largest
    score, or for embeddings the most frequent label of the 10 nearest), None where that makes no sense, and
    `no_vectors` (why there are none of them: it has no vector for each sample; or ""). What counts of the outputs is kept
    in memory, for a metric all of them. Raises UserError for models that do not have the same inputs and outputs, for
    inputs that do not fit, and for labels that are not one for each sample.
    """
    models = {"reference": as_source(reference), "candidate": as_source(candidate)}
    providers = {"reference": versus, "candidate": engine or sparsecpu.get_ep_name()}
    _check_inputs(**models)
    samples = list(samples_of(inputs, models["reference"].proto, "evaluation"))
    if not samples:
        raise UserError("there are no samples to evaluate with; expected some inputs of the models")
    first = samples[0][1]
    candidates, outputs, metrics = {}, {}, {}
    for step, (name, model) in enumerate(models.items()):
        candidates[name] = timing.create(model, providers[name], assuming(first, model.proto, options), threads)
        runs = _runs(candidates[name], samples, model)
        outputs[name], metrics[name] = _collect(runs, metric, partial(_tell, tick, step, len(samples)))
    rows = _rows(outputs["reference"], outputs["candidate"], None if labels is None else np.asarray(labels))
    rounds = timing.measure(candidates, first, seconds=seconds, tick=partial(_tell, tick, 2, 1))
    batch = _size(first)
    return {
        **{
            name: {
                "model": models[name].name,
                "provider": providers[name],
                "metric": metrics[name],
            }
            for name in models
        },
        "samples": sum(_size(feeds) for _, feeds in samples),
        "runs": len(samples),
        "outputs": rows,
        "inputs": {name: list(array.shape) for name, array in first.items()},
        "results": {name: timing.summary(rounds[name], batch) for name in models},
        "comparison": timing.compare_rounds(rounds, "candidate", "reference"),
    }


def _size(feeds: Mapping[str, Array]) -> int:
    return next((len(array) for array in feeds.values() if array.ndim), 1)


def _check_inputs(reference: Source, candidate: Source) -> None:
    names = [sorted(value.name for value in model_inputs(model.proto)) for model in (reference, candidate)]
    if names[0] != names[1]:
        ours, theirs = (", ".join(each) or "nothing" for each in names)
        raise UserError(f"{reference.name} takes {ours}; {candidate.name} takes {theirs}: expected the same inputs")


def _tell(tick: timing.Tick, step: int, steps: float, done: float) -> None:
    """Of the three steps, that this one has done so much of `steps`."""
    tick((step + done / steps) / 3)


def _runs(session: Any, samples: list[tuple[str, Feeds]], model: Source) -> Iterator[Run]:
    names = [value.name for value in session.get_outputs()]
    for label, feeds in samples:
        try:
            yield feeds, dict(zip(names, sessions.run(session, feeds, model), strict=True))
        except UserError as error:
            raise UserError(f"{label}: {error}") from error


@dataclass
class _Output:
    """An output of a model over all runs. kind: its type and shape in the first. parts: what counts of it, run by run,
    in one row. vectors: one of each sample, [samples, features], if it has some."""

    kind: str
    parts: list[Array] = field(default_factory=list)
    vectors: list[Array] = field(default_factory=list)
    pooled: bool = False

    def add(self, array: Array, mask: Array | None) -> None:
        if mask is not None and array.ndim == 3 and array.shape[:2] == mask.shape:
            real = mask != 0
            self.parts.append(array[real].ravel())
            weights = real[:, :, None] / np.maximum(real.sum(axis=1), 1)[:, None, None]
            self.vectors.append((array * weights).sum(axis=1))
            self.pooled = True
            return
        self.parts.append(array.ravel())
        if array.ndim == 2 and array.shape[1] > 1 and array.dtype.kind == "f":
            self.vectors.append(array)


def _collect(
    runs: Iterable[Run], metric: Callable[[list[Run]], Any] | None, tick: timing.Tick
) -> tuple[dict[str, _Output], Any]:
    """The outputs by name, and what the metric says."""
    collected: dict[str, _Output] = {}
    kept = []
    for done, (feeds, outputs) in enumerate(runs, 1):
        for name, array in outputs.items():
            if not isinstance(array, np.ndarray):
                raise UserError(f"output {name} is a {type(array).__name__}; expected a tensor")
            collected.setdefault(name, _Output(f"{array.dtype} {list(array.shape)}")).add(array, feeds.get(MASK))
        if metric is not None:
            kept.append((feeds, outputs))
        tick(done)
    return collected, None if metric is None else metric(kept)


def _rows(reference: dict[str, _Output], candidate: dict[str, _Output], labels: Array | None) -> list[dict[str, Any]]:
    if list(reference) != list(candidate):
        raise UserError(f"the outputs are {', '.join(reference)} and {', '.join(candidate)}; expected the same")
    rows = []
    for name, want in reference.items():
        got = candidate[name]
        parts = [{name: np.concatenate(each.parts)} for each in (got, want)]
        (difference,) = comparison.differences(parts[0], parts[1])
        rows.append({**difference, **_vector_measures(want, got, labels)})
    return rows


def _vector_measures(reference: _Output, candidate: _Output, labels: Array | None) -> dict[str, Any]:
    """`cosine`, `same_class`, `neighbours`, `accuracy` and `no_vectors` of evaluate."""
    result: dict[str, Any] = {"cosine": None, "same_class": None, "neighbours": None, "accuracy": None}
    result["no_vectors"] = _why_no_vectors(reference, candidate)
    if result["no_vectors"]:
        return result
    want, got = (np.concatenate(each.vectors).astype(np.float32) for each in (reference, candidate))
    if labels is not None and labels.shape != want.shape[:1]:
        raise UserError(f"labels have the shape {list(labels.shape)}; expected [{len(want)}], one for each sample")
    units = [_units(vectors) for vectors in (want, got)]
    embeddings = reference.pooled or bool((np.abs(np.linalg.norm(want, axis=1) - 1) < _UNIT).all())
    nearest = [_nearest(each[:_MOST_ROWS]) for each in units] if len(want) > NEIGHBOURS else None
    classes = [each.argmax(axis=1) for each in (want, got)]
    result["cosine"] = float(np.einsum("nf,nf->n", *units).mean())
    if not embeddings:
        result["same_class"] = float((classes[0] == classes[1]).mean())
    if nearest is not None:
        result["neighbours"] = float(np.mean([np.isin(*pair).mean() for pair in zip(*nearest, strict=True)]))
    if labels is not None and not embeddings:
        result["accuracy"] = [float((each == labels).mean()) for each in classes]
    elif labels is not None and nearest is not None:
        result["accuracy"] = [_voted(each, labels[:_MOST_ROWS]) for each in nearest]
    return result


def _why_no_vectors(reference: _Output, candidate: _Output) -> str:
    shapes = [[part.shape for part in each.vectors] for each in (reference, candidate)]
    if not reference.vectors:
        return f"it is {reference.kind}; expected floats [samples, features], or with an input {MASK} of tokens"
    if shapes[0] != shapes[1]:
        return "the two models make other shapes of it"
    if len({features for _, features in shapes[0]}) > 1:
        return "its features are not as many in every run"
    if not all(np.isfinite(part).all() for each in (reference, candidate) for part in each.vectors):
        return "it has infinities or NaN"
    return ""


def _units(vectors: Array) -> Array:
    """Of length 1, but for zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units: Array = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return units


def _nearest(units: Array) -> Array:
    """[samples, 10]: which others have the largest cosine."""
    result = np.empty((len(units), NEIGHBOURS), np.int64)
    for begin in range(0, len(units), 512):
        cosines = units[begin : begin + 512] @ units.T
        rows = np.arange(len(cosines))
        cosines[rows, begin + rows] = -np.inf
        result[begin : begin + 512] = np.argpartition(-cosines, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
    return result


def _voted(nearest: Array, labels: Array) -> float:
    """Share of labels that are the most frequent one of the nearest; of equally frequent ones, the first in order."""
    _, numbers = np.unique(labels, return_inverse=True)
    votes = np.array([np.bincount(numbers[row]).argmax() for row in nearest])
    return float((votes == numbers).mean())
