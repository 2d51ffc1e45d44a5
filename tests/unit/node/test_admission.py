"""Who may begin."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cis_provider.node.admission import Limits, Place, Waiting, admit

RUN = Place(("d", "r"))
PLENTY = Limits(node=100, scope=100)
PROJECT = Place(("d", "r"), scope="project:a")


def test_the_most_urgent_goes_first_then_the_oldest():
    queue = [Waiting("a", RUN, 2, 1), Waiting("b", RUN, 0, 2), Waiting("c", RUN, 2, 3)]
    assert admit(queue, at_work=[], limits=Limits(2, 4), held={}).begin == ["b", "a"]


def test_one_that_waits_for_a_folder_holds_nobody_up():
    queue = [Waiting("a", RUN, 0, 1, claim="/x"), Waiting("b", RUN, 2, 2)]
    admission = admit(queue, at_work=[], limits=Limits(1, 4), held={"/x": ("d", "other")})
    assert admission.begin == ["b"]
    assert admission.waits == {"a": "folder /x, which run other of d has"}


def test_a_folder_taken_in_this_round_is_taken():
    one, two = Place(("d", "one")), Place(("d", "two"))
    queue = [Waiting("a", one, 2, 1, claim="/x"), Waiting("b", two, 2, 2, claim="/x")]
    admission = admit(queue, at_work=[], limits=PLENTY, held={})
    assert (admission.begin, admission.claims) == (["a"], {"/x": ("d", "one")})


def test_a_task_has_one_session_at_a_time():
    admission = admit([Waiting("a", RUN, 0, 1, predecessor=True)], at_work=[], limits=PLENTY, held={})
    assert (admission.begin, list(admission.waits)) == ([], ["a"])


@pytest.mark.parametrize(
    ("at_work", "waiting", "limits", "words"),
    [
        (PROJECT, Waiting("a", PROJECT, 2, 1), Limits(9, 1), "a place in project:a (1 agent at work)"),
        (
            PROJECT,
            Waiting("a", PROJECT, 2, 1),
            Limits(9, 4, scopes={"project:a": 1}),
            "a place in project:a (1 agent at work)",
        ),
        (RUN, Waiting("a", RUN, 2, 1, dag_limit=1), PLENTY, "a place in DAG d (1 agent at work)"),
        (
            RUN,
            Waiting("a", RUN, 2, 1, dag_limit=9),
            Limits(9, 4, dags={"d": 1}),
            "a place in DAG d (1 agent at work)",
        ),
        (
            replace(RUN, runtime="claude"),
            Waiting("a", replace(RUN, runtime="claude"), 2, 1),
            Limits(9, 4, runtimes={"claude": 1}),
            "a claude session (1 agent at work)",
        ),
        (
            replace(RUN, account="work"),
            Waiting("a", replace(RUN, account="work"), 2, 1),
            Limits(9, 4, accounts={"work": 1}),
            "account work (1 agent at work)",
        ),
    ],
)
def test_a_limit_says_which_it_is(at_work, waiting, limits, words):
    assert admit([waiting], at_work=[at_work], limits=limits, held={}).waits == {"a": words}
    other = replace(waiting, place=Place(("other", "r"), scope="project:other"))
    assert admit([other], at_work=[at_work], limits=limits, held={}).begin == ["a"]


def test_the_global_scope_has_no_limit_and_a_pool_without_one_none_either():
    assert admit([Waiting("a", RUN, 2, 1)], at_work=[RUN] * 3, limits=Limits(9, 1), held={}).begin
    unlimited = Limits(9, 1, scopes={"project:a": -1})
    assert admit([Waiting("a", PROJECT, 2, 1)], at_work=[PROJECT] * 3, limits=unlimited, held={}).begin


def test_a_resting_session_takes_no_memory_but_keeps_its_place_in_the_scope():
    resting = replace(PROJECT, resting=True)
    assert admit([Waiting("a", RUN, 2, 1)], at_work=[resting], limits=Limits(1, 1), held={}).begin
    assert admit([Waiting("a", PROJECT, 2, 1)], at_work=[resting], limits=Limits(1, 1), held={}).waits


def test_an_agent_that_wants_its_scope_alone_is_alone_and_is_not_passed_for_ever():
    alone = replace(PROJECT, alone=True)
    assert admit([Waiting("b", PROJECT, 2, 1)], at_work=[alone], limits=PLENTY, held={}).begin == []
    queue = [Waiting("a", alone, 2, 1), Waiting("b", PROJECT, 2, 2), Waiting("c", RUN, 2, 3)]
    admission = admit(queue, at_work=[PROJECT], limits=PLENTY, held={})
    assert (admission.begin, set(admission.waits)) == (["c"], {"a", "b"})
    assert admit(queue, at_work=[], limits=PLENTY, held={}).begin == ["a", "c"]


def test_who_needs_a_worker_that_cannot_be_had_waits_for_it():
    admission = admit(
        [Waiting("a", PROJECT, 2, 1), Waiting("b", RUN, 2, 2)],
        at_work=[],
        limits=PLENTY,
        held={},
        no_worker=lambda scope: "a worker" if scope == "project:a" else "",
    )
    assert (admission.begin, admission.waits) == (["b"], {"a": "a worker"})


places = st.builds(
    Place,
    run=st.tuples(st.sampled_from("de"), st.sampled_from("rst")),
    scope=st.sampled_from(["global", "project:a", "user:b"]),
    runtime=st.sampled_from(["shell", "claude"]),
    account=st.sampled_from(["", "work"]),
    alone=st.booleans(),
    resting=st.booleans(),
)
waiting = st.builds(
    Waiting,
    session_id=st.uuids().map(str),
    place=places.map(lambda place: replace(place, resting=False)),
    priority=st.integers(0, 3),
    sequence=st.integers(),
    dag_limit=st.integers(0, 3),
    predecessor=st.booleans(),
    claim=st.sampled_from([None, "/x", "/y"]),
)
limits = st.builds(
    Limits,
    node=st.integers(1, 6),
    scope=st.integers(1, 3),
    scopes=st.dictionaries(st.just("user:b"), st.integers(0, 3)),
    runtimes=st.dictionaries(st.just("claude"), st.integers(1, 3)),
    accounts=st.dictionaries(st.just("work"), st.integers(1, 3)),
)


@given(
    st.lists(waiting, max_size=12, unique_by=lambda w: w.session_id),
    st.lists(places, max_size=6),
    limits,
    st.dictionaries(st.sampled_from(["/x", "/y"]), st.tuples(st.just("d"), st.sampled_from("rst"))),
)
def test_limits_hold_and_everybody_is_answered(queue, at_work, limits, held):
    admission = admit(queue, at_work=at_work, limits=limits, held=held)
    begun = [w for w in queue if w.session_id in admission.begin]
    owners = held | admission.claims
    assert all(w.claim is None or owners[w.claim] == w.place.run for w in begun)
    assert not any(w.predecessor for w in begun)
    assert {w.session_id for w in queue} == {*admission.begin, *admission.waits, *admission.stuck}

    together = [*at_work, *(w.place for w in begun)]

    def count(key):
        return Counter(map(key, together))

    for w in begun:
        place = w.place
        if place.scope != "global":
            assert count(lambda p: p.scope)[place.scope] <= limits.scopes.get(place.scope, limits.scope)
        if w.dag_limit:
            # A later one of another limit may begin, but this one's own was free when it began.
            assert sum(p.run[0] == place.run[0] for p in at_work) < w.dag_limit
        assert count(lambda p: p.runtime)[place.runtime] <= limits.runtimes.get(place.runtime, 99)
        assert count(lambda p: p.account)[place.account] <= limits.accounts.get(place.account, 99)
        in_scope = [p for p in together if p.scope == place.scope]
        assert len(in_scope) == 1 or not place.alone
        assert not any(p.alone for p in in_scope if p is not place)
    if begun:
        assert sum(not p.resting for p in together) <= limits.node


def test_two_runs_that_wait_for_each_others_folder_do_not_wait_for_ever():
    one, two = Place(("d", "one")), Place(("d", "two"))
    held = {"/x": one.run, "/y": two.run}
    queue = [Waiting("a", one, 2, 1, claim="/y"), Waiting("b", two, 2, 2, claim="/x")]
    admission = admit(queue, at_work=[], limits=PLENTY, held=held)
    assert list(admission.waits) == ["a"]
    assert "which waits for a folder of this run" in admission.stuck["b"]


def test_a_circle_of_three_runs_is_seen_and_a_chain_is_none():
    runs = [Place(("d", name)) for name in ("one", "two", "three")]
    held = {"/one": runs[0].run, "/two": runs[1].run, "/three": runs[2].run}
    chain = [Waiting("a", runs[0], 2, 1, claim="/two"), Waiting("b", runs[1], 2, 2, claim="/three")]
    assert admit(chain, at_work=[], limits=PLENTY, held=held).stuck == {}
    circle = [*chain, Waiting("c", runs[2], 2, 3, claim="/one")]
    assert list(admit(circle, at_work=[], limits=PLENTY, held=held).stuck) == ["c"]
