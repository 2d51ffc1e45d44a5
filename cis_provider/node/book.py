"""
The book of a node's sessions: the living in memory, all of them on disk, and who wants to hear of them.

Every change is on disk before it is told. One event loop, one thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from cis_provider.errors import UsageError, WorkspaceError
from cis_provider.model.result import AgentResult, Subtype
from cis_provider.model.session import SessionKey, SessionRecord, SessionRequest, SessionState
from cis_provider.node.admission import Admission, Place, Waiting
from cis_provider.node.records import is_of, lasting, new_record, place_of, run_of
from cis_provider.node.secrets import SecretKeeper
from cis_provider.node.store import SessionStore
from cis_provider.wire.messages import Changed, Finished, Progress
from cis_provider.workspaces.manager import claim_path

log = logging.getLogger(__name__)

#: Of the blockages that are over, the last of them stand in a record.
_SETTLED = 20


class SessionBook:
    """
    Records of sessions.

    :param clock: Seconds since the epoch.
    """

    def __init__(self, store: SessionStore, secrets: SecretKeeper, clock: Callable[[], float]) -> None:
        self.store = store
        self.secrets = secrets
        self._clock = clock
        self._alive: dict[str, SessionRecord] = {}
        self._sequence: dict[str, int] = {}
        self._claims: dict[str, str | None] = {}
        self._watchers: dict[str, set[asyncio.Event]] = {}
        self._last = store.last_sequence()
        for sequence, record in store.alive():
            claim = None
            # It could be read when it was accepted; if not now, whoever begins it will say so.
            with contextlib.suppress(WorkspaceError, OSError, msgspec.DecodeError):
                request = store.request(record.session_id)
                claim = claim_path(request.workspace, request.key, request.scope)
            self._enter(record, sequence, claim)
        secrets.forget_others(self._alive)

    def __iter__(self) -> Iterator[SessionRecord]:
        """Living sessions, the oldest first; the book may change meanwhile."""
        return iter(list(self._alive.values()))

    def __len__(self) -> int:
        return len(self._alive)

    def living(self, session_id: str) -> SessionRecord | None:
        """A session that has not ended."""
        return self._alive.get(session_id)

    def newest(self, key: SessionKey) -> SessionRecord | None:
        """The newest session of a task instance, ended or not."""
        newest = self.store.newest(key)
        return self._alive.get(newest.session_id, newest) if newest else None

    def get(self, session_id: str) -> SessionRecord:
        """
        Any session.

        :raises UsageError: There is none of that id.
        """
        record = self._alive.get(session_id) or self.store.get(session_id)
        if record is None:
            raise UsageError(f"no session {session_id} on this node")
        return record

    def find(
        self,
        *,
        alive: bool = False,
        dag_id: str = "",
        run_id: str = "",
        task_id: str = "",
        session_id: str = "",
    ) -> list[SessionRecord]:
        """Records that match every field given, the oldest first."""
        if session_id:
            one = self._alive.get(session_id) or self.store.get(session_id)
            found = [one] if one else []
        elif alive:
            found = list(self)
        else:
            found = self.store.find(dag_id=dag_id, run_id=run_id, task_id=task_id)
        # What a session prints is in memory only while it is at work.
        found = [self._alive.get(record.session_id, record) for record in found]
        wanted = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id}
        return [one for one in found if is_of(one.key, **wanted) and not (alive and one.has_ended)]

    async def watch(self, session_id: str) -> AsyncIterator[Changed]:
        """The record now, and whenever it changed, up to its end."""
        event = asyncio.Event()
        watchers = self._watchers.setdefault(session_id, set())
        watchers.add(event)
        try:
            while True:
                event.clear()
                record = self.get(session_id)
                yield Changed(record)
                if record.has_ended:
                    return
                await event.wait()
        finally:
            watchers.discard(event)
            if not watchers:
                self._watchers.pop(session_id, None)

    def counts(self) -> tuple[int, int]:
        """Sessions at work, and waiting."""
        queued = sum(record.state is SessionState.QUEUED for record in self._alive.values())
        return len(self._alive) - queued, queued

    def of_worker(self, name: str) -> list[SessionRecord]:
        """Living sessions of a worker."""
        return [record for record in self if record.worker == name]

    def ahead_of(self, record: SessionRecord) -> int:
        """How many other sessions of its scope wait for a place."""
        return sum(
            other.scope == record.scope and other.state is SessionState.QUEUED and other is not record
            for other in self._alive.values()
        )

    def workspaces_in_use(self) -> list[Path]:
        """Folders of living sessions."""
        return [Path(record.workspace) for record in self if record.workspace]

    def queue(self) -> list[Waiting]:
        """Sessions that wait for a place."""
        oldest: dict[SessionKey, int] = {}
        for record in self._alive.values():
            oldest.setdefault(record.key, self._sequence[record.session_id])
        return [
            Waiting(
                record.session_id,
                place_of(record),
                record.priority,
                self._sequence[record.session_id],
                dag_limit=record.dag_limit,
                predecessor=oldest[record.key] < self._sequence[record.session_id],
                claim=self._claims[record.session_id],
            )
            for record in self._alive.values()
            if record.state is SessionState.QUEUED
        ]

    def places_taken(self) -> list[Place]:
        """Places of the sessions at work."""
        return [place_of(record) for record in self if record.state is not SessionState.QUEUED]

    def accept(self, request: SessionRequest) -> SessionRecord:
        """
        A new session.

        :raises StoreError: It could not be written; nothing was accepted.
        :raises WorkspaceError: It asks for a folder that cannot be.
        """
        claim = claim_path(request.workspace, request.key, request.scope)
        record = new_record(request, uuid.uuid4().hex[:16], self._clock())
        self.secrets.keep(record.session_id, request.secrets)
        self._last += 1
        try:
            self.store.add(record, self._last, request)
        except BaseException:
            self.secrets.forget(record.session_id)
            raise
        self._enter(record, self._last, claim)
        return record

    def changed(self, record: SessionRecord) -> None:
        """Write down what the caller changed in a record, and tell it."""
        self.store.update(record)
        self._wake(record.session_id)

    def admitted(self, admission: Admission) -> Iterator[SessionRecord]:
        """Write down what a round of admission decided; those that begin, one by one."""
        for session_id, reason in admission.stuck.items():
            log.error("session %s can never begin: %s", session_id, reason)
            self.fail(self.get(session_id), "workspace", reason)
        for session_id, reason in admission.waits.items():
            record = self.get(session_id)
            if record.waiting_for != reason:
                record.waiting_for = reason
                self.changed(record)
        for session_id in admission.begin:
            record = self.get(session_id)
            record.state, record.waiting_for = SessionState.STARTING, ""
            try:
                self.changed(record)
            except sqlite3.Error:
                record.state = SessionState.QUEUED
                raise
            yield record

    def note(self, progress: Progress) -> None:
        """News from a worker."""
        record = self._alive.get(progress.session_id)
        if record is None:
            return
        before = lasting(record)
        record.resting, record.blockage = progress.resting, progress.blockage
        # While a session is made ready, or just ends, its worker says nothing of what was settled before.
        record.settled = progress.settled or record.settled
        record.attached = progress.attached
        record.waiting_for = progress.waiting_for
        record.state = SessionState(progress.state)
        record.pid, record.workspace = progress.pid, progress.workspace
        record.started_at = progress.started_at
        record.last_line, record.output_bytes = progress.last_line, progress.output_bytes
        if before != lasting(record):
            self.store.update(record)
        self._wake(record.session_id)

    def put_back(self, record: SessionRecord) -> None:
        """Its worker was lost while it waited: it begins again, the same session, as soon as it has a place."""
        again = {
            "state": SessionState.QUEUED,
            "waiting_for": "",
            "resting": False,
            "blockage": None,
            "attached": "",
            "pid": 0,
            "resumed": record.resumed + 1,
        }
        self._change(record, again)
        self._wake(record.session_id)

    def take(self, record: SessionRecord, finished: Finished) -> None:
        """A worker's last words of a session."""
        record.last_line, record.output_bytes = finished.last_line, finished.output_bytes
        record.started_at = finished.started_at or record.started_at
        self._finish(record, finished.result, finished.ended_at)

    def fail(self, record: SessionRecord, subtype: Subtype, error: str) -> None:
        """It ends without a worker's word."""
        now = self._clock()
        who, answers = record.session_id, record.settled
        result = AgentResult(session_id=who, is_error=True, subtype=subtype, error=error, answers=answers)
        if subtype == "not_started":
            with contextlib.suppress(OSError):
                self.store.give_up(Finished(session_id=record.session_id, ended_at=now, result=result))
        self._finish(record, result, now)

    def _finish(self, record: SessionRecord, result: AgentResult, ended_at: float) -> None:
        ended = {
            "state": SessionState.ENDED,
            "waiting_for": "",
            "resting": False,
            "blockage": None,
            "attached": "",
            "settled": result.answers[-_SETTLED:] or record.settled,
            "pid": 0,
            "ended_at": ended_at,
            "result": result,
            "workspace": result.workspace or record.workspace,
        }
        self._change(record, ended)
        self._wake(record.session_id)
        self.store.touch_folders(run_of(record), ended_at)
        self.secrets.forget(record.session_id)
        for known in (self._alive, self._sequence, self._claims):
            known.pop(record.session_id, None)

    def _change(self, record: SessionRecord, values: dict[str, Any]) -> None:
        # On disk first: what could not be written has not happened.
        self.store.update(msgspec.structs.replace(record, **values))
        for name, value in values.items():
            setattr(record, name, value)

    def _enter(self, record: SessionRecord, sequence: int, claim: str | None) -> None:
        self._alive[record.session_id] = record
        self._sequence[record.session_id] = sequence
        self._claims[record.session_id] = claim

    def _wake(self, session_id: str) -> None:
        for event in self._watchers.get(session_id, ()):
            event.set()
