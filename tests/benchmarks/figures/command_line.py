"""
How long ``cis --help``, ``cis dag ps`` (on an Airflow that holds a thousand runs) and ``cis dag up`` take.

For ``up`` the clock runs from the command's start with a file that Airflow has never seen to the start of the
first agent's program.
"""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from kit.airflow import Airflow, write_cis_file
from kit.home import eventually
from kit.rows import Row, Scale, Target

from cis_provider import paths
from cis_provider.embedded import config, postgres, secrets
from cis_provider.node.client import NodeClient

_DAG = "bench-history"
_UNFINISHED = 5


def install() -> None:
    """Put the DAG of the thousand runs into this home."""
    agents: list[dict[str, Any]] = [
        {"id": "wait", "type": "shell", "command": "sleep 600"},
        {"id": "use", "type": "shell", "command": "true", "deps": ["wait"]},
    ]
    write_cis_file(_DAG, agents, max_workers=2 * _UNFINISHED)


def measure(airflow: Airflow, scale: Scale) -> list[Row]:
    """A few runs that are at work, and the rest of the thousand ended, as rows in the database."""
    airflow.unpause([_DAG])
    count = scale.of(1000, 100)
    _insert_ended_runs(count - _UNFINISHED)
    ids = [f"bench-{time.time_ns()}-{number}" for number in range(_UNFINISHED)]
    for run_id in ids:
        airflow.api.trigger(_DAG, run_id, {}, dt.datetime.now(dt.UTC))
    cis = str(Path(sys.executable).with_name("cis"))
    eventually(
        lambda: _output([cis, "dag", "ps"]).count("running") >= _UNFINISHED, 60, "five agents are at work"
    )
    times = scale.of(15, 3)
    environment = config.environment(os.environ)
    first = [_up(cis, number) for number in range(scale.of(7, 2))]
    airflow_command = [sys.executable, "-m", "airflow"]
    try:
        return [
            Row("cis --help", _seconds([cis, "--help"], times), "s",
                _seconds([*airflow_command, "--help"], scale.of(3, 1), environment), Target.AT_MOST, 0.2,
                f"median of {times}; the peer's: airflow --help"),
            Row(f"cis dag ps, {count} runs in Airflow", _seconds([cis, "dag", "ps"], times), "s",
                _seconds([*airflow_command, "dags", "list-runs", _DAG, "--state", "running"], scale.of(3, 1),
                         environment),
                Target.AT_MOST, 0.5,
                f"median of {times}; {_UNFINISHED} runs at work; the peer's: airflow dags list-runs --state running"),
            Row("cis dag up: from a new file to its first agent at work", median(first), "s",
                target=Target.AT_MOST, limit=5, note=f"median of {len(first)}, the slowest {max(first):.1f} s"),
        ]  # fmt: skip
    finally:
        for run_id in ids:
            airflow.api.fail_run(_DAG, run_id)


def _insert_ended_runs(count: int) -> None:
    keys = secrets.load()
    assert keys is not None
    postgres.locate().run_sql(
        f"""insert into dag_run (dag_id, run_id, state, run_type, run_after, logical_date, queued_at, start_date,
                                end_date, clear_number, log_template_id)
            select '{_DAG}', 'old-' || n, 'success', 'manual', now() - n * interval '1 hour',
                   now() - n * interval '1 hour', now() - n * interval '1 hour', now() - n * interval '1 hour',
                   now() - n * interval '1 hour' + interval '1 minute', 0, (select max(id) from log_template)
              from generate_series(1, {count}) as n""",
        password=keys.database_password,
    )


def _up(cis: str, number: int) -> float:
    """Seconds from the command to the start of the agent."""
    file = paths.cis_home() / f"bench-up-{number}.yaml"
    file.write_text("agents:\n  - {id: first, type: shell, command: 'true'}\n")
    began = time.time()
    _output([cis, "dag", "up", "-d", "-f", str(file)])

    def started() -> float:
        with NodeClient("bench") as node:
            return max((record.started_at for record in node.sessions(dag_id=file.stem)), default=0.0)

    return eventually(started, 60, f"the agent of {file.name} began") - began


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def _seconds(command: Sequence[str], times: int, environment: dict[str, str] | None = None) -> float:
    """Median wall seconds of a command, after one that is not counted."""
    taken = []
    for _ in range(times + 1):
        began = time.perf_counter()
        subprocess.run(command, env=environment, capture_output=True, timeout=60, check=True)
        taken.append(time.perf_counter() - began)
    return median(taken[1:])
