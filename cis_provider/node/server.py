"""The coordinator's socket: each request of the protocol, and the method that answers it."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

from cis_provider import __version__, paths, settings
from cis_provider.errors import CisError, ProtocolError
from cis_provider.identity import node_id
from cis_provider.model.duration import format_duration
from cis_provider.node.coordinator import Coordinator
from cis_provider.node.lease import LastGood, Lease, Vouchers
from cis_provider.node.secrets import SecretKeeper
from cis_provider.node.store import SessionStore
from cis_provider.node.terminals import find_terminal
from cis_provider.wire.messages import (
    AnswerSession,
    Collect,
    End,
    FindTerminal,
    HeldRuns,
    ListSessions,
    ListTurns,
    Message,
    NodeStatus,
    Ok,
    ReleaseRuns,
    Runs,
    Sessions,
    Status,
    Stop,
    StopWorker,
    Submit,
    Submitted,
    Turns,
    Vouch,
    Watch,
    Welcome,
    WorkerInfo,
)
from cis_provider.wire.server import Server
from cis_provider.worker import temporary
from cis_provider.worker.processes import resident_kb
from cis_provider.workspaces import manager as workspaces
from cis_provider.workspaces.sweep import Removed

log = logging.getLogger(__name__)

#: Seconds between two sweeps of what is left over, and between two looks at what may have changed meanwhile.
_SWEEP_EVERY, _LOOK_EVERY = 600.0, 30.0


class CoordinatorServer:
    """
    A coordinator and its socket, from start to stop.

    :param stay: Whether it stays when there is nothing to do; else it leaves after ``node.idle_exit`` seconds.
    """

    def __init__(self, *, stay: bool) -> None:
        self._node_id = node_id()
        self._since = time.time()
        self._stay = stay
        self._stopping = asyncio.Event()
        welcome = Welcome(name="coordinator", node_id=self._node_id, pid=os.getpid(), version=__version__)
        self._server = Server(paths.coordinator_socket(), welcome, self._handle, on_word=self._heard)
        self._lease = Lease(LastGood("node.lease"), present=lambda: self._server.greeted > 0)
        self._vouchers = Vouchers()
        self._coordinator = Coordinator(SessionStore(), SecretKeeper(), is_orphaned=self._lease.is_over)

    async def run(self) -> None:
        """Serve until told to stop, or, if it may, until nobody needs it. The workers stay."""
        await self._coordinator.recover()
        await self._server.start()
        log.info("node %s is ready (pid %d)", self._node_id, os.getpid())
        tasks = [asyncio.create_task(self._keep_clean()), asyncio.create_task(self._look_after())]
        await self._stopping.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.close()
        await self._coordinator.close()
        log.info("node %s leaves", self._node_id)

    def stop(self) -> None:
        """Leave soon."""
        self._stopping.set()

    async def _keep_clean(self) -> None:
        while True:
            try:
                self._coordinator.sweep()
                await self._coordinator.fleet.sweep_dead()
                await asyncio.to_thread(self._sweep_folders, self._coordinator.book.workspaces_in_use())
            except (CisError, OSError, sqlite3.Error):
                log.exception("the sweep failed")
            await asyncio.sleep(_SWEEP_EVERY)

    async def _look_after(self) -> None:
        """Workers that should leave, and whether to leave ourselves."""
        patience = LastGood("node.idle_exit")
        while True:
            self._coordinator.fleet.settle()
            left = patience() - self._lease.silence()
            if left <= 0 and not self._stay and self._is_idle():
                # In one go with the look: whoever has not been greeted by now is not, and finds another.
                self._server.refuse()
                log.info("nobody has needed this node for %s", format_duration(patience()))
                self._stopping.set()
                return
            await asyncio.sleep(min(max(left, _LOOK_EVERY / 60), _LOOK_EVERY))

    def _is_idle(self) -> bool:
        at_work, queued = self._coordinator.book.counts()
        if at_work or not self._coordinator.fleet.is_empty:
            return False
        # A queue stays on disk, for whoever comes back.
        return not queued or self._lease.is_over()

    def _heard(self) -> None:
        was_over = self._lease.is_over()
        self._lease.heard()
        if was_over:
            log.info("somebody has come back to this node")
            self._coordinator.sweep()

    async def _handle(self, request: Message) -> Message | AsyncIterator[Message]:
        coordinator = self._coordinator
        match request:
            case Submit():
                answer = coordinator.submit(request.request)
                if isinstance(answer, Submitted):
                    self._vouchers.cared(answer.record.session_id)
                return answer
            case Watch():
                return self._watched(request.session_id)
            case Collect():
                coordinator.collect(request.session_id, request.try_number)
            case End():
                coordinator.end(request.session_id, request.reason, request.if_try)
            case AnswerSession():
                await coordinator.answer(request.session_id, request.answer)
            case FindTerminal():
                return find_terminal(coordinator.book, request.session_id)
            case ListSessions():
                return Sessions(
                    coordinator.book.find(
                        alive=request.alive,
                        dag_id=request.dag_id,
                        run_id=request.run_id,
                        task_id=request.task_id,
                        session_id=request.session_id,
                    )
                )
            case HeldRuns():
                return Runs(coordinator.held_runs())
            case ReleaseRuns():
                coordinator.release_runs(request.runs)
            case Vouch():
                coordinator.vouch(request)
                self._end_forsaken(request)
            case ListTurns():
                return Turns(coordinator.turns())
            case NodeStatus():
                return self._status()
            case StopWorker():
                coordinator.fleet.stop_worker(request.name, now=request.now)
            case Stop():
                if request.workers:
                    await coordinator.stop_workers()
                self.stop()
            case _:
                raise ProtocolError(f"a coordinator does not answer {type(request).__name__}")
        return Ok()

    async def _watched(self, session_id: str) -> AsyncIterator[Message]:
        self._vouchers.watch_begins(session_id)
        try:
            async for changed in self._coordinator.book.watch(session_id):
                yield changed
        finally:
            self._vouchers.watch_ends(session_id)

    def _end_forsaken(self, vouch: Vouch) -> None:
        self._vouchers.vouched(vouch.session_ids)
        lease = self._lease.seconds()
        alive = [record.session_id for record in self._coordinator.book]
        for session_id in self._vouchers.forsaken(alive, lease):
            self._coordinator.end(session_id, f"no Airflow has asked for it for {format_duration(lease)}")

    @staticmethod
    def _sweep_folders(in_use: list[Path]) -> None:
        temporary.sweep()
        swept = workspaces.sweep(
            paths.workspace_root(),
            now=time.time(),
            keep_days=settings.seconds("node.keep_days"),
            alive=in_use,
        )
        for one in swept:
            # What is kept stays kept, and would be told again every few minutes.
            log.log(logging.INFO if isinstance(one, Removed) else logging.DEBUG, "%s", one)

    def _status(self) -> Status:
        running, queued = self._coordinator.book.counts()
        return Status(
            node_id=self._node_id,
            pid=os.getpid(),
            version=__version__,
            since=self._since,
            max_workers=settings.integer("dag.local.max_workers"),
            running=running,
            queued=queued,
            workers=[self._worker_info(name) for name in sorted(self._coordinator.fleet.links)],
        )

    def _worker_info(self, name: str) -> WorkerInfo:
        link = self._coordinator.fleet.links[name]
        sessions = self._coordinator.book.of_worker(name)
        queued = sum(session.state == "queued" for session in sessions)
        pid = link.welcome.pid if link.welcome else 0
        return WorkerInfo(
            name=name,
            scope=str(link.scope),
            pid=pid,
            node_id=self._node_id,
            version=link.welcome.version if link.welcome else "",
            sessions=len(sessions) - queued,
            queued=queued,
            since=link.since,
            memory_kb=resident_kb(pid),
            leaving=link.retiring,
        )
