"""
Two hundred agents that sleep for a minute, in one DAG, on an Airflow with ``parallelism = 8``.

A BashOperator would keep its slot: 8 of them at work at once, whatever the pool says. That is arithmetic, and
is not run here (it would take 25 minutes).
"""

from __future__ import annotations

import datetime as dt
import time

from kit.airflow import Airflow, write_cis_file
from kit.cpu import rss_mb
from kit.home import node_processes
from kit.rows import Row, Scale, Target

from cis_provider.cli.records import RUNNING_STATES
from cis_provider.node.client import NodeClient

_OURS, _WARM_UP = "bench-sleepers", "bench-one-sleeper"
_PARALLELISM = 8
_WORKER = "worker-global"


def install(scale: Scale) -> None:
    """Put the DAG into this home."""
    count, seconds = _size(scale)
    agents = [
        {"id": f"sleeper-{number:03}", "type": "shell", "command": f"sleep {seconds}"}
        for number in range(count)
    ]
    write_cis_file(_OURS, agents, max_workers=count)
    write_cis_file(_WARM_UP, [{"id": "one", "type": "shell", "command": "true"}])


def measure(airflow: Airflow, scale: Scale) -> list[Row]:
    """Count sessions at work, four times a second, until the run ends."""
    count, seconds = _size(scale)
    airflow.unpause([_OURS, _WARM_UP])
    airflow.run(_WARM_UP)  # so that there is a worker, to see its memory before
    pid = node_processes()[_WORKER]
    before = rss_mb(pid)
    run = airflow.api.trigger(_OURS, f"bench-{time.time_ns()}", {}, dt.datetime.now(dt.UTC))
    began, most, all_after, full = time.monotonic(), 0, 0.0, before
    while time.monotonic() - began < 6 * seconds + 120:
        at_work = _at_work()
        if at_work > most:
            most, all_after, full = at_work, time.monotonic() - began, rss_mb(pid)
        if at_work == 0 and most and airflow.api.run(_OURS, run.dag_run_id).state not in RUNNING_STATES:
            break
        time.sleep(0.25)
    state = airflow.api.run(_OURS, run.dag_run_id).state
    return [
        Row(f"{count} agents of {seconds} s: at work at once", most, "agents", _PARALLELISM, Target.AT_LEAST, count,
            "the peer's number is its slots"),
        Row(f"{count} agents of {seconds} s: until all are at work", all_after, "s",
            note=f"from the trigger; {count / max(all_after, 0.01):.1f} a second; the run ended: {state}"),
        Row(f"{count} agents of {seconds} s: memory of the worker for each", (full - before) / max(most, 1), "MB",
            target=Target.AT_MOST, limit=1, note=f"{before:.0f} MB before, {full:.0f} MB with all"),
    ]  # fmt: skip


def _size(scale: Scale) -> tuple[int, int]:
    return scale.of(200, 20), scale.of(60, 15)


def _at_work() -> int:
    with NodeClient("bench", start=False) as node:
        return node.status().running
