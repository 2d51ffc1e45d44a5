"""Runs that share a scope take turns, in a real Airflow."""

from __future__ import annotations

import json
import os
import signal

import pytest

from cis_provider.cli.connect import connect
from cis_provider.cli.gather import Gatherer
from cis_provider.node.client import NodeClient

pytestmark = pytest.mark.system


@pytest.fixture
def gate(tmp_path):
    """A file; agents go on when it is there."""
    return tmp_path / "gate"


def wait_for(gate):
    """A script that ends when the gate opens."""
    return f"for i in $(seq 600); do [ -e {gate} ] && exit 0; sleep 0.1; done; exit 1"


def turns():
    with NodeClient("test") as client:
        return {turn.run_id: turn for turn in client.turns()}


def test_a_run_waits_without_slot_and_worker_until_the_one_before_is_over(runs, gate, embedded_airflow):
    scope = f"project:turns-{os.getpid()}"
    first = runs.up(
        [{"id": "a", "command": wait_for(gate)}, {"id": "b", "command": "sleep 1", "deps": ["a"]}],
        scope=scope,
    )
    first.at_work("a")
    second = runs.up([{"id": "a", "command": "echo mine"}], scope=scope)
    second.reaches("a", "up_for_reschedule")
    pool = f"/api/v2/pools/cis-{scope.replace(':', '-')}"
    status, body = embedded_airflow.request(pool)
    assert (status, body["occupied_slots"]) == (200, 1)
    words = f"its turn in {scope}, which run {first.run_id} of {first.dag_id} has"
    with Gatherer(connect()) as gather:
        view = gather.view(gather.api.run(second.dag_id, second.run_id), "second")
    assert [(row.status, row.output) for row in view.agents] == [("waiting", f"waiting for {words}")]
    _, xcom = embedded_airflow.request(f"{second.path}/taskInstances/a/xcomEntries/waiting_for")
    assert xcom["value"] in (words, f'"{words}"')
    assert second.sessions("a") == []

    gate.touch()
    assert first.ended() == "success"
    ended = first.task("b")["end_date"]
    # Far sooner than it said it would ask again.
    assert second.ended(15) == "success"
    assert second.task("a")["start_date"] >= ended
    assert second.tries("a") == 1


def test_a_turn_ends_with_its_run_however_that_ends(runs, gate):
    scope = f"project:ends-{os.getpid()}"
    first = runs.up([{"id": "a", "command": wait_for(gate)}], scope=scope)
    first.at_work("a")
    waiting = runs.up([{"id": "a", "command": wait_for(gate)}], scope=scope)
    waiting.reaches("a", "up_for_reschedule")
    third = runs.up([{"id": "a", "command": "true"}], scope=scope)
    third.reaches("a", "up_for_reschedule")
    # A run that is marked failed while it waits loses its place, one at work its turn.
    waiting.fail()
    first.fail()
    assert third.ended() == "success"
    assert waiting.sessions("a") == []


def test_the_urgent_run_goes_first(runs, gate):
    scope = f"project:urgent-{os.getpid()}"
    first = runs.up([{"id": "a", "command": wait_for(gate)}], scope=scope)
    first.at_work("a")
    late = runs.up([{"id": "a", "command": "sleep 1"}], scope=scope)
    late.reaches("a", "up_for_reschedule")
    urgent = runs.up([{"id": "a", "command": "sleep 1", "priority": "p0"}], scope=scope)
    urgent.reaches("a", "up_for_reschedule")
    gate.touch()
    assert late.ended() == urgent.ended() == "success"
    assert urgent.sessions("a")[0].ended_at <= late.sessions("a")[0].created_at


def test_turns_survive_the_death_of_everybody_who_knows_them(runs, gate, embedded_airflow):
    scope = f"project:deaths-{os.getpid()}"
    first = runs.up([{"id": "a", "command": wait_for(gate)}], scope=scope)
    first.at_work("a")
    second = runs.up([{"id": "a", "command": "true"}], scope=scope)
    second.reaches("a", "up_for_reschedule")
    with NodeClient("test") as client:
        coordinator = client.status().pid
    for pid in (coordinator, embedded_airflow.pid("scheduler"), embedded_airflow.pid("triggerer")):
        os.kill(pid, signal.SIGKILL)
    assert {first.run_id, second.run_id} <= turns().keys()
    gate.touch()
    assert first.ended(90) == "success"
    assert second.ended(90) == "success"
    embedded_airflow.eventually(lambda: not {first.run_id, second.run_id} & turns().keys())


def test_a_run_comes_at_once_though_the_coordinator_that_knew_its_task_was_killed(
    runs, gate, embedded_airflow
):
    scope = f"project:forgotten-{os.getpid()}"
    first = runs.up([{"id": "a", "command": wait_for(gate)}], scope=scope)
    first.at_work("a")
    second = runs.up([{"id": "a", "command": "true"}], scope=scope)
    # By now it asks again in 20 s and more.
    embedded_airflow.eventually(lambda: asked(embedded_airflow, second) >= 3, 60)
    with NodeClient("test") as client:
        os.kill(client.status().pid, signal.SIGKILL)
    gate.touch()
    assert first.ended() == "success"
    assert second.ended(12) == "success"


def asked(airflow, run):
    """How often a waiting task has asked."""
    _, log = airflow.request(f"{run.path}/taskInstances/a/logs/1?full_content=true")
    return json.dumps(log).count("Waiting for its turn")


def test_a_scope_that_a_run_s_params_name_is_settled_when_it_starts(runs, gate):
    scope = "project:{{ params.project }}"
    mine, other = f"mine-{os.getpid()}", f"other-{os.getpid()}"
    first = runs.up([{"id": "a", "command": wait_for(gate)}], scope=scope, params={"project": mine})
    assert first.at_work("a").worker == f"worker-project-{mine}"
    same = runs.up([{"id": "a", "command": "true"}], scope=scope, params={"project": mine})
    same.reaches("a", "up_for_reschedule")
    apart = runs.up([{"id": "a", "command": "true"}], scope=scope, params={"project": other})
    assert apart.ended() == "success"
    gate.touch()
    assert same.ended() == "success"
