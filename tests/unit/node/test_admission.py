"""Who may begin."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cis_provider.node.admission import Waiting, admit

RUN = ("d", "r")


def test_the_most_urgent_goes_first_then_the_oldest():
    queue = [Waiting("a", RUN, 2, 1), Waiting("b", RUN, 0, 2), Waiting("c", RUN, 2, 3)]
    assert admit(queue, at_work=0, limit=2, held={}).begin == ["b", "a"]


def test_one_that_waits_for_a_folder_holds_nobody_up():
    queue = [Waiting("a", RUN, 0, 1, claim="/x"), Waiting("b", RUN, 2, 2)]
    admission = admit(queue, at_work=0, limit=1, held={"/x": ("d", "other")})
    assert admission.begin == ["b"]
    assert admission.waits == {"a": "folder /x, which run other of d has"}


def test_a_folder_taken_in_this_round_is_taken():
    queue = [Waiting("a", ("d", "one"), 2, 1, claim="/x"), Waiting("b", ("d", "two"), 2, 2, claim="/x")]
    admission = admit(queue, at_work=0, limit=5, held={})
    assert (admission.begin, admission.claims) == (["a"], {"/x": ("d", "one")})


def test_a_task_has_one_session_at_a_time():
    admission = admit([Waiting("a", RUN, 0, 1, predecessor=True)], at_work=0, limit=5, held={})
    assert (admission.begin, list(admission.waits)) == ([], ["a"])


waiting = st.builds(
    Waiting,
    session_id=st.uuids().map(str),
    run=st.tuples(st.just("d"), st.sampled_from("rst")),
    priority=st.integers(0, 3),
    sequence=st.integers(),
    predecessor=st.booleans(),
    claim=st.sampled_from([None, "/x", "/y"]),
)


@given(
    st.lists(waiting, max_size=12, unique_by=lambda w: w.session_id),
    st.integers(0, 6),
    st.integers(1, 6),
    st.dictionaries(st.sampled_from(["/x", "/y"]), st.tuples(st.just("d"), st.sampled_from("rst"))),
)
def test_limits_hold_and_everybody_is_answered(queue, at_work, limit, held):
    admission = admit(queue, at_work=at_work, limit=limit, held=held)
    begun = [w for w in queue if w.session_id in admission.begin]
    assert at_work + len(begun) <= max(limit, at_work)
    owners = held | admission.claims
    assert all(w.claim is None or owners[w.claim] == w.run for w in begun)
    assert not any(w.predecessor for w in begun)
    assert {w.session_id for w in queue} == {*admission.begin, *admission.waits}
    if at_work + len(begun) < limit:
        free = [
            w for w in queue if not w.predecessor and (w.claim is None or owners.get(w.claim, w.run) == w.run)
        ]
        assert set(admission.begin) == {w.session_id for w in free}
