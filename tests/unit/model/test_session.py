"""What a submit means, and whether a session is still wanted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cis_provider.model.result import AgentResult
from cis_provider.model.session import Decision, SessionKey, SessionRecord, SessionState, decide_submit
from cis_provider.model.watch import TaskView, reason_to_end


def session(**changes) -> SessionRecord:
    values = {
        "session_id": "s",
        "key": SessionKey("d", "r", "t"),
        "try_number": 1,
        "max_tries": 2,
        "agent_id": "t",
        "agent_type": "shell",
        "scope": "global",
        "worker": "worker-global",
        **changes,
    }
    return SessionRecord(**values)


ENDED = SessionState.ENDED
KILLED = AgentResult(session_id="s", is_error=True, subtype="killed")


@pytest.mark.parametrize(
    ("newest", "try_number", "max_tries", "decision"),
    [
        (None, 1, 2, Decision.START),
        (session(), 1, 2, Decision.JOIN),
        (session(state=ENDED), 1, 2, Decision.JOIN),
        (session(state=ENDED, collected_by=1), 1, 2, Decision.START),
        (session(state=ENDED, collected_by=1, try_number=3), 1, 2, Decision.START),
        (session(state=ENDED, result=KILLED), 2, 2, Decision.START),
        (session(), 2, 2, Decision.ADOPT),
        (session(state=ENDED), 2, 2, Decision.ADOPT),
        (session(state=ENDED, collected_by=1), 2, 2, Decision.START),
        (session(), 2, 3, Decision.REPLACE),
        (session(state=ENDED), 2, 3, Decision.START),
        (session(try_number=2), 1, 2, Decision.STALE),
    ],
)
def test_what_a_submit_means(newest, try_number, max_tries, decision):
    assert decide_submit(newest, try_number=try_number, max_tries=max_tries) is decision


@given(
    st.integers(1, 5),
    st.integers(1, 5),
    st.integers(0, 5),
    st.integers(0, 5),
    st.booleans(),
    st.integers(0, 1),
)
def test_a_new_session_begins_only_when_the_old_one_is_not_left_running(
    old, new, old_max, new_max, ended, taken
):
    newest = session(
        try_number=old,
        max_tries=old_max,
        state=ENDED if ended else SessionState.RUNNING,
        collected_by=taken if ended else 0,
    )
    taken = taken if ended else 0
    decision = decide_submit(newest, try_number=new, max_tries=new_max)
    if not ended:
        assert decision is not Decision.START
    if new < old and not taken:
        assert decision is (Decision.STALE)


@pytest.mark.parametrize(
    "state", ["running", "deferred", "queued", "scheduled", "up_for_retry", "restarting", None]
)
def test_a_session_whose_task_is_not_over_is_wanted(state):
    assert reason_to_end(session(), TaskView(state, 1, 2)) is None


def test_a_lost_try_leaves_its_session_to_the_next():
    assert reason_to_end(session(), TaskView("queued", 2, 2)) is None


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        (TaskView("failed", 1, 2), "its task is failed"),
        (TaskView("success", 1, 2), "its task is success"),
        (TaskView("removed", 1, 2), "its task is removed"),
        (TaskView(None, 1, 3), "its task was cleared"),
        (TaskView("running", 2, 3), "its task was cleared"),
        (None, "its task instance does not exist any more"),
    ],
)
def test_a_session_whose_try_is_over_is_ended(task, reason):
    assert reason_to_end(session(), task) == reason
