"""Inputs for a run: random ones for any model, or those of a file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto

from onnxruntime_ep_sparsecpu.tools.errors import UserError, first_line, reading
from onnxruntime_ep_sparsecpu.tools.source import Model, as_source
from onnxruntime_ep_sparsecpu.tools.weights import subgraphs

Array = npt.NDArray[Any]

_NUMBERS = set(TensorProto.DataType.values()) - {TensorProto.UNDEFINED, TensorProto.STRING}
_BATCH, _PIXELS, _TOKENS = 1, 224, 128  # as provider/facts/assume.cc assumes them


def model_inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """The inputs that a run must be given: those that are no initializers."""
    stored = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in stored]


def fixed_size(dim: onnx.TensorShapeProto.Dimension) -> int | None:
    """The declared size of an axis; None if it is symbolic. Some exporters write -1 for an axis of any size."""
    return dim.dim_value if dim.HasField("dim_value") and dim.dim_value >= 0 else None


def element_type(value: onnx.ValueInfoProto) -> np.dtype[Any] | None:
    """Of an input that is a tensor of numbers; None for any other."""
    kind = value.type.tensor_type.elem_type
    return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind)) if kind in _NUMBERS else None


def _axis_name(value: onnx.ValueInfoProto, axis: int) -> str:
    """How --shape calls a symbolic axis; one without a symbol is INPUT[AXIS]."""
    return value.type.tensor_type.shape.dim[axis].dim_param or f"{value.name}[{axis}]"


def symbolic_axes(model: onnx.ModelProto) -> dict[str, int]:
    """The symbolic axes of the inputs, with the size that is assumed: 1 image, 224 pixels, 128 tokens."""
    sizes: dict[str, int] = {}
    for value in model_inputs(model):
        dims = value.type.tensor_type.shape.dim
        for axis, dim in enumerate(dims):
            if fixed_size(dim) is None:
                inner = _PIXELS if len(dims) == 4 and axis >= 2 else _TOKENS
                sizes.setdefault(_axis_name(value, axis), _BATCH if axis == 0 else inner)
    return sizes


def axis_sizes(model: onnx.ModelProto, axes: Mapping[str, int] | None) -> dict[str, int]:
    """The sizes of symbolic_axes with those of `axes` instead. Raises UserError for an axis that no input has."""
    sizes = symbolic_axes(model)
    for axis in axes or {}:
        if axis not in sizes:
            raise UserError(f"--shape {axis}: no input has such a symbolic axis ({_listed(sizes)})")
    return {**sizes, **(axes or {})}


def _listed(axes: Iterable[str]) -> str:
    return "there are: " + (", ".join(axes) or "none: all shapes are fixed")


def make_feeds(model: Model, axes: Mapping[str, int] | None = None, seed: int = 0) -> dict[str, Array]:
    """Random feeds for every input: normal floats; integers below the size of the table they index, masks all ones.

    axes: sizes of symbolic axes (see symbolic_axes, whose sizes the others get). Raises UserError for an axis that no
    input has, and for an input of a type that no array has.
    """
    model = as_source(model).proto
    sizes = axis_sizes(model, axes)
    rng = np.random.default_rng(seed)
    limits = _index_limits(model)
    return {value.name: _random(value, sizes, limits.get(value.name), rng) for value in model_inputs(model)}


def _index_limits(model: onnx.ModelProto) -> dict[str, int]:
    """Value -> rows of the smallest constant table that a Gather takes rows of by it: ids of tokens and the like."""
    rows = {tensor.name: tensor.dims[0] for tensor in model.graph.initializer if tensor.dims}
    limits: dict[str, int] = {}
    for node in model.graph.node:
        if node.op_type == "Gather" and len(node.input) == 2 and node.input[0] in rows:
            index = node.input[1]
            limits[index] = min(limits.get(index, rows[node.input[0]]), rows[node.input[0]])
    return limits


def _random(value: onnx.ValueInfoProto, sizes: Mapping[str, int], limit: int | None, rng: np.random.Generator) -> Array:
    tensor, dtype = value.type.tensor_type, element_type(value)
    if dtype is None or not tensor.HasField("shape"):
        what = "has no declared shape" if dtype is not None else "is no tensor of numbers"
        raise UserError(f"input {value.name} {what}: give it with --input FILE.npz")
    declared = [fixed_size(dim) for dim in tensor.shape.dim]
    shape = [sizes[_axis_name(value, axis)] if size is None else size for axis, size in enumerate(declared)]
    with reading(f"input {value.name} of shape {shape}"):
        return _random_array(shape, dtype, limit, rng)


def _random_array(shape: list[int], dtype: np.dtype[Any], limit: int | None, rng: np.random.Generator) -> Array:
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    if limit is not None:
        return rng.integers(0, limit, shape).astype(dtype)
    if dtype.itemsize == 1 and dtype.kind in "iu":  # quantized activations
        return rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max + 1, shape).astype(dtype)
    return np.ones(shape, dtype)


def load_arrays(path: str) -> dict[str, Array]:
    """The arrays of an .npz file. Raises UserError for a file that is none."""
    with _opened(path) as arrays:
        return {name: arrays[name] for name in arrays.files}


@contextlib.contextmanager
def _opened(path: str) -> Iterator[Any]:
    """The NpzFile; whatever happens while it is read becomes a UserError."""
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file")
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            npz = Path(path).with_suffix(".npz").name
            raise UserError(
                f"{path} holds one array without a name; expected an .npz file with an array for each input, made by "
                f"numpy.savez('{npz}', INPUT=array)"
            )
        with loaded:
            yield loaded
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{path} is no .npz file that can be read: {first_line(error)}") from error


def unused_arrays(path: str, model: onnx.ModelProto) -> list[str]:
    """Names of the arrays in an .npz file that are no inputs, as labels are none; none where an input is missing."""
    inputs = {value.name for value in model_inputs(model)}
    with _opened(path) as arrays:
        return [name for name in arrays.files if name not in inputs] if inputs <= set(arrays.files) else []


def inputs_among(
    label: str, arrays: Mapping[str, Array], model: onnx.ModelProto, others: bool = True
) -> dict[str, Array]:
    """Those of the arrays that are inputs. Raises UserError if one is missing, and for others where there may be none.
    label: where the arrays come from."""
    wanted = [value.name for value in model_inputs(model)]
    if not set(wanted) <= set(arrays) or (len(arrays) > len(wanted) and not others):
        raise UserError(f"{label} holds {', '.join(arrays) or 'nothing'}; the inputs are {', '.join(wanted)}")
    return {name: arrays[name] for name in wanted}


def fitted(label: str, feeds: Mapping[str, Array], model: onnx.ModelProto, any_batch: bool = False) -> dict[str, Array]:
    """The feeds with the types of the inputs. any_batch: the size of the first axis does not matter. Raises UserError
    for one that is missing, does not fit or is no input."""
    feeds = inputs_among(label, feeds, model, others=False)
    return {value.name: _fitted_array(label, feeds[value.name], value, any_batch) for value in model_inputs(model)}


def _fitted_array(label: str, array: Array, value: onnx.ValueInfoProto, any_batch: bool) -> Array:
    tensor = value.type.tensor_type
    sizes = [None if any_batch and axis == 0 else fixed_size(dim) for axis, dim in enumerate(tensor.shape.dim)]
    fits = len(sizes) == array.ndim and all(
        want in (None, size) for want, size in zip(sizes, array.shape, strict=False)
    )
    if tensor.HasField("shape") and not fits:
        named = (
            dim.dim_param or "any" if size is None else str(size)
            for dim, size in zip(tensor.shape.dim, sizes, strict=True)
        )
        raise UserError(f"{label}: {value.name} has the shape {list(array.shape)}; expected [{', '.join(named)}]")
    dtype = element_type(value)
    if dtype is None or array.dtype == dtype:
        return array
    if not np.can_cast(array.dtype, dtype, "same_kind"):
        raise UserError(f"{label}: {value.name} is {array.dtype}; expected {dtype}")
    return array.astype(dtype)


def load_feeds(path: str, model: onnx.ModelProto) -> dict[str, Array]:
    """The inputs among the arrays of an .npz file, with the types that the model takes. Raises UserError if one is
    missing or does not fit."""
    return fitted(path, inputs_among(path, load_arrays(path), model), model)


def axes_in(feeds: Mapping[str, Array], model: onnx.ModelProto) -> dict[str, int]:
    """The size that each symbolic axis has in these feeds, by its name for --shape."""
    return {
        _axis_name(value, axis): size
        for value in model_inputs(model)
        if value.name in feeds
        for axis, (dim, size) in enumerate(zip(value.type.tensor_type.shape.dim, feeds[value.name].shape, strict=False))
        if fixed_size(dim) is None
    }


def assuming(feeds: Mapping[str, Array], model: onnx.ModelProto, options: Mapping[str, str] | None) -> dict[str, str]:
    """Provider options with `assume` set to the sizes of these feeds, unless the options have it already: layers are
    then chosen for the shapes that run."""
    return {**assume_option(axes_in(feeds, model)), **(options or {})}


def assume_option(sizes: Mapping[str, int]) -> dict[str, str]:
    """The provider option for these sizes. Those of 0, and axes whose name it cannot hold, are left out."""
    text = ",".join(f"{axis}={size}" for axis, size in sizes.items() if size and not {",", "="} & set(axis))
    return {"assume": text} if text else {}


def check_assumed(text: str, model: onnx.ModelProto) -> None:
    """Raises UserError if the value of the option `assume` names an axis that no graph of the model has. The provider
    says what else is wrong with it."""
    known = set(_open_axes(model.graph))
    for name in (pair.partition("=")[0].strip() for pair in text.split(",") if "=" in pair):
        if name not in known:
            raise UserError(f"assume={name}=...: the model has no such symbolic axis ({_listed(symbolic_axes(model))})")


def _open_axes(graph: onnx.GraphProto) -> Iterator[str]:
    """Names of the symbolic axes of all values whose shapes are declared."""
    for value in (*graph.input, *graph.output, *graph.value_info):
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            if fixed_size(dim) is None:
                yield _axis_name(value, axis)
    for inner in (body for node in graph.node for body in subgraphs(node)):
        yield from _open_axes(inner)
