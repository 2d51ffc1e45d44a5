"""
Airflow's REST API, as far as ``cis`` needs it.

Nothing here decides anything. Answers are records with the fields that we read; the others are dropped.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from cis_provider.cli.airflow_http import PAGE, AirflowHttp
from cis_provider.cli.airflow_http import login as login
from cis_provider.cli.records import (
    RUNNING_STATES,
    Dag,
    DagRun,
    HumanQuestion,
    ImportFailure,
    LogLine,
    Pool,
    Task,
    TaskInstance,
)
from cis_provider.errors import AirflowRefused


class AirflowApi(AirflowHttp):
    """A client of one Airflow; a context manager. See :class:`AirflowHttp` for what is raised."""

    # --- runs ---------------------------------------------------------------------------------------

    def runs(
        self,
        *,
        dag_id: str = "~",
        states: Sequence[str] = (),
        run_id_prefix: str = "",
        limit: int = PAGE,
    ) -> list[DagRun]:
        """Runs, the newest first; of every DAG unless one is named. Pages until ``limit`` are there."""
        query: dict[str, Any] = {"order_by": "-id"}
        if states:
            query["state"] = list(states)
        if run_id_prefix:
            query["run_id_prefix_pattern"] = run_id_prefix
        return list(
            self._pages("GET", f"dags/{_part(dag_id)}/dagRuns", "dag_runs", DagRun, query, limit=limit)
        )

    def unfinished(self) -> list[DagRun]:
        """All runs that have not ended, of every DAG, the oldest first."""
        return self.runs(states=RUNNING_STATES, limit=10_000)[::-1]

    def run(self, dag_id: str, run_id: str) -> DagRun:
        """One run."""
        return self._get(f"dags/{_part(dag_id)}/dagRuns/{_part(run_id)}", DagRun)

    def trigger(self, dag_id: str, run_id: str, conf: dict[str, Any], now: dt.datetime) -> DagRun:
        """Begin a run. With a logical date, as the Trigger button does: templates may use it."""
        body = {
            "dag_run_id": run_id,
            "logical_date": now.isoformat(),
            "run_after": now.isoformat(),
            "conf": conf,
        }
        return self._send("POST", f"dags/{_part(dag_id)}/dagRuns", body, DagRun)

    def fail_run(self, dag_id: str, run_id: str) -> DagRun:
        """Mark a run failed: what is at work is ended, what has not begun is skipped."""
        return self._send(
            "PATCH", f"dags/{_part(dag_id)}/dagRuns/{_part(run_id)}", {"state": "failed"}, DagRun
        )

    # --- tasks --------------------------------------------------------------------------------------

    def task_instances(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        """Every task of a run."""
        path = f"dags/{_part(dag_id)}/dagRuns/{_part(run_id)}/taskInstances"
        return list(self._pages("GET", path, "task_instances", TaskInstance, {}))

    def task_instances_of(self, runs: Iterable[DagRun]) -> list[TaskInstance]:
        """Every task of several runs, in few requests."""
        found: list[TaskInstance] = []
        wanted = list(runs)
        for first in range(0, len(wanted), PAGE):
            chunk = wanted[first : first + PAGE]
            body = {
                "dag_ids": sorted({run.dag_id for run in chunk}),
                "dag_run_ids": sorted({run.dag_run_id for run in chunk}),
            }
            path = "dags/~/dagRuns/~/taskInstances/list"
            keys = {(run.dag_id, run.dag_run_id) for run in chunk}
            found += (
                ti
                for ti in self._pages("POST", path, "task_instances", TaskInstance, body)
                if (ti.dag_id, ti.dag_run_id) in keys
            )
        return found

    def tasks(self, dag_id: str) -> list[Task]:
        """The tasks of a DAG as it is now."""
        return self._get(f"dags/{_part(dag_id)}/tasks", _Tasks).tasks

    def questions(self, dag_id: str, run_id: str) -> list[HumanQuestion]:
        """What a run asks humans and nobody has answered."""
        path = f"dags/{_part(dag_id)}/dagRuns/{_part(run_id)}/hitlDetails"
        found = self._pages("GET", path, "hitl_details", HumanQuestion, {"response_received": "false"})
        return [one for one in found if not one.response_received]

    def answer_question(
        self, ti: TaskInstance, options: Sequence[str], params: dict[str, Any] | None = None
    ) -> None:
        """
        Answer what a task asks.

        :raises AirflowRefused: 400: no such option; 403: others are asked; 409: it has an answer already.
        """
        path = (
            f"dags/{_part(ti.dag_id)}/dagRuns/{_part(ti.dag_run_id)}/taskInstances/{_part(ti.task_id)}"
            f"/{ti.map_index}/hitlDetails"
        )
        body = {"chosen_options": list(options), "params_input": params or {}}
        self._send("PATCH", path, body, dict[str, Any])

    def clear(self, dag_id: str, run_id: str, *task_ids: str, dry_run: bool = False) -> list[TaskInstance]:
        """Do tasks and what comes after them again. Gives what was (or would be) cleared."""
        body = {
            "dry_run": dry_run,
            "dag_run_id": run_id,
            "task_ids": list(task_ids),
            "include_downstream": True,
            "only_failed": False,
            "reset_dag_runs": True,
        }
        return self._send(
            "POST", f"dags/{_part(dag_id)}/clearTaskInstances", body, _TaskInstances
        ).task_instances

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str, map_index: int = -1) -> Any:
        """A value that a task handed on, None where there is none."""
        path = (
            f"dags/{_part(dag_id)}/dagRuns/{_part(run_id)}/taskInstances/{_part(task_id)}/xcomEntries/{key}"
        )
        try:
            return self._get(path, _XCom, {"map_index": map_index}).value
        except AirflowRefused as error:
            if error.status == 404:
                return None
            raise

    def log(self, ti: TaskInstance) -> list[LogLine]:
        """What Airflow has of a try's log."""
        path = (
            f"dags/{_part(ti.dag_id)}/dagRuns/{_part(ti.dag_run_id)}/taskInstances/{_part(ti.task_id)}"
            f"/logs/{max(ti.try_number, 1)}"
        )
        answer = self._get(path, _Log, {"map_index": ti.map_index, "full_content": "true"})
        return _log_lines(answer.content)

    # --- DAGs ---------------------------------------------------------------------------------------

    def dags(self) -> list[Dag]:
        """Every DAG that Airflow serves now."""
        return list(self._pages("GET", "dags", "dags", Dag, {"order_by": "dag_id"}))

    def dag(self, dag_id: str) -> Dag | None:
        """A DAG with its params; None where Airflow has none of that id."""
        try:
            return self._get(f"dags/{_part(dag_id)}/details", Dag)
        except AirflowRefused as error:
            if error.status == 404:
                return None
            raise

    def source(self, dag_id: str) -> str | None:
        """The text behind a DAG, as the Code tab shows it."""
        try:
            return self._get(f"dagSources/{_part(dag_id)}", _Source).content
        except AirflowRefused as error:
            if error.status == 404:
                return None
            raise

    def import_failures(self) -> list[ImportFailure]:
        """Files that Airflow could not read."""
        return list(self._pages("GET", "importErrors", "import_errors", ImportFailure, {}))

    def pause(self, dag_id: str, paused: bool) -> None:
        """Switch a DAG off or on."""
        self._send("PATCH", f"dags/{_part(dag_id)}", {"is_paused": paused}, Dag)

    def parse(self, file_token: str) -> None:
        """Ask for a parse of a DAG's file at once."""
        self._request("PUT", f"parseDagFile/{file_token}")

    def health(self) -> dict[str, Any]:
        """The state of each part of Airflow."""
        return self._get("monitor/health", dict[str, Any])

    # --- pools --------------------------------------------------------------------------------------

    def pools(self, prefix: str = "") -> list[Pool]:
        """Pools whose name begins so, by name."""
        # Narrowed here, too: an Airflow that does not know the filter gives all of them.
        query = {"pool_name_prefix_pattern": prefix, "order_by": "name"}
        found = self._pages("GET", "pools", "pools", Pool, query)
        return sorted((pool for pool in found if pool.name.startswith(prefix)), key=lambda pool: pool.name)

    def make_pool(self, name: str, slots: int, description: str) -> bool:
        """Make a pool that counts deferred tasks. ``False``: there is one of that name already."""
        body = {"name": name, "slots": slots, "description": description, "include_deferred": True}
        try:
            self._send("POST", "pools", body, Pool)
        except AirflowRefused as error:
            if error.status == 409:
                return False
            raise
        return True

    def change_pool(self, pool: Pool, slots: int, description: str) -> None:
        """Give a pool another number of slots."""
        body = {
            "pool": pool.name,
            "slots": slots,
            "description": description,
            "include_deferred": pool.include_deferred,
        }
        self._send("PATCH", f"pools/{_part(pool.name)}", body, Pool)

    def delete_pool(self, name: str) -> None:
        """Delete a pool; one that is gone already is fine."""
        try:
            self._request("DELETE", f"pools/{_part(name)}")
        except AirflowRefused as error:
            if error.status != 404:
                raise


class _Tasks(msgspec.Struct):
    tasks: list[Task]


class _TaskInstances(msgspec.Struct):
    task_instances: list[TaskInstance]


class _XCom(msgspec.Struct):
    value: Any = None


class _Source(msgspec.Struct):
    content: str | None = None


class _Log(msgspec.Struct):
    content: list[Any]


def _log_lines(events: Iterable[Any]) -> list[LogLine]:
    """A structured log as lines, without where it was read and the marks that fold groups in the UI."""
    lines: list[LogLine] = []
    in_head = False
    for event in events:
        record = event if isinstance(event, dict) else {"event": event}
        text = str(record.get("event", ""))
        if text.startswith("::"):
            in_head = text.startswith("::group::Log message source")
        elif not in_head:
            raised = record.get("error_detail") or ()
            words = [str(one.get("exc_value", "")) for one in raised[:1]] or text.splitlines()
            lines += (LogLine(word, bool(raised)) for word in words)
    return lines


def _part(text: str) -> str:
    return quote(text, safe="~")
