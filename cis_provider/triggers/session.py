"""``SessionTrigger``: wait until an agent's session has ended, and end its task."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from airflow.triggers.base import BaseTrigger, TaskFailedEvent, TaskSuccessEvent, TriggerEvent
from asgiref.sync import sync_to_async

from cis_provider.collect import TryEnd, collect, end_of_try
from cis_provider.context.blockages import BlockageBook
from cis_provider.context.store import ContextStore
from cis_provider.errors import NodeUnreachable, ProtocolError, StoreError, UsageError
from cis_provider.model.result import AgentResult
from cis_provider.model.session import SessionKey, SessionRecord, SessionState
from cis_provider.node.client import AsyncNodeClient
from cis_provider.session_log import SessionLog
from cis_provider.triggers.margin import not_too_soon
from cis_provider.triggers.notes import AsyncNotes

#: Seconds before a broken connection, or a refused write, is tried again; doubled up to the second.
_PAUSE, _LONGEST_PAUSE = 0.2, 5.0


class SessionTrigger(BaseTrigger):
    """
    Waits until a session has ended, stores its result, and ends the task from here: no worker, no slot.

    Fires once. Ends no session itself, not even when it is cancelled: whether a task still wants its agent
    is judged by Airflow's database alone (``listeners/sweep.py``), in the process above this one.

    :param session_id: The session on this node.
    :param key: Its task instance.
    :param agent_type: For the context store.
    :param try_number: The try that deferred.
    :param retries_left: Whether Airflow would try again after a failure.
    :param resume: End the task on a worker: it has asset outlets or a success callback.
    :param push_xcom: Whether the result goes into XCom.
    :param store_connection: Connection of the context store, empty for the node's own file.
    :param logged_bytes: Bytes of output that the task's log has already.
    :param deferred_at: Seconds since the epoch; see ``margin.py``.
    """

    def __init__(
        self,
        *,
        session_id: str,
        key: SessionKey | dict[str, Any],
        agent_type: str,
        try_number: int,
        retries_left: bool,
        resume: bool,
        push_xcom: bool = True,
        store_connection: str = "cis_default",
        logged_bytes: int = 0,
        deferred_at: float = 0.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.session_id = session_id
        self.key = key if isinstance(key, SessionKey) else msgspec.convert(key, SessionKey)
        self.agent_type = agent_type
        self.try_number = try_number
        self.retries_left = retries_left
        self.resume = resume
        self.push_xcom = push_xcom
        self.store_connection = store_connection
        self.logged_bytes = logged_bytes
        self.deferred_at = deferred_at or time.time()

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """As Airflow keeps it in its database."""
        return (
            "cis_provider.triggers.session.SessionTrigger",
            {
                "session_id": self.session_id,
                "key": msgspec.to_builtins(self.key),
                "agent_type": self.agent_type,
                "try_number": self.try_number,
                "retries_left": self.retries_left,
                "resume": self.resume,
                "push_xcom": self.push_xcom,
                "store_connection": self.store_connection,
                "logged_bytes": self.logged_bytes,
                "deferred_at": self.deferred_at,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """One event, when the session has ended."""
        notes = AsyncNotes(self._open_book, self.log, push_xcom=self.push_xcom)
        try:
            record = await self._ended(notes)
        finally:
            await notes.close()
        if record.try_number > self.try_number:
            self.log.info("session %s: try %d has it now", self.session_id, record.try_number)
            return
        result = await self._stored(record)
        yield await self._event(result)

    def _open_book(self) -> BlockageBook:
        from cis_provider import paths

        # As for results: a triggerer should not ask where the store is, unless it was said that Airflow knows.
        store = ContextStore.default() if self.store_connection else ContextStore.at(paths.context_db())
        return BlockageBook(store)

    async def _ended(self, notes: AsyncNotes) -> SessionRecord:
        log = SessionLog(self.session_id, self.log, self.logged_bytes)
        pause = _PAUSE
        while True:
            try:
                async with AsyncNodeClient("trigger") as node:
                    async for record in node.watch(self.session_id):
                        pause = _PAUSE
                        notes.see(record)
                        while log.step(record):  # noqa: ASYNC110  others get their turn
                            await asyncio.sleep(0)
                    log.finish()
                    return record
            except UsageError as error:
                return self._lost(str(error))
            except (NodeUnreachable, ProtocolError, OSError) as error:
                # The coordinator was stopped or killed; its workers go on, and the next one finds them.
                self.log.warning("session %s: %s; asking again", self.session_id, error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    async def _stored(self, record: SessionRecord) -> AgentResult:
        pause = _PAUSE
        while True:
            try:
                result = await sync_to_async(collect)(
                    record, agent_type=self.agent_type, connection=self.store_connection
                )
                async with AsyncNodeClient("trigger") as node:
                    await node.collect(self.session_id, self.try_number)
                return result
            except UsageError:
                return result
            except (StoreError, NodeUnreachable, ProtocolError, OSError) as error:
                # The result is safe on the node's disk: better late than lost.
                self.log.warning("session %s: its result is not stored yet: %s", self.session_id, error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, 12 * _LONGEST_PAUSE)

    async def _event(self, result: AgentResult) -> TriggerEvent:
        end = end_of_try(result)
        xcoms = {"return_value": result.to_dict()} if self.push_xcom else None
        if end is TryEnd.SUCCESS and not self.resume:
            return TaskSuccessEvent(xcoms=xcoms)
        if end is TryEnd.RETRY or (end is TryEnd.FINAL and not self.retries_left):
            self.log.error("agent %s: %s: %s", self.key.task_id, result.subtype, result.error)
            return TaskFailedEvent(xcoms=xcoms)
        await not_too_soon(self.deferred_at)
        return TriggerEvent({"session_id": self.session_id})  # type: ignore[no-untyped-call]

    def _lost(self, why: str) -> SessionRecord:
        result = AgentResult(session_id=self.session_id, is_error=True, subtype="interrupted", error=why)
        return SessionRecord(
            session_id=self.session_id,
            key=self.key,
            try_number=self.try_number,
            max_tries=0,
            agent_id=self.key.task_id,
            agent_type=self.agent_type,
            scope="global",
            worker="",
            state=SessionState.ENDED,
            result=result,
        )
