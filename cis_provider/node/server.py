"""The coordinator's socket: each request of the protocol, and the method that answers it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

from cis_provider import __version__, paths, settings
from cis_provider.errors import CisError, ProtocolError
from cis_provider.identity import node_id
from cis_provider.node.coordinator import Coordinator
from cis_provider.node.secrets import SecretKeeper
from cis_provider.node.store import SessionStore
from cis_provider.wire.messages import (
    Collect,
    End,
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
    Submit,
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

_SWEEP_EVERY = 600.0


class CoordinatorServer:
    """A coordinator and its socket, from start to stop."""

    def __init__(self) -> None:
        self._node_id = node_id()
        self._since = time.time()
        self._stopping = asyncio.Event()
        self._coordinator = Coordinator(SessionStore(), SecretKeeper())
        welcome = Welcome(name="coordinator", node_id=self._node_id, pid=os.getpid(), version=__version__)
        self._server = Server(paths.coordinator_socket(), welcome, self._handle)

    async def run(self) -> None:
        """Serve until told to stop. The workers stay."""
        await self._coordinator.recover()
        await self._server.start()
        log.info("node %s is ready (pid %d)", self._node_id, os.getpid())
        while not self._stopping.is_set():
            try:
                self._coordinator.sweep()
                await asyncio.to_thread(self._sweep_folders, self._coordinator.book.workspaces_in_use())
            except (CisError, OSError, sqlite3.Error):
                log.exception("the sweep failed")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SWEEP_EVERY):
                    await self._stopping.wait()
        await self._server.close()
        await self._coordinator.close()
        log.info("node %s leaves", self._node_id)

    def stop(self) -> None:
        """Leave soon."""
        self._stopping.set()

    async def _handle(self, request: Message) -> Message | AsyncIterator[Message]:
        coordinator = self._coordinator
        match request:
            case Submit():
                return coordinator.submit(request.request)
            case Watch():
                return coordinator.book.watch(request.session_id)
            case Collect():
                coordinator.collect(request.session_id, request.try_number)
            case End():
                coordinator.end(request.session_id, request.reason, request.if_try)
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
            case ListTurns():
                return Turns(coordinator.turns())
            case NodeStatus():
                return self._status()
            case Stop():
                if request.workers:
                    await coordinator.stop_workers()
                self.stop()
            case _:
                raise ProtocolError(f"a coordinator does not answer {type(request).__name__}")
        return Ok()

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
        )
