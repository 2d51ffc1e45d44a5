"""
An agent of priority p3 at work in a pool of one slot, and agents of priority p0 that wait for that slot: how long
from the end of the agent's program to the success of its task.

An agent's task is ended by its trigger. A deferrable task that resumes on a worker would queue for its slot again,
behind the others. All agents are in one scope with ``exclusive: agent``, whose pool has one slot.

An agent that ends half a second after its task has deferred waits for Airflow's triggerer, which takes up new
triggers once a second and writes down what they say once a second.
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

_LOW, _HIGH, _SHORT = "bench-low", "bench-high", "bench-short"
_SCOPE = "project:bench-one-slot"
_WAITING = 2


def install() -> None:
    """Put the two DAGs into this home."""
    place = {"scope": _SCOPE, "exclusive": "agent", "max_active_runs": 100}
    for dag_id, priority, seconds in ((_LOW, "p3", 5), (_HIGH, "p0", 4), (_SHORT, "p0", 1.5)):
        agent = {"id": "one", "type": "shell", "priority": priority, "command": f"sleep {seconds}"}
        write_cis_file(dag_id, [agent], **place)


def measure(airflow: Airflow, scale: Scale) -> list[Row]:
    """One at work, two waiting, again and again; then some that end early."""
    airflow.unpause([_LOW, _HIGH, _SHORT])
    low, all_of_them = [], []
    for _ in range(scale.of(6, 2)):
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
    short = []
    for _ in range(scale.of(6, 2)):
        run = _trigger(airflow, _SHORT)
        eventually(lambda run=run: _run(airflow, run).finished, 60, "a short one has ended")
        short.append(_delay(airflow, run))
    return [
        Row("agent's end to its task's success, higher priorities waiting: p50", median(low), "s",
            note=f"{len(low)} times, {spread(low)}"),
        Row("agent's end to its task's success, higher priorities waiting: max", max(low), "s",
            target=Target.AT_MOST, limit=2),
        Row("agent's end to its task's success, in a pool of one slot: max", max(all_of_them), "s",
            target=Target.AT_MOST, limit=2, note=f"of {len(all_of_them)}; p50 {median(all_of_them):.2f} s"),
        Row("agent's end to its task's success, ended just after it deferred: max", max(short), "s",
            note=f"of {len(short)}; p50 {median(short):.2f} s"),
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
