"""What the sweep reads and moves in Airflow's database for turns and limits of scopes."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from typing import TYPE_CHECKING

from cis_provider.model.scope import TaskScope
from cis_provider.pools import scope_pool_name
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
            TaskInstance.task_id.in_({task_id for task_id, _ in turn.tasks}),
        )
        for turn in turns
        if turn.tasks and not turn.waiting_for
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


def scope_slots(scopes: Collection[str], session: Session) -> dict[str, int]:
    """Slots of scopes' pools as they are now, by the scope's text; no entry where there is no pool."""
    from airflow.models.pool import Pool
    from sqlalchemy import select

    names = {scope_pool_name(TaskScope.parse(scope)): scope for scope in scopes}
    rows = session.execute(select(Pool.pool, Pool.slots).where(Pool.pool.in_(names)))
    return {names[str(name)]: slots for name, slots in rows}
