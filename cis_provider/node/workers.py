"""The coordinator's side of a scope worker: find or start it, give it sessions, hear of them."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from cis_provider import paths
from cis_provider.errors import NodeUnreachable, ProtocolError, WorkerLeaving
from cis_provider.files import is_locked, private_folder
from cis_provider.model.scope import TaskScope
from cis_provider.model.session import SessionRequest
from cis_provider.node.detached import start_detached
from cis_provider.wire import frames
from cis_provider.wire.messages import (
    Alive,
    EndSession,
    Failure,
    Finished,
    Hello,
    Message,
    Ok,
    Progress,
    Start,
    Stop,
    Subscribe,
    Welcome,
)
from cis_provider.worker import leftovers

log = logging.getLogger(__name__)

_READY, _ANSWER, _EXIT, _AGAIN, _PAUSE = 15.0, 15.0, 5.0, 5.0, 0.1


class WorkerLink:
    """
    A connection to one living worker.

    :param on_event: Gets :class:`Alive` once, then each :class:`Progress` and :class:`Finished`.
    :param on_lost: Called once when the worker is gone and its processes have been ended.
    """

    def __init__(
        self,
        scope: TaskScope,
        *,
        on_event: Callable[[WorkerLink, Alive | Progress | Finished], None],
        on_lost: Callable[[WorkerLink], None],
    ) -> None:
        self.scope = scope
        self.name = scope.worker_name
        self.welcome: Welcome | None = None
        self.since = time.time()
        self._on_event = on_event
        self._on_lost = on_lost
        self._calls: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._call_lock = asyncio.Lock()
        self._listener: asyncio.Task[None] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    async def join(self) -> bool:
        """Connect to the worker if it runs; whether it does."""
        try:
            self._calls, self.welcome = await _connect(self.name)
            events, _ = await _connect(self.name)
        except (OSError, ProtocolError):
            return False
        self._listener = asyncio.create_task(self._listen(*events), name=f"listen-{self.name}")
        return True

    async def rejoin(self) -> bool:
        """
        Connect again for as long as the worker lives; a lost connection is no proof of its death.

        :return: ``False`` when it is dead: the lock that it holds for life is free.
        """
        while self.is_alive():
            if await self.join():
                return True
            await asyncio.sleep(_PAUSE)
        return False

    def is_alive(self) -> bool:
        """Whether some process holds the worker's lock."""
        return is_locked(paths.node_dir() / "workers" / f"{self.name}.lock")

    async def gone(self, timeout: float) -> None:
        """Wait for the end of a worker that is leaving, but not for ever."""
        deadline = time.monotonic() + timeout
        while self.is_alive() and time.monotonic() < deadline:  # noqa: ASYNC110  a lock tells nobody
            await asyncio.sleep(_PAUSE)

    async def start(self) -> None:
        """
        Connect to the worker, starting it first if there is none.

        :raises NodeUnreachable: It did not get ready; the message names its log.
        """
        deadline = time.monotonic() + _READY
        process: subprocess.Popen[bytes] | None = None
        while not await self.join():
            if process is None:
                process = self._process = start_detached(
                    "cis_provider.worker", self.name, str(self.scope), log=_log_file(self.name)
                )
            if time.monotonic() > deadline:
                raise NodeUnreachable(
                    f"{self.name} did not get ready in {_READY:.0f} s; see {_log_file(self.name)}"
                )
            if process.poll():
                raise NodeUnreachable(
                    f"{self.name} ended with code {process.returncode}; see {_log_file(self.name)}"
                )
            if process.returncode == 0:
                # Another one held the lock: it serves already, or is just leaving.
                process = None
            await asyncio.sleep(0.02)

    async def begin(self, session_id: str, request: SessionRequest) -> None:
        """Give it a session; it has taken note of it on disk when this returns."""
        await self._call(Start(session_id, request))

    async def end(self, session_id: str, reason: str) -> None:
        """Have it end a session."""
        await self._call(EndSession(session_id, reason))

    async def stop(self) -> None:
        """Have it end its sessions and leave."""
        await self._call(Stop())

    async def close(self) -> None:
        """Let go of it; it works on."""
        if self._listener:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)
        self._drop_calls()

    async def _call(self, request: Message) -> None:
        async with self._call_lock:
            try:
                if self._calls is None:
                    self._calls, _ = await _connect(self.name)
                reader, writer = self._calls
                writer.write(frames.encode(request))
                async with asyncio.timeout(_ANSWER):
                    await writer.drain()
                    answer = await frames.read(reader)
            except (OSError, ProtocolError) as error:
                self._drop_calls()
                raise NodeUnreachable(
                    f"{self.name} did not answer: {error or type(error).__name__}"
                ) from None
            if isinstance(answer, Failure) and answer.code == WorkerLeaving.code:
                raise WorkerLeaving(answer.message)
            if isinstance(answer, Failure):
                raise NodeUnreachable(f"{self.name} refused: {answer.message}")
            if not isinstance(answer, Ok):
                self._drop_calls()
                raise NodeUnreachable(f"{self.name} went away in the middle of a call")

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(frames.encode(Subscribe()))
            while (message := await frames.read(reader)) is not None:
                if isinstance(message, Alive | Progress | Finished):
                    self._tell(message)
        except (OSError, ProtocolError) as error:
            log.warning("%s: connection broken: %s", self.name, error)
        finally:
            writer.close()
        self._drop_calls()
        if await self.rejoin():
            return
        leftovers.end_all(self.name)
        if self._process:
            # It closed its socket and is about to exit: nobody else would reap it.
            asyncio.get_running_loop().call_later(_EXIT, self._process.poll)
        self._on_lost(self)

    def _tell(self, event: Alive | Progress | Finished) -> None:
        try:
            self._on_event(self, event)
        except Exception:
            # A full disk, for one. The event must not be lost, nor the worker be taken for dead.
            log.exception("%s: %s could not be noted; trying again", self.name, type(event).__name__)
            asyncio.get_running_loop().call_later(_AGAIN, self._tell, event)

    def _drop_calls(self) -> None:
        if self._calls:
            self._calls[1].close()
            self._calls = None


async def _connect(name: str) -> tuple[tuple[asyncio.StreamReader, asyncio.StreamWriter], Welcome]:
    async with asyncio.timeout(_ANSWER):
        reader, writer = await asyncio.open_unix_connection(str(paths.worker_socket(name)))
        writer.write(frames.encode(Hello("coordinator")))
        welcome = await frames.read(reader)
    if not isinstance(welcome, Welcome):
        writer.close()
        raise ProtocolError(welcome.message if isinstance(welcome, Failure) else f"{name} did not welcome us")
    return (reader, writer), welcome


def _log_file(name: str) -> Path:
    return private_folder(paths.node_dir() / "workers") / f"{name}.log"
