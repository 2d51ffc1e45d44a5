"""Records as Airflow and the node would give them."""

from __future__ import annotations

from typing import Any

import pytest

from cis_provider.cli import rows
from cis_provider.cli.records import DagRun, TaskInstance
from cis_provider.model.result import AgentResult
from cis_provider.model.session import SessionKey, SessionRecord, SessionState


class Records:
    """Makes records of one run, ``r`` of ``d``, which is called ``run``."""

    #: Seconds since the epoch at which tests look.
    now = 1000.0

    def task(self, task_id: str, state: str | None, **more: Any) -> TaskInstance:
        """One task."""
        values = {"operator": "AgentOperator", "try_number": 1, **more}
        return TaskInstance(dag_id="d", dag_run_id="r", task_id=task_id, state=state, **values)

    def session(self, task_id: str, state: SessionState, **more: Any) -> SessionRecord:
        """One session."""
        values: dict[str, Any] = {
            "session_id": f"s-{task_id}",
            "key": SessionKey("d", "r", task_id, more.pop("map_index", -1)),
            "try_number": 1,
            "max_tries": 0,
            "agent_id": task_id,
            "agent_type": "shell",
            "scope": "global",
            "worker": "worker-global",
            "state": state,
            "created_at": 900.0,
            **more,
        }
        return SessionRecord(**values)

    def result(self, **more: Any) -> AgentResult:
        """What came of a session."""
        return AgentResult(**{"session_id": "s", "is_error": False, "subtype": "success", **more})

    def view(
        self,
        plan: rows.Plan,
        tasks: list[TaskInstance],
        sessions: list[SessionRecord] | None = None,
        *,
        state: str = "running",
    ) -> rows.RunView:
        """The run, put together."""
        run = DagRun(dag_id="d", dag_run_id="r", state=state)
        return rows.view(run, "run", tasks, sessions or [], plan, url="http://airflow/run", now=self.now)


@pytest.fixture
def records() -> Records:
    return Records()
