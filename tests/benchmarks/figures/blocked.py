"""
Agents that wait for a human: what they cost while they wait, and how long an answer takes to reach them.

Their program is a scripted one that speaks the Agent Client Protocol and notes when an answer reaches it. "From
the UI" is the request that Airflow's own form sends. The cost is that of everything (Airflow, node, workers,
agents) beyond what the same processes use in idleness.
"""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from kit.airflow import Airflow, write_cis_file
from kit.home import eventually
from kit.rows import Row, Scale, Target, spread

from cis_provider import paths
from cis_provider.cli.records import DagRun
from cis_provider.embedded import api as embedded
from cis_provider.model.blockage import Answer
from cis_provider.model.session import SessionRecord
from cis_provider.node.client import NodeClient

_MANY, _ONE = "bench-blocked", "bench-one-blocked"
#: Seconds in which a human reads a question.
_READS = 3.0
_TOUCHED = "steps run touch it | say done"


def install(scale: Scale) -> None:
    """Put the DAGs into this home."""
    count = _count(scale)
    write_cis_file(_MANY, [_agent(f"agent-{number:03}") for number in range(count)], max_workers=count)
    write_cis_file(_ONE, [_agent("agent")], max_active_runs=100)


def measure(airflow: Airflow, scale: Scale) -> list[Row]:
    """One after another by form and by command; then many at once."""
    airflow.unpause([_MANY, _ONE])
    times = scale.of(15, 3)
    form = [_answered(airflow, _by_form, reads=_READS) for _ in range(times)]
    hasty = [_answered(airflow, _by_form) for _ in range(scale.of(5, 1))]
    command = [_answered(airflow, _by_client) for _ in range(times)]
    process = [_answered(airflow, _by_command) for _ in range(times)]
    ends = [taken.end for taken in (*form, *command, *process)]
    to_form, to_command, to_process = ([one.delivery for one in some] for some in (form, command, process))
    return [
        Row("answer in the UI to the agent: p50", median(to_form), "s", target=Target.AT_MOST, limit=3,
            note=f"{times} times, {spread(to_form)}; from the form's request"),
        Row("answer in the UI in the form's first second, to the run's end: max",
            max(one.delivery + one.end for one in hasty), "s",
            note=f"of {len(hasty)}; Airflow then takes the late word of the process that asked for a failure"),
        Row("answer by `cis dag answer` to the agent: p50", median(to_command), "s",
            target=Target.AT_MOST, limit=0.2, note=f"{times} times, {spread(to_command)}; its client's call alone"),
        Row("the same, with the start of the command", median(to_process), "s", note=spread(to_process)),
        Row("agent's end to its run's end: max", max(ends), "s", target=Target.AT_MOST, limit=3,
            note=f"of {len(ends)}; p50 {median(ends):.2f} s"),
        *_many(airflow, scale),
    ]  # fmt: skip


def _many(airflow: Airflow, scale: Scale) -> list[Row]:
    count, idle = _count(scale), airflow.idle_share(10)
    run = _trigger(airflow, _MANY)
    began = time.monotonic()
    eventually(lambda: len(_blocked(run)) == count, 300, f"{count} agents are blocked", every=0.5)
    all_blocked = time.monotonic() - began
    eventually(lambda: len(_forms(airflow, run)) == count, 600, f"{count} forms are there", every=1.0)
    all_asked = time.monotonic() - began
    slots = sum(task.state in ("running", "queued") for task in _tasks(airflow, run))
    time.sleep(5)
    share = airflow.idle_share(scale.of(30, 10)) - idle
    began = time.monotonic()
    for form in _forms(airflow, run):
        _fill_in(airflow, run, form)
    eventually(lambda: airflow.api.run(run.dag_id, run.dag_run_id).finished, 600, "the run ends", every=0.5)
    state = airflow.api.run(run.dag_id, run.dag_run_id).state
    return [
        Row(f"{count} agents blocked at once: questions that are missing", count - len(_settled(run)), "",
            target=Target.AT_MOST, limit=0,
            note=f"blocked after {all_blocked:.0f} s, all forms there after {all_asked:.0f} s; the run ended: {state}"),
        Row(f"{count} agents blocked at once: worker slots", slots, "", target=Target.AT_MOST, limit=0),
        Row(f"{count} agents blocked at once: CPU of everything beyond idleness", 100 * share, "% of a core",
            target=Target.AT_MOST, limit=10, note=f"Airflow alone, idle: {100 * idle:.0f} %"),
        Row(f"{count} agents blocked at once: from the first answer to the run's end", time.monotonic() - began,
            "s"),
    ]  # fmt: skip


class _Taken:
    """
    One blocked agent, answered.

    :ivar delivery: Seconds from the answer to its arrival in the agent.
    :ivar end: Seconds from the session's end to the run's.
    """

    def __init__(self, delivery: float, end: float) -> None:
        self.delivery = delivery
        self.end = end


