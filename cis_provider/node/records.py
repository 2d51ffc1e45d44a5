"""What a session's record says, for those who admit, keep and tell it. Pure."""

from __future__ import annotations

from cis_provider.model.scope import TaskScope
from cis_provider.model.session import SessionKey, SessionRecord, SessionRequest
from cis_provider.node.admission import Place


def new_record(request: SessionRequest, session_id: str, now: float) -> SessionRecord:
    """
    The record of a session that is accepted now.

    :param now: Seconds since the epoch.
    """
    scope = TaskScope.parse(request.scope)
    return SessionRecord(
        session_id=session_id,
        key=request.key,
        try_number=request.try_number,
        max_tries=request.max_tries,
        agent_id=request.agent_id,
        agent_type=request.agent_type,
        scope=str(scope),
        worker=scope.worker_name,
        exclusive=request.exclusive,
        dag_limit=request.dag_limit,
        account=request.account,
        priority=request.priority,
        position=request.position,
        created_at=now,
    )


def is_of(key: SessionKey, *, dag_id: str, run_id: str, task_id: str) -> bool:
    """Whether every field that is given is the key's."""
    given = ((dag_id, key.dag_id), (run_id, key.run_id), (task_id, key.task_id))
    return all(not wanted or wanted == own for wanted, own in given)


def place_of(record: SessionRecord) -> Place:
    """What a session takes while it is at work."""
    return Place(
        run_of(record),
        record.scope,
        record.agent_type,
        record.account,
        alone=record.exclusive == "agent",
        resting=record.resting,
    )


def lasting(record: SessionRecord) -> tuple[object, ...]:
    """What must outlive the coordinator; the rest a worker tells again."""
    return record.state, record.resting, record.blockage, record.settled


def run_of(record: SessionRecord) -> tuple[str, str]:
    """A session's run, as (dag id, run id)."""
    return record.key.dag_id, record.key.run_id
