"""1x1 layers on images of a few pixels: channels are not last there, so the row-major kernels are no choice."""

from __future__ import annotations

import pytest
from harness import Variant, assert_claimed, compare, every_float_variant
from onnxruntime_ep_sparsecpu.models import Dim, GraphBuilder, random_inputs

SIZES = [(1, 1), (1, 2), (1, 3), (2, 2), (7, 1), (2, 4), (3, 3)]


@every_float_variant
@pytest.mark.parametrize("batch", [1, 2, 9])
@pytest.mark.parametrize("size", SIZES)
def test_pointwise_layer_on_a_small_image(size: tuple[int, int], batch: int, variant: Variant) -> None:
    g = GraphBuilder(0, 0.5)
    model = g.model({"x": [batch, 6, *size]}, {g.conv("x", 6, 5, 1): [batch, 5, *size]})
    session = compare(model, [random_inputs(model)], min_sparsity=0, **variant)
    assert_claimed(session, 1.0, "Conv")


@every_float_variant
@pytest.mark.parametrize("op", ["Add", "Sub", "Mul"])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("size", [(5, 7), ("h", "w")])
def test_layer_on_one_pixel_next_to_an_image(size: tuple[Dim, Dim], first: bool, op: str, variant: Variant) -> None:
    """What it gives is broadcast: it cannot take the image in as its addend."""
    g = GraphBuilder(0, 0.5)
    gate = g.conv("gate", 6, 6, 1)
    y = g.op(op, [gate, "x"] if first else ["x", gate])
    model = g.model({"x": ["n", 6, *size], "gate": ["n", 6, 1, 1]}, {y: ["n", 6, *size]})
    feeds = [
        random_inputs(model, {"n": 3, "h": h, "w": w}) for h, w in ([(5, 7)] if size[0] == 5 else [(5, 7), (1, 1)])
    ]
    session = compare(model, feeds, min_sparsity=0, **variant)
    assert_claimed(session, 1.0, "Conv", op)
