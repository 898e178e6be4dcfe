"""A model at other input shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx

from onnxruntime_ep_sparsecpu.tools.errors import UserError
from onnxruntime_ep_sparsecpu.tools.feeds import fixed_size, make_feeds, model_inputs
from onnxruntime_ep_sparsecpu.tools.source import Source

Shape = Sequence[int | None]


def with_shapes(
    source: Source, shapes: Mapping[str, Shape], axes: Mapping[str, int] | None = None
) -> tuple[Source, dict[str, Any]]:
    """The model for inputs of these shapes, and random feeds of them.

    shapes: by the name of the input; None leaves an axis as it is. axes: sizes of the symbolic axes that are left. The
    model is the same unless a fixed axis changes; then it is a copy, which works for networks that do not spell sizes
    out in their body, as in a Reshape. Raises UserError for an input that does not exist and a shape of another rank.
    """
    model = onnx.ModelProto()
    model.CopyFrom(source.proto)
    inputs = {value.name: value.type.tensor_type.shape.dim for value in model_inputs(model)}
    same = True
    for name, shape in shapes.items():
        if name not in inputs:
            raise UserError(f"there is no input {name}; there are {', '.join(inputs)}")
        if len(inputs[name]) != len(shape):
            raise UserError(f"input {name} has {len(inputs[name])} axes, found the shape {list(shape)}")
        for dim, size in zip(inputs[name], shape, strict=True):
            if size is not None:
                same &= fixed_size(dim) in (None, size)
                dim.dim_value = size
    feeds = make_feeds(model, axes)
    if same:
        return source, feeds
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    return source.changed(model), feeds


def with_batch(source: Source, batch: int) -> dict[str, Shape]:
    """Shapes for with_shapes in which the first axis of every input is the batch."""
    ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in model_inputs(source.proto)}
    return {name: [batch, *[None] * (rank - 1)] for name, rank in ranks.items() if rank}
