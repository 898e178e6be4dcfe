"""Groups on random graphs: the contracted graph is acyclic, whatever is claimed."""

from __future__ import annotations

from typing import Any

import numpy as np
import sparsecpu_testing as claim
from hypothesis import given, settings
from hypothesis import strategies as st
from random_checks import examples

SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def marked_graphs(draw: st.DrawFn) -> tuple[dict[str, Any], list[bool], list[int]]:
    """A random DAG of one-output nodes, which of them are claimed, and sides. From a seed: a hundred draws would take
    fifty times as long as what is tested."""
    count, rng = draw(st.integers(1, 24)), np.random.default_rng(draw(SEEDS))
    nodes = []
    for i in range(count):
        producers = rng.integers(0, i + 1, rng.integers(1, 4)).tolist()  # value 0: the graph's input
        nodes.append(
            {
                "name": f"n{i}",
                "op_type": "Any",
                "domain": "",
                "since_version": 1,
                "inputs": producers,
                "outputs": [i + 1],
                "attributes": {},
            }
        )
    values = [{"name": f"v{i}", "type": 1, "dims": [1]} for i in range(count + 1)]
    graph = {"values": values, "nodes": nodes, "inputs": [0], "outputs": [count]}
    claimed = (rng.random(count) < rng.random()).tolist()
    return graph, claimed, rng.integers(0, rng.integers(1, 4), count).tolist()


def successors(graph: dict[str, Any]) -> list[list[int]]:
    count = len(graph["nodes"])
    return [[j for j in range(count) if i + 1 in graph["nodes"][j]["inputs"]] for i in range(count)]


def reachable(edges: dict[int, set[int]], start: int) -> set[int]:
    seen: set[int] = set()
    stack = list(edges.get(start, ()))
    while stack:
        v = stack.pop()
        if v not in seen:
            seen.add(v)
            stack.extend(edges.get(v, ()))
    return seen


def contracted_has_cycle(following: list[list[int]], group: list[int]) -> bool:
    """By search from every vertex: slow, and nothing like the code under test."""
    vertex = [g if g >= 0 else 1000 + i for i, g in enumerate(group)]
    edges: dict[int, set[int]] = {}
    for i, targets in enumerate(following):
        for j in targets:
            if vertex[i] != vertex[j]:
                edges.setdefault(vertex[i], set()).add(vertex[j])
    return any(v in reachable(edges, v) for v in edges)


@settings(max_examples=examples(600), deadline=None)
@given(marked_graphs())
def test_groups_are_acyclic_after_contraction(case: tuple[dict[str, Any], list[bool], list[int]]) -> None:
    graph, claimed, side = case
    group = claim.form_groups(graph, claimed, side)
    assert [g >= 0 for g in group] == claimed
    assert not contracted_has_cycle(successors(graph), group)
    for g in set(group) - {-1}:
        assert len({side[i] for i, own in enumerate(group) if own == g}) == 1


@settings(max_examples=examples(600), deadline=None)
@given(marked_graphs(), SEEDS)
def test_the_check_finds_every_cycle(case: tuple[dict[str, Any], list[bool], list[int]], seed: int) -> None:
    graph, claimed, _ = case
    marks = np.random.default_rng(seed).integers(0, 4, len(claimed)).tolist()
    raw = [m if c else -1 for m, c in zip(marks, claimed, strict=True)]
    numbers = {g: i for i, g in enumerate(sorted(set(raw) - {-1}))}
    group = [numbers.get(g, -1) for g in raw]
    following = successors(graph)
    assert claim.contraction_is_acyclic(following, group) == (not contracted_has_cycle(following, group))


def chain(count: int) -> dict[str, Any]:
    nodes = [
        {
            "name": "",
            "op_type": "Any",
            "domain": "",
            "since_version": 1,
            "inputs": [i],
            "outputs": [i + 1],
            "attributes": {},
        }
        for i in range(count)
    ]
    values = [{"name": f"v{i}", "type": 1, "dims": [1]} for i in range(count + 1)]
    return {"values": values, "nodes": nodes, "inputs": [0], "outputs": [count]}


def test_what_is_claimed_without_a_gap_is_one_group() -> None:
    assert claim.form_groups(chain(6), [True] * 6, [0] * 6) == [0] * 6
    assert claim.form_groups(chain(5), [True, True, False, True, True], [0] * 5) == [0, 0, -1, 1, 1]


def test_a_branch_outside_does_not_split_what_may_stay_together() -> None:
    # 0 -> 1 -> 3 claimed, 2 is a node outside between the graph's input and 3: no path leaves and returns.
    graph = chain(4)
    graph["nodes"][2]["inputs"] = [0]
    graph["nodes"][3]["inputs"] = [2, 3]
    assert claim.form_groups(graph, [True, True, False, True], [0] * 4) == [0, 0, -1, 0]


def test_ten_thousand_nodes_take_seconds_at_most() -> None:
    claimed = [i % 3 != 0 for i in range(10000)]
    group = claim.form_groups(chain(10000), claimed, [0] * 10000)
    assert max(group) + 1 == 3333
