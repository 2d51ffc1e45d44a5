"""
Brings the task that asks for an agent back when the agent is cleared without it.

It had ended with the agent, and Airflow clears what it is told to, in a running and in a finished run. Nobody
would ask then. What a human did to the task itself stays as it is.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

log = logging.getLogger(__name__)

#: Class of the tasks, as Airflow's database has it, and what their ids begin with.
OPERATOR, PREFIX = "InterventionSensor", "interventions."

#: How they end by themselves.
_ENDED = ("skipped", "success")

_OVER = ("success", "failed", "skipped", "upstream_failed", "removed")

#: Seconds by which the task may end later than a new try of its agent begins: it had seen the end of the one before,
#: and the trigger's word of that takes a moment.
_LATE = 3.0

#: Tasks that one look brings back; the next look does the others.
_AT_A_TIME = 50


def bring_back() -> int:
    """
    Clear those that had ended when the agent's try that is at work began.

    One query when there is nothing to do. Opens its own session; trouble with the database is logged, not raised.

    :return: How many there were.
    """
    try:
        from airflow.utils.session import create_session

        with create_session() as session:
            return _bring_back(session)
    except Exception as error:
        log.error("tasks that ask humans could not be brought back; it is tried again: %s", error)
        return 0


def _bring_back(session: Session) -> int:
    from airflow.models.taskinstance import TaskInstance, clear_task_instances
    from sqlalchemy import select

    found = session.execute(_ended_beside_agents_at_work()).all()
    lost = {
        ti_id for ti_id, ended, began in found if began is None or (began - ended).total_seconds() > -_LATE
    }
    if not lost:
        return 0
    # Another triggerer's sweep may be at it.
    rows = session.scalars(
        select(TaskInstance)
        .where(TaskInstance.id.in_(sorted(lost)[:_AT_A_TIME]), TaskInstance.state.in_(_ENDED))
        .with_for_update(of=TaskInstance, skip_locked=True)
    ).all()
    if not rows:
        return 0
    clear_task_instances(list(rows), session, dag_run_state=False)
    for task in rows:
        log.info("%s of run %s of %s is back: its agent was cleared", task.task_id, task.run_id, task.dag_id)
    return len(rows)


def _ended_beside_agents_at_work() -> Any:
    """Ids of tasks and when they ended, and when their agents began; a mapped agent's parts are rows of their own."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import or_, select
    from sqlalchemy.orm import aliased

    agent = aliased(TaskInstance)
    return (
        select(TaskInstance.id, TaskInstance.end_date, agent.start_date)
        .join(DagRun, (DagRun.dag_id == TaskInstance.dag_id) & (DagRun.run_id == TaskInstance.run_id))
        .join(
            agent,
            (agent.dag_id == TaskInstance.dag_id)
            & (agent.run_id == TaskInstance.run_id)
            & (TaskInstance.task_id == PREFIX + agent.task_id),
        )
        .where(
            DagRun.state.in_(("queued", "running")),
            TaskInstance.operator == OPERATOR,
            TaskInstance.state.in_(_ENDED),
            TaskInstance.end_date.is_not(None),
            or_(agent.state.is_(None), agent.state.not_in(_OVER)),
        )
    )
