"""Places for scope workers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cis_provider.node.places import WorkerPlaces

names = st.sampled_from([f"project:{letter}" for letter in "abcdef"])


def worker(scope: str) -> str:
    return f"worker-{scope.replace(':', '-')}"


def test_as_many_scopes_may_begin_as_there_are_places():
    places = WorkerPlaces(limit=2, alive={}, at_work=())
    assert [places.why_not(f"project:{letter}") for letter in "aba"] == ["", "", ""]
    assert places.why_not("project:c") == "a place for another scope worker (2 run, none is idle)"


def test_one_that_is_idle_makes_room_once():
    places = WorkerPlaces(
        limit=2, alive={"worker-project-a": "", "worker-project-b": ""}, at_work={"worker-project-a"}
    )
    assert places.why_not("project:c") == ""
    assert places.why_not("project:d") != ""
    assert places.why_not("project:b") != "", "it has to leave for c"
    assert places.why_not("project:a") == ""


def test_one_that_is_needed_in_this_round_makes_no_room():
    places = WorkerPlaces(limit=1, alive={"worker-project-a": ""}, at_work=())
    assert places.why_not("project:a") == ""
    assert places.why_not("project:b") == "a place for another scope worker (1 run, none is idle)"


def test_one_that_retires_gets_nothing_until_it_has_nothing_left():
    alive = {"worker-global": "is of version 0.0.1 and finishes"}
    busy = WorkerPlaces(limit=9, alive=alive, at_work={"worker-global"})
    assert busy.why_not("global") == "worker-global, which is of version 0.0.1 and finishes"
    assert WorkerPlaces(limit=9, alive=alive, at_work=()).why_not("global") == ""


def test_a_limit_that_was_lowered_ends_nobody():
    alive = dict.fromkeys(("worker-project-a", "worker-project-b", "worker-project-c"), "")
    places = WorkerPlaces(limit=1, alive=alive, at_work=alive)
    assert places.why_not("project:a") == ""
    assert places.why_not("project:d") != ""


@given(
    limit=st.integers(1, 4),
    alive=st.sets(names, max_size=4),
    at_work=st.sets(names, max_size=4),
    asks=st.lists(names, max_size=12),
)
def test_never_more_are_needed_than_there_are_places(limit, alive, at_work, asks):
    places = WorkerPlaces(
        limit=limit,
        alive={worker(scope): "" for scope in alive},
        at_work={worker(scope) for scope in at_work},
    )
    granted = {scope for scope in asks if not places.why_not(scope)}
    assert len(granted | at_work) <= max(limit, len(at_work | alive))
    assert at_work & set(asks) <= granted
    if len(at_work | set(asks)) <= limit:
        assert granted == set(asks), "there was room for all of them"
