"""Turns and limits on a real node: leases on disk, workers per scope."""

from __future__ import annotations

import pytest

from cis_provider.model.session import SessionRequest
from cis_provider.node.client import NodeClient
from cis_provider.wire.messages import NotYet, Submitted, Vouch

pytestmark = pytest.mark.integration

A = "project:a"


def ask(request: SessionRequest) -> Submitted | NotYet:
    with NodeClient("test") as client:
        return client.submit(request)


def alone(node, run_id, task_id="a", command="true", **changes):
    changes = {"scope": A, "exclusive": "run", "turn": (A,)} | changes
    return node.request(command, task_id, run_id=run_id, **changes)


def turns():
    with NodeClient("test") as client:
        return [(turn.run_id, bool(turn.waiting_for), turn.arrived) for turn in client.turns()]


def release(*run_ids):
    with NodeClient("test") as client:
        client.release_runs([("d", run_id) for run_id in run_ids])


def test_a_run_has_its_scope_from_its_first_agent_to_its_end(node):
    first = ask(alone(node, "one"))
    assert isinstance(first, Submitted)
    node.ended(first.record.session_id)
    # Between two agents nobody is at work, but the run is not over.
    waits = ask(alone(node, "two"))
    assert isinstance(waits, NotYet)
    assert waits.ahead == [("d", "one")]
    assert waits.reason == "its turn in project:a, which run one of d has"
    second = ask(alone(node, "one", "b"))
    assert isinstance(second, Submitted)
    node.ended(second.record.session_id)
    with NodeClient("test") as client:
        assert ("d", "one") in client.held_runs() and ("d", "two") in client.held_runs()
    release("one")
    assert isinstance(ask(alone(node, "two")), Submitted)


def test_another_scope_waits_for_nobody(node):
    assert isinstance(ask(alone(node, "one")), Submitted)
    other = alone(node, "two", scope="project:b", turn=("project:b",))
    assert isinstance(ask(other), Submitted)


def test_turns_and_places_in_the_line_survive_a_killed_coordinator(node):
    holder = ask(alone(node, "one", command="sleep 60"))
    assert isinstance(holder, Submitted)
    assert isinstance(ask(alone(node, "late")), NotYet)
    assert isinstance(ask(alone(node, "urgent", priority=0)), NotYet)
    before = turns()
    assert before == [("one", False, True), ("urgent", True, False), ("late", True, False)]
    node.kill(node.coordinator_pid())
    assert turns() == before
    with NodeClient("test") as client:
        client.end(holder.record.session_id, "enough")
    node.ended(holder.record.session_id)
    release("one")
    # The urgent one has the scope before it comes to fetch it.
    assert turns() == [("urgent", False, False), ("late", True, False)]
    assert isinstance(ask(alone(node, "late")), NotYet)
    assert isinstance(ask(alone(node, "urgent", priority=0)), Submitted)


def test_a_turn_begins_only_when_the_last_agent_of_the_run_before_is_gone(node):
    holder = ask(alone(node, "one", command="trap 'sleep 1; exit' HUP; echo ready; sleep 60 & wait"))
    assert isinstance(holder, Submitted)
    node.wait(holder.record.session_id, lambda record: record.last_line == "ready")
    assert isinstance(ask(alone(node, "two")), NotYet)
    with NodeClient("test") as client:
        client.end(holder.record.session_id, "its run was marked failed")
    release("one")
    assert isinstance(ask(alone(node, "two")), NotYet)
    node.ended(holder.record.session_id)
    assert isinstance(ask(alone(node, "two")), Submitted)


