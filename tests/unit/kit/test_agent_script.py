"""The agent that writes its own history: what it writes is what the checker reads."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from tests.kit import agent_script
from tests.kit.checker import Fault, Limits, Submission, check
from tests.kit.history import read

pytestmark = pytest.mark.integration


@pytest.fixture
def history(tmp_path):
    return tmp_path / "history"


def begin(history, session, *words, attempt=1):
    """Start it as a worker would."""
    of_agent = {"SCOPE": "project:a", "DAG_ID": "d", "RUN_ID": "r", "AGENT_ID": "a"}
    of_agent |= {"TRY_NUMBER": str(attempt), "SESSION_ID": session}
    env = {"PATH": os.environ["PATH"], **{f"CIS_{name}": value for name, value in of_agent.items()}}
    return subprocess.Popen(["bash", "-euo", "pipefail", agent_script(), history, *words], env=env)


def wait_for_beat(history, session):
    while not any(
        event.session == session and event.kind == "beat"
        for event in read(history.read_text() if history.exists() else "")
    ):
        time.sleep(0.01)


def faults(history, over):
    run = Submission("d", "r", {("a", -1)}, ("project:a",), "run", over=over)
    return [violation.fault for violation in check(read(history.read_text()), [run], Limits(scope=1))]


def test_it_begins_beats_and_ends(history):
    process = begin(history, "s1", "2")
    assert process.wait(10) == 0
    events = read(history.read_text())
    assert [event.kind for event in events] == ["begin", "beat", "beat", "end"]
    assert {(event.task, event.scope, event.attempt, event.pid, event.session) for event in events} == {
        (("d", "r", "a", -1), "project:a", 1, process.pid, "s1")
    }
    assert 0.3e9 < events[-1].time - events[0].time < 10e9
    assert faults(history, (events[-1].time + 1,)) == []


def test_one_that_is_killed_has_begun_and_not_ended(history):
    process = begin(history, "s1", "1000")
    wait_for_beat(history, "s1")
    process.kill()
    process.wait(10)
    assert faults(history, (2**62,)) == [Fault.LOST]


def test_a_stubborn_one_beside_its_successor_is_seen(history):
    old = begin(history, "s1", "1000", "stubborn")
    wait_for_beat(history, "s1")
    for number in (signal.SIGHUP, signal.SIGTERM):
        old.send_signal(number)
    new = begin(history, "s2", "3", attempt=2)
    assert new.wait(10) == 0
    old.kill()
    old.wait(10)
    assert set(faults(history, (2**62,))) == {Fault.TWICE, Fault.SCOPE_LIMIT}
