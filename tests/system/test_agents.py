"""Agents in a real Airflow: the graph, failures, ends from outside, and everything being killed."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from cis_provider.cli.connect import connect
from cis_provider.embedded import api
from cis_provider.model.session import SessionRecord
from cis_provider.node.client import NodeClient
from cis_provider.worker import processes

pytestmark = pytest.mark.system


def gone_within(session: SessionRecord, seconds: float, airflow: Any) -> None:
    """Nothing of a session runs any more."""
    airflow.eventually(lambda: not processes.belonging_to(session.session_id, session.pid), seconds)


#: An agent that does not want to go, and whose child has left its process group.
STUBBORN = "trap '' HUP TERM; setsid sleep 300 & for i in $(seq 300); do sleep 1; done"


def test_each_agent_gets_the_output_of_the_one_before(runs):
    run = runs.up(
        [
            {"id": "find", "command": "echo found; sleep 2"},
            {"id": "use", "command": 'echo "used: $CIS_OUTPUT_FIND"', "deps": ["find"]},
        ]
    )
    assert run.ended() == "success"
    assert run.xcom("use")["output"] == "used: found"
    assert run.xcom("find")["subtype"] == "success"
    assert run.task("find")["trigger"] is None


def test_the_pool_of_the_dag_appears_by_itself(runs, embedded_airflow):
    run = runs.up([{"id": "a", "command": "true"}], max_workers=3)
    assert run.ended() == "success"
    status, pool = embedded_airflow.request(f"/api/v2/pools/cis-dag-{run.dag_id}")
    assert (status, pool["slots"], pool["include_deferred"]) == (200, 3, True)


def test_max_workers_holds_over_all_runs_of_the_dag(runs):
    run = runs.up([{"id": name, "command": "sleep 3"} for name in "abcd"], max_workers=2)
    most = 0
    while run.state() in ("queued", "running"):
        with NodeClient("test") as client:
            most = max(most, len(client.sessions(alive=True, dag_id=run.dag_id)))
    assert run.ended() == "success"
    assert most == 2


def test_a_failed_agent_fails_the_run_though_a_clean_up_succeeds_after_it(runs):
    run = runs.up(
        [
            {"id": "work", "command": "echo half; exit 3"},
            {"id": "next", "command": "true", "deps": ["work"]},
            {"id": "tidy", "command": "echo tidied", "deps": ["work"], "when": "always"},
            {"id": "alarm", "command": "echo alarm", "deps": ["work"], "when": "failure"},
        ]
    )
    assert run.ended() == "failed"
    states = {name: run.task(name)["state"] for name in ("work", "next", "tidy", "alarm")}
    assert states == {"work": "failed", "next": "upstream_failed", "tidy": "success", "alarm": "success"}
    result = run.xcom("work")
    assert (result["exit_code"], result["output"], result["is_error"]) == (3, "half", True)


def test_retries_run_it_again_in_the_same_workspace(runs):
    run = runs.up(
        [
            {
                "id": "a",
                "command": "echo x >> tries; sleep 1.5; test $(wc -l < tries) = 3",
                "retries": 3,
                "retry_delay": 1,
            }
        ]
    )
    assert run.ended() == "success"
    assert run.tries("a") == 3
    assert len(run.sessions("a")) == 3


def test_an_agent_whose_program_is_missing_fails_at_once_though_retries_are_left(runs):
    agent = {"id": "a", "type": "acp", "program": "surely-no-such-agent", "prompt": "hello"}
    run = runs.up([agent | {"retries": 5}])
    assert run.ended() == "failed"
    assert run.tries("a") == 1
    [session] = run.sessions("a")
    assert session.result.subtype == "unsupported"
    assert "surely-no-such-agent" in session.result.error


def test_an_unset_variable_fails_the_agent_and_names_both_places(runs, embedded_airflow):
    run = runs.up([{"id": "a", "command": "true", "env": {"T": "${SURELY_UNSET}"}, "retries": 5}])
    assert run.ended() == "failed"
    assert run.tries("a") == 1
    status, log = embedded_airflow.request(f"{run.path}/taskInstances/a/logs/1?full_content=true")
    text = json.dumps(log)
    assert status == 200
    assert "SURELY_UNSET" in text
    assert str(embedded_airflow.home / "env") in text


def test_a_time_limit_fails_the_agent(runs):
    run = runs.up([{"id": "a", "command": "sleep 300", "timeout": 3}])
    assert run.ended() == "failed"
    assert run.xcom("a")["subtype"] == "timeout"


def test_marking_it_failed_ends_its_processes_within_five_seconds(runs, embedded_airflow):
    run = runs.up([{"id": "a", "command": STUBBORN, "retries": 2}])
    session = run.at_work("a")
    run.patch("a", "failed")
    gone_within(session, 5, embedded_airflow)
    assert run.ended() == "failed"
    assert run.tries("a") == 1


def test_marking_it_successful_ends_its_processes_within_five_seconds(runs, embedded_airflow):
    run = runs.up([{"id": "a", "command": STUBBORN}, {"id": "b", "command": "true", "deps": ["a"]}])
    session = run.at_work("a")
    run.patch("a", "success")
    gone_within(session, 5, embedded_airflow)
    assert run.ended() == "success"


def test_failing_the_run_ends_its_agents_within_five_seconds(runs, embedded_airflow):
    run = runs.up([{"id": "a", "command": STUBBORN}])
    session = run.at_work("a")
    run.fail()
    gone_within(session, 5, embedded_airflow)


def test_clearing_it_ends_it_and_begins_anew_in_one_session_at_a_time(runs, embedded_airflow):
    run = runs.up([{"id": "a", "command": "test -e again && exit 0; touch again; " + STUBBORN}])
    session = run.at_work("a")
    run.clear("a")
    gone_within(session, 5, embedded_airflow)
    assert run.ended() == "success"
    first, second = run.sessions("a")
    assert first.session_id == session.session_id
    assert first.result.subtype == "killed"
    assert second.started_at >= first.ended_at


def test_marked_failed_while_the_triggerer_was_down_ends_soon_after_its_return(runs, embedded_airflow):
    run = runs.up([{"id": "a", "command": STUBBORN}])
    session = run.at_work("a")
    triggerer = embedded_airflow.pid("triggerer")
    os.kill(embedded_airflow.pid("supervisor"), signal.SIGSTOP)
    try:
        for one in reversed(embedded_airflow.processes("triggerer")):
            one.kill()
        run.patch("a", "failed")
        assert processes.belonging_to(session.session_id, session.pid)
    finally:
        os.kill(embedded_airflow.pid("supervisor"), signal.SIGCONT)
    embedded_airflow.eventually(lambda: embedded_airflow.pid("triggerer") != triggerer)
    # Its own start takes a few seconds; five more are the agent's.
    gone_within(session, 20, embedded_airflow)


@pytest.mark.parametrize("victims", [["triggerer"], ["scheduler"], ["scheduler", "triggerer", "api-server"]])
def test_killed_components_cost_no_agent(runs, embedded_airflow, victims):
    run = runs.up([{"id": "a", "command": "echo x >> begun; sleep 6; wc -l < begun"}])
    session = run.at_work("a")
    for name in victims:
        os.kill(embedded_airflow.pid(name), signal.SIGKILL)
    embedded_airflow.eventually(lambda: api.status().healthy, 60)
    assert run.ended(90) == "success"
    assert run.xcom("a")["output"].strip() == "1"
    assert [s.session_id for s in run.sessions("a")] == [session.session_id]


def test_a_killed_coordinator_costs_no_agent(runs):
    run = runs.up([{"id": "a", "command": "sleep 4; echo there"}])
    run.at_work("a")
    with NodeClient("test") as client:
        os.kill(client.status().pid, signal.SIGKILL)
    assert run.ended() == "success"
    assert run.xcom("a")["output"] == "there"


def test_a_killed_worker_is_an_interruption_that_retries_mend(runs):
    run = runs.up([{"id": "a", "command": "sleep 3; echo there", "retries": 1, "retry_delay": 1}])
    run.at_work("a")
    with NodeClient("test") as client:
        os.kill(client.status().workers[0].pid, signal.SIGKILL)
    assert run.ended() == "success"
    assert [s.result.subtype for s in run.sessions("a")] == ["interrupted", "success"]


def test_a_killed_task_process_leaves_its_agent_to_the_next_try(runs, embedded_airflow):
    run = runs.up(
        [{"id": "a", "command": "echo x >> begun; sleep 8; wc -l < begun", "retries": 1, "retry_delay": 1}],
    )
    # In the moment between submitting and deferring.
    ti_id = run.task("a")["id"]
    process = embedded_airflow.eventually(lambda: _task_process(ti_id))
    session = embedded_airflow.eventually(lambda: next(iter(run.sessions("a")), None))
    process.kill()
    assert run.ended(90) == "success"
    assert run.tries("a") == 2
    assert run.xcom("a")["output"].strip() == "1"
    assert [s.session_id for s in run.sessions("a")] == [session.session_id]


def _task_process(ti_id: str) -> psutil.Process | None:
    """The process of a task instance: Airflow puts the id into its title, and into its supervisor's."""
    titles = ((one, " ".join(one.info["cmdline"] or ()).strip()) for one in psutil.process_iter(["cmdline"]))
    return next(
        (one for one, title in titles if title.endswith(ti_id) and "LocalExecutor" not in title), None
    )


