"""Cycles and order."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dag_factory.graph import ancestors, find_cycles, topological, width


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, list[str]]:
    names = [f"n{i}" for i in range(draw(st.integers(1, 7)))]
    return {name: draw(st.lists(st.sampled_from(names), max_size=3)) for name in names}


@given(graphs())
def test_a_graph_has_an_order_exactly_when_no_cycle_is_found(graph: dict[str, list[str]]) -> None:
    cycles = find_cycles(graph)
    if cycles:
        with pytest.raises(ValueError, match="cycle"):
            topological(graph)
    else:
        order = topological(graph)
        assert sorted(order) == sorted(graph)
        assert all(order.index(dep) < order.index(name) for name, deps in graph.items() for dep in deps)


@given(graphs())
def test_every_cycle_found_is_one_and_no_agent_is_in_two(graph: dict[str, list[str]]) -> None:
    seen: set[str] = set()
    for cycle in find_cycles(graph):
        assert cycle[0] == cycle[-1]
        assert all(after in graph[before] for before, after in itertools.pairwise(cycle))
        assert len(set(cycle[1:])) == len(cycle) - 1
        assert not seen & set(cycle)
        seen |= set(cycle)


def test_a_cycle_begins_with_the_agent_that_comes_first_in_the_file() -> None:
    graph = {"x": ["c"], "a": ["c"], "b": ["a"], "c": ["b"], "self": ["self"]}
    assert find_cycles(graph) == [["a", "c", "b", "a"], ["self", "self"]]


def test_ancestors_are_all_that_ended_before() -> None:
    graph = {"d": ["b", "c"], "b": ["a"], "c": ["a"], "a": []}
    assert ancestors(graph)["d"] == {"a", "b", "c"}
    assert ancestors(graph)["b"] == {"a"}


def test_a_chain_of_thousands_is_no_problem() -> None:
    graph = {f"n{i}": [f"n{i - 1}"] if i else [] for i in range(5000)}
    assert find_cycles(graph) == []
    graph["n0"] = ["n4999"]
    assert len(find_cycles(graph)[0]) == 5001


# --- width -----------------------------------------------------------------------------------------------


def _widest_by_trying(graph: dict[str, list[str]]) -> int:
    before = ancestors(graph)
    names = list(graph)
    best = 0
    for chosen in range(1 << len(names)):
        some = [name for place, name in enumerate(names) if chosen >> place & 1]
        if all(a not in before[b] for a in some for b in some):
            best = max(best, len(some))
    return best


@given(st.lists(st.sets(st.integers(0, 7)), min_size=1, max_size=8))
def test_the_width_is_the_largest_number_that_can_run_at_once(deps: list[set[int]]) -> None:
    graph = {str(n): [str(dep) for dep in before if dep < n] for n, before in enumerate(deps)}
    assert width(graph) == _widest_by_trying(graph)


def test_a_long_chain_is_one_wide_and_costs_little() -> None:
    chain = {str(n): [str(n - 1)] if n else [] for n in range(600)}
    assert width(chain) == 1
    assert width({str(n): [] for n in range(600)}) == 600
