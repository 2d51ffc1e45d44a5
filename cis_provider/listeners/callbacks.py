"""
Keeps requests that come to nothing away from the dag processor.

A task that ends successfully from its trigger makes Airflow ask the dag processor for a success callback. The
dag processor runs failure callbacks only; for this one it loads the DAG file, logs a warning, and then, since
it has lost the time of the last parse, loads the file again. The DAG file of our agents is the loader, and
behind it stands every CIS file of the folder: a thousand of them made that 3.5 CPU seconds for each agent
that ended.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

log = logging.getLogger(__name__)

#: Names of the classes of tasks that are agents, as Airflow's database has them.
AGENT_OPERATORS = ("AgentOperator", "_AgentDecoratedOperator")


def spare_dag_processor() -> None:
    """From now on, drop success callbacks of our agents before this process writes them. Once is enough."""
    from sqlalchemy import event
    from sqlalchemy.orm import Session

    if not event.contains(Session, "before_flush", _before_flush):
        event.listen(Session, "before_flush", _before_flush)


def _before_flush(session: Session, *_: Any) -> None:
    try:
        drop_success_callbacks(session)
    except Exception as error:
        # Nothing is lost when they are written after all.
        log.debug("success callbacks were not looked at: %s", error)


def drop_success_callbacks(session: Session) -> None:
    """Take success callbacks of agents out of what a session is about to write."""
    from airflow.models.callback import DagProcessorCallback

    for new in list(session.new):
        if isinstance(new, DagProcessorCallback) and _is_idle(new, session):
            session.expunge(new)


def _is_idle(callback: Any, session: Session) -> bool:
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy.orm.util import identity_key

    if callback.data.get("req_class") != "TaskCallbackRequest":
        return False
    request = json.loads(callback.data["req_data"])
    if request.get("task_callback_type") != "success":
        return False
    # Whoever ends the task has it at hand; the request itself does not tell its operator.
    task = session.identity_map.get(identity_key(TaskInstance, UUID(request["ti"]["id"])))
    return task is not None and task.operator in AGENT_OPERATORS
