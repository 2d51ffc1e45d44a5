"""
An agent of priority p3 at work in a pool of one slot, and agents of priority p0 that wait for that slot: how long
from the end of the agent's program to the success of its task.

An agent's task is ended by its trigger. A deferrable task that resumes on a worker would queue for its slot again,
behind the others. All agents are in one scope with ``exclusive: agent``, whose pool has one slot.
"""

from __future__ import annotations

import datetime as dt
import time
from statistics import median

from kit.airflow import Airflow, write_cis_file
from kit.home import eventually
from kit.rows import Row, Scale, Target, spread

from cis_provider.cli.records import DagRun
from cis_provider.model.session import SessionRecord
from cis_provider.node.client import NodeClient

_LOW, _HIGH = "bench-low", "bench-high"
_SCOPE = "project:bench-one-slot"
_WAITING = 3


def install() -> None:
    """Put the two DAGs into this home."""
    place = {"scope": _SCOPE, "exclusive": "agent", "max_active_runs": 100}
    low = {"id": "one", "type": "shell", "priority": "p3", "command": "sleep 5"}
    high = {"id": "one", "type": "shell", "priority": "p0", "command": "sleep 1.5"}
    write_cis_file(_LOW, [low], **place)
    write_cis_file(_HIGH, [high], **place)


def measure(airflow: Airflow, scale: Scale) -> list[Row]:
    """One at work, three waiting, again and again."""
    airflow.unpause([_LOW, _HIGH])
    low, all_of_them = [], []
    for _ in range(scale.of(8, 2)):
        first = _trigger(airflow, _LOW)
        eventually(lambda first=first: _session(first).pid, 60, "the first agent is at work")
        others = [_trigger(airflow, _HIGH) for _ in range(_WAITING)]
        runs = [first, *others]
        eventually(lambda others=others: all(_waits(airflow, run) for run in others), 60, "the others wait")
        if _session(first).has_ended:
            raise RuntimeError("the first agent ended before the others waited")
        eventually(lambda runs=runs: all(_run(airflow, run).finished for run in runs), 120, "all have ended")
        _assert_order(first, others)
        delays = [_delay(airflow, run) for run in runs]
        low.append(delays[0])
        all_of_them += delays
    return [
        Row("agent's end to its task's success, higher priorities waiting: p50", median(low), "s",
            note=f"{len(low)} times, {spread(low)}"),
        Row("agent's end to its task's success, higher priorities waiting: max", max(low), "s",
            target=Target.AT_MOST, limit=2),
        Row("agent's end to its task's success, in a pool of one slot: max", max(all_of_them), "s",
            target=Target.AT_MOST, limit=2, note=f"of {len(all_of_them)}; p50 {median(all_of_them):.2f} s"),
    ]  # fmt: skip


def _trigger(airflow: Airflow, dag_id: str) -> DagRun:
    return airflow.api.trigger(dag_id, f"bench-{time.time_ns()}", {}, dt.datetime.now(dt.UTC))


def _run(airflow: Airflow, run: DagRun) -> DagRun:
    return airflow.api.run(run.dag_id, run.dag_run_id)


def _waits(airflow: Airflow, run: DagRun) -> bool:
    """Its task is ready, and has no slot."""
    return [task.state for task in airflow.api.task_instances(run.dag_id, run.dag_run_id)] == ["scheduled"]


def _session(run: DagRun) -> SessionRecord:
    with NodeClient("bench") as node:
        return eventually(
            lambda: node.sessions(dag_id=run.dag_id, run_id=run.dag_run_id),
            60,
            f"{run.dag_run_id} has a session",
        )[-1]


def _assert_order(first: DagRun, others: list[DagRun]) -> None:
    """Otherwise nobody waited for its slot."""
    ended = _session(first).ended_at
    if early := [run for run in others if _session(run).started_at < ended]:
        raise RuntimeError(f"{len(early)} agents began beside the one that has the slot")


def _delay(airflow: Airflow, run: DagRun) -> float:
    (task,) = airflow.api.task_instances(run.dag_id, run.dag_run_id)
    if task.state != "success" or task.end_date is None:
        raise RuntimeError(f"{run.dag_run_id} of {run.dag_id}: {task.state}")
    return task.end_date.timestamp() - _session(run).ended_at
