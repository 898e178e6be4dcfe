"""Tokens, heads and masks as exporters write them, with fixed or symbolic sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import sparsecpu_testing as claim
from describe import Network

HEADS, WIDTH, BATCH, LENGTH = 4, 8, 2, 6
CHANNELS = HEADS * WIDTH


class Writer(Network):
    """Attention over tokens of fixed (`static`) or symbolic sizes."""

    def __init__(self, static: bool = True, opset: int = 17) -> None:
        super().__init__(opset)
        self.sizes: list[int | str] = [BATCH, LENGTH] if static else ["batch", "sequence"]
        self.static = static

    def tokens(self, name: str, channels: int = CHANNELS, length: int | str | None = None) -> str:
        return self.input(name, [self.sizes[0], length or self.sizes[1], channels])

    def target(self, x: str, *dims: int | None) -> str:
        """A Reshape target; None stands for the batch, then for the length, of x."""
        axes = [i for i, dim in enumerate(dims) if dim is None]
        if self.static:
            sizes = [BATCH, LENGTH]
            return self.constant([sizes[axes.index(i)] if d is None else d for i, d in enumerate(dims)], np.int64)
        shape = self.add("Shape", x)
        parts = []
        for i, dim in enumerate(dims):
            if dim is None:
                index = self.constant(axes.index(i), np.int64)
                one = self.add("Gather", shape, index, axis=0)
                parts.append(self.add("Unsqueeze", one, self.constant([0], np.int64)))
            else:
                parts.append(self.constant([dim], np.int64))
        return self.add("Concat", *parts, axis=0)

    def reshape(self, x: str, like: str, *dims: int | None) -> str:
        return self.add("Reshape", x, self.target(like, *dims))

    def split(self, x: str, perm: tuple[int, ...] = (0, 2, 1, 3)) -> str:
        return self.add("Transpose", self.reshape(x, x, None, None, HEADS, WIDTH), perm=list(perm))

    def join(self, y: str, like: str) -> str:
        return self.reshape(self.add("Transpose", y, perm=[0, 2, 1, 3]), like, None, None, CHANNELS)

    def scaled(self, x: str, scale: float, divide: bool = False) -> str:
        return self.add("Div", x, self.constant(1 / scale)) if divide else self.add("Mul", self.constant(scale), x)


def attention(g: Network, *outputs: str) -> dict[str, Any]:
    """The last node's Attention; fails with the reason if there is none."""
    nodes = claim.recognise(g.describe(*outputs))
    found = [op for op in nodes[-1]["ops"] if op["kind"] == "attention"]
    assert len(found) == 1, [node["reason"] for node in nodes]
    op: dict[str, Any] = found[0]
    return op


def reason(g: Network, *outputs: str) -> str:
    nodes = claim.recognise(g.describe(*outputs))
    assert all(op["kind"] != "attention" for node in nodes for op in node["ops"])
    return next(str(node["reason"]) for node in nodes if node["pattern"] == "attention" and node["reason"])
