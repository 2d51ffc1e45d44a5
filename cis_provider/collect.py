"""From a session's end to the end of a try: shared by operator and trigger."""

from __future__ import annotations

from enum import Enum, auto

from cis_provider.model.result import AgentResult
from cis_provider.model.session import SessionRecord


class TryEnd(Enum):
    """How a try ends."""

    SUCCESS = auto()
    RETRY = auto()
    """Failed; another try may help, if Airflow has one left."""
    FINAL = auto()
    """Failed; another try would fail the same way, or somebody wanted it to end."""


def end_of_try(result: AgentResult) -> TryEnd:
    """Judge a result."""
    if not result.is_error:
        return TryEnd.SUCCESS
    return TryEnd.FINAL if result.permanent or result.subtype == "killed" else TryEnd.RETRY


def store_connection() -> str:
    """
    Id of the Airflow connection that names the context store; empty where there is none.

    :raises StoreError: Airflow did not say.
    """
    from cis_provider.context.hooks import find_connection
    from cis_provider.context.store import CONN_ID

    return CONN_ID if find_connection(CONN_ID) else ""


def collect(record: SessionRecord, *, agent_type: str, connection: str) -> AgentResult:
    """
    Put a session's result into the context store, the output in full; doing it twice is harmless.

    :param connection: What :func:`store_connection` said. A triggerer should not ask: the first connection
        that one of its triggers wants starts an API server inside it, which takes seconds.
    :return: The result as it goes into XCom.
    :raises StoreError: The store refused; the result is still on the node.
    """
    from cis_provider import paths
    from cis_provider.context.store import ContextStore

    result = record.result
    assert result is not None, "only an ended session is collected"
    store = ContextStore.default() if connection else ContextStore.at(paths.context_db())
    store.save(
        record.key,
        try_number=record.try_number,
        agent_type=agent_type,
        result=result,
        ended_at=record.ended_at,
    )
    return result
