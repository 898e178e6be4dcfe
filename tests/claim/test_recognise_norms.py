"""Normalization of images in groups of channels: as an operator of either opset, and as torch exports it."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import sparsecpu_testing as claim
from describe import Network
from hypothesis import given
from hypothesis import strategies as st

CHANNELS, GROUPS = 12, 4
IMAGES: list[list[int | str]] = [["n", CHANNELS, "h", "w"], [2, CHANNELS, 5, 7], ["n", CHANNELS, "w"]]
images = pytest.mark.parametrize("image", IMAGES)


def group_norm(g: Network, x: str, channels: int, groups: int = GROUPS, **attributes: Any) -> str:
    vectors = [g.constant(np.arange(channels)), g.constant(np.ones(channels))]
    return g.add("GroupNormalization", x, *vectors, num_groups=groups, **attributes)


@images
@pytest.mark.parametrize("opset", [18, 21])
def test_group_normalization(opset: int, image: list[int | str]) -> None:
    g = Network(opset)
    y = group_norm(g, g.input("x", image), CHANNELS if opset == 21 else GROUPS, epsilon=1e-3)
    (op,) = claim.recognise(g.describe(y))[-1]["ops"]
    assert (op["kind"], op["groups"], op["epsilon"]) == ("group_norm", GROUPS, pytest.approx(1e-3))
    assert op["scale"] == (np.arange(CHANNELS) if opset == 21 else np.repeat(np.arange(GROUPS), 3)).tolist()
    assert op["shift"] == [1.0] * CHANNELS


@images
def test_instance_normalization(image: list[int | str]) -> None:
    g = Network()
    vectors = [g.constant(np.arange(CHANNELS)), g.constant(np.ones(CHANNELS))]
    (op,) = claim.recognise(g.describe(g.add("InstanceNormalization", g.input("x", image), *vectors)))[-1]["ops"]
    assert (op["kind"], op["groups"], op["scale"]) == ("group_norm", CHANNELS, list(range(CHANNELS)))


@pytest.mark.parametrize(
    "opset, image, values, attributes, reason",
    [
        (21, ["n", CHANNELS, 3, 4], CHANNELS, {"groups": 5}, "do not divide into 5 groups"),
        (21, ["n", CHANNELS, 3, 4], CHANNELS, {"groups": 0}, "do not divide into 0 groups"),
        (21, ["n", CHANNELS, 3, 4], CHANNELS, {"stash_type": 10}, "type 10; only 1, float32"),
        (21, ["n", CHANNELS, 3, 4], GROUPS, {}, r"scale has shape \[4\]; \[12\] is expected"),
        (18, ["n", CHANNELS, 3, 4], CHANNELS, {}, r"scale has shape \[12\]; \[4\] is expected"),
        (21, ["n", CHANNELS], CHANNELS, {}, "rank 3 or 4"),
        (21, ["n", CHANNELS, 3, 4, 5], CHANNELS, {}, "rank 3 or 4"),
        (21, ["n", "c", 3, 4], CHANNELS, {}, "channel count is unknown"),
    ],
)
def test_declined(opset: int, image: list[Any], values: int, attributes: dict[str, Any], reason: str) -> None:
    g = Network(opset)
    node = claim.recognise(g.describe(group_norm(g, g.input("x", image), values, **attributes)))[-1]
    assert not node["ops"]
    assert re.search(reason, node["reason"]), node["reason"]


def test_a_computed_scale_is_declined() -> None:
    g = Network(21)
    scale = g.input("scale", [CHANNELS])
    y = g.add("GroupNormalization", g.input("x", IMAGES[0]), scale, g.constant(np.ones(CHANNELS)), num_groups=GROUPS)
    assert "is not a constant" in claim.recognise(g.describe(y))[-1]["reason"]


class Torch:
    """torch.nn.GroupNorm as its exporters write it."""

    def __init__(self, image: list[int | str], channels: int = CHANNELS, groups: int = GROUPS) -> None:
        self.g = Network()
        self.image, self.channels, self.groups = image, channels, groups
        self.x = self.g.input("x", image)

    def split(self, *target: int) -> str:
        return self.g.add("Reshape", self.x, self.g.constant(target or [0, self.groups, -1], np.int64))

    def norm(self, grouped: str) -> str:
        vectors = [self.g.constant(np.ones(self.groups)), self.g.constant(np.zeros(self.groups))]
        return self.g.add("InstanceNormalization", grouped, *vectors, epsilon=1e-6)

    def back(self, value: str) -> str:
        fixed = all(isinstance(size, int) for size in self.image)
        target = self.g.constant(self.image, np.int64) if fixed else self.g.add("Shape", self.x)
        return self.g.add("Reshape", value, target)

    def vector(self, values: np.ndarray) -> str:
        return self.g.constant(values.reshape(-1, *[1] * (len(self.image) - 2)))

    def scaled(self, value: str, swap: bool = False) -> str:
        for op, vector in (("Mul", np.arange(self.channels)), ("Add", np.full(self.channels, 2.0))):
            sides = [value, self.vector(vector)]
            value = self.g.add(op, *(sides[::-1] if swap else sides))
        return value


@given(image=st.sampled_from(IMAGES), swap=st.booleans(), affine=st.booleans(), groups=st.sampled_from([1, 3, 4, 12]))
def test_as_torch_exports_it(image: list[int | str], swap: bool, affine: bool, groups: int) -> None:
    t = Torch(image, groups=groups)
    y = t.back(t.norm(t.split()))
    y = t.scaled(y, swap) if affine else y
    nodes = claim.recognise(t.g.describe(y))
    (op,) = nodes[-1]["ops"]
    assert (op["kind"], op["groups"], op["epsilon"]) == ("group_norm", groups, pytest.approx(1e-6))
    assert op["scale"] == (list(range(CHANNELS)) if affine else [1.0] * CHANNELS)
    assert op["shift"] == [2.0 * affine] * CHANNELS
    assert len({node["unit"] for node in nodes}) == 1 and nodes[-1]["unit"] >= 0


def test_what_looks_like_it() -> None:
    """No group norm: groups that cut channels apart, images that are mixed, another shape than x has, other axes."""
    n, c, h, w = 2, 6, 4, 4
    for groups, target, result, joins in (
        (3, (0, 3, -1), (n, c, h, w), True),
        (4, (0, 4, -1), (n, c, h, w), False),
        (3, (1, 3, -1), (n, c, h, w), False),
        (3, (0, 3, -1), (n, c, w * h, 1), False),
    ):
        t = Torch([n, c, h, w], c, groups)
        y = t.g.add("Reshape", t.norm(t.split(*target)), t.g.constant(result, np.int64))
        pattern = [node["pattern"] for node in claim.recognise(t.g.describe(y))]
        assert (pattern == ["group norm"] * 3) == joins, pattern


@pytest.mark.parametrize("inside", ["split", "norm", "back"])
def test_a_value_inside_that_others_use(inside: str) -> None:
    """It stays three nodes, and arithmetic by itself; of a used product the rest is one."""
    t = Torch([2, CHANNELS, 5, 7])
    values = {"split": t.split()}
    values["norm"] = t.norm(values["split"])
    values["back"] = t.back(values["norm"])
    y = t.scaled(values["back"])
    nodes = claim.recognise(t.g.describe(y, values[inside]))
    kinds = [op["kind"] for node in nodes for op in node["ops"]]
    assert kinds == {"back": ["group_norm", "affine", "affine"]}.get(
        inside, ["reshape", "group_norm", "reshape", "affine", "affine"]
    )


def test_constants_along_another_axis_stay_outside() -> None:
    t = Torch([2, CHANNELS, 5, CHANNELS])
    y = t.g.add("Mul", t.back(t.norm(t.split())), t.g.constant(np.arange(CHANNELS)))
    nodes = claim.recognise(t.g.describe(y))
    assert [op["kind"] for op in nodes[2]["ops"]] == ["group_norm"] and not nodes[3]["ops"]
