"""Ask Airflow and the node, and put together what a person reads."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from cis_provider import paths
from cis_provider.cli import rows, runs
from cis_provider.cli.airflow_api import AirflowApi
from cis_provider.cli.connect import named_url
from cis_provider.cli.questions import asked_of
from cis_provider.cli.records import RUNNING_STATES, DagRun, LogLine, TaskInstance
from cis_provider.cli.status import PlanAgent
from cis_provider.errors import AirflowRefused, UnreachableError

if TYPE_CHECKING:
    from cis_provider.model.session import SessionRecord
    from cis_provider.node.client import NodeClient

#: Agents of one run whose reason for failing is looked for in Airflow's log, a request each.
_REASONS = 10


class Gatherer:
    """
    One command's view of Airflow and the node; a context manager.

    A node that does not run is no error here: its agents simply show no output.

    :param needs_node: Start the coordinator if it is gone: what its agents ask must be known.
    """

    def __init__(self, api: AirflowApi, *, needs_node: bool = False) -> None:
        self.api = api
        # Where no agent was ever at work, there is nothing to be known.
        self._starts = needs_node and paths.session_dir("any").parent.is_dir()
        self._node: NodeClient | None = None
        self._plans: dict[str, rows.Plan] = {}
        self._failures: dict[tuple[str, str, str, int], str] = {}

    def __enter__(self) -> Gatherer:
        self.api.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.api.__exit__()
        self._close_node()

    # --- runs ---------------------------------------------------------------------------------------

    def find(self, text: str) -> tuple[DagRun, str, int | None]:
        """
        The run that is meant, what it is called, and an agent's place where an agent's ID was given.

        :raises UsageError: None is meant, or more than one.
        """
        found, position = runs.resolve(text, AirflowLookup(self.api))
        run = self.api.run(found.dag_id, found.dag_run_id)
        return run, self.name_of(run), position

    def name_of(self, run: DagRun) -> str:
        """What a run is called."""
        return runs.given_name(run.dag_run_id) or self._names([run])[run.dag_id, run.dag_run_id]

    def view(self, run: DagRun, name: str) -> rows.RunView:
        """A run as it is now."""
        return self._view(run, name, self.api.task_instances(run.dag_id, run.dag_run_id))

    def unfinished(self) -> list[rows.RunView]:
        """All runs that have not ended, the oldest first."""
        found = self.api.unfinished()
        names = self._names(found)
        by_run: dict[tuple[str, str], list[TaskInstance]] = {}
        for ti in self.api.task_instances_of(found):
            by_run.setdefault((ti.dag_id, ti.dag_run_id), []).append(ti)
        keys = [(run.dag_id, run.dag_run_id) for run in found]
        return [
            self._view(run, names[key], by_run.get(key, [])) for run, key in zip(found, keys, strict=True)
        ]

    def _view(self, run: DagRun, name: str, tasks: Sequence[TaskInstance]) -> rows.RunView:
        asking = any(rows.asks(ti) for ti in tasks)
        tasks = [ti for ti in tasks if not rows.asks(ti)]
        states = {ti.state for ti in tasks}
        turn = self._turn(run) if "up_for_reschedule" in states else ""
        sessions = self.sessions(run.dag_id, run.dag_run_id)
        view = rows.view(
            run,
            name,
            tasks,
            sessions,
            self.plan(run.dag_id),
            asked=self._asked(run, tasks, sessions, asking),
            url=self.page(run),
            now=time.time(),
            turn=turn,
            off=not turn and run.state == "running" and rows.stands_still(states) and self._is_off(run),
        )
        unexplained = [row for row in view.agents if row.status == "failed" and not row.session_id]
        reasons = {row: reason for row in unexplained[:_REASONS] if (reason := self._reason(row))}
        return rows.with_reasons(view, reasons)

    def _asked(
        self, run: DagRun, tasks: Sequence[TaskInstance], sessions: Iterable[SessionRecord], asking: bool
    ) -> dict[tuple[str, int], rows.Asked]:
        """What Airflow asks humans for a run, of steps that are no agents of this node."""
        here = {(record.key.task_id, record.key.map_index) for record in sessions}
        elsewhere = [
            ti
            for ti in tasks
            if rows.at_work(ti)
            and (ti.task_id, ti.map_index) not in here
            and (asking or ti.operator == rows.HUMAN_OPERATOR)
        ]
        if not elsewhere:
            return {}
        try:
            return asked_of(self.api.questions(run.dag_id, run.dag_run_id))
        except AirflowRefused:  # an Airflow whose user may not see them
            return {}

    def airflow_log(self, row: rows.Row) -> list[LogLine]:
        """What Airflow has of the log of an agent's last try; nothing where it has none."""
        if not row.try_number:
            return []
        ti = TaskInstance(
            dag_id=row.dag_id,
            dag_run_id=row.run_id,
            task_id=row.agent,
            map_index=row.map_index,
            try_number=row.try_number,
        )
        try:
            return self.api.log(ti)
        except AirflowRefused:
            return []

    def _reason(self, row: rows.Row) -> str:
        """Why an agent failed that never became a session: an unset variable, an unknown runtime."""
        key = (row.dag_id, row.run_id, row.title, row.try_number)
        if key not in self._failures:
            raised = [line.text for line in self.airflow_log(row) if line.raised]
            self._failures[key] = raised[-1] if raised else ""
        return self._failures[key]

    def _names(self, found: Iterable[DagRun]) -> dict[tuple[str, str], str]:
        everyone = list(found)
        unnamed = {run.dag_id for run in everyone if runs.given_name(run.dag_run_id) is None}
        latest = {}
        for dag_id in unnamed:
            newest = self.api.runs(dag_id=dag_id, limit=1)
            if newest:
                latest[dag_id] = newest[0].dag_run_id
        return runs.shown_names(everyone, latest)

    def page(self, run: DagRun) -> str:
        """Address of a run's page in Airflow."""
        return f"{self.api.url}/dags/{quote(run.dag_id)}/runs/{quote(run.dag_run_id)}"

    def plan(self, dag_id: str) -> rows.Plan:
        """The agents of a DAG, in the order of its file."""
        if dag_id not in self._plans:
            self._plans[dag_id] = self._plan(dag_id)
        return self._plans[dag_id]

    def _plan(self, dag_id: str) -> rows.Plan:
        if not named_url():
            from dag_factory.index import find_entry

            entry = find_entry(paths.dags_dir(), dag_id)
            if entry is not None:
                return tuple(PlanAgent(one.id, one.position, one.deps) for one in entry.agents)
        try:
            return rows.plan_from_tasks(self.api.tasks(dag_id))
        except AirflowRefused as error:
            if error.status == 404:  # the DAG is gone, its runs are not
                return ()
            raise

    # --- the node -----------------------------------------------------------------------------------

    def sessions(self, dag_id: str, run_id: str) -> list[SessionRecord]:
        """The node's sessions of a run; none where no coordinator answers."""
        for _attempt in range(1 + self._starts):
            node = self.node()
            if node is None:
                break
            try:
                return node.sessions(dag_id=dag_id, run_id=run_id)
            except (UnreachableError, OSError):
                self._close_node()
        return []

    def _turn(self, run: DagRun) -> str:
        """What a run waits for; empty where it does not wait for its turn, or not any more."""
        unknown = "its turn"
        node = self.node()
        if node is None:
            return unknown
        try:
            turns = node.turns()
        except (UnreachableError, OSError):
            self._close_node()
            return unknown
        mine = [turn for turn in turns if (turn.dag_id, turn.run_id) == (run.dag_id, run.dag_run_id)]
        return next((turn.waiting_for for turn in mine if turn.waiting_for), "")

    def _is_off(self, run: DagRun) -> bool:
        dag = self.api.dag(run.dag_id)
        return dag is not None and dag.is_paused

    def node(self) -> NodeClient | None:
        """A client of this node's coordinator; None where none answers."""
        if self._node is None:
            from cis_provider.node.client import NodeClient

            try:
                self._node = NodeClient("cli", start=self._starts, timeout=5.0).__enter__()
            except UnreachableError:
                return None
        return self._node

    def _close_node(self) -> None:
        if self._node is not None:
            self._node.__exit__(None, None, None)
            self._node = None


