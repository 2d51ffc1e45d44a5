"""The worker's life: sessions come, work and end; without any it leaves after a while."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator

from cis_provider import __version__, paths, settings
from cis_provider.errors import ProtocolError, StaleAnswer, WorkerLeaving
from cis_provider.model.result import AgentResult
from cis_provider.wire.messages import (
    Alive,
    AnswerSession,
    EndSession,
    Finished,
    Message,
    Ok,
    Start,
    Stop,
    Subscribe,
    Welcome,
)
from cis_provider.wire.server import Server
from cis_provider.worker import leftovers
from cis_provider.worker.attach import AttachServer
from cis_provider.worker.attach_live import LiveTerminal
from cis_provider.worker.names import Names
from cis_provider.worker.session import Session

log = logging.getLogger(__name__)

#: Seconds between two reports of a session that keeps printing.
_REPORT_EVERY = 0.3


class WorkerServer:
    """One scope's sessions. The coordinator is its only client, but it works on without one."""

    def __init__(self, name: str, node_id: str) -> None:
        self.name = name
        self._node_id = node_id
        self._names = Names()
        self._sessions: dict[str, Session] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._changed: set[str] = set()
        self._finished: list[Finished] = []
        self._asked: dict[str, int] = {}
        self._wake = asyncio.Event()
        self._urgent = asyncio.Event()
        self._idle = asyncio.Event()
        self._stopping = asyncio.Event()
        welcome = Welcome(name=name, node_id=node_id, pid=os.getpid(), version=__version__)
        self._server = Server(paths.worker_socket(name), welcome, self._handle)
        self._terminals = AttachServer(paths.terminal_socket(name), self._terminal)

    async def run(self) -> None:
        """Serve until told to stop, or idle for ``worker.idle_exit`` seconds."""
        leftovers.end_all(self.name)
        await self._terminals.start()
        await self._server.start()
        log.info("%s is ready (pid %d)", self.name, os.getpid())
        idle_exit = settings.seconds("worker.idle_exit")
        while not self._stopping.is_set():
            self._idle.clear()
            if self._sessions:
                await self._first_of(self._stopping, self._idle, timeout=None)
                continue
            if not await self._first_of(self._stopping, self._idle, timeout=idle_exit) and not self._sessions:
                self._stopping.set()
        for session in self._sessions.values():
            session.stop("its worker was told to stop")
        if self._running:
            await asyncio.wait(self._running, timeout=30)
        await self._terminals.close()
        await self._server.close()
        log.info("%s leaves", self.name)

    def stop(self) -> None:
        """End the sessions and leave."""
        self._stopping.set()

    def _terminal(self, session_id: str) -> LiveTerminal | None:
        session = self._sessions.get(session_id)
        return session.terminal if session else None

    async def _handle(self, request: Message) -> Message | AsyncIterator[Message]:
        match request:
            case Start():
                self._start(request)
                return Ok()
            case EndSession(session_id=session_id, reason=reason):
                if session := self._sessions.get(session_id):
                    session.stop(reason)
                return Ok()
            case AnswerSession(session_id=session_id, answer=answer):
                if (session := self._sessions.get(session_id)) is None:
                    raise StaleAnswer(f"session {session_id} is not at work any more; nothing was delivered")
                await session.answer(answer)
                return Ok()
            case Subscribe():
                return self._report()
            case Stop():
                self.stop()
                return Ok()
            case _:
                raise ProtocolError(f"a worker does not answer {type(request).__name__}")

    def _start(self, start: Start) -> None:
        # A coordinator that lost our answer asks again; a session is started once.
        if start.session_id in self._sessions:
            return
        if self._stopping.is_set():
            raise WorkerLeaving(f"{self.name} is leaving")
        leftovers.remember(self.name, start.session_id)
        if (paths.session_dir(start.session_id) / "result.json").exists():
            # It has ended; or we stood still, and the coordinator has given it up.
            log.info("session %s is over already", start.session_id)
            leftovers.forget(self.name, start.session_id)
            return
        try:
            session = Session(
                start.session_id,
                start.request,
                worker=self.name,
                node_id=self._node_id,
                names=self._names,
                on_change=lambda: self._note_change(start.session_id),
            )
        except BaseException:
            # The note says "I have it", and it has not.
            leftovers.forget(self.name, start.session_id)
            raise
        self._sessions[start.session_id] = session
        self._idle.set()
        task = asyncio.create_task(self._run(session), name=start.session_id)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self, session: Session) -> None:
        try:
            finished = await session.run()
        except Exception as error:
            log.exception("session %s: its result could not be kept", session.session_id)
            finished = _lost(session, error)
        del self._sessions[session.session_id]
        self._asked.pop(session.session_id, None)
        self._finished.append(finished)
        self._idle.set()
        self._wake.set()
        self._urgent.set()

    def _note_change(self, session_id: str) -> None:
        self._changed.add(session_id)
        self._wake.set()
        session = self._sessions.get(session_id)
        if session and session.asks != self._asked.get(session_id, 0):
            # A human is called, or called off: that is told at once, what it prints a moment later.
            self._asked[session_id] = session.asks
            self._urgent.set()

    async def _report(self) -> AsyncIterator[Message]:
        # One subscriber at a time matters: whatever an earlier one was not told stands in result.json.
        self._finished.clear()
        yield Alive([session.progress for session in self._sessions.values()])
        while True:
            await self._wake.wait()
            self._wake.clear()
            changed, self._changed = self._changed, set()
            finished, self._finished = self._finished, []
            for session_id in changed:
                if session := self._sessions.get(session_id):
                    yield session.progress
            for message in finished:
                yield message
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_REPORT_EVERY):
                    await self._urgent.wait()
            self._urgent.clear()

    async def _first_of(self, *events: asyncio.Event, timeout: float | None) -> bool:
        """Whether one of the events came within ``timeout`` seconds."""
        waits = [asyncio.ensure_future(event.wait()) for event in events]
        done, pending = await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        for wait in pending:
            wait.cancel()
        return bool(done)


def _lost(session: Session, error: Exception) -> Finished:
    """For a result that could not be written to disk: it is told all the same."""
    result = AgentResult(
        session_id=session.session_id,
        is_error=True,
        subtype="interrupted",
        error=f"its result could not be written to {session.folder}: {error}",
    )
    return Finished(session_id=session.session_id, ended_at=time.time(), result=result)
