"""One Claude Code process, and what is said over its pipes."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

from cis_provider.errors import PermanentAgentError, StaleAnswer, TransientAgentError
from cis_provider.model.blockage import Answer
from cis_provider.runtimes.base import Conversation, Launch, Setting
from cis_provider.runtimes.claude import program
from cis_provider.runtimes.claude.messages import Reader
from cis_provider.runtimes.claude.requests import blockage_of, response_to
from cis_provider.runtimes.events import Blocked, Ended, Event, Started, Unblocked
from cis_provider.runtimes.process import AgentProcess, spawn

log = logging.getLogger(__name__)

#: Seconds until it must have answered that it is ready: it loads MCP servers before.
_READY = 60.0

#: Seconds of an answer to a request of ours.
_REPLY = 10.0


class ClaudeConversation(Conversation):
    """See :class:`~cis_provider.runtimes.base.Conversation`."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._process: AgentProcess | None = None
        self._reader = Reader()
        self._reader.session_id = setting.resume
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._reading: asyncio.Task[None] | None = None
        self._ids = itertools.count(1)
        self._replies: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._asked: dict[int, tuple[str, dict[str, Any]]] = {}
        self._numbers = itertools.count(1)
        self._stopped = False
        self._told_start = False

    @property
    def conversation_id(self) -> str:
        return self._reader.session_id

    async def start(self) -> None:
        process = await spawn(
            program.headless(self._setting), self._setting, env=program.environment(self._setting)
        )
        self._process = process
        self._reading = asyncio.create_task(self._read(process))
        try:
            async with asyncio.timeout(_READY):
                await self._ask({"subtype": "initialize", "hooks": None})
        except TimeoutError:
            await self.stop()
            raise TransientAgentError(f"Claude Code was not ready within {_READY:.0f} s") from None
        except (ConnectionError, TransientAgentError):
            words, code = await self._last_words(process), process.exit_code
            await self.stop()
            raise PermanentAgentError(
                f"Claude Code ended with exit code {code} before it was ready: {words or 'without a word'}"
            ) from None

    async def send(self, prompt: str) -> None:
        self._reader.begin_turn()
        message = {"role": "user", "content": prompt}
        await self._write({"type": "user", "message": message, "parent_tool_use_id": None, "session_id": ""})

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
        request_id, request = asked
        response = response_to(request, answer)
        del self._asked[answer.number]
        await self._respond(request_id, response)
        self._events.put_nowait(Unblocked(number=answer.number))

    async def interrupt(self) -> None:
        await self._ask({"subtype": "interrupt"})

    async def stop(self) -> None:
        self._stopped = True
        if self._process is None:
            self._events.put_nowait(Ended())
            return
        await self._process.stop()
        if self._reading:
            self._reading.cancel()
            await asyncio.wait({self._reading}, timeout=_REPLY)
        self._events.put_nowait(Ended(exit_code=self._process.exit_code))

    def terminal(self) -> Launch | None:
        if not self.conversation_id:
            return None
        return Launch(
            program.terminal(self._setting, self.conversation_id), env=program.environment(self._setting)
        )

    async def _read(self, process: AgentProcess) -> None:
        try:
            while line := await process.stdout.readline():
                try:
                    message = json.loads(line)
                except ValueError:
                    log.warning("Claude Code said what is no message: %r", line[:200])
                    continue
                if isinstance(message, dict):
                    self._take(message)
        except ValueError as error:
            log.warning("Claude Code said too much in one line: %s", error)
        for reply in self._replies.values():
            if not reply.done():
                reply.set_exception(ConnectionError("Claude Code has ended"))
        if not self._stopped:
            code = await process.wait()
            self._events.put_nowait(Ended(exit_code=code, error=await self._last_words(process)))

    def _take(self, message: dict[str, Any]) -> None:
        match message.get("type"):
            case "control_response":
                response = message.get("response") or {}
                reply = self._replies.pop(str(response.get("request_id")), None)
                if reply and not reply.done():
                    reply.set_result(response)
            case "control_request":
                self._request(str(message.get("request_id")), message.get("request") or {})
            case "control_cancel_request":
                self._cancelled(str(message.get("request_id")))
            case _:
                for event in self._reader.read(message, now=time.time()):
                    # It says "init" anew for each prompt.
                    if not isinstance(event, Started) or not self._told_start:
                        self._told_start = self._told_start or isinstance(event, Started)
                        self._events.put_nowait(event)

    def _request(self, request_id: str, request: dict[str, Any]) -> None:
        if request.get("subtype") != "can_use_tool":
            refusal = {"subtype": "error", "request_id": request_id, "error": "not supported here"}
            self._post({"type": "control_response", "response": refusal})
            return
        number = next(self._numbers)
        self._asked[number] = (request_id, request)
        self._events.put_nowait(Blocked(blockage=blockage_of(request, number, time.time())))

    def _cancelled(self, request_id: str) -> None:
        for number, (asked, _) in list(self._asked.items()):
            if asked == request_id:
                del self._asked[number]
                self._events.put_nowait(Unblocked(number=number, how="by_itself"))

    async def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        request_id = f"cis-{next(self._ids)}"
        reply: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._replies[request_id] = reply
        await self._write({"type": "control_request", "request_id": request_id, "request": request})
        response = await reply
        if response.get("subtype") == "error":
            raise TransientAgentError(f"Claude Code refused {request['subtype']}: {response.get('error')}")
        return response

    async def _respond(self, request_id: str, response: dict[str, Any]) -> None:
        answer = {"subtype": "success", "request_id": request_id, "response": response}
        await self._write({"type": "control_response", "response": answer})

    async def _write(self, message: dict[str, Any]) -> None:
        assert self._process is not None, "it is not started"
        self._post(message)
        try:
            await self._process.stdin.drain()
        except ConnectionError as error:
            # That it ended is told by its last event, with its exit code.
            log.info("Claude Code did not take a message: %s", error)

    def _post(self, message: dict[str, Any]) -> None:
        assert self._process is not None, "it is not started"
        if not self._process.stdin.is_closing():
            self._process.stdin.write(json.dumps(message).encode() + b"\n")

    @staticmethod
    async def _last_words(process: AgentProcess) -> str:
        await process.settle()
        return process.last_words
