"""The HTTP side: one ASGI application that reads a call, asks for its step, and plays it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from types import ModuleType
from typing import Any, Protocol

from . import anthropic, failures, openai_chat, openai_responses, side
from .asked import Asked, Reply, shell_call
from .records import Recorded, harmless
from .sse import Event
from .steps import Call, Failure, Step

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_APIS = {
    "messages": (anthropic, anthropic.message),
    "chat/completions": (openai_chat, openai_chat.completion),
    "responses": (openai_responses, openai_responses.response),
}


class Script(Protocol):
    """What the application needs of its server."""

    models: tuple[str, ...]

    def next(self, asked: Asked) -> tuple[int | None, Step]:
        """The step of a main call."""

    def record(self, recorded: Recorded) -> None:
        """Note a request, before it is answered."""

    async def released(self) -> None:
        """Return when hanging calls are let go."""


class Client:
    """The other end of one request: knows when it is gone, and can be waited on."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self.send = receive, send

    async def body(self) -> bytes:
        """The whole request body."""
        parts = []
        while True:
            message = await self._receive()
            parts.append(message.get("body", b""))
            if message["type"] == "http.disconnect" or not message.get("more_body"):
                return b"".join(parts)

    async def gone(self) -> None:
        """Return when the client closes its connection."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def begin(self, status: int, headers: dict[str, str]) -> None:
        """Status line and headers."""
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": status, "headers": pairs})

    async def write(self, data: bytes, *, more: bool = True) -> None:
        """A part of the answer's body."""
        await self.send({"type": "http.response.body", "body": data, "more_body": more})

    async def whole(self, status: int, headers: dict[str, str], data: bytes) -> None:
        """A complete answer."""
        await self.begin(status, {"content-length": str(len(data)), **headers})
        await self.write(data, more=False)


