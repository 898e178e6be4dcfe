"""1x1 layers on images of a few pixels: channels are not last there, so the row-major kernels are no choice."""

from __future__ import annotations

import pytest
from harness import Variant, assert_claimed, compare, every_float_variant
from onnxruntime_ep_sparsecpu.models import GraphBuilder, random_inputs

SIZES = [(1, 1), (1, 2), (1, 3), (2, 2), (7, 1), (2, 4), (3, 3)]


@every_float_variant
@pytest.mark.parametrize("batch", [1, 2, 9])
@pytest.mark.parametrize("size", SIZES)
def test_pointwise_layer_on_a_small_image(size: tuple[int, int], batch: int, variant: Variant) -> None:
    g = GraphBuilder(0, 0.5)
    model = g.model({"x": [batch, 6, *size]}, {g.conv("x", 6, 5, 1): [batch, 5, *size]})
    session = compare(model, [random_inputs(model)], min_sparsity=0, **variant)
    assert_claimed(session, 1.0, "Conv")
