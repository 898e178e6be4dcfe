"""Prices that decide whether a claim is slower than the CPU provider: its layouts, its sizes, wide windows."""

from __future__ import annotations

import numpy as np
import pytest
from describe import Description, Network
from sparsecpu_testing import claim

AVX2, AVX512 = 1, 2


def claims(description: Description, isa: int, **options: object) -> int:
    return len(claim(description, isa=isa, **options)["regions"])


def upsampled(channels: int, mode: str | None) -> Description:
    """A pruned convolution, its size doubled or not."""
    g = Network()
    y = g.add("Relu", g.conv(g.input("x", [1, channels, 56, 56]), channels, channels, 3, 0.8))
    if mode is not None:
        y = g.add("Resize", y, "", g.constant([1, 1, 2, 2]), mode=mode)
    return g.describe(y)


@pytest.mark.parametrize("isa", [AVX2, AVX512])
def test_a_resize_that_would_lose_its_layout_keeps_its_convolution(isa: int) -> None:
    assert claims(upsampled(32, None), isa) == 1
    assert claims(upsampled(32, "linear"), isa) == 0
    assert claims(upsampled(256, "linear"), isa) == 1, "here the convolution saves more than the Resize loses"


def byte_layers(pools: bool) -> Description:
    """Pruned convolutions of bytes; behind them, if so, floats of twice the size, and a pool and a convolution."""
    g = Network()
    scale, zero = g.constant(0.1), g.constant(128, np.uint8)

    def conv(x: str, kernel: int) -> str:
        weight = np.where(g.random.random((128, 128, kernel, kernel)) < 0.95, 0, g.random.integers(-9, 9))
        w = (g.constant(weight, np.int8), g.constant(0.01), g.constant(0, np.int8))
        return g.add("QLinearConv", x, scale, zero, *w, scale, zero, pads=[kernel // 2] * 4)

    y = conv(conv(g.add("QuantizeLinear", g.input("x", [1, 128, 20, 20]), scale, zero), 3), 3)
    if pools:
        floats = g.add("DequantizeLinear", y, scale, zero)
        larger = g.add("Resize", floats, "", g.constant([1, 1, 2, 2]), mode="linear")
        y = g.add("QuantizeLinear", larger, scale, zero)
        y = conv(g.add("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2]), 1)
    return g.describe(g.add("DequantizeLinear", y, scale, zero))


def test_a_pool_that_is_left_after_all_counts_for_the_layers_whose_layout_it_follows() -> None:
    assert claims(byte_layers(pools=False), AVX2) == 1
    assert claims(byte_layers(pools=True), AVX2) == 0


def test_a_reader_without_a_layout_of_its_own_loses_nothing() -> None:
    g = Network()
    y = g.conv(g.input("x", [1, 32, 56, 56]), 32, 32, 3, 0.8)
    y = g.add("Where", g.add("Greater", y, g.constant(0.0)), y, g.constant(1.0))
    assert claims(g.describe(y), AVX2) == 1


def product(rows: str | int | None, zeros: float) -> Description:
    g = Network()
    return g.describe(g.add("MatMul", g.input("x", [1, rows, 512]), g.weight((512, 2048), zeros)))


@pytest.mark.parametrize("rows", ["s", None])
def test_open_rows_are_claimed_only_if_no_number_of_them_loses(rows: str | None) -> None:
    assert claims(product(128, 0.6), AVX2) == 1
    assert claims(product(rows, 0.6), AVX2) == 0
    reasons = [d["reason"] for d in claim(product(rows, 0.6), isa=AVX2)["decisions"]]
    assert "say which sizes run with the option assume" in reasons[0]
    assert claims(product(rows, 0.97), AVX2) == 1


def test_rows_that_are_assumed_by_name_are_taken_as_given() -> None:
    assert claims(product("s", 0.6), AVX2, assume={"s": 128}) == 1
    assert claims(product("s", 0.6), AVX2, assume={"s": 4}) == 0


@pytest.mark.parametrize("isa", [AVX2, AVX512])
def test_borders_of_wide_windows_are_paid(isa: int) -> None:
    def network(dilation: int) -> Description:
        g = Network()
        weight = g.weight((64, 64, 3), 0.9)
        x = g.input("x", [1, 64, 8192])
        y = g.add("Conv", x, weight, g.constant(np.zeros(64)), dilations=[dilation], pads=[dilation, dilation])
        return g.describe(y)

    assert claims(network(2), isa) == 1
    assert claims(network(4096), isa) == 0


def test_a_shape_that_no_tensor_has_leaves_the_others_their_prices() -> None:
    g = Network()
    wide = g.add("MatMul", g.input("x", [1 << 60, 256]), g.weight((256, 1024), 0.9))
    usual = g.add("MatMul", g.input("y", [128, 256]), g.weight((256, 1024), 0.9))
    decisions = claim(g.describe(g.add("Shape", wide), usual), isa=AVX2)["decisions"]
    assert [d["region"] for d in decisions if d["pattern"] == "matmul"] == [-1, 0]


@pytest.mark.parametrize(("channels", "pixels", "claimed"), [(24, 56, 1), (24, 7, 0), (24, None, 0), (3, None, 1)])
def test_a_feature_map_of_open_size_may_be_small(channels: int, pixels: int | None, claimed: int) -> None:
    g = Network()
    y = g.conv(g.input("x", [1, channels, pixels or "h", pixels or "w"]), 24, channels, 3, 0.7)
    for _ in range(3):
        y = g.conv(y, 24, 24, 3, 0.7)
    assert claims(g.describe(y), AVX2) == claimed


def test_rows_of_few_channels_are_gathered_at_once() -> None:
    """By the CPU provider, byte by byte if the window has many rows."""

    def audio(kernel: list[int]) -> Description:
        g = Network()
        scale, zero = g.constant(0.1), g.constant(128, np.uint8)
        weight = np.where(g.random.random((64, 1, *kernel)) < 0.6, 0, g.random.integers(1, 9))
        x = g.add("QuantizeLinear", g.input("x", [1, 1, 64, 8192 // 64]), scale, zero)
        w = (g.constant(weight, np.int8), g.constant(0.01), g.constant(0, np.int8))
        y = g.add("QLinearConv", x, scale, zero, *w, scale, zero, strides=[1, 1])
        return g.describe(g.add("DequantizeLinear", y, scale, zero))

    assert claims(audio([1, 64]), AVX2) == 0
    assert claims(audio([8, 8]), AVX2) == 1


def test_pads_that_make_most_of_the_image_are_declined() -> None:
    """Also at sizes that are only assumed: a plan names every pixel."""
    for shape, pads in (([1, 8, "h", "w"], 2000), ([1, 8, 5, 5], 200)):
        g = Network()
        y = g.conv(g.input("x", shape), 8, 8, 3, 0.9, pads=[pads] * 4)
        result = claim(g.describe(y), isa=AVX2, min_sparsity=0)
        assert not result["regions"] and "its pads make an image of" in result["decisions"][0]["reason"]
