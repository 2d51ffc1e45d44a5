"""``cis worker``: which scope workers there are, what one does, and how it leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cis_provider import __version__

pytestmark = pytest.mark.integration


@pytest.fixture
def busy(node: Any, monkeypatch: pytest.MonkeyPatch, cis: Any) -> Callable[[], str]:
    """``project:backend`` with one agent at work and one waiting; gives the first one's session id."""
    monkeypatch.setenv("CIS_WORKER_MAX_CONCURRENT_TASKS", "1")

    def submit() -> str:
        changes = {"scope": "project:backend", "exclusive": "no"}
        first = node.submit("echo at it; sleep 60", "upgrade", **changes)
        node.wait(first.session_id, lambda record: record.last_line == "at it")
        second = node.submit("true", "report", **changes)
        node.wait(second.session_id, lambda record: bool(record.waiting_for))
        return first.session_id

    return submit


def test_list_says_what_there_is_of_each_worker(cis: Any, busy: Any) -> None:
    busy()
    (worker,) = cis.json("worker", "list")
    assert worker["name"] == "worker-project-backend"
    assert (worker["scope"], worker["version"]) == ("project:backend", __version__)
    assert (worker["sessions"], worker["queued"], worker["leaving"]) == (1, 1, "")
    assert worker["pid"] > 0 and worker["memory_kb"] > 1000 and worker["node_id"] and worker["since"]
    heads, line = cis("dag", "worker", "list").stdout.splitlines()
    assert heads.split() == [
        "WORKER",
        "SCOPE",
        "PID",
        "NODE",
        "VERSION",
        "AGENTS",
        "WAITING",
        "MEMORY",
        "STARTED",
    ]
    assert line.split()[:3] == ["worker-project-backend", "project:backend", str(worker["pid"])]


@pytest.mark.parametrize("name", ["worker-project-backend", "project:backend"])
def test_status_of_one_shows_its_agents_and_what_its_queue_waits_for(cis: Any, busy: Any, name: str) -> None:
    busy()
    found = cis.json("worker", "status", name)
    assert found["worker"]["name"] == found["name"] == "worker-project-backend"
    assert [session["agent_id"] for session in found["sessions"]] == ["upgrade", "report"]
    said = cis("worker", "status", name).stdout
    assert "at it" in said
    assert "waiting for a place in project:backend (1 agent at work)" in said


def test_status_shows_a_queue_whose_worker_does_not_run_yet(
    cis: Any, node: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIS_WORKER_MAX_PER_NODE", "1")
    first = node.submit("sleep 60", "a", scope="project:a", exclusive="no")
    node.wait(first.session_id, lambda record: record.state == "running")
    node.submit("true", "b", scope="project:b", exclusive="no")
    said = cis("worker", "status", "project:b").stdout
    assert said.startswith("worker-project-b does not run yet; 1 agent waits for it\n")
    assert "a place for another scope worker (1 run, none is idle)" in said
    assert cis.json("worker", "status", "project:b")["worker"] is None


def test_stop_lets_agents_finish_unless_now(cis: Any, node: Any, busy: Any) -> None:
    first = busy()
    done = cis("worker", "stop", "worker-project-backend")
    assert done.stdout == (
        "worker-project-backend finishes 1 agent and leaves; new ones wait for the next worker\n"
    )
    (worker,) = cis.json("worker", "list")
    assert worker["leaving"] == "was told to stop and finishes"
    assert "it was told to stop and finishes" in cis("worker", "status", "project:backend").stdout
    done = cis.json("worker", "stop", "project:backend", "--now")
    assert done == {"worker": "worker-project-backend", "now": True, "sessions": 1}
    assert node.ended(first).result.subtype == "killed"


@pytest.mark.parametrize("command", ["status", "stop"])
def test_an_unknown_name_is_exit_2_with_what_was_meant(cis: Any, busy: Any, command: str) -> None:
    busy()
    done = cis("worker", command, "worker-project-backnd")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "cis: no worker 'worker-project-backnd' on this node (did you mean 'worker-project-backend'?); "
        "there are worker-project-backend\n"
    )
