"""The coordinator's side of a scope worker: find or start it, give it sessions, hear of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import subprocess
import time
from collections.abc import Callable

from cis_provider import __version__, paths
from cis_provider.errors import ConfigError, NodeUnreachable, ProtocolError, WorkerLeaving
from cis_provider.files import is_locked
from cis_provider.model.scope import TaskScope
from cis_provider.model.session import SessionRequest
from cis_provider.node.detached import last_words, start_detached
from cis_provider.node.dial import dial, subscribe
from cis_provider.wire import frames
from cis_provider.wire.messages import (
    Alive,
    EndSession,
    Failure,
    Finished,
    Message,
    Ok,
    Progress,
    Start,
    Stop,
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
        #: Why it gets nothing new, in words; empty: it is as it should be.
        self.retiring = ""
        #: It was told to leave, or said that it does.
        self.stopping = False
        #: Sessions that it has.
        self.sessions: set[str] = set()
        #: When it last had something to do, by the monotonic clock.
        self.used_at = time.monotonic()
        self._on_event = on_event
        self._on_lost = on_lost
        self._calls: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._call_lock = asyncio.Lock()
        self._listener: asyncio.Task[None] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._connected, self._lost = asyncio.Event(), asyncio.Event()

    @property
    def since(self) -> float:
        """When the worker began, in seconds since the epoch; 0: it is gone."""
        try:
            return paths.worker_lock(self.name).stat().st_mtime
        except OSError:
            return 0.0

    async def join(self) -> bool:
        """
        Connect to the worker if it runs, and tell which sessions it has; whether it runs.

        :raises ConfigError: Somebody else listens there.
        """
        # Nothing is given to it meanwhile: a session that it gets after it has said what it has would be
        # taken for lost.
        async with self._call_lock:
            try:
                self._calls, self.welcome = await dial(self.name, timeout=_ANSWER)
                events, alive = await subscribe(self.name, timeout=_ANSWER)
            except (OSError, ProtocolError):
                self._drop_calls()
                return False
            if self.welcome.version != __version__ and not self._is_ours():
                # One that we started is the version that is installed now, and what could take its place.
                self.retiring = f"is of version {self.welcome.version} and finishes"
            self._connected.set()
            if not self._tell(alive):
                # Not the same words later: it may have got sessions by then. It is asked anew.
                asyncio.get_running_loop().call_later(_AGAIN, events[1].close)
        self._listener = asyncio.create_task(self._listen(*events), name=f"listen-{self.name}")
        return True

    async def rejoin(self) -> bool:
        """
        Connect again for as long as the worker lives; a lost connection is no proof of its death.

        :return: ``False`` when it is dead: the lock that it holds for life is free.
        """
        while self.is_alive():
            with contextlib.suppress(ConfigError):
                if await self.join():
                    return True
            await asyncio.sleep(_PAUSE)
        return False

    def is_alive(self) -> bool:
        """Whether some process holds the worker's lock."""
        return is_locked(paths.worker_lock(self.name))

    @property
    def is_connected(self) -> bool:
        """Whether it answers, as far as is known."""
        return self._connected.is_set()

    async def settled(self, timeout: float) -> bool:
        """
        Wait until it is known whether a worker is there: connected, or lost.

        :return: Whether it is there.
        :raises NodeUnreachable: It lives, but does not answer.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                # Again and again: it may be connected and gone again before we hear of it.
                while not (self._connected.is_set() or self._lost.is_set()):  # noqa: ASYNC110  one of two
                    await asyncio.sleep(_PAUSE)
        if not (self._connected.is_set() or self._lost.is_set()):
            raise NodeUnreachable(f"{self.name} lives, but did not answer within {timeout:.0f} s")
        return not self._lost.is_set()

    async def gone(self, timeout: float) -> bool:
        """Wait until a worker that is leaving is gone and everything of it is judged; whether it is."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._lost.wait()
        return self._lost.is_set()

    async def start(self) -> None:
        """
        Connect to the worker, starting it first if there is none.

        :raises NodeUnreachable: It did not get ready; the message says why, or names its log.
        :raises ConfigError: Somebody else listens in its place.
        """
        deadline = time.monotonic() + _READY
        log_file = paths.worker_log(self.name)
        process: subprocess.Popen[bytes] | None = None
        while not await self.join():
            if process is None:
                process = self._process = start_detached(
                    "cis_provider.worker", self.name, str(self.scope), log=log_file
                )
            if time.monotonic() > deadline:
                raise NodeUnreachable(f"{self.name} did not get ready in {_READY:.0f} s; see {log_file}")
            if process.poll():
                raise NodeUnreachable(
                    f"{self.name} ended with code {process.returncode}; {last_words(log_file)}"
                )
            if process.returncode == 0:
                # Another one held the lock: it serves already, or is just leaving.
                process = self._process = None
            await asyncio.sleep(0.02)
        if process and not self._is_ours():
            # One of an earlier coordinator came first: ours must not take its place when it leaves.
            process.terminate()

    async def begin(self, session_id: str, request: SessionRequest) -> None:
        """Give it a session; it has taken note of it on disk when this returns."""
        self.used_at = time.monotonic()
        self.sessions.add(session_id)
        try:
            await self._call(Start(session_id, request))
        except WorkerLeaving:
            self.sessions.discard(session_id)
            self.stopping = True
            raise

    async def end(self, session_id: str, reason: str) -> None:
        """Have it end a session."""
        await self._call(EndSession(session_id, reason))

    async def stop(self) -> None:
        """Have it end its sessions and leave."""
        self.stopping = True
        await self._call(Stop())

    async def close(self) -> None:
        """Let go of it; it works on."""
        if self._listener:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)
        self._drop_calls()

    def _is_ours(self) -> bool:
        """Whether the process that welcomed us is the one that we started."""
        return bool(self._process and self.welcome and self._process.pid == self.welcome.pid)

    async def _call(self, request: Message) -> None:
        async with self._call_lock:
            try:
                if self._calls is None:
                    self._calls, _ = await dial(self.name, timeout=_ANSWER)
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
            while (message := await frames.read(reader)) is not None:
                if isinstance(message, Progress | Finished):
                    self._tell(message)
        except (OSError, ProtocolError) as error:
            log.warning("%s: connection broken: %s", self.name, error)
        finally:
            writer.close()
        self._connected.clear()
        self._drop_calls()
        if await self.rejoin():
            return
        await asyncio.to_thread(leftovers.end_all, self.name)
        if self._process:
            # It closed its socket and is about to exit: nobody else would reap it.
            asyncio.get_running_loop().call_later(_EXIT, self._process.poll)
        self._lost.set()
        self._on_lost(self)

    def _tell(self, event: Alive | Progress | Finished) -> bool:
        self.used_at = time.monotonic()
        match event:
            case Alive(progress=progress):
                self.sessions = {one.session_id for one in progress}
            case Finished():
                self.sessions.discard(event.session_id)
        try:
            self._on_event(self, event)
        except Exception:
            # A full disk, for one. The event must not be lost, nor the worker be taken for dead.
            log.exception("%s: %s could not be noted; trying again", self.name, type(event).__name__)
            if not isinstance(event, Alive):
                asyncio.get_running_loop().call_later(_AGAIN, self._tell, event)
            return False
        return True

    def _drop_calls(self) -> None:
        if self._calls:
            self._calls[1].close()
            self._calls = None
