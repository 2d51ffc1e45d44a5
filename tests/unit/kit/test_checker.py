"""The checker of histories: silent on what is legal, and sees each fault that was planted."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.kit.checker import Fault, Limits, Submission, check
from tests.kit.history import Event, read
from tests.unit.kit.faults import NotPlantable, plant
from tests.unit.kit.schedule import legal

dice = st.integers(0, 2**32).map(Random)


@settings(max_examples=300, deadline=None)
@given(dice)
def test_nothing_is_wrong_with_a_legal_history(random):
    scene = legal(random)
    assert check(scene.events, scene.runs, scene.limits) == []
    assert scene.events and all(run.over for run in scene.runs)


@pytest.mark.parametrize("fault", Fault)
@settings(max_examples=100, deadline=None)
@given(dice)
def test_a_planted_fault_is_found_and_no_other(fault, random):
    try:
        scene = plant(fault, legal(random), random)
    except NotPlantable:
        assume(False)
    assert {violation.fault for violation in check(scene.events, scene.runs, scene.limits)} == {fault}


@given(dice)
def test_a_history_is_read_as_it_was_written(random):
    scene = legal(random)
    lines = [event.line() for event in scene.events]
    random.shuffle(lines)
    assert read("".join(lines)) == scene.events


@pytest.mark.parametrize(
    "line", ["", "begin", "begin\t1\ts\td\tr\ta\t-1\t1\tpid\ts", "rest\t1\ts\td\tr\ta\t-1\t1\t5\ts"]
)
def test_what_is_no_event_is_refused_with_its_line(line):
    good = Event("begin", 1, "global", "d", "r", "a", -1, 1, 5, "s").line()
    with pytest.raises(ValueError, match="line 2"):
        read(f"{good}{line}\n")


# --- examples that people can read ---------------------------------------------------------------------

SECOND = 10**9


def work(run, begin, *heard, agent="a", scope="project:a", pid=0, end=True, attempt=1):
    """An attempt by its times in seconds; the last of them is its end."""
    pid = pid or begin + 1
    times = [begin, *heard]
    kinds = ["begin", *["beat"] * len(heard)]
    if end and heard:
        kinds[-1] = "end"
    return [
        Event(kind, int(time * SECOND), scope, "d", run, agent, -1, attempt, pid, f"s{pid}")
        for kind, time in zip(kinds, times, strict=True)
    ]


def alone(run, asked=0, over=100, priority=2):
    """A run that wants its scope for itself."""
    return Submission(
        "d",
        run,
        {("a", -1)},
        ("project:a",),
        "run",
        priority,
        asked * SECOND,
        (over * SECOND,) if over else (),
    )


def faults(events, *runs, limits=None):
    return [violation.fault for violation in check(events, runs, limits or Limits())]


def test_a_process_that_outlives_the_next_try_is_at_work_twice():
    killed = work("r", 1, 2, end=False)
    again = work("r", 4, 5, attempt=2)
    assert faults([*killed, *again], alone("r")) == []
    late = replace(killed[-1], time=int(4.5 * SECOND))
    assert faults([*killed, *again, late], alone("r")) == [Fault.TWICE]


def test_a_turn_lasts_over_the_pauses_between_its_agents():
    first = [*work("one", 1, 2), *work("one", 6, 7)]
    assert faults([*first, *work("two", 8, 9)], alone("one"), alone("two")) == []
    between = faults([*first, *work("two", 3, 4)], alone("one"), alone("two"))
    assert between == [Fault.TURN]


def test_another_run_may_have_its_turn_before_one_that_was_over_is_cleared_and_comes_again():
    history = [*work("one", 1, 2), *work("two", 4, 5), *work("one", 7, 8)]
    twice = replace(alone("one"), over=(3 * SECOND, 9 * SECOND))
    assert faults(history, twice, alone("two", over=6)) == []
    assert Fault.TURN in faults(history, alone("one", over=9), alone("two", over=6))


def test_what_still_runs_when_its_run_is_over_breaks_the_next_turn():
    history = [*work("one", 1, 2, 6), *work("two", 4, 5)]
    assert set(faults(history, alone("one", over=3), alone("two"))) == {Fault.TURN}


def test_the_urgent_go_first_then_those_who_asked_first():
    history = [*work("one", 1, 5), *work("two", 6, 7), *work("three", 8, 9)]
    one = alone("one", asked=1)
    assert faults(history, one, alone("two", asked=2), alone("three", asked=3)) == []
    assert faults(history, one, alone("two", asked=3), alone("three", asked=2)) == [Fault.ORDER]
    assert faults(history, one, alone("two", asked=2), alone("three", asked=3, priority=1)) == [Fault.ORDER]


def test_one_that_comes_when_the_turn_is_given_already_overtakes_nobody():
    history = [*work("one", 1, 5), *work("two", 9, 10), *work("three", 11, 12)]
    urgent = alone("three", asked=6, priority=0)
    assert faults(history, alone("one", asked=1), alone("two", asked=2), urgent) == []


def test_a_run_that_is_over_before_its_turn_came_was_not_overtaken():
    history = [*work("one", 1, 5), *work("two", 6, 7), *work("three", 8, 9)]
    failed = replace(alone("three", asked=2, priority=0), over=(4 * SECOND, 10 * SECOND))
    assert faults(history, alone("one", asked=1), alone("two", asked=2), failed) == []


def test_a_run_in_two_scopes_has_both_from_its_first_agent_on():
    both = replace(alone("both"), scopes=("project:a", "project:b"), tasks={("a", -1), ("b", -1)})
    own = [*work("both", 1, 2), *work("both", 6, 7, agent="b", scope="project:b")]
    other = replace(alone("other"), scopes=("project:b",))
    assert faults([*own, *work("other", 8, 9, scope="project:b")], both, other) == []
    assert faults([*own, *work("other", 3, 4, scope="project:b")], both, other) == [Fault.TURN]


def test_a_run_that_is_not_over_has_lost_nothing_yet():
    assert faults(work("r", 1, 2, end=False), alone("r", over=0)) == []
    assert faults(work("r", 1, 2, end=False), alone("r")) == [Fault.LOST]
    assert faults([], alone("r")) == [Fault.LOST]


def test_the_global_scope_has_no_limit_by_default():
    run = Submission("d", "r", {("a", -1), ("b", -1)}, over=(9 * SECOND,))
    history = [*work("r", 1, 4, scope="global"), *work("r", 2, 3, agent="b", scope="global")]
    assert faults(history, run, limits=Limits(scope=1)) == []
    elsewhere = [replace(event, scope="user:x") for event in history]
    assert faults(elsewhere, run, limits=Limits(scope=1)) == [Fault.SCOPE_LIMIT]


def test_one_begins_in_the_moment_in_which_another_ends():
    run = Submission("d", "r", {("a", -1), ("b", -1)}, over=(9 * SECOND,))
    history = [*work("r", 1, 2), *work("r", 2, 3, agent="b", pid=9)]
    assert faults(history, run, limits=Limits(node=1)) == []
