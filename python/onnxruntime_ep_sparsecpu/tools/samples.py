"""Samples to calibrate or evaluate with: from .npz files, or from whatever yields feeds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from onnxruntime_ep_sparsecpu.tools.errors import UserError
from onnxruntime_ep_sparsecpu.tools.feeds import (
    fitted,
    fixed_size,
    inputs_among,
    load_arrays,
    model_inputs,
    unused_arrays,
)

Array = npt.NDArray[Any]
Feeds = dict[str, Array]
Sample = tuple[str, Feeds]
"""What to call it in messages, and the inputs of one run."""

MASK = "attention_mask"
"""The input, by its usual name, that is zero where a token [samples, tokens] is none."""

_BATCH = 16  # samples of a run, where the model leaves that open


def samples_of(data: Any, model: onnx.ModelProto, what: str) -> Iterator[Sample]:
    """The samples for a model. what: they are for, for messages.

    data: the path of an .npz file or of a folder of them, with an array for each input: of samples along the first
    axis, or of one sample without it; or a dict of such arrays. Others, as labels, may be among them. Or an iterable of
    feeds, each the inputs of one run, or an object with get_next as onnxruntime's CalibrationDataReader. Arrays get the
    type of their input. Raises UserError for a file that cannot be read, and for arrays that do not fit the inputs.
    """
    if isinstance(data, str | Path):
        for path in _files(Path(data)):
            yield from _pieces(str(path), load_arrays(str(path)), model)
        return
    if isinstance(data, Mapping):
        yield from _pieces(f"the {what} data", dict(data), model)
        return
    feeds: Iterable[Mapping[str, Any]] = iter(data.get_next, None) if hasattr(data, "get_next") else data
    for number, feed in enumerate(feeds, 1):
        label = f"{what} feed {number}"
        yield label, _filled(label, fitted(label, {name: np.asarray(array) for name, array in feed.items()}, model))


def unused(path: str, model: onnx.ModelProto) -> list[str]:
    """Names of arrays in the file, or in the first of the folder, that are no inputs."""
    return unused_arrays(str(_files(Path(path))[0]), model)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(path.glob("*.npz"))
    if not files:
        raise UserError(f"{path} holds no .npz file; expected some with an array for each input")
    return files


def _pieces(label: str, arrays: Feeds, model: onnx.ModelProto) -> Iterator[Sample]:
    """A file's arrays as feeds: cut along the first axis where samples lie along it, else as they are, as one feed."""
    arrays = inputs_among(label, arrays, model)
    inputs = {value.name: value for value in model_inputs(model)}
    if all(array.ndim + 1 == len(inputs[name].type.tensor_type.shape.dim) for name, array in arrays.items()):
        arrays = {name: array[None] for name, array in arrays.items()}
    batch = _batch(arrays, inputs)
    if batch is None:
        yield label, _filled(label, fitted(label, arrays, model))
        return
    arrays = _filled(label, fitted(label, arrays, model, any_batch=True))
    count = len(next(iter(arrays.values())))
    if batch and count % batch:
        raise UserError(f"{label} has {count} samples; expected a multiple of {batch}, the batch of the model")
    step = batch or _BATCH
    for begin in range(0, count, step):
        yield label, {name: array[begin : begin + step] for name, array in arrays.items()}


def _batch(arrays: Feeds, inputs: Mapping[str, onnx.ValueInfoProto]) -> int | None:
    """How many samples a run takes, 0 for any number. None where they do not lie along the first axes: arrays have
    different sizes of it, or inputs fixed ones that differ."""
    if not arrays or any(
        array.ndim == 0 or not inputs[name].type.tensor_type.shape.dim for name, array in arrays.items()
    ):
        return None
    sizes = (fixed_size(inputs[name].type.tensor_type.shape.dim[0]) for name in arrays)
    fixed = {size for size in sizes if size is not None}
    if len({len(array) for array in arrays.values()}) > 1 or len(fixed) > 1:
        return None
    return next(iter(fixed), 0)


def _filled(label: str, feeds: Feeds) -> Feeds:
    for name, array in feeds.items():
        if array.size == 0:
            raise UserError(f"{label}: {name} has no samples; expected some")
    return feeds
