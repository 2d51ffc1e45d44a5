"""How other processes talk to this node's coordinator: blocking, and with asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import TracebackType
from typing import TypeVar, cast

from cis_provider import __version__, paths
from cis_provider.errors import CisError, NodeUnreachable
from cis_provider.files import check_server, check_socket_path
from cis_provider.model.blockage import Answer
from cis_provider.model.session import SessionRecord, SessionRequest, SessionState
from cis_provider.node.answers import expect, leaving, not_gone, with_id
from cis_provider.node.launch import Starter
from cis_provider.node.versions import is_older
from cis_provider.wire import frames
from cis_provider.wire.messages import (
    AnswerSession,
    Changed,
    Collect,
    End,
    FindTerminal,
    HeldRuns,
    Hello,
    ListSessions,
    ListTurns,
    Message,
    NodeStatus,
    NotYet,
    Ok,
    ReleaseRuns,
    Runs,
    Sessions,
    Status,
    Stop,
    StopWorker,
    Submit,
    Submitted,
    TerminalAt,
    TurnInfo,
    Turns,
    Vouch,
    Watch,
    Welcome,
)

M = TypeVar("M")


class NodeClient:
    """
    A blocking connection to this node's coordinator; a context manager.

    :param role: Who is asking, for logs: ``operator``, ``cli`` ...
    :param start: Start a coordinator if there is none.
    :param timeout: Seconds for the coordinator to be there, and for each answer.
    :raises NodeUnreachable: From any method: it is not there, or did not answer.
    """

    def __init__(self, role: str, *, start: bool = True, timeout: float = 15.0) -> None:
        self._role, self._start, self._timeout = role, start, timeout
        self._socket = self._connect()

    def __enter__(self) -> NodeClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def submit(self, request: SessionRequest) -> Submitted | NotYet:
        """
        Have an agent run, or join what runs for it; it is on disk when this returns.

        :return: :class:`NotYet` when another run has the scope: nothing was accepted, ask again.
        :raises TransientAgentError: A later try of the task has been here.
        """
        return cast("Submitted | NotYet", self._ask(Submit(request), Submitted, NotYet))

    def watch(self, session_id: str, *, timeout: float) -> Iterator[SessionRecord]:
        """
        The session's record now and at each change; ends with its end, or after ``timeout`` seconds.

        The connection is of no use afterwards.
        """
        deadline = time.monotonic() + timeout
        try:
            self._socket.sendall(frames.encode(Watch(session_id)))
            while (left := deadline - time.monotonic()) > 0:
                self._socket.settimeout(left)
                try:
                    message = frames.read_blocking(self._socket)
                except TimeoutError:
                    return
                record = expect(message, Changed).record
                yield record
                if record.state is SessionState.ENDED:
                    return
        except OSError as error:
            raise NodeUnreachable(f"the coordinator went away: {error}") from None

    def collect(self, session_id: str, try_number: int) -> None:
        """The result has arrived where it belongs."""
        self._ask(Collect(session_id, try_number), Ok)

    def end(self, session_id: str, reason: str, if_try: int = 0) -> None:
        """End a session (only if it works for try ``if_try``, when given)."""
        self._ask(End(session_id, reason, if_try), Ok)

    def answer(self, session_id: str, answer: Answer) -> None:
        """
        Deliver a decision to a blocked session. The same with the same ``id`` may be sent again: it is delivered
        once. One without gets an id for this call.

        :raises AnswerRefused: It does not fit: late, or no such option; says what became of the question.
        """
        self._ask(AnswerSession(session_id, with_id(answer)), Ok)

    def find_terminal(self, session_id: str) -> TerminalAt:
        """
        Where the session's terminal and its recording are.

        :raises UsageError: There is no such session, it has not begun, or its recording is gone.
        """
        return self._ask(FindTerminal(session_id), TerminalAt)

    def sessions(
        self,
        *,
        alive: bool = False,
        dag_id: str = "",
        run_id: str = "",
        task_id: str = "",
        session_id: str = "",
    ) -> list[SessionRecord]:
        """Sessions that match every field given, the oldest first."""
        return self._ask(ListSessions(alive, dag_id, run_id, task_id, session_id), Sessions).records

    def status(self) -> Status:
        """The node, its limit and its workers."""
        return self._ask(NodeStatus(), Status)

    def held_runs(self) -> list[tuple[str, str]]:
        """Runs, as (dag id, run id), that have folders or scopes, or wait for them."""
        return self._ask(HeldRuns(), Runs).runs

    def release_runs(self, runs: list[tuple[str, str]]) -> None:
        """These runs are over: let go of what they hold and wait for."""
        self._ask(ReleaseRuns(runs), Ok)

    def vouch(self, vouch: Vouch) -> None:
        """Say what an Airflow knows and wants."""
        self._ask(vouch, Ok)

    def turns(self) -> list[TurnInfo]:
        """Runs that have scopes for themselves, then those that wait, in their order."""
        return self._ask(ListTurns(), Turns).turns

    def stop_worker(self, name: str, *, now: bool = False) -> None:
        """
        Have a scope worker leave: when its sessions have ended, or ``now``, with them.

        :raises UsageError: No worker of that name runs.
        """
        self._ask(StopWorker(name, now), Ok)

    def stop(self, *, workers: bool = False) -> None:
        """Have the coordinator leave; with ``workers``, they end their sessions and leave, too."""
        self._ask(Stop(workers), Ok)

    def _connect(self) -> socket.socket:
        with Starter(timeout=self._timeout, start=self._start) as starter:
            while True:
                sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                try:
                    sock.settimeout(self._timeout)
                    self._greet(sock)
                    return sock
                except OSError as error:
                    sock.close()
                    time.sleep(starter.refused(error))
                except CisError:
                    sock.close()
                    raise

    def _greet(self, sock: socket.socket) -> None:
        path = paths.coordinator_socket()
        check_socket_path(path)
        sock.connect(str(path))
        check_server(sock, path)
        with contextlib.suppress(BrokenPipeError):  # turned away already: why, is to be read
            sock.sendall(frames.encode(Hello(self._role)))
        welcome = expect(not_gone(frames.read_blocking(sock)), Welcome)
        if self._start and is_older(welcome.version, __version__):
            sock.sendall(frames.encode(Stop()))
            frames.read_blocking(sock)
            raise leaving(welcome)

    def _ask(self, request: Message, *answers: type[M]) -> M:
        try:
            return self._exchange(request, *answers)
        except ConnectionError as error:
            if not self._start or isinstance(request, Stop | StopWorker):
                raise NodeUnreachable(f"the coordinator did not answer: {error}") from None
        # It left, idle or for a newer one. Whatever it did of this may be done again, and is done once.
        self._socket.close()
        self._socket = self._connect()
        try:
            return self._exchange(request, *answers)
        except ConnectionError as error:
            raise NodeUnreachable(f"the coordinator did not answer: {error}") from None

    def _exchange(self, request: Message, *answers: type[M]) -> M:
        try:
            self._socket.settimeout(self._timeout)
            self._socket.sendall(frames.encode(request))
            return expect(not_gone(frames.read_blocking(self._socket)), *answers)
        except ConnectionError:
            raise
        except OSError as error:
            raise NodeUnreachable(f"the coordinator did not answer: {error}") from None


class AsyncNodeClient:
    """
    The same for event loops: use as ``async with AsyncNodeClient("trigger") as node``.

    :param role: As for :class:`NodeClient`; so are ``start`` and ``timeout``.
    """

    def __init__(self, role: str, *, start: bool = True, timeout: float = 15.0) -> None:
        self._role, self._start, self._timeout = role, start, timeout
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def __aenter__(self) -> AsyncNodeClient:
        path = paths.coordinator_socket()
        check_socket_path(path)
        with Starter(timeout=self._timeout, start=self._start) as starter:
            while True:
                try:
                    async with asyncio.timeout(self._timeout):
                        self._reader, self._writer = await asyncio.open_unix_connection(str(path))
                        await self._greet(path)
                    return self
                except OSError as error:
                    await asyncio.sleep(starter.refused(error))

    async def _greet(self, path: Path) -> None:
        try:
            check_server(self._writer.get_extra_info("socket"), path)
            self._writer.write(frames.encode(Hello(self._role)))
            welcome = expect(not_gone(await frames.read(self._reader)), Welcome)
            if self._start and is_older(welcome.version, __version__):
                self._writer.write(frames.encode(Stop()))
                await frames.read(self._reader)
                raise leaving(welcome)
        except BaseException:
            self._writer.close()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def watch(self, session_id: str) -> AsyncIterator[SessionRecord]:
        """The session's record now and at each change, up to its end."""
        self._writer.write(frames.encode(Watch(session_id)))
        while True:
            record = expect(await frames.read(self._reader), Changed).record
            yield record
            if record.state is SessionState.ENDED:
                return

    async def collect(self, session_id: str, try_number: int) -> None:
        """The result has arrived where it belongs."""
        await self._ask(Collect(session_id, try_number), Ok)

    async def answer(self, session_id: str, answer: Answer) -> None:
        """Deliver a decision; see :meth:`NodeClient.answer`."""
        await self._ask(AnswerSession(session_id, with_id(answer)), Ok)

    async def _ask(self, request: Message, answer: type[M]) -> M:
        async with asyncio.timeout(self._timeout):
            self._writer.write(frames.encode(request))
            await self._writer.drain()
            return expect(await frames.read(self._reader), answer)
