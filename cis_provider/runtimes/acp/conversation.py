"""One conversation with one agent by the Agent Client Protocol."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from cis_provider.errors import AgentError, PermanentAgentError, TransientAgentError
from cis_provider.model.blockage import Answer
from cis_provider.runtimes.acp.journal import Journal, Look
from cis_provider.runtimes.acp.link import Gone, Link, NoSuchMethod, Refused
from cis_provider.runtimes.acp.opening import Opened, Opening
from cis_provider.runtimes.acp.requests import Requests
from cis_provider.runtimes.acp.retries import Retries
from cis_provider.runtimes.acp.side_door import DoorKeeper
from cis_provider.runtimes.acp.trouble import Trouble
from cis_provider.runtimes.acp.turn import Turn
from cis_provider.runtimes.acp.waiting import Waiting
from cis_provider.runtimes.base import Conversation, Launch, Setting
from cis_provider.runtimes.events import Ended, ErrorClass, Event, Started, Usage
from cis_provider.runtimes.process import spawn

if TYPE_CHECKING:
    from cis_provider.runtimes.acp.runtime import AcpRuntime

log = logging.getLogger(__name__)

#: Seconds between two looks into a program's own records while a turn runs.
_LOOK_EVERY = 2.0
_CANCEL_EVERY = 2.0


class AcpConversation(Conversation):
    """See :class:`Conversation`. Agents with other ways are told apart by their :class:`AcpRuntime`."""

    def __init__(self, runtime: AcpRuntime, setting: Setting) -> None:
        self._runtime = runtime
        self._setting = setting
        self._id = setting.resume
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._waiting = Waiting(self._events.put_nowait)
        self._requests = Requests(runtime, setting, self._waiting)
        self._journal = Journal()
        self._link: Link | None = None
        self._opening: Opening | None = None
        self._locked_out: Trouble | None = None
        self._turn: Turn | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._commands: set[str] = set()
        self._is_first = not setting.resume
        self._usage: Usage | None = None
        self._calls = 0
        self._stopping = False
        self._ended = False

    @property
    def conversation_id(self) -> str:
        return self._id

    async def start(self) -> None:
        self._setting = await asyncio.to_thread(self._runtime.prepare, self._setting)
        self._requests = Requests(self._runtime, self._setting, self._waiting)
        command = self._runtime.command(self._setting)
        process = await spawn(command, self._setting)
        try:
            self._link = await Link.open(process, self._handle)
            self._opening = Opening(self._runtime, self._setting, self._link)
            opened = await self._open()
        except BaseException:
            self._stopping = True
            await asyncio.shield(self._link.close() if self._link else process.stop())
            raise
        self._events.put_nowait(
            Started(conversation_id=self._id, model=opened.model, version=self._opening.version)
        )
        self._spawn(self._watch_process())

    async def _open(self) -> Opened:
        """The session; without one where somebody must log in first, which the first turn will say."""
        assert self._opening is not None
        try:
            if not self._opening.version:
                await self._opening.initialize()
            opened = await self._opening.session()
        except Refused as refused:
            self._locked_out = refused.trouble
            return Opened(session_id=self._id)
        self._locked_out = None
        self._id = opened.session_id
        self._journal = self._runtime.journal(self._setting, self._id)
        return opened

    async def send(self, prompt: str) -> None:
        if self._link is None or self._ended:
            raise TransientAgentError("the agent is not running; open its conversation again")
        if self._turn is not None:
            raise PermanentAgentError("a turn runs already; wait for its end")
        text = self._runtime.with_system_prompt(self._setting, prompt) if self._is_first else prompt
        size, limit = len(text.encode()), self._runtime.limit(self._setting)
        if limit and size > limit:
            raise PermanentAgentError(
                f"the prompt has {size} bytes, and agent type {self._runtime.name!r} takes {limit}; shorten it, "
                "or put the long part into a file of the workspace"
            )
        turn = self._turn = Turn(self._runtime.is_notice)
        self._spawn(self._run(turn, self._as_text(text)))

    def _as_text(self, prompt: str) -> str:
        """
        A prompt that only looks like a command gets a line before it: Kimi answers an unknown ``/word``
        by itself, without a model, and OpenCode not at all, and both would pass for the end of a turn.
        """
        word = prompt.strip().partition(" ")[0].partition("\n")[0]
        if not word.startswith("/") or word[1:] in self._commands:
            return prompt
        return f"Task:\n{prompt}"

    async def events(self) -> AsyncIterator[Event]:
        while True:
            event = await self._events.get()
            yield event
            if isinstance(event, Ended):
                return

    async def answer(self, answer: Answer) -> None:
        self._waiting.answer(answer)

    async def interrupt(self) -> None:
        if self._turn is None or self._link is None:
            return
        self._turn.cancelled = True
        self._spawn(self._cancel(self._turn))

    async def stop(self) -> None:
        self._stopping = True
        self._waiting.drop()
        if self._link is not None:
            await asyncio.shield(self._link.close())
        await self._end()
        current = asyncio.current_task()
        rest = [task for task in self._tasks if task is not current]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    def terminal(self) -> Launch | None:
        return self._runtime.terminal(self._setting, self._id) if self._id else None

    # A turn

    async def _run(self, turn: Turn, prompt: str) -> None:
        try:
            await self._play(turn, prompt)
        except AgentError as error:
            kind: ErrorClass = "transient" if error.retryable else "permanent"
            turn.trouble = Trouble(error=str(error), error_class=kind)
            self._finish(turn, "end_turn", 0)
        except Exception as error:
            log.exception("a turn of conversation %s failed", self._id)
            turn.trouble = Trouble(error=repr(error), error_class="transient")
            self._finish(turn, "end_turn", 0)

    async def _play(self, turn: Turn, prompt: str) -> None:
        assert self._link is not None
        if self._locked_out is not None:
            await self._open()
        if self._locked_out is not None:
            turn.trouble = self._locked_out
            return self._finish(turn, "end_turn", 0)
        self._is_first = False
        with contextlib.suppress(OSError, ValueError):
            await asyncio.to_thread(self._journal.begin)
        before, used = self._calls, None
        if turn.cancelled:
            return self._finish(turn, "cancelled", 0)  # before it was sent
        door = DoorKeeper(self._runtime.side_door(self._setting, self._id), self._requests)
        retries = Retries(self._runtime.retry_patience(self._setting))
        watches = [asyncio.create_task(one) for one in (self._watch_journal(turn, retries), door.watch(turn))]
        reason = "end_turn"
        try:
            message = {"sessionId": self._id, "prompt": [{"type": "text", "text": prompt}]}
            answer = await self._link.request("session/prompt", message)
            reason = str(answer.get("stopReason") or reason)
            used = _usage_of(answer.get("usage"))
        except Refused as refused:
            turn.trouble = turn.trouble or refused.trouble
        except Gone:
            # The process's end says it. One that only closed its output is of no more use.
            return await self._link.close()
        finally:
            for watch in watches:
                watch.cancel()
            await asyncio.gather(*watches, return_exceptions=True)
        # Records say more than the protocol's words: they have the status. What it was interrupted for stays.
        look = await self._look(final=True, used=used)
        turn.corrected = look.text
        if not (turn.trouble and turn.trouble.waiting):
            turn.trouble = look.trouble or turn.trouble
        return self._finish(turn, reason, self._calls - before)

    def _finish(self, turn: Turn, reason: str, calls: int) -> None:
        self._waiting.drop()
        self._turn = None
        if not self._ended:
            self._events.put_nowait(turn.ended(reason, calls))

    async def _watch_journal(self, turn: Turn, retries: Retries) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            trouble = (await self._look(final=False)).trouble
            if trouble is None or not trouble.waiting or turn.cancelled:
                continue
            line, turn.trouble = retries.take(trouble, time.time())
            if line:
                self._events.put_nowait(turn.note(line))
            if turn.trouble is not None:
                return self._spawn(self._cancel(turn))

    async def _look(self, *, final: bool, used: Usage | None = None) -> Look:
        look = await asyncio.to_thread(self._peek, final)
        self._calls = max(self._calls, look.calls)
        if (usage := look.usage or used) is not None and usage != self._usage:
            self._usage = usage
            self._events.put_nowait(usage)
        return look

    def _peek(self, final: bool) -> Look:
        try:
            return self._journal.look(final)
        except (OSError, ValueError):
            return Look()  # records are a help; a conversation goes on without them

    async def _cancel(self, turn: Turn) -> None:
        """Until it is over: a cancel that comes before the agent has begun with the prompt is lost in some."""
        while self._turn is turn and self._link is not None:
            self._waiting.drop()
            await self._link.notify("session/cancel", {"sessionId": self._id})
            await asyncio.sleep(_CANCEL_EVERY)

    # What the agent says

    async def _handle(self, method: str, params: dict[str, Any]) -> dict[str, Any] | None:
        if method == "session/update":
            self._update(params.get("update") or {})
            return None
        if method == "session/request_permission":
            return await self._requests.permission(self._turn, params)
        if method == "elicitation/create":
            return await self._requests.form(self._turn, params)
        raise NoSuchMethod(method)

    def _update(self, update: dict[str, Any]) -> None:
        if update.get("sessionUpdate") == "available_commands_update":
            self._commands = {str(one.get("name")) for one in update.get("availableCommands") or []}
        if self._turn is None:
            return  # a history that is told again, or what came too late
        if (event := self._turn.take(update)) is not None:
            self._events.put_nowait(event)

    # The process's end

    async def _watch_process(self) -> None:
        assert self._link is not None
        await self._link.process.wait()
        # As a task of its own: a stop at this moment cancels the wait for its last words, not this.
        await asyncio.gather(self._link.process.settle(), return_exceptions=True)
        await self._link.close()
        if not self._stopping:
            await self._end()

    async def _end(self) -> None:
        if self._ended or self._link is None:
            self._ended = True
            return
        self._ended = True
        self._waiting.drop()
        self._turn = None
        words = "" if self._stopping else self._link.process.last_words
        self._events.put_nowait(Ended(exit_code=self._link.process.exit_code, error=words))

    def _spawn(self, coroutine: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _usage_of(usage: Any) -> Usage | None:
    """Of a ``session/prompt`` response: totals of the session, by the protocol's schema."""
    if not isinstance(usage, dict) or not usage.get("totalTokens"):
        return None
    return Usage(
        input_tokens=int(usage.get("inputTokens") or 0),
        output_tokens=int(usage.get("outputTokens") or 0),
        cached_tokens=int(usage.get("cachedReadTokens") or 0),
    )