def test_a_guest_waits_for_a_run_that_has_the_scope_and_shares_it_with_guests(node):
    guest = {"scope": A, "exclusive": "no"}
    first = ask(node.request("echo ready; sleep 60", "a", run_id="g1", **guest))
    assert isinstance(first, Submitted)
    other = ask(node.request("true", "a", run_id="g2", **guest))
    assert isinstance(other, Submitted)
    waits = ask(alone(node, "one"))
    assert isinstance(waits, NotYet)
    assert isinstance(ask(node.request("true", "a", run_id="g3", **guest)), NotYet)
    with NodeClient("test") as client:
        client.end(first.record.session_id, "enough")
    for guest_session in (first, other):
        node.ended(guest_session.record.session_id)
    assert isinstance(ask(alone(node, "one")), Submitted)


def test_no_more_at_work_in_a_scope_than_it_has_places_and_a_humans_number_counts(node, monkeypatch):
    monkeypatch.setenv("CIS_WORKER_MAX_CONCURRENT_TASKS", "1")
    guest = {"scope": A, "exclusive": "no"}
    first = node.submit("sleep 60", "a", **guest)
    node.wait(first.session_id, lambda record: record.state == "running")
    second = node.submit("sleep 60", "b", **guest)
    waiting = node.wait(second.session_id, lambda record: bool(record.waiting_for))
    assert waiting.waiting_for == "a place in project:a (1 agent at work)"
    with NodeClient("test") as client:
        client.vouch(Vouch([], scope_slots={A: 2}))
    node.wait(second.session_id, lambda record: record.state == "running")


def test_a_dags_limit_counts_agents_whose_task_has_lost_its_slot_and_follows_the_pool(node):
    first = node.submit("sleep 60", "a", dag_limit=1)
    node.wait(first.session_id, lambda record: record.state == "running")
    second = node.submit("sleep 60", "b", dag_limit=1)
    waiting = node.wait(second.session_id, lambda record: bool(record.waiting_for))
    assert waiting.waiting_for == "a place in DAG d (1 agent at work)"
    with NodeClient("test") as client:
        client.vouch(Vouch([], dag_slots={"d": 2}))
    node.wait(second.session_id, lambda record: record.state == "running")


def test_an_urgent_session_goes_before_one_that_has_waited_longer(node, monkeypatch):
    monkeypatch.setenv("CIS_DAG_LOCAL_MAX_WORKERS", "1")
    first = node.submit("sleep 60", "a")
    node.wait(first.session_id, lambda record: record.state == "running")
    late = node.submit("sleep 60", "b", priority=2)
    urgent = node.submit("sleep 60", "c", priority=0)
    with NodeClient("test") as client:
        client.end(first.session_id, "enough")
    node.wait(urgent.session_id, lambda record: record.state == "running")
    with NodeClient("test") as client:
        (record,) = client.sessions(session_id=late.session_id)
    assert record.state == "queued"


def test_nothing_is_accepted_and_no_turn_taken_when_the_folder_cannot_be(node, tmp_path):
    from cis_provider.errors import WorkspaceError
    from cis_provider.model.session import WorkspaceRequest

    bad = WorkspaceRequest(kind="folder", path="../outside")
    with pytest.raises(WorkspaceError):
        ask(alone(node, "one", workspace=bad))
    assert turns() == []
    assert isinstance(ask(alone(node, "two")), Submitted)


def test_runs_that_wait_for_each_others_folder_are_told_so_and_one_goes_on(node, tmp_path):
    from cis_provider.model.session import WorkspaceRequest

    def agent(task_id, run_id, folder):
        workspace = WorkspaceRequest(kind="folder", path=str(tmp_path / folder))
        return node.submit("true", task_id, run_id=run_id, workspace=workspace)

    for run_id, folder in (("one", "x"), ("two", "y")):
        node.ended(agent("a", run_id, folder).session_id)
    waits = agent("b", "one", "y")
    stuck = node.ended(agent("b", "two", "x").session_id)
    assert stuck.result.subtype == "workspace"
    assert "belongs to run one of d, which waits for a folder of this run" in stuck.result.error
    # Airflow fails the second run for that, and the first one goes on.
    release("two")
    assert node.ended(waits.session_id).result.subtype == "success"