def _answered(airflow: Airflow, answer: Any, *, reads: float = 0.0) -> _Taken:
    run = _trigger(airflow, _ONE)
    eventually(lambda: _forms(airflow, run), 60, "the form is there")
    session = _blocked(run)[0]
    # The task must have deferred on its form, or the answer waits for the next look.
    eventually(lambda: all(task.state == "deferred" for task in _tasks(airflow, run)), 60, "all is asleep")
    time.sleep(reads)
    sent = time.time()
    answer(airflow, run, session)
    got = eventually(lambda: _arrival(session.session_id), 60, "the answer arrived", every=0.005)
    eventually(lambda: airflow.api.run(_ONE, run.dag_run_id).finished, 60, "the run ends")
    ended = airflow.api.run(_ONE, run.dag_run_id)
    if ended.state != "success" or ended.end_date is None:
        raise RuntimeError(f"{run.dag_run_id}: {ended.state}")
    [record] = _sessions(run)
    return _Taken(got - sent, ended.end_date.timestamp() - record.ended_at)


def _by_form(airflow: Airflow, run: DagRun, _session: SessionRecord) -> None:
    [form] = _forms(airflow, run)
    _fill_in(airflow, run, form)


def _by_client(_airflow: Airflow, _run: DagRun, session: SessionRecord) -> None:
    assert session.blockage is not None
    with NodeClient("bench") as node:
        node.answer(session.session_id, Answer(number=session.blockage.number, option="yes", by="cli:bench"))


def _by_command(_airflow: Airflow, run: DagRun, _session: SessionRecord) -> None:
    cis = Path(sys.executable).with_name("cis")
    subprocess.run(
        [cis, "dag", "answer", run.dag_run_id, "agent", "Allow"],
        check=True,
        timeout=30,
        stdout=subprocess.DEVNULL,
    )


def _agent(agent_id: str) -> dict[str, Any]:
    return {
        "id": agent_id,
        "type": "acp",
        "program": [sys.executable, "-m", "cis_provider.testing.fake_acp_agent"],
        "env": {"FAKE_ACP_HOME": str(_notes_folder())},
        "prompt": _TOUCHED,
    }


def _notes_folder() -> Path:
    folder = paths.cis_home() / "conversations-of-the-fake"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _arrival(session_id: str) -> float:
    """When the session's agent noted its answer, seconds since the epoch; 0: not yet."""
    with NodeClient("bench") as node:
        [record] = node.sessions(session_id=session_id)
    if record.settled:
        return record.settled[-1].settled_at
    return record.result.answers[-1].settled_at if record.result and record.result.answers else 0.0


def _trigger(airflow: Airflow, dag_id: str) -> DagRun:
    return airflow.api.trigger(dag_id, f"bench-{time.time_ns()}", {}, dt.datetime.now(dt.UTC))


def _tasks(airflow: Airflow, run: DagRun) -> list[Any]:
    return airflow.api.task_instances(run.dag_id, run.dag_run_id)


def _sessions(run: DagRun) -> list[SessionRecord]:
    with NodeClient("bench") as node:
        return node.sessions(dag_id=run.dag_id, run_id=run.dag_run_id)


def _blocked(run: DagRun) -> list[SessionRecord]:
    return [record for record in _sessions(run) if record.blockage]


def _settled(run: DagRun) -> list[SessionRecord]:
    return [record for record in _sessions(run) if record.result and record.result.answers]


def _forms(airflow: Airflow, run: DagRun) -> list[dict[str, Any]]:
    """Forms that nobody has filled in."""
    found = _request("GET", f"/api/v2/dags/{run.dag_id}/dagRuns/{run.dag_run_id}/hitlDetails?limit=1000")
    return [form for form in found["hitl_details"] if not form["response_received"]]


def _fill_in(airflow: Airflow, run: DagRun, form: dict[str, Any]) -> None:
    task = form["task_instance"]
    _request(
        "PATCH",
        f"/api/v2/dags/{run.dag_id}/dagRuns/{run.dag_run_id}/taskInstances/{task['task_id']}"
        f"/{task['map_index']}/hitlDetails",
        {"chosen_options": [form["options"][0]], "params_input": {}},
    )


def _request(method: str, path: str, body: Any = None) -> Any:
    import httpx

    found = embedded.endpoint()
    assert found is not None, "Airflow is gone"
    headers = {"Authorization": f"Bearer {embedded.bearer_token()}"}
    answer = httpx.request(method, found.url + path, json=body, headers=headers, timeout=30)
    answer.raise_for_status()
    return json.loads(answer.content)


def _count(scale: Scale) -> int:
    return scale.of(100, 10)
