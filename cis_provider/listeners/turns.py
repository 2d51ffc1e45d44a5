"""What the sweep reads and moves in Airflow's database for turns and limits of scopes."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from typing import TYPE_CHECKING

from cis_provider.listeners.callbacks import AGENT_OPERATORS
from cis_provider.model.scope import TaskScope
from cis_provider.pools import dag_pool_name, scope_pool_name
from cis_provider.wire.messages import TurnInfo

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def bring_forward(turns: Collection[TurnInfo], session: Session) -> int:
    """
    Let the waiting tasks of runs whose turn has come be scheduled now, not at the time they said.

    :return: How many there were.
    """
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.taskreschedule import TaskReschedule
    from sqlalchemy import and_, or_, select, update

    due = [
        and_(
            TaskInstance.dag_id == turn.dag_id,
            TaskInstance.run_id == turn.run_id,
            # A coordinator that was started again does not know which tasks asked the one before.
            TaskInstance.task_id.in_({task_id for task_id, _ in turn.tasks})
            if turn.tasks
            else TaskInstance.operator.in_(AGENT_OPERATORS),
        )
        for turn in turns
        if not turn.waiting_for and (turn.tasks or not turn.arrived)
    ]
    if not due:
        return 0
    waiting = session.scalars(
        select(TaskInstance.id).where(or_(*due), TaskInstance.state == "up_for_reschedule")
    ).all()
    if not waiting:
        return 0
    now = datetime.datetime.now(tz=datetime.UTC)
    moved = session.execute(
        update(TaskReschedule)
        .where(TaskReschedule.ti_id.in_(waiting), TaskReschedule.reschedule_date > now)
        .values(reschedule_date=now)
        .execution_options(synchronize_session=False)
    )
    return int(getattr(moved, "rowcount", 0))


def pool_slots(
    scopes: Collection[str], dag_ids: Collection[str], session: Session
) -> tuple[dict[str, int], dict[str, int]]:
    """Slots of pools as they are now, by the scope's text and by the DAG's id; no entry where there is none."""
    from airflow.models.pool import Pool
    from sqlalchemy import select

    of_scopes = {scope_pool_name(TaskScope.parse(scope)): scope for scope in scopes}
    of_dags = {dag_pool_name(dag_id): dag_id for dag_id in dag_ids}
    rows = session.execute(select(Pool.pool, Pool.slots).where(Pool.pool.in_([*of_scopes, *of_dags]))).all()
    return (
        {of_scopes[name]: slots for name, slots in rows if name in of_scopes},
        {of_dags[name]: slots for name, slots in rows if name in of_dags},
    )
