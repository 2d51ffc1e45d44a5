"""
The coordinator: accepts sessions, admits them to their workers, ends them.

It holds no process of an agent itself. Killed at any moment, it finds everything again: what was accepted in
its database, what is at work in the workers, what has ended in the result files.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from cis_provider import settings
from cis_provider.errors import CisError, TransientAgentError
from cis_provider.model.blockage import Answer
from cis_provider.model.scope import TaskScope
from cis_provider.model.session import Decision, SessionRecord, SessionRequest, SessionState, decide_submit
from cis_provider.node.admission import admit
from cis_provider.node.book import SessionBook
from cis_provider.node.delivery import deliver
from cis_provider.node.endings import Endings
from cis_provider.node.fleet import WorkerFleet
from cis_provider.node.folders import FolderLeases
from cis_provider.node.handover import hand_over, request_of
from cis_provider.node.limits import NodeLimits
from cis_provider.node.line import TurnLine
from cis_provider.node.missing import judge_missing
from cis_provider.node.secrets import SecretKeeper
from cis_provider.node.store import SessionStore
from cis_provider.node.workers import WorkerLink
from cis_provider.wire.messages import Alive, Finished, NotYet, Progress, Submitted, TurnInfo, Vouch

log = logging.getLogger(__name__)

#: Seconds before a write that failed (a full disk) is tried again.
_AGAIN = 5.0


class Coordinator:
    """
    A node's sessions and workers. One event loop, one thread.

    :param clock: Seconds since the epoch.
    :param is_orphaned: Whether nobody has asked for anything for long: nothing new begins then.
    """

    def __init__(
        self,
        store: SessionStore,
        secrets: SecretKeeper,
        *,
        clock: Callable[[], float] = time.time,
        is_orphaned: Callable[[], bool] = lambda: False,
    ) -> None:
        self.book = SessionBook(store, secrets, clock)
        self.fleet = WorkerFleet(on_event=self._heard, on_lost=self._lost, at_work=self._workers_at_work)
        self._store = store
        self._clock = clock
        self._is_orphaned = is_orphaned
        self._line = TurnLine(store, lambda: self.book, clock)
        self._limits = NodeLimits()
        self._folders = FolderLeases(store, clock)
        self._endings = Endings(self.fleet)
        self._tasks: set[asyncio.Task[None]] = set()

    async def recover(self) -> None:
        """Find again what an earlier coordinator was doing."""
        given = {record.scope for record in self.book if record.state is not SessionState.QUEUED}
        await self.fleet.recover(TaskScope.parse(scope) for scope in sorted(given))
        if len(self.book):
            log.info("found %d sessions of an earlier coordinator", len(self.book))
        self._admit()

    async def stop_workers(self) -> None:
        """Have every worker end its sessions and leave, one that is just being started included."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.fleet.stop()

    async def close(self) -> None:
        """Let go of the workers; they work on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.fleet.close()
        self._store.close()

    # --- requests -----------------------------------------------------------------------------------

    def submit(self, request: SessionRequest) -> Submitted | NotYet:
        """
        Accept a request, find the session that is its answer already, or say that its run must wait.

        :raises TransientAgentError: A later try of the same task has been here.
        :raises StoreError: It could not be written; nothing was accepted.
        :raises WorkspaceError: It asks for a folder that cannot be.
        """
        newest = self.book.newest(request.key)
        decision = decide_submit(newest, try_number=request.try_number, max_tries=request.max_tries)
        if decision is Decision.ADOPT and newest and newest.session_id in self._endings:
            decision = Decision.REPLACE
        if decision in (Decision.START, Decision.REPLACE):
            verdict = self._line.ask(request)
            if not verdict.granted:
                return NotYet(verdict.reason, list(verdict.ahead))
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
                    "session %s (%s): adopted by try %d", newest.session_id, newest.key, request.try_number
                )
                record.try_number, record.max_tries = request.try_number, request.max_tries
                self.book.changed(record)
        ahead = self.book.ahead_of(record)
        self._admit()
        return Submitted(record, decision, ahead, at_work=self.book.counts()[0])

    def end(self, session_id: str, reason: str, if_try: int = 0) -> None:
        """End a session, if it is alive and still works for that try."""
        record = self.book.living(session_id)
        if record is None or (if_try and record.try_number != if_try):
            return
        log.info("session %s (%s): to be ended: %s", session_id, record.key, reason)
        if record.state is SessionState.QUEUED:
            self.book.fail(record, "killed", reason)
            self._admit()
            return
        self._endings.reasons[session_id] = reason
        self._spawn_task(self._endings.tell(record.worker, session_id))

    async def answer(self, session_id: str, answer: Answer) -> None:
        """
        Pass a decision on to a blocked session; see :func:`~cis_provider.node.delivery.deliver`.

        :raises UsageError: There is no such session.
        """
        await deliver(self.book.get(session_id), answer, self.fleet)
        if answer.secrets and self.book.living(session_id):
            self.book.secrets.add(session_id, answer.secrets)

    def collect(self, session_id: str, try_number: int) -> None:
        """Note who took a result."""
        record = self.book.get(session_id)
        if record.has_ended and not record.collected_by:
            record.collected_by = try_number
            self.book.changed(record)

    def held_runs(self) -> list[tuple[str, str]]:
        """Runs that have folders or scopes, or wait for their turn."""
        return sorted({*self._folders.held().values(), *self._line.runs()})

    def release_runs(self, runs: list[tuple[str, str]]) -> None:
        """These runs are over."""
        self._folders.release(runs)
        self._line.release(runs)
        self._admit()

    def vouch(self, vouch: Vouch) -> None:
        """An Airflow says what it knows."""
        self._line.vouch(vouch.runs)
        self._folders.vouch(vouch.runs)
        expired = self._line.expire()
        if self._limits.set_pools(vouch.scope_slots, vouch.dag_slots) or expired:
            self._admit()

    def turns(self) -> list[TurnInfo]:
        """Whose turn it is, and who waits."""
        return self._line.info()

    def sweep(self) -> None:
        """Forget sessions of long ago; give back what runs have that are long without anybody at work."""
        now = self._clock()
        if count := self._store.forget_older(now - settings.seconds("node.keep_days") * 86400):
            log.info("forgot %d sessions that ended long ago", count)
        self._folders.expire()
        self._line.expire()
        self._admit()

    def _accept(self, request: SessionRequest) -> SessionRecord:
        try:
            record = self.book.accept(request)
        except CisError:
            self._line.withdraw(request)
            raise
        self._line.arrive(request)
        return record

    # --- admission ----------------------------------------------------------------------------------

    def _admit(self) -> None:
        try:
            self._admit_now()
        except (CisError, sqlite3.Error) as error:
            # A full disk, for one. What was accepted stays accepted.
            log.error("nobody begins, since it could not be written: %s", error)
            asyncio.get_running_loop().call_later(_AGAIN, self._admit)

    def _admit_now(self) -> None:
        self._line.advance()
        queue = self.book.queue()
        if not queue or self._is_orphaned():
            return
        admission = admit(
            queue,
            at_work=self.book.places_taken(),
            limits=self._limits.read(),
            held=self._folders.held(),
            no_worker=self.fleet.places().why_not,
        )
        self._folders.take(admission.claims)
        for record in self.book.admitted(admission):
            self._spawn_task(self._begin(record), name=record.session_id)

    async def _begin(self, record: SessionRecord) -> None:
        try:
            await hand_over(record, request_of(record, self._store, self.book.secrets), self.fleet)
        except (CisError, OSError, msgspec.DecodeError) as error:
            why = str(error)

            def give_up() -> None:
                if record.state is SessionState.STARTING:
                    self.book.fail(record, "not_started", why)

            self._until_written(give_up)
            return
        # An end that was asked for while the worker was starting.
        await self._endings.tell(record.worker, record.session_id)

    # --- what workers say -----------------------------------------------------------------------------

    def _heard(self, link: WorkerLink, event: Alive | Progress | Finished) -> None:
        match event:
            case Alive(progress=progress):
                self._judge(link.name, {one.session_id for one in progress})
                for one in progress:
                    self.book.note(one)
                    self._end_unwanted(link.name, one.session_id, again=True)
                self._admit()
            case Progress():
                self.book.note(event)
                self._end_unwanted(link.name, event.session_id)
            case Finished():
                if record := self.book.living(event.session_id):
                    self.book.take(record, event)
                self._endings.over(event.session_id)
                self._admit()

    def _end_unwanted(self, worker: str, session_id: str, *, again: bool = False) -> None:
        """A worker that did not answer may not have heard of an end, or have what was given up meanwhile."""
        if not self.book.living(session_id) and session_id not in self._endings:
            self._endings.reasons[session_id] = "it was given up, since its worker did not answer"
            again = True
        if again and session_id in self._endings:
            self._spawn_task(self._endings.tell(worker, session_id))

    def _lost(self, link: WorkerLink) -> None:
        def judge() -> None:
            # If the next worker is there, it has said what it has, and the others were judged then.
            if link.name not in self.fleet.links:
                self._judge(link.name, set())

        self._until_written(judge)

    def _until_written(self, step: Callable[[], None]) -> None:
        """Nobody tells it again: what a full disk does not take now it takes later."""
        try:
            step()
        except (CisError, OSError, sqlite3.Error) as error:
            log.error("a session's end could not be written, and is tried again: %s", error)
            asyncio.get_running_loop().call_later(_AGAIN, self._until_written, step)
        self._admit()

    def _judge(self, worker: str, alive: set[str]) -> None:
        beginning = {task.get_name() for task in self._tasks}
        judge_missing(self.book, worker, alive=alive, beginning=beginning, ending=self._endings.reasons)

    def _workers_at_work(self) -> set[str]:
        return {record.worker for record in self.book if record.state is not SessionState.QUEUED}

    def _spawn_task(self, work: Coroutine[Any, Any, None], name: str | None = None) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
