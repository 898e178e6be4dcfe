"""What random networks are made of: a graph of one opset, and the value that a rule continues.

A Value carries its sizes for every set of input shapes that the graph will be run with, so that only graphs that fit
all of them are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from onnxruntime_ep_sparsecpu.models import GraphBuilder

Sizes = list[int]  # one size of one axis for every run
Draw = st.DrawFn
OPSETS = [9, 11, 13, 17, 17, 18, 20, 21, 23]
MICROSOFT = "com.microsoft"


def draw_sizes(draw: Draw, tops: Sequence[int], runs: int) -> tuple[list[bool], list[Sizes]]:
    """Of every axis, up to its largest size: whether it is symbolic, and its size in each run."""
    symbolic = [draw(st.booleans()) and runs > 1 for _ in tops]
    sizes = [[draw(st.integers(1, top)) for _ in range(runs)] for top in tops]
    return symbolic, [axis if free else axis[:1] * runs for axis, free in zip(sizes, symbolic, strict=True)]


@dataclass
class Value:
    """An image [batch, channels, *spatial]: of one axis or two."""

    name: str
    channels: int
    spatial: list[Sizes]

    @property
    def rank(self) -> int:
        return 2 + len(self.spatial)

    def named(self, name: str) -> Value:
        return replace(self, name=name)

    def static(self) -> bool:
        return all(len(set(sizes)) == 1 for sizes in self.spatial)

    def pixels(self) -> int:
        return int(np.prod([max(sizes) for sizes in self.spatial]))


class Network(GraphBuilder):
    """A graph whose nodes are written as their opset has them."""

    def __init__(self, draw: Draw, seed: int, sparsity: float, opset: int) -> None:
        super().__init__(seed, sparsity)
        self.draw = draw
        self.opset = opset
        self.weights: dict[tuple[int, ...], str] = {}

    def weight(self, shape: Sequence[int], fan_in: int, gain: float = 1.0, sparsity: float | None = None) -> str:
        """Seldom that of another layer, whatever the axes mean there."""
        shape = tuple(int(size) for size in shape)
        if shape not in self.weights or self.draw(st.booleans()):
            self.weights[shape] = super().weight(shape, fan_in, gain, sparsity)
        return self.weights[shape]

    def number(self, value: float) -> str:
        """A constant that is a scalar, or a vector of one."""
        return self.constant(np.full(self.draw(st.sampled_from([(), (1,)])), value, np.float32))

    def scalar(self, value: float) -> str:
        return self.constant(np.array(value, np.float32))

    def some(self, attributes: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        """Of these attributes those that are given, and their values."""
        given = {key: self.draw(st.sampled_from([None, *values])) for key, values in attributes.items()}
        return {key: value for key, value in given.items() if value is not None}

    def axis(self, axis: int, rank: int) -> int:
        """Counted from the front or from the end."""
        return self.draw(st.sampled_from([axis, axis - rank]))

    def listed(self, kind: str, x: str, since: int, count: int = 1, /, **lists: Sequence[int]) -> list[str]:
        """A node whose lists are attributes before opset `since`, constant inputs from then on."""
        if self.opset < since:
            return self.multi(kind, [x], count, **{key: list(values) for key, values in lists.items()})
        return self.multi(kind, [x, *(self.ints(*values) for values in lists.values())], count)

    def reduce_mean(self, x: str, axes: Sequence[int], keepdims: int) -> str:
        keep = {} if keepdims else {"keepdims": 0}
        if self.opset < 18:
            return self.op("ReduceMean", [x], axes=list(axes), **keep)
        return self.op("ReduceMean", [x, self.ints(*axes)], **keep)