PYTHON_DAG = """
from pathlib import Path
from airflow.sdk import DAG, Asset
from cis_provider.operators.agent import AgentOperator

def noted(context):
    Path(r"{mark}").write_text(context["ti"].task_id)

with DAG("{dag_id}", schedule=None):
    AgentOperator(task_id="a", agent_type="shell", prompt="sleep 3; echo made",
                  outlets=[Asset("{dag_id}-made")], on_success_callback=noted)
"""


def test_an_agent_with_assets_and_a_success_callback_ends_on_a_worker(runs, embedded_airflow, tmp_path):
    dag_id, mark = f"t{os.getpid()}-python", tmp_path / "mark"
    file = embedded_airflow.home / "dags" / "written_by_hand.py"
    file.write_text(PYTHON_DAG.format(mark=mark, dag_id=dag_id), encoding="utf-8")
    try:
        embedded_airflow.eventually(lambda: embedded_airflow.request(f"/api/v2/dags/{dag_id}")[0] == 200, 60)
        with connect() as airflow:
            airflow.pause(dag_id, False)
            started = airflow.trigger(dag_id, "by-hand", {}, dt.datetime.now(dt.UTC))
        run = runs.known(dag_id, started.dag_run_id)
        run.reaches("a", "success", "failed", seconds=60)
        assert run.task("a")["state"] == "success"
        assert run.xcom("a")["output"] == "made"
        assert embedded_airflow.eventually(mark.exists)
        status, events = embedded_airflow.request(f"/api/v2/assets/events?source_dag_id={dag_id}")
        assert (status, events["total_entries"]) == (200, 1)
    finally:
        file.unlink()


