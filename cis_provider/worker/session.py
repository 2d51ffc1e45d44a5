"""One agent at work: its workspace, its program, its time limit, its result."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from cis_provider import paths
from cis_provider.errors import CisError, PermanentAgentError, WorkspaceError
from cis_provider.files import private_folder, write_atomic
from cis_provider.model.duration import format_duration
from cis_provider.model.result import AgentResult, Subtype
from cis_provider.model.session import SessionRequest, SessionState
from cis_provider.runtimes import registry
from cis_provider.runtimes.base import Runtime
from cis_provider.wire.messages import Finished, Progress
from cis_provider.worker import leftovers, processes, temporary
from cis_provider.worker.environment import agent_environment, input_name, inputs_folder, output_file
from cis_provider.worker.mask import SecretMask
from cis_provider.worker.output import OutputLog, handed_on
from cis_provider.worker.terminal import Terminal
from cis_provider.workspaces import manager as workspaces
from cis_provider.workspaces.manager import PreparedWorkspace

log = logging.getLogger(__name__)

#: Seconds of silence after which processes that outlive the agent's own are ended, and seconds that they may
#: go on talking.
_DRAIN, _LAST_WORDS = 0.5, 30.0


class StopOrder(NamedTuple):
    """Why a session is to end before its program does."""

    subtype: Subtype
    reason: str


class Session:
    """
    Runs one request once, from its workspace to a result on disk. Never raises: trouble is a result, too.

    :param on_change: Called when something about it changed; cheap, and often.
    """

    def __init__(
        self,
        session_id: str,
        request: SessionRequest,
        *,
        worker: str,
        node_id: str,
        on_change: Callable[[], None],
    ) -> None:
        self.session_id = session_id
        self.request = request
        self.folder = private_folder(paths.session_dir(session_id))
        self._worker = worker
        self._node_id = node_id
        self._on_change = on_change
        self._stop: asyncio.Future[StopOrder] = asyncio.get_running_loop().create_future()
        self._output = OutputLog(self.folder / "output.log")
        self._mask = SecretMask(request.secrets.values())
        self._broken: OSError | None = None
        self._state = SessionState.STARTING
        self._started_at = time.time()
        self._pid = 0
        self._workspace = ""

    @property
    def progress(self) -> Progress:
        """What can be said of it now."""
        return Progress(
            session_id=self.session_id,
            state=self._state,
            pid=self._pid,
            started_at=self._started_at,
            workspace=self._workspace,
            last_line=self._output.last_line,
            output_bytes=self._output.size,
        )

    def stop(self, reason: str) -> None:
        """Ask for its end; the first reason counts."""
        self._order(StopOrder("killed", reason))

    async def run(self) -> Finished:
        """Work, and return what was written to ``result.json`` before."""
        result = await self._result()
        ended_at = time.time()
        self._output.close()
        finished = Finished(
            session_id=self.session_id,
            ended_at=ended_at,
            result=result,
            started_at=self._started_at,
            last_line=self._output.last_line,
            output_bytes=self._output.size,
        )
        write_atomic(self.folder / "result.json", msgspec.json.encode(finished))
        leftovers.forget(self._worker, self.session_id)
        # Nobody waits for it: there may be a million files in it.
        asyncio.get_running_loop().run_in_executor(None, temporary.remove, self.session_id)
        log.info(
            "session %s (%s) ended: %s after %.1f s",
            self.session_id,
            self.request.key,
            result.subtype,
            ended_at - self._started_at,
        )
        return finished

    async def _result(self) -> AgentResult:
        try:
            runtime = registry.load(self.request.agent_type)
            prepared = await self._prepared()
        except PermanentAgentError as error:
            return self._failure("unsupported", str(error))
        except WorkspaceError as error:
            return self._failure("workspace", str(error))
        except Exception as error:
            log.exception("session %s: its workspace could not be prepared", self.session_id)
            return self._failure("workspace", f"{type(error).__name__}: {error}")
        if prepared is None:
            return self._failure(*self._stop.result())
        self._workspace = str(prepared.path)
        if prepared.note:
            log.info("session %s: %s", self.session_id, prepared.note)
        result = await self._work(runtime, prepared.path)
        try:
            end = await asyncio.to_thread(workspaces.conclude, prepared, failed=result.is_error)
        except Exception as error:
            log.exception("session %s: its workspace could not be concluded", self.session_id)
            return _with_trouble(result, f"{type(error).__name__}: {error}")
        result = msgspec.structs.replace(
            result, commit=end.commit, branch=end.branch, diff_stat=end.diff_stat, workspace_note=end.note
        )
        return _with_trouble(result, end.error) if end.error else result

    async def _prepared(self) -> PreparedWorkspace | None:
        """The workspace; ``None`` when a stop came first, which does not wait for a slow clone."""
        preparing = asyncio.ensure_future(
            asyncio.to_thread(
                workspaces.prepare,
                self.request.workspace,
                session_id=self.session_id,
                key=self.request.key,
                node_id=self._node_id,
                scope=self.request.scope,
            )
        )
        either: set[asyncio.Future[Any]] = {preparing, self._stop}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        return await preparing if preparing.done() else None

    async def _work(self, runtime: Runtime, workspace: Path) -> AgentResult:
        if self._stop.done():
            return self._failure(*self._stop.result())
        begun = time.monotonic()
        try:
            terminal = self._start(runtime, workspace)
        except CisError as error:
            return self._failure("unsupported", str(error))
        except OSError as error:
            return self._failure("not_started", f"the agent's program could not be started: {error}")
        order = await self._until_done(terminal)
        exit_code = terminal.close()
        self._output.write(self._mask.finish())
        duration = time.monotonic() - begun
        if self._broken:
            order = StopOrder("not_started", f"its output could not be written to disk: {self._broken}")
        verdict = runtime.verdict(exit_code, self._output.tail)
        subtype, why = (order.subtype, order.reason) if order else (verdict.subtype, verdict.error)
        # A hundred megabytes take a second, in which the other sessions must be served.
        output, whole = await asyncio.to_thread(
            handed_on, output_file(self.folder), self._output.path, self.folder / "output.txt", self._mask
        )
        return AgentResult(
            session_id=self.session_id,
            is_error=subtype != "success",
            subtype=subtype,
            output=output,
            output_ref=whole,
            exit_code=exit_code,
            duration=round(duration, 3),
            workspace=str(workspace),
            error=why,
        )

    def _start(self, runtime: Runtime, workspace: Path) -> Terminal:
        inputs = private_folder(inputs_folder(self.folder))
        for agent_id, text in self.request.inputs.items():
            (inputs / input_name(agent_id)).write_text(text, encoding="utf-8")
        launch = runtime.launch(self.request, self.folder)
        env = agent_environment(
            self.request,
            session_id=self.session_id,
            folder=self.folder,
            workspace=workspace,
            temporary=temporary.make(self.session_id),
        )
        terminal = Terminal.spawn(
            launch.argv, folder=workspace, env=env | launch.env, on_output=self._on_output
        )
        self._pid = terminal.pid
        self._state = SessionState.RUNNING
        self._started_at = time.time()
        try:
            leftovers.remember(self._worker, self.session_id, terminal.pid)
        except OSError as error:
            # It runs already: it must be ended like any other, not be forgotten.
            self._order(StopOrder("not_started", f"its process could not be noted on disk: {error}"))
        self._on_change()
        return terminal

    async def _until_done(self, terminal: Terminal) -> StopOrder | None:
        """Wait for the program, a stop or the time limit; afterwards nothing of it is left running."""
        exited: asyncio.Future[None] = asyncio.ensure_future(terminal.exited())
        limit = self.request.timeout or None
        either: set[asyncio.Future[Any]] = {exited, self._stop}
        done, _ = await asyncio.wait(either, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        if exited in done:
            await self._let_go(terminal)
            return None
        if not done:
            self._order(
                StopOrder("timeout", f"still at work after its time limit of {format_duration(limit or 0)}")
            )
        await self._end_processes(terminal, exited)
        return self._stop.result()

    async def _let_go(self, terminal: Terminal) -> None:
        """What the program left behind may finish its words (a ``tee``), but not stay."""
        deadline, said = time.monotonic() + _LAST_WORDS, -1
        while self._output.size > said and time.monotonic() < deadline:
            said = self._output.size
            if await terminal.drained(_DRAIN):
                break
        processes.signal_group(terminal.pid, signal.SIGHUP)
        if not await terminal.drained(_DRAIN):
            processes.signal_group(terminal.pid, signal.SIGKILL)
            await terminal.drained(_DRAIN)

    async def _end_processes(self, terminal: Terminal, exited: asyncio.Future[None]) -> None:
        processes.signal_group(terminal.pid, signal.SIGHUP)
        await asyncio.wait({exited}, timeout=self.request.stop_grace)
        # Twice: a process may have forked between the look and the kill.
        for _ in range(2):
            processes.signal_all(processes.belonging_to(self.session_id, terminal.pid), signal.SIGKILL)
            processes.signal_group(terminal.pid, signal.SIGKILL)
        await exited
        await terminal.drained(_DRAIN)

    def _on_output(self, chunk: bytes) -> None:
        if self._broken:
            return
        try:
            if shown := self._mask.feed(chunk):
                self._output.write(shown)
        except OSError as error:
            # A full disk: an agent whose words are lost must not look like one that succeeded.
            self._broken = error
            self._order(StopOrder("not_started", str(error)))
        self._on_change()

    def _order(self, order: StopOrder) -> None:
        if not self._stop.done():
            self._stop.set_result(order)

    def _failure(self, subtype: Subtype, error: str) -> AgentResult:
        return AgentResult(
            session_id=self.session_id,
            is_error=True,
            subtype=subtype,
            error=error,
            workspace=self._workspace or None,
        )


def _with_trouble(result: AgentResult, trouble: str) -> AgentResult:
    """An agent whose work cannot be found afterwards has not succeeded."""
    why = f"its workspace could not be concluded: {trouble}"
    if not result.is_error:
        return msgspec.structs.replace(result, is_error=True, subtype="workspace", error=why)
    return msgspec.structs.replace(result, error=f"{result.error}\n{why}".strip())
