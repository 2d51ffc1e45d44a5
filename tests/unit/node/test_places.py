"""Places for scope workers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cis_provider.node.places import WorkerPlaces

names = st.sampled_from([f"project:{letter}" for letter in "abcdef"])


def worker(scope: str) -> str:
    return f"worker-{scope.replace(':', '-')}"


def test_as_many_scopes_may_begin_as_there_are_places():
    places = WorkerPlaces(limit=2, leaving={}, needed=())
    assert [places.why_not(f"project:{letter}") for letter in "aba"] == ["", "", ""]
    assert places.why_not("project:c") == "a place for another scope worker (2 run, none is idle)"


def test_one_that_retires_gets_nothing_until_it_has_nothing_left():
    leaving = {"worker-global": "is of version 0.0.1 and finishes"}
    busy = WorkerPlaces(limit=9, leaving=leaving, needed={"worker-global"})
    assert busy.why_not("global") == "worker-global, which is of version 0.0.1 and finishes"
    assert WorkerPlaces(limit=9, leaving=leaving, needed=()).why_not("global") == ""


def test_a_limit_that_was_lowered_ends_nobody():
    places = WorkerPlaces(limit=1, leaving={}, needed={"worker-project-a", "worker-project-b"})
    assert places.why_not("project:a") == ""
    assert places.why_not("project:d") != ""


@given(limit=st.integers(1, 4), needed=st.sets(names, max_size=6), asks=st.lists(names, max_size=12))
def test_never_more_are_needed_than_there_are_places(limit, needed, asks):
    places = WorkerPlaces(limit=limit, leaving={}, needed={worker(scope) for scope in needed})
    granted = {scope for scope in asks if not places.why_not(scope)}
    assert len(granted | needed) <= max(limit, len(needed))
    assert needed & set(asks) <= granted
    if len(needed | set(asks)) <= limit:
        assert granted == set(asks), "there was room for all of them"