def test_a_bad_file_is_one_import_error_under_its_own_name_and_the_others_run(runs, embedded_airflow):
    good = runs.up([{"id": "a", "command": "true"}])
    bad = embedded_airflow.home / "dags" / "bad-one.yaml"
    bad.write_text("agents:\n  - id: a\n    type: shell\n    comand: echo\n", encoding="utf-8")

    def errors() -> list[dict[str, Any]]:
        found = embedded_airflow.request("/api/v2/importErrors")[1]["import_errors"]
        return [error for error in found if error["filename"].endswith("bad-one.yaml")]

    try:
        (error,) = embedded_airflow.eventually(errors, 30)
        assert "bad-one.yaml:4:5" in error["stack_trace"]
        assert 'did you mean "command"' in error["stack_trace"]
        dag = embedded_airflow.request(f"/api/v2/dags/{good.dag_id}")[1]
        assert (dag["is_stale"], dag["has_import_errors"]) == (False, False)
        assert runs.up([{"id": "a", "command": "true"}]).ended() == "success"
    finally:
        bad.unlink()
    embedded_airflow.eventually(lambda: not errors(), 30)
    assert good.ended() == "success"


def test_the_code_tab_shows_the_cis_file(runs, embedded_airflow):
    run = runs.up([{"id": "a", "command": "echo shown-in-code"}])
    status, source = embedded_airflow.request(f"/api/v2/dagSources/{run.dag_id}")
    assert status == 200
    assert "shown-in-code" in source["content"]
    assert run.ended() == "success"


def test_airflows_own_trigger_runs_it_with_params(runs, embedded_airflow):
    run = runs.up(
        [{"id": "a", "command": "echo {{ params.who }}"}], params={"who": {"type": "string", "default": "me"}}
    )
    assert run.ended() == "success"
    assert run.xcom("a")["output"] == "me"
    env = {**os.environ, **api.environment()}
    airflow = Path(sys.executable).with_name("airflow")
    command = [airflow, "dags", "trigger", run.dag_id, "--run-id", "typed", "--conf", '{"who": "you"}']
    subprocess.run(command, env=env, check=True, capture_output=True, timeout=60)
    typed = runs.known(run.dag_id, "typed")
    assert typed.ended() == "success"
    assert typed.xcom("a")["output"] == "you"


def test_a_stalled_triggerer_costs_no_agent(runs, embedded_airflow):
    run = runs.up([{"id": "a", "command": "echo x >> begun; sleep 6; wc -l < begun"}])
    run.at_work("a")
    stalled = embedded_airflow.processes("triggerer")
    for one in stalled:
        one.suspend()
    try:
        embedded_airflow.eventually(lambda: run.sessions("a")[0].has_ended)
    finally:
        for one in stalled:
            one.resume()
    assert run.ended(60) == "success"
    assert run.xcom("a")["output"].strip() == "1"


def test_an_agent_that_somebody_ended_is_not_retried(runs):
    run = runs.up([{"id": "a", "command": "sleep 300", "retries": 3, "retry_delay": 1}])
    session = run.at_work("a")
    with NodeClient("test") as client:
        client.end(session.session_id, "enough")
    assert run.ended() == "failed"
    assert run.tries("a") == 1
    assert run.xcom("a")["error"] == "enough"