class Application:
    """ASGI; one per server."""

    def __init__(self, script: Script) -> None:
        self._script = script

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"{scope['type']} is not spoken here")
        client = Client(receive, send)
        data = await client.body()
        work = asyncio.ensure_future(self._answer(scope, data, client))
        gone = asyncio.ensure_future(client.gone())
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            for task in (work, gone):
                task.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)

    async def _answer(self, scope: Message, data: bytes, client: Client) -> None:
        path = scope["path"].rstrip("/")
        name = path.removeprefix("/v1").removeprefix("/").removeprefix("v1/")
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        body = _parsed(data)
        recorded = Recorded(
            time=time.time(), method=scope["method"], path=path or "/", headers=harmless(headers), body=body
        )
        if scope["method"] == "POST" and name in _APIS and isinstance(body, dict):
            await self._call(name, body, recorded, client)
        else:
            await self._plain(name, recorded, client)

    async def _plain(self, name: str, recorded: Recorded, client: Client) -> None:
        """Everything that is no model call."""
        models = self._script.models
        status, answer = 200, dict[str, Any]()
        if name == "messages/count_tokens":
            recorded.side, answer = "count_tokens", anthropic.count_tokens(recorded.body or {})
        elif name == "models" or name.startswith("models/"):
            shape: ModuleType = anthropic if "anthropic-version" in recorded.headers else openai_chat
            recorded.side, answer = "models", shape.models(models)
            if name != "models":
                answer = {**answer["data"][0], "id": name.removeprefix("models/")}
        elif name == "":
            recorded.side = "root"
        else:
            recorded.side = "unknown"
            status = 400 if name in _APIS else 404
            _, answer = failures.anthropic(Failure(status=status), time.time(), _serial())
        recorded.status = status
        self._script.record(recorded)
        data = b"" if recorded.method == "HEAD" else json.dumps(answer).encode()
        await client.whole(status, {"content-type": "application/json"}, data)

    async def _call(self, name: str, body: dict[str, Any], recorded: Recorded, client: Client) -> None:
        module, plain = _APIS[name]
        asked = module.read(body)
        recorded.api, recorded.model = asked.api, asked.model
        recorded.side = side.reason(asked, body)
        if recorded.side:
            step = Step(text=side.answer(recorded.side, body))
        else:
            recorded.step, step = self._script.next(asked)
        recorded.status = step.failure.status if step.failure and not step.failure.in_stream else 200
        self._script.record(recorded)
        serial = _serial()
        if step.hang == "before":
            await self._script.released()
        reply = Reply(text=step.text, calls=_calls(step, asked), usage=step.usage, serial=serial)
        if step.nonsense:
            await _nonsense(step.nonsense, client)
        elif step.failure and not (step.failure.in_stream and asked.stream):
            headers, error = _failure(step.failure, asked, serial)
            await client.whole(
                step.failure.status,
                {"content-type": "application/json", **headers},
                json.dumps(error).encode(),
            )
        elif asked.stream:
            await self._stream(step, module.events(reply, asked), asked, serial, client)
        else:
            await self._whole(step, plain(reply, asked), list(module.events(reply, asked)), client)

    async def _stream(
        self, step: Step, events: Iterable[Event], asked: Asked, serial: str, client: Client
    ) -> None:
        headers = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
        await client.begin(200, headers)
        if step.failure:
            first = list(events)[:1]
            _, error = _failure(step.failure, asked, serial)
            events = [*first, failures.in_stream(asked.api, error, serial)]
        chunks = 0
        async for event in self._paced(step, events):
            await client.write(event.encode())
            chunks += event.content
            if step.cut_after is not None and chunks >= step.cut_after:
                return  # an answer that is not ended: the server closes the connection
        await client.write(b"", more=False)

    async def _paced(self, step: Step, events: Iterable[Event]) -> AsyncIterator[Event]:
        """Events at the step's pace, with its pause before the first chunk of content if it hangs there."""
        hung = False
        for event in events:
            if step.hang == "middle" and event.content and hung:
                await self._script.released()
                hung = False
            elif step.hang == "middle" and event.content:
                hung = True
            if step.every and event.content:
                await asyncio.sleep(step.every)
            yield event

    async def _whole(self, step: Step, answer: dict[str, Any], events: list[Event], client: Client) -> None:
        if step.hang == "middle":
            await self._script.released()
        if step.every:
            await asyncio.sleep(step.every * sum(event.content for event in events))
        data = json.dumps(answer).encode()
        headers = {"content-type": "application/json"}
        if step.cut_after is None:
            await client.whole(200, headers, data)
        else:
            await client.begin(200, {**headers, "content-length": str(len(data))})
            await client.write(data[: math.ceil(len(data) / 2)])


async def _nonsense(kind: str, client: Client) -> None:
    types = {"json": "application/json", "sse": "text/event-stream", "html": "text/html"}
    bodies = {
        "json": b'{"id": "broken", "content": [{"type": ',
        "sse": b'event: what\ndata: {"type": "no_such_event"\n\ndata: 7\n\n:\n\n',
        "html": b"<html><head><title>Sign in</title></head><body>Sign in to the guest network</body></html>",
    }
    await client.whole(200, {"content-type": types[kind]}, bodies[kind])


def _failure(failure: Failure, asked: Asked, serial: str) -> failures.Said:
    made = failures.anthropic if asked.api == "anthropic" else failures.openai
    return made(failure, time.time(), serial)


def _calls(step: Step, asked: Asked) -> tuple[Call, ...]:
    if step.run is None:
        return step.calls
    return (shell_call(step.run, asked.tools), *step.calls)


def _parsed(data: bytes) -> Any:
    """JSON, or text, or None for nothing."""
    if not data:
        return None
    with contextlib.suppress(ValueError):
        return json.loads(data)
    return data.decode("utf-8", "replace")


def _serial() -> str:
    """Never the same, not even over servers: agents tell messages apart by their ids."""
    return uuid.uuid4().hex[:20]
