"""Workers that stand still, and agents that take a while to go: nothing runs twice, and nobody passes them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from cis_provider import paths
from cis_provider.files import is_locked
from cis_provider.node.client import NodeClient
from cis_provider.wire.messages import NotYet, Submitted

pytestmark = pytest.mark.integration

A = "project:a"
GUEST = {"exclusive": "no", "scope": A}


def submit(node, command, task_id="a", **changes):
    with NodeClient("test") as client:
        return client.submit(node.request(command, task_id, **changes))


def test_an_agent_that_was_given_up_is_not_begun_by_a_worker_that_wakes_up(node, workers, tmp_path):
    program = (
        "import cis_provider.node.workers as w; w._ANSWER = 0.5\n"
        "from cis_provider.node.main import main; main()"
    )
    coordinator = subprocess.Popen([sys.executable, "-c", program], start_new_session=True)
    node.wait_until(lambda: is_locked(paths.coordinator_lock()))
    ran = tmp_path / "ran"
    node.run("true", **GUEST)
    pid = workers()[A].pid
    os.kill(pid, signal.SIGSTOP)
    try:
        lost = node.run(f"touch {ran}; sleep 60", "b", **GUEST)
        assert lost.result.subtype == "not_started"
    finally:
        os.kill(pid, signal.SIGCONT)
    node.run("sleep 1", "c", **GUEST)
    assert not ran.exists()
    with NodeClient("test", start=False) as client:
        client.stop(workers=True)
    coordinator.wait(20)


def test_an_end_that_was_asked_for_reaches_a_worker_that_was_silent(node, workers):
    first = node.submit("sleep 60", **GUEST)
    node.wait(first.session_id, lambda record: record.state == "running")
    pid = workers()[A].pid
    os.kill(pid, signal.SIGSTOP)
    try:
        node.kill(node.coordinator_pid())
        # One that stands still holds up nobody else: the next coordinator is there in time.
        with NodeClient("test", timeout=10) as client:
            client.end(first.session_id, "enough")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert node.ended(first.session_id).result.error == "enough"


def test_a_guest_waits_for_the_last_agent_of_a_run_that_is_over(node):
    request = {"scope": A, "exclusive": "run", "turn": (A,)}
    holder = submit(node, "trap 'sleep 1; exit' HUP; echo ready; sleep 60 & wait", run_id="one", **request)
    assert isinstance(holder, Submitted)
    node.wait(holder.record.session_id, lambda record: record.last_line == "ready")
    with NodeClient("test") as client:
        client.end(holder.record.session_id, "its run was marked failed")
        client.release_runs([("d", "one")])
    assert isinstance(submit(node, "true", run_id="guest", **GUEST), NotYet)
    node.ended(holder.record.session_id)
    assert isinstance(submit(node, "true", run_id="guest", **GUEST), Submitted)


def test_a_run_whose_turn_is_over_has_it_again_when_it_was_cleared_while_its_agent_went(node):
    request = {"scope": A, "exclusive": "run", "turn": (A,)}
    first = submit(node, "trap 'sleep 1; exit' HUP; echo ready; sleep 60 & wait", run_id="one", **request)
    assert isinstance(first, Submitted)
    node.wait(first.record.session_id, lambda record: record.last_line == "ready")
    with NodeClient("test") as client:
        client.end(first.record.session_id, "its run was cleared")
        client.release_runs([("d", "one")])
    assert isinstance(submit(node, "true", "b", run_id="one", **request), Submitted)
    node.ended(first.record.session_id)
    assert isinstance(submit(node, "true", run_id="two", **request), NotYet)
    with NodeClient("test") as client:
        assert [(turn.run_id, turn.arrived) for turn in client.turns()] == [("one", True), ("two", False)]
