"""Writes a changed copy of a model: all of it or nothing, its external data to one file beside it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import onnx
from onnx import external_data_helper

from onnxruntime_ep_sparsecpu.tools.errors import UserError, first_line, reading
from onnxruntime_ep_sparsecpu.tools.source import Source
from onnxruntime_ep_sparsecpu.tools.weights import stored_tensors

_PAGE = 4096  # external tensors begin at whole pages, as the ONNX specification recommends for mapping them


def check_name(source: Source, out: str) -> None:
    """Before the work: raises UserError for a path that would overwrite the model or its external data, and for one in
    a folder that does not exist."""
    if not Path(out).parent.is_dir():
        raise UserError(f"cannot write {out}: there is no folder {Path(out).parent}")
    if source.path is not None and Path(out).resolve() == source.path.resolve():
        raise UserError(f"{out} is the model itself: give the pruned one a name of its own")
    if _data_path(out).resolve() in _external_files(source.proto, source.folder):
        raise UserError(f"{_data_path(out)} holds the weights of {source.name}: give the pruned model another name")


def save(model: onnx.ModelProto, source: Source, out: str, change: Callable[[onnx.TensorProto], object]) -> str | None:
    """Writes `model`, a copy of the source's, and returns the name of the file with external data, if there is any.

    change: called with every stored tensor, whose external data has been read, one after the other: so only one of them
    is in memory. Raises UserError where a file cannot be read or written; there is no new file then.
    """
    data_path = _data_path(out)
    external_files = _external_files(model, source.folder)
    try:
        with _replacing(Path(out)) as model_file, _replacing(data_path, bool(external_files)) as data_file:
            with open(data_file, "wb") if external_files else BytesIO() as data:
                for tensor in stored_tensors(model.graph):
                    external = external_data_helper.uses_external_data(tensor)
                    if external:
                        with reading(f"the external data of {tensor.name}"):
                            external_data_helper.load_external_data_for_tensor(tensor, source.folder)
                        tensor.data_location = onnx.TensorProto.DEFAULT
                        del tensor.external_data[:]
                    change(tensor)
                    if external:
                        _move_out(tensor, data, data_path.name)
            onnx.save(model, model_file)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot write {out}: {first_line(error)}") from error
    return data_path.name if external_files else None


def _data_path(out: str) -> Path:
    return Path(out + ".data")


def _external_files(model: onnx.ModelProto, folder: str) -> set[Path]:
    return {
        (Path(folder) / external_data_helper.ExternalDataInfo(tensor).location).resolve()
        for tensor in stored_tensors(model.graph)
        if external_data_helper.uses_external_data(tensor)
    }


@contextlib.contextmanager
def _replacing(path: Path, used: bool = True) -> Iterator[Path]:
    """A path beside `path` to write to, which takes its place at the end; after an exception or Ctrl-C it is gone. What
    is no plain file (a pipe, /dev/null) is written to itself."""
    path = path.resolve()
    if not used or (path.exists() and not path.is_file()):
        yield path
        return
    part = path.with_name(f"{path.stem}.part{path.suffix}")  # the suffix says in which format onnx saves
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _move_out(tensor: onnx.TensorProto, data: BinaryIO, name: str) -> None:
    """Appends the elements of a tensor to the file, and leaves the place in the tensor."""
    data.write(b"\0" * (-data.tell() % _PAGE))
    offset, length = data.tell(), len(tensor.raw_data)
    data.write(tensor.raw_data)
    external_data_helper.set_external_data(tensor, name, offset, length)
    tensor.ClearField("raw_data")
