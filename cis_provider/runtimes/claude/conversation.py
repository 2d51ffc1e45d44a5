"""One Claude Code process, and what is said over its pipes."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import time
import uuid
from collections.abc import AsyncIterator
from importlib import import_module
from typing import TYPE_CHECKING, Any

from cis_provider.errors import PermanentAgentError, StaleAnswer, TransientAgentError
from cis_provider.model.blockage import Answer
from cis_provider.runtimes.base import Conversation, Launch, Setting
from cis_provider.runtimes.claude import program
from cis_provider.runtimes.claude.planning import decision
from cis_provider.runtimes.claude.requests import blockage_of, response_to
from cis_provider.runtimes.events import Blocked, Ended, Event, Started, Unblocked
from cis_provider.runtimes.process import AgentProcess, spawn

if TYPE_CHECKING:
    from claude_agent_sdk import ClaudeSDKClient

    from cis_provider.runtimes.claude.messages import Reader

log = logging.getLogger(__name__)

#: Bytes that Claude Code 2.1.329 takes as one line; it refuses more than 10 MB.
MESSAGE_BYTES = 10_000_000

#: Seconds until it must have answered that it is ready: it loads MCP servers before.
_READY = 60.0

#: Seconds of an answer to a request of ours, and of a farewell.
_REPLY = 10.0

_Asked = tuple[dict[str, Any], asyncio.Future[dict[str, Any]]]


class ClaudeConversation(Conversation):
    """
    See :class:`~cis_provider.runtimes.base.Conversation`.

    Its id is chosen here: Claude Code names a conversation only with its first prompt, and one that is killed
    in its first turn is to be resumed, too.
    """

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._id = setting.resume or str(uuid.uuid4())
        self._sdk: Any = None
        self._process: AgentProcess | None = None
        self._client: ClaudeSDKClient | None = None
        self._reader: Reader | None = None
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._reading: asyncio.Task[None] | None = None
        self._asked: dict[int, _Asked] = {}
        self._numbers = itertools.count(1)
        self._verbatim = True
        self._stopped = False
        self._over = False

    @property
    def conversation_id(self) -> str:
        return (self._reader.session_id if self._reader else "") or self._id

    async def start(self) -> None:
        argv = program.headless(self._setting, self._id)
        # In a thread: it takes half a second, in which no other session of this worker would move.
        try:
            self._sdk = await asyncio.to_thread(import_module, "cis_provider.runtimes.claude.sdk")
        except ImportError as error:
            raise PermanentAgentError(
                f"Claude Code needs a Python package: {error}; {program.INSTALL}"
            ) from error
        self._reader = self._sdk.Reader()
        process = await spawn(argv, self._setting, env=program.environment(self._setting))
        self._process = process
        try:
            async with asyncio.timeout(_READY):
                self._client = await self._sdk.connect(process, self._ask)
        except TimeoutError:
            await self.stop()
            raise TransientAgentError(f"Claude Code was not ready within {_READY:.0f} s") from None
        except Exception as error:
            # Its exit code as it left, before anybody killed it, has the SDK kept.
            await process.settle()
            words, code = process.last_words or str(error), process.exit_code
            await self.stop()
            kind = TransientAgentError if code is not None and code > 128 else PermanentAgentError
            raise kind(f"Claude Code ended with exit code {code} before it was ready: {words}") from error
        model, version = await self._sdk.described(self._client)
        self._verbatim = bool(version)
        self._events.put_nowait(
            Started(conversation_id=self._id, model=self._setting.options.model or model, version=version)
        )
        self._reading = asyncio.create_task(self._read(process, self._client, self._reader))

    async def send(self, prompt: str) -> None:
        client, reader = self._connected()
        size = len(json.dumps(prompt))
        if size > MESSAGE_BYTES:
            raise PermanentAgentError(
                f"the prompt is {size} bytes as JSON, and Claude Code takes {MESSAGE_BYTES}: shorten it"
            )
        if not self._verbatim and prompt.lstrip().startswith("/"):
            # 2.1.197, which tells no version, would look for a command of that name, and end the turn as if well.
            prompt = f"Task:\n{prompt}"
        reader.begin_turn()
        try:
            await client.query(prompt)
        except self._sdk.CLIConnectionError as error:
            # That it ended is told by its last event, with its exit code.
            log.info("Claude Code did not take a prompt: %s", error)

    async def events(self) -> AsyncIterator[Event]:
        while True:
            event = await self._events.get()
            yield event
            if isinstance(event, Ended):
                return

    async def answer(self, answer: Answer) -> None:
        asked = self._asked.get(answer.number)
        if asked is None:
            raise StaleAnswer(f"question {answer.number} waits no more: nothing was delivered")
        request, answered = asked
        response = response_to(request, answer)
        del self._asked[answer.number]
        answered.set_result(response)
        self._events.put_nowait(Unblocked(number=answer.number))

    async def interrupt(self) -> None:
        client, _ = self._connected()
        try:
            async with asyncio.timeout(_REPLY):
                await client.interrupt()
        except Exception as error:
            # It ended, or is deaf: the caller's deadline says what then.
            log.warning("Claude Code was not interrupted: %s: %s", type(error).__name__, error)

    async def stop(self) -> None:
        self._stopped = True
        try:
            if self._process:
                await self._process.stop()
            if self._reading:
                # It reads what was said until the end.
                await asyncio.wait({self._reading}, timeout=_REPLY)
                self._reading.cancel()
            if self._client:
                await self._client.disconnect()
                self._client = None
        finally:
            self._end()

    def terminal(self) -> Launch | None:
        if not self.conversation_id:
            return None
        return Launch(
            program.terminal(self._setting, self.conversation_id), env=program.environment(self._setting)
        )

    def _connected(self) -> tuple[ClaudeSDKClient, Reader]:
        if self._client is None or self._reader is None:
            raise TransientAgentError("this conversation with Claude Code is not started, or was stopped")
        return self._client, self._reader

    async def _read(self, process: AgentProcess, client: ClaudeSDKClient, reader: Reader) -> None:
        try:
            async for message in self._sdk.messages(client):
                for event in reader.read(message, now=time.time()):
                    self._events.put_nowait(event)
        except Exception as error:
            log.exception("what Claude Code says cannot be followed")
            self._end(f"what Claude Code says cannot be followed: {type(error).__name__}: {error}")
            return
        await process.settle()
        self._end(process.last_words or "Claude Code ended by itself, without a word")

    async def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        planning = self._setting.options.permissions.policy == "plan"
        if planning and (decided := decision(request)) is not None:
            return decided
        number = next(self._numbers)
        answered: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._asked[number] = request, answered
        self._events.put_nowait(Blocked(blockage=blockage_of(request, number, time.time())))
        try:
            return await answered
        finally:
            # Still there: it was cancelled by Claude Code, not answered.
            if self._asked.pop(number, None) and not self._over:
                self._events.put_nowait(Unblocked(number=number, how="by_itself"))

    def _end(self, error: str = "") -> None:
        """The last event, once."""
        if not self._over:
            self._over = True
            self._asked.clear()
            code = self._process.exit_code if self._process else None
            self._events.put_nowait(Ended(exit_code=code, error="" if self._stopped else error))