class AirflowLookup:
    """Answers for :func:`cis_provider.cli.runs.resolve`."""

    def __init__(self, api: AirflowApi) -> None:
        self._api = api

    def starting_with(self, prefix: str, dag_id: str | None) -> Sequence[DagRun]:
        """The newest, and those that have not ended, however many began after them."""
        owner = dag_id or "~"
        try:
            newest = self._api.runs(dag_id=owner, run_id_prefix=prefix)
            held = self._api.runs(dag_id=owner, run_id_prefix=f"{prefix}__", states=RUNNING_STATES)
        except AirflowRefused as error:
            if error.status == 404:
                return []
            raise
        seen = {(run.dag_id, run.dag_run_id) for run in newest}
        return newest + [run for run in held if (run.dag_id, run.dag_run_id) not in seen]

    def latest(self, dag_id: str) -> DagRun | None:
        try:
            newest = self._api.runs(dag_id=dag_id, limit=1)
        except AirflowRefused as error:
            if error.status == 404:
                return None
            raise
        return newest[0] if newest else None

    def has_dag(self, dag_id: str) -> bool:
        return self._api.dag(dag_id) is not None

    def known_names(self) -> Collection[str]:
        recent = self._api.runs(limit=100)
        names = {runs.given_name(run.dag_run_id) or run.dag_run_id for run in recent}
        return names | {dag.dag_id for dag in self._api.dags()}
