"""The model that a tool works on: a file, or one of the built-in networks."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import onnx

from onnxruntime_ep_sparsecpu import models
from onnxruntime_ep_sparsecpu.tools.errors import UserError, first_line

_DEFAULT_SPARSITY = 0.9


class Source:
    """A model by the path of its file, or made in memory.

    name: what to call it in messages. folder: where its external data lies, "" if it has none.
    """

    def __init__(self, name: str, model: Path | onnx.ModelProto, folder: str = "") -> None:
        self.name = name
        self.folder = str(model.parent) if isinstance(model, Path) else folder
        self._model = model

    @property
    def path(self) -> Path | None:
        """The file, None for a model made in memory."""
        return self._model if isinstance(self._model, Path) else None

    def changed(self, model: onnx.ModelProto) -> Source:
        """The same with `model` instead, a changed copy of `proto`; external data stays where it is."""
        return Source(self.name, model, self.folder)

    @cached_property
    def argument(self) -> str | bytes:
        """What InferenceSession takes: the path (its external data lies next to it), or the serialized model."""
        return str(self._model) if isinstance(self._model, Path) else bytes(self._model.SerializeToString())

    @cached_property
    def proto(self) -> onnx.ModelProto:
        """The model, to read; of a file, without its external data. Raises UserError if the file is no model."""
        return self._load(external_data=False) if isinstance(self._model, Path) else self._model

    def load(self) -> onnx.ModelProto:
        """A copy of the model, to change, external data included. Raises UserError if that cannot be read."""
        if isinstance(self._model, Path):
            return self._load(external_data=True)
        copy = onnx.ModelProto()
        copy.CopyFrom(self._model)
        return copy

    def _load(self, external_data: bool) -> onnx.ModelProto:
        try:
            return onnx.load(str(self._model), load_external_data=external_data)
        except Exception as error:
            raise UserError(f"{self.name} is no ONNX model that can be read: {first_line(error)}") from error


Model = Source | str | Path | onnx.ModelProto
"""What every tool takes for a model: see as_source."""


def as_source(model: Model) -> Source:
    """A source as it is, a path or the name of a built-in network as open_source has it, or what is in memory."""
    if isinstance(model, onnx.ModelProto):
        return Source(model.graph.name or "the model", model)
    return model if isinstance(model, Source) else open_source(model)


def open_source(path_or_name: str | Path, sparsity: float | None = None, int8: bool = False) -> Source:
    """The model at the path, or the built-in network of that name (`models.NETWORKS`).

    sparsity: share of zero weights, 0..1, of a built-in network (0.9). int8: quantize it (QDQ). Raises UserError when
    there is no such file, and when one of the two is given for a file.
    """
    text = str(path_or_name)
    if text in models.NETWORKS:
        share = _DEFAULT_SPARSITY if sparsity is None else sparsity
        model = models.NETWORKS[text](share)
        name = f"{text}, {share:.0%} zeros" + (", int8" if int8 else "")
        return Source(name, quantize(model) if int8 else model)
    path = Path(text)
    if not path.is_file():
        raise UserError(f"{text}: no such file, and no built-in network ({', '.join(models.NETWORKS)})")
    for given, option in ((sparsity is not None, "--sparsity"), (int8, "--int8")):
        if given:
            raise UserError(f"{option} is for the built-in networks ({', '.join(models.NETWORKS)}); {text} is a file")
    return Source(text, path)


def quantize(model: onnx.ModelProto) -> onnx.ModelProto:
    """INT8 in QDQ form (u8 activations, s8 weights, per tensor), calibrated on random inputs: speed, not accuracy."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class RandomInputs(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.feeds = iter([models.random_inputs(model)])

        def get_next(self) -> Any:
            return next(self.feeds, None)

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "int8.onnx"
        quantize_static(
            copy,  # it moves the weights of the one it is given
            str(path),
            RandomInputs(),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return onnx.load(path)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The quantizer advises to preprocess and logs each step."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
