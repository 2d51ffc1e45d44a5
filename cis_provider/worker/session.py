"""One agent at work: its workspace, its program, its time limit, its result."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from cis_provider import paths
from cis_provider.errors import CisError, PermanentAgentError, StaleAnswer, WorkspaceError
from cis_provider.files import private_folder, write_atomic
from cis_provider.model.blockage import Answer
from cis_provider.model.duration import format_duration
from cis_provider.model.result import AgentResult, Subtype
from cis_provider.model.session import SessionRequest, SessionState
from cis_provider.runtimes import registry
from cis_provider.runtimes.base import ConversationRuntime, ProgramRuntime, Runtime
from cis_provider.wire.messages import Finished, Progress
from cis_provider.worker import leftovers, processes, temporary
from cis_provider.worker.attach_live import live_terminal
from cis_provider.worker.cleaning import clean
from cis_provider.worker.context import Outcome, StopOrder, WorkContext
from cis_provider.worker.conversations import writers_name
from cis_provider.worker.drive import Drive
from cis_provider.worker.environment import agent_environment, input_name, inputs_folder
from cis_provider.worker.mask import SecretMask
from cis_provider.worker.names import Names
from cis_provider.worker.output import OutputLog
from cis_provider.worker.preparing import prepare
from cis_provider.worker.program import run_program
from cis_provider.worker.results import concluded, not_concluded, output_lost, result_of
from cis_provider.worker.takeover import Humans
from cis_provider.workspaces import manager as workspaces

log = logging.getLogger(__name__)

#: Blockages that are over, the last of them, that are told while it is at work.
_SETTLED = 20

#: Seconds for which a session without a time limit waits until a conversation is free.
_CONVERSATION = 24 * 3600.0


class Session:
    """
    Runs one request once, from its workspace to a result on disk. Never raises: trouble is a result, too.

    :param names: The worker's conversations with a name.
    :param on_change: Called when something about it changed; cheap, and often.
    """

    def __init__(
        self,
        session_id: str,
        request: SessionRequest,
        *,
        worker: str,
        node_id: str,
        names: Names,
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
        self._names = names
        self._drive: Drive | None = None
        self.terminal = live_terminal(request, self._output, self.folder, self._mask)
        self._humans = Humans(self.terminal, on_change)
        self._waiting_for = ""
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
            resting=self._drive is not None and self._drive.resting,
            waiting_for=self._waiting_for,
            blockage=self._drive.blockage if self._drive else None,
            settled=self._drive.settled[-_SETTLED:] if self._drive else (),
            attached=self._humans.attached,
        )

    @property
    def asks(self) -> int:
        """Number of the blockage that a human is asked about now; 0: none."""
        return self._drive.blockage.number if self._drive and self._drive.blockage else 0

    async def answer(self, answer: Answer) -> None:
        """
        Deliver a decision to the agent.

        :raises AnswerRefused: It waits for no such thing, or not for this.
        """
        if self._drive is None:
            raise StaleAnswer(f"session {self.session_id} waits for no answer now; nothing was delivered")
        await self._drive.answer(answer)

    def stop(self, reason: str) -> None:
        """Ask for its end; the first reason counts."""
        self._order(StopOrder("killed", reason))

    async def run(self) -> Finished:
        """Work, and return what was written to ``result.json`` before, if the disk took it."""
        try:
            result = await self._result()
        finally:
            self.terminal.close("the agent has ended")
        ended_at = time.time()
        try:
            self._output.close()
        except OSError as error:
            log.error("session %s: its output is not on disk: %s", self.session_id, error)
            result = output_lost(result, error)
        finished = Finished(
            session_id=self.session_id,
            ended_at=ended_at,
            result=result,
            started_at=self._started_at,
            last_line=self._output.last_line,
            output_bytes=self._output.size,
        )
        self._keep(finished)
        # Nobody waits for it: there may be a million files in it.
        asyncio.get_running_loop().run_in_executor(None, temporary.remove, self.session_id)
        who, seconds = f"{self.session_id} ({self.request.key})", ended_at - self._started_at
        log.info("session %s ended: %s after %.1f s", who, result.subtype, seconds)
        return finished

    def _keep(self, finished: Finished) -> None:
        try:
            write_atomic(self.folder / "result.json", msgspec.json.encode(finished))
            leftovers.forget(self._worker, self.session_id)
        except OSError as error:
            # It is told all the same. The note stays: without a result on disk it must not look forgotten.
            log.error("session %s: its result is not on disk: %s", self.session_id, error)

    async def _result(self) -> AgentResult:
        try:
            runtime = registry.load(self.request.agent_type)
            prepared = await prepare(self.request, self.session_id, self._node_id, self._stop)
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
            return not_concluded(result, f"{type(error).__name__}: {error}")
        return concluded(result, end)

    async def _work(self, runtime: Runtime, workspace: Path) -> AgentResult:
        if self._stop.done():
            return self._failure(*self._stop.result())
        begun = time.monotonic()
        try:
            work = self._context(workspace)
            outcome = await self._driven(runtime, work)
        except CisError as error:
            return self._failure("unsupported", str(error))
        except OSError as error:
            return self._failure("not_started", f"the agent's program could not be started: {error}")
        except Exception as error:
            log.exception("session %s: its agent could not be driven", self.session_id)
            return self._failure("interrupted", f"{type(error).__name__}: {error}")
        try:
            return await result_of(outcome, work, self._output.path, time.monotonic() - begun)
        except OSError as error:
            return self._failure("not_started", f"its output could not be written to disk: {error}")

    async def _driven(self, runtime: Runtime, work: WorkContext) -> Outcome:
        if isinstance(runtime, ProgramRuntime):
            self.terminal.shut(f"an agent of type {self.request.agent_type} takes no input")
            return await run_program(work, runtime)
        if not isinstance(runtime, ConversationRuntime):
            raise PermanentAgentError(f"the runtime of {self.request.agent_type!r} is of no known kind")
        self._state = SessionState.RUNNING
        self._started_at = time.time()
        if not (name := writers_name(self.request)):
            return await self._converse(work, runtime)
        options = self.request.options
        what = (
            f"the conversation {options.session!r}"
            if options.session
            else f"that of {options.session_from!r}"
        )
        self._waiting_for = what if self._names.is_taken(name) else ""
        self._on_change()
        seconds = self.request.timeout or _CONVERSATION
        if not await self._names.take(name, self._stop, seconds):
            if self._stop.done():
                return Outcome(subtype=self._stop.result().subtype, error=self._stop.result().reason)
            waited = format_duration(max(1, round(seconds)))
            return Outcome(subtype="not_started", error=f"another agent has had {what} for {waited}")
        try:
            self._waiting_for = ""
            return await self._converse(work, runtime)
        finally:
            self._names.let_go(name)

    async def _converse(self, work: WorkContext, runtime: ConversationRuntime) -> Outcome:
        self._drive = drive = Drive(work, runtime)
        self._on_change()
        try:
            return await drive.run()
        finally:
            self._drive = None
            # What moved to another process group, or a program that would not be stopped.
            for _ in range(2):
                left = await asyncio.to_thread(processes.belonging_to, self.session_id, -1)
                processes.signal_all(left, signal.SIGKILL)
            self._output.write(self._mask.finish())

    def _context(self, workspace: Path) -> WorkContext:
        inputs = private_folder(inputs_folder(self.folder))
        for agent_id, text in self.request.inputs.items():
            (inputs / input_name(agent_id)).write_text(text, encoding="utf-8")
        environment = partial(
            agent_environment,
            session_id=self.session_id,
            folder=self.folder,
            workspace=workspace,
            temporary=temporary.make(self.session_id),
        )
        self._humans.work = work = WorkContext(
            session_id=self.session_id,
            worker=self._worker,
            request=self.request,
            folder=self.folder,
            workspace=workspace,
            env=environment(self.request),
            output=self._output,
            mask=self._mask,
            stop=self._stop,
            on_process=self._on_process,
            on_change=self._on_change,
            humans=self._humans,
            renewed=environment,
        )
        return work

    def _on_process(self, pid: int) -> None:
        self._pid = pid
        if self._state is not SessionState.RUNNING:
            self._state = SessionState.RUNNING
            self._started_at = time.time()
        try:
            leftovers.remember(self._worker, self.session_id, pid)
        except OSError as error:
            # It runs already: it must be ended like any other, not be forgotten.
            self._order(StopOrder("not_started", f"its process could not be noted on disk: {error}"))
        self._on_change()

    def _order(self, order: StopOrder) -> None:
        if not self._stop.done():
            self._stop.set_result(order)

    def _failure(self, subtype: Subtype, error: str) -> AgentResult:
        return AgentResult(
            session_id=self.session_id,
            is_error=True,
            subtype=subtype,
            error=clean(error, self._mask),
            workspace=self._workspace or None,
        )
