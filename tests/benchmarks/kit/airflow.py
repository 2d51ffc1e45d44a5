"""One embedded Airflow with the DAGs of the figures: our agents, and BashOperators beside them."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cis_provider import paths
from cis_provider.cli.airflow_api import AirflowApi
from cis_provider.cli.connect import connect
from cis_provider.cli.records import DagRun
from cis_provider.embedded import api as embedded
from cis_provider.embedded import state as states
from cis_provider.errors import NodeUnreachable
from kit.cpu import breakdown, family_seconds
from kit.home import eventually, node_processes

#: Seconds after a run in which its last processes end; they belong to what it costs.
SETTLE = 1.5

_PEER_FILE = '''"""The same work as the CIS files beside it, by Airflow's own operator."""
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

for dag_id, commands in {dags!r}.items():
    with DAG(dag_id, schedule=None, catchup=False, max_active_runs={max_active_runs}) as dag:
        before = None
        for name, command in commands.items():
            task = BashOperator(task_id=name, bash_command=command)
            if before is not None:
                before >> task
            before = task
    globals()[dag_id] = dag
'''


@dataclass(frozen=True)
class Ran:
    """
    Some runs that have ended.

    :param seconds: From the first one's beginning to the last one's end, by Airflow's own clock.
    :param parts: CPU seconds in that time by process, with all that descends from it; Airflow's idle ones
        included. Tasks are the scheduler's.
    """

    runs: list[DagRun]
    seconds: float
    parts: dict[str, float]

    @property
    def cpu(self) -> float:
        """CPU seconds of all processes together."""
        return sum(self.parts.values())

    @property
    def failed(self) -> int:
        """How many did not succeed."""
        return sum(run.state != "success" for run in self.runs)


class Airflow:
    """A running embedded Airflow. Its home is in the environment."""

    def __init__(self, api: AirflowApi) -> None:
        self.api = api

    def roots(self) -> dict[str, int]:
        """What to sum CPU time over: the supervisor of Airflow, the coordinator, the scope workers."""
        state = states.read_living()
        assert state is not None, "Airflow is gone"
        found = {"supervisor": state.supervisor.pid}
        try:
            return found | node_processes()
        except NodeUnreachable:
            return found

    def components(self) -> dict[str, int]:
        """Pids of Airflow's components and of the node's processes."""
        state = states.read_living()
        assert state is not None, "Airflow is gone"
        parts = {name: process.pid for name, process in state.processes.items() if process.pid}
        return self.roots() | parts

    def unpause(self, dag_ids: Sequence[str]) -> None:
        """Wait until Airflow serves these DAGs, and switch them on."""
        embedded.request_parse()
        for dag_id in dag_ids:
            eventually(
                lambda dag_id=dag_id: self.api.dag(dag_id), 60, f"Airflow has the DAG {dag_id}", every=0.3
            )
            self.api.pause(dag_id, False)

    def run(self, dag_id: str, count: int = 1, *, deadline: float = 300.0) -> Ran:
        """Trigger so many runs at once, and wait for the end of all."""
        return self.run_each([dag_id] * count, deadline=deadline)

    def run_each(self, dag_ids: Sequence[str], *, deadline: float = 300.0) -> Ran:
        """Trigger a run of each DAG at once, and wait for the end of all."""
        before, count = breakdown(self.components()), len(dag_ids)
        prefix = f"bench-{time.time_ns()}"
        for number, dag_id in enumerate(dag_ids):
            self.api.trigger(dag_id, f"{prefix}-{number}", {}, dt.datetime.now(dt.UTC))
        # A question to the REST API costs CPU: seldom where there are many runs.
        if count == 1:
            run_id = f"{prefix}-0"
            eventually(
                lambda: self.api.run(dag_ids[0], run_id).finished, deadline, f"{run_id} ends", every=0.2
            )
        else:
            eventually(lambda: not self._unfinished(prefix), deadline, f"all runs {prefix} end", every=1.0)
        time.sleep(SETTLE)
        after = breakdown(self.components())
        parts = {name: seconds - before.get(name, 0.0) for name, seconds in after.items()}
        runs = self.api.runs(run_id_prefix=prefix, limit=count)
        began = min(run.queued_at for run in runs if run.queued_at)
        ended = max(run.end_date for run in runs if run.end_date)
        return Ran(runs, (ended - began).total_seconds(), parts)

    def idle_share(self, seconds: float = 5.0) -> float:
        """CPU seconds that everything uses in a second without work."""
        before, began = family_seconds(self.roots().values()), time.monotonic()
        time.sleep(seconds)
        return (family_seconds(self.roots().values()) - before) / (time.monotonic() - began)

    def _unfinished(self, prefix: str) -> bool:
        return bool(self.api.runs(run_id_prefix=prefix, states=("queued", "running"), limit=1))


def write_cis_file(name: str, agents: list[dict[str, Any]], **dag: Any) -> None:
    """Put a CIS file into this home's DAG folder."""
    paths.dags_dir().mkdir(parents=True, exist_ok=True)
    (paths.dags_dir() / f"{name}.json").write_text(json.dumps({"name": name, "agents": agents, **dag}))


def write_peers(file: str, dags: dict[str, dict[str, str]], *, max_active_runs: int = 16) -> None:
    """
    Put a DAG file with chains of BashOperators beside the CIS files.

    :param dags: Commands by task id, by DAG id.
    """
    paths.dags_dir().mkdir(parents=True, exist_ok=True)
    text = _PEER_FILE.format(dags=dags, max_active_runs=max_active_runs)
    (paths.dags_dir() / f"{file}.py").write_text(text)


@contextmanager
def running_airflow() -> Iterator[Airflow]:
    """The embedded Airflow of the home in the environment, from its start to its stop."""
    try:
        embedded.start(wait=120)
        with connect() as api:
            yield Airflow(api)
    finally:
        embedded.stop()
