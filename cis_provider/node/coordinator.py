"""
The coordinator: accepts sessions, admits them to their workers, tells what becomes of them.

It holds no process of an agent itself. Killed at any moment, it finds everything again: what was accepted in
its database, what is at work in the workers, what has ended in the result files.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec

from cis_provider import settings
from cis_provider.errors import CisError, NodeUnreachable, TransientAgentError, UsageError
from cis_provider.model.result import AgentResult, Subtype
from cis_provider.model.scope import TaskScope
from cis_provider.model.session import (
    Decision,
    SessionRecord,
    SessionRequest,
    SessionState,
    decide_submit,
)
from cis_provider.node.admission import Waiting, admit
from cis_provider.node.secrets import SecretKeeper
from cis_provider.node.store import SessionStore
from cis_provider.node.workers import WorkerLink
from cis_provider.wire.messages import Alive, Changed, Finished, Progress, Submitted
from cis_provider.worker import leftovers
from cis_provider.workspaces.manager import claim_path

log = logging.getLogger(__name__)

#: Seconds after which a folder is taken from a run that nobody said is over, but that has nobody at work:
#: on a node without scheduler and triggerer nobody tells.
_FOLDER_LEASE = 3600.0

#: How often a session is offered to workers that go away in that moment.
_HAND_OVERS = 4


class Coordinator:
    """
    All sessions of a node. One event loop, one thread; every change is on disk before it is told.

    :param clock: Seconds since the epoch.
    """

    def __init__(
        self,
        store: SessionStore,
        secrets: SecretKeeper,
        *,
        node_id: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self.node_id = node_id
        self.links: dict[str, WorkerLink] = {}
        self._secrets = secrets
        self._clock = clock
        self._alive: dict[str, SessionRecord] = {}
        self._sequence: dict[str, int] = {}
        self._claims: dict[str, str | None] = {}
        self._stop_reasons: dict[str, str] = {}
        self._watchers: dict[str, set[asyncio.Event]] = {}
        self._links_starting: dict[str, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._next = store.last_sequence()

    # --- life ---------------------------------------------------------------------------------------

    async def recover(self) -> None:
        """Find again what an earlier coordinator was doing."""
        for sequence, record in self.store.alive():
            self._alive[record.session_id] = record
            self._sequence[record.session_id] = sequence
            self._claims[record.session_id] = self._claim_of(self.store.request(record.session_id))
        given = {r.scope for r in self._alive.values() if r.state is not SessionState.QUEUED}
        for scope in sorted(given):
            link = self._new_link(TaskScope.parse(scope))
            if await link.join():
                self.links[link.name] = link
            else:
                leftovers.end_all(link.name)
                self._reconcile(link.name, set())
        if self._alive:
            log.info("found %d sessions of an earlier coordinator", len(self._alive))
        self._admit()

    async def close(self) -> None:
        """Let go of the workers; they work on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(link.close() for link in self.links.values()))
        self.store.close()

    # --- requests -----------------------------------------------------------------------------------

    def submit(self, request: SessionRequest) -> Submitted:
        """
        Accept a request, or find the session that is its answer already.

        :raises TransientAgentError: A later try of the same task has been here.
        :raises StoreError: It could not be written; nothing was accepted.
        """
        newest = self._newest(request)
        decision = decide_submit(newest, try_number=request.try_number, max_tries=request.max_tries)
        if newest is None or decision is Decision.START:
            record = self._accept(request)
        elif decision is Decision.REPLACE:
            self.end(newest.session_id, f"its task was cleared; try {request.try_number} begins anew")
            record = self._accept(request)
        elif decision is Decision.STALE:
            raise TransientAgentError(
                f"try {request.try_number} of {request.key} is over: try {newest.try_number} has its session "
                f"{newest.session_id}"
            )
        else:
            record = newest
            if decision is Decision.ADOPT:
                log.info(
                    "session %s (%s): adopted by try %d", record.session_id, record.key, request.try_number
                )
                record.try_number, record.max_tries = request.try_number, request.max_tries
                self._changed(record)
        ahead = sum(
            other.scope == record.scope
            and other.state is SessionState.QUEUED
            and other.session_id != record.session_id
            for other in self._alive.values()
        )
        self._admit()
        return Submitted(record, decision, ahead)

    def end(self, session_id: str, reason: str, if_try: int = 0) -> None:
        """End a session, if it is alive and still works for that try."""
        record = self._alive.get(session_id)
        if record is None or (if_try and record.try_number != if_try):
            return
        log.info("session %s (%s): to be ended: %s", session_id, record.key, reason)
        if record.state is SessionState.QUEUED:
            self._finish(record, self._failure(record, "killed", reason))
            self._admit()
            return
        self._stop_reasons[session_id] = reason
        self._spawn_task(self._end_at_worker(record.worker, session_id, reason))

    def collect(self, session_id: str, try_number: int) -> None:
        """Note who took a result."""
        record = self._record(session_id)
        if record.state is SessionState.ENDED and not record.collected_by:
            record.collected_by = try_number
            self.store.update(record)

    async def watch(self, session_id: str) -> AsyncIterator[Changed]:
        """The record now, and whenever it changed, up to its end."""
        event = asyncio.Event()
        watchers = self._watchers.setdefault(session_id, set())
        watchers.add(event)
        try:
            while True:
                event.clear()
                record = self._record(session_id)
                yield Changed(record)
                if record.state is SessionState.ENDED:
                    return
                await event.wait()
        finally:
            watchers.discard(event)
            if not watchers:
                self._watchers.pop(session_id, None)

    def find(
        self,
        *,
        alive: bool = False,
        dag_id: str = "",
        run_id: str = "",
        task_id: str = "",
        session_id: str = "",
    ) -> list[SessionRecord]:
        """Records that match, the oldest first."""
        if session_id:
            found = [record] if (record := self._alive.get(session_id) or self.store.get(session_id)) else []
        elif alive:
            found = list(self._alive.values())
        else:
            found = self.store.find(dag_id=dag_id, run_id=run_id, task_id=task_id)
        # What a session prints is in memory only while it is at work.
        found = [self._alive.get(record.session_id, record) for record in found]
        return [
            record
            for record in found
            if (not dag_id or record.key.dag_id == dag_id)
            and (not run_id or record.key.run_id == run_id)
            and (not task_id or record.key.task_id == task_id)
            and (not alive or record.state is not SessionState.ENDED)
        ]

    def held_runs(self) -> list[tuple[str, str]]:
        """Runs that have folders."""
        return sorted(set(self.store.folders().values()))

    def release_runs(self, runs: list[tuple[str, str]]) -> None:
        """These runs are over."""
        self.store.release_folders(runs)
        self._admit()

    def counts(self) -> tuple[int, int]:
        """Sessions at work, and waiting."""
        queued = sum(r.state is SessionState.QUEUED for r in self._alive.values())
        return len(self._alive) - queued, queued

    def of_worker(self, name: str) -> list[SessionRecord]:
        """Living sessions of a worker."""
        return [record for record in self._alive.values() if record.worker == name]

    def workspaces_in_use(self) -> list[Path]:
        """Folders of living sessions."""
        return [Path(record.workspace) for record in self._alive.values() if record.workspace]

    def sweep(self) -> None:
        """Forget sessions of long ago; give back folders of runs that have nobody at work for long."""
        now = self._clock()
        if count := self.store.forget_older(now - settings.seconds("node.keep_days") * 86400):
            log.info("forgot %d sessions that ended long ago", count)
        self.store.release_folders(self.store.abandoned_folders(now - _FOLDER_LEASE))
        self._admit()

    # --- admission ----------------------------------------------------------------------------------

    def _accept(self, request: SessionRequest) -> SessionRecord:
        self._next += 1
        scope = TaskScope.parse(request.scope)
        record = SessionRecord(
            session_id=uuid.uuid4().hex[:16],
            key=request.key,
            try_number=request.try_number,
            max_tries=request.max_tries,
            agent_id=request.agent_id,
            agent_type=request.agent_type,
            scope=str(scope),
            worker=scope.worker_name,
            priority=request.priority,
            position=request.position,
            created_at=self._clock(),
        )
        claim = self._claim_of(request)
        self._secrets.keep(record.session_id, request.secrets)
        self.store.add(record, self._next, request)
        self._alive[record.session_id] = record
        self._sequence[record.session_id] = self._next
        self._claims[record.session_id] = claim
        return record

    def _admit(self) -> None:
        queue = [self._waiting(r) for r in self._alive.values() if r.state is SessionState.QUEUED]
        if not queue:
            return
        admission = admit(
            queue,
            at_work=self.counts()[0],
            limit=settings.integer("dag.local.max_workers"),
            held=self.store.folders(),
        )
        for path, run in admission.claims.items():
            self.store.take_folder(path, run, self._clock())
        for session_id, reason in admission.waits.items():
            record = self._alive[session_id]
            if record.waiting_for != reason:
                record.waiting_for = reason
                self._changed(record)
        for session_id in admission.begin:
            record = self._alive[session_id]
            record.state, record.waiting_for = SessionState.STARTING, ""
            self._changed(record)
            self._spawn_task(self._begin(record), name=record.session_id)

    def _waiting(self, record: SessionRecord) -> Waiting:
        mine = self._sequence[record.session_id]
        return Waiting(
            record.session_id,
            _run(record),
            record.priority,
            mine,
            predecessor=any(
                other.key == record.key and self._sequence[other.session_id] < mine
                for other in self._alive.values()
            ),
            claim=self._claims[record.session_id],
        )

    async def _begin(self, record: SessionRecord) -> None:
        try:
            request = self._with_secrets(record)
            await self._hand_over(record, request)
        except (CisError, OSError, msgspec.DecodeError) as error:
            if record.state is SessionState.STARTING:
                self._finish(record, self._failure(record, "not_started", str(error)))
                self._admit()
            return
        # An end that was asked for while the worker was starting.
        if reason := self._stop_reasons.get(record.session_id):
            await self._end_at_worker(record.worker, record.session_id, reason)

    async def _hand_over(self, record: SessionRecord, request: SessionRequest) -> None:
        for attempt in range(_HAND_OVERS):
            link = await self._link(TaskScope.parse(record.scope))
            if record.state is SessionState.ENDED:
                return
            try:
                await link.begin(record.session_id, request)
                return
            except NodeUnreachable:
                # A worker may leave, idle, in the moment it is needed. One that took note has the session.
                if record.session_id in leftovers.noted(record.worker):
                    return
                if self.links.get(link.name) is link:
                    del self.links[link.name]
                if attempt == _HAND_OVERS - 1:
                    raise
                await asyncio.sleep(0.1)

    def _with_secrets(self, record: SessionRecord) -> SessionRequest:
        request = self.store.request(record.session_id)
        if not request.secrets:
            return request
        secrets = self._secrets.read(record.session_id)
        if secrets is None:
            names = ", ".join(sorted(request.secrets))
            raise TransientAgentError(
                f"the values of {names} were kept in memory only and are lost, since the node was restarted "
                "before the agent began; run it again"
            )
        return msgspec.structs.replace(request, secrets=secrets)

    async def _end_at_worker(self, worker: str, session_id: str, reason: str) -> None:
        if link := self.links.get(worker):
            try:
                await link.end(session_id, reason)
            except CisError as error:
                # Its loss is noticed by the listener, which ends its processes.
                log.warning("session %s could not be ended: %s", session_id, error)

    # --- workers ------------------------------------------------------------------------------------

    async def _link(self, scope: TaskScope) -> WorkerLink:
        async with self._links_starting.setdefault(scope.worker_name, asyncio.Lock()):
            if link := self.links.get(scope.worker_name):
                return link
            link = self._new_link(scope)
            await link.start()
            self.links[link.name] = link
            return link

    def _new_link(self, scope: TaskScope) -> WorkerLink:
        return WorkerLink(scope, on_event=self._heard, on_lost=self._lost)

    def _heard(self, link: WorkerLink, event: Alive | Progress | Finished) -> None:
        match event:
            case Alive(progress=progress):
                self._reconcile(link.name, {p.session_id for p in progress})
                for one in progress:
                    self._note(one)
            case Progress():
                self._note(event)
            case Finished():
                if record := self._alive.get(event.session_id):
                    self._take(record, event)
        self._admit()

    def _lost(self, link: WorkerLink) -> None:
        if self.links.get(link.name) is link:
            del self.links[link.name]
        self._reconcile(link.name, set())
        self._admit()

    def _reconcile(self, worker: str, alive: set[str]) -> None:
        """Judge the sessions that were given to a worker and that it does not have."""
        accepted = leftovers.noted(worker)
        for record in self.of_worker(worker):
            if record.state is SessionState.QUEUED or record.session_id in alive:
                continue
            if finished := self.store.finished(record.session_id):
                self._take(record, finished)
            elif record.session_id in accepted:
                why = f"{worker} died while the agent was at work, and took it along"
                self._finish(record, self._failure(record, "interrupted", why))
            else:
                # It was admitted, but the worker never heard of it: nothing ran, so it may run.
                if record.session_id not in self._beginning():
                    record.state = SessionState.QUEUED
                    self._changed(record)
                continue
            leftovers.forget(worker, record.session_id)

    def _beginning(self) -> set[str]:
        return {task.get_name() for task in self._tasks}

    # --- records ------------------------------------------------------------------------------------

    def _note(self, progress: Progress) -> None:
        record = self._alive.get(progress.session_id)
        if record is None:
            return
        moved = record.state != progress.state
        record.state = SessionState(progress.state)
        record.pid, record.workspace = progress.pid, progress.workspace
        record.started_at = progress.started_at
        record.last_line, record.output_bytes = progress.last_line, progress.output_bytes
        if moved:
            self.store.update(record)
        self._wake(record.session_id)

    def _take(self, record: SessionRecord, finished: Finished) -> None:
        record.last_line, record.output_bytes = finished.last_line, finished.output_bytes
        record.started_at = finished.started_at or record.started_at
        self._finish(record, finished.result, finished.ended_at)

    def _finish(self, record: SessionRecord, result: AgentResult, ended_at: float = 0.0) -> None:
        record.state, record.waiting_for, record.pid = SessionState.ENDED, "", 0
        record.ended_at = ended_at or self._clock()
        record.result = result
        record.workspace = result.workspace or record.workspace
        self._changed(record)
        self.store.touch_folders(_run(record), record.ended_at)
        session_id = record.session_id
        self._secrets.forget(session_id)
        for known in (self._alive, self._sequence, self._claims, self._stop_reasons):
            known.pop(session_id, None)

    def _changed(self, record: SessionRecord) -> None:
        self.store.update(record)
        self._wake(record.session_id)

    def _wake(self, session_id: str) -> None:
        for event in self._watchers.get(session_id, ()):
            event.set()

    def _newest(self, request: SessionRequest) -> SessionRecord | None:
        newest = self.store.newest(request.key)
        return self._alive.get(newest.session_id, newest) if newest else None

    def _record(self, session_id: str) -> SessionRecord:
        record = self._alive.get(session_id) or self.store.get(session_id)
        if record is None:
            raise UsageError(f"no session {session_id} on node {self.node_id}")
        return record

    def _failure(self, record: SessionRecord, subtype: Subtype, error: str) -> AgentResult:
        return AgentResult(session_id=record.session_id, is_error=True, subtype=subtype, error=error)

    def _claim_of(self, request: SessionRequest) -> str | None:
        return claim_path(request.workspace, request.key)

    def _spawn_task(self, work: Coroutine[Any, Any, None], name: str | None = None) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _run(record: SessionRecord) -> tuple[str, str]:
    return record.key.dag_id, record.key.run_id
