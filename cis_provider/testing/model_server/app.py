"""The HTTP side: one ASGI application that reads a call, asks for its step, and plays it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from types import ModuleType
from typing import Any, NamedTuple

from . import anthropic, failures, openai_chat, openai_responses, side
from .asked import Asked, Reply, shell_call
from .records import Recorded, harmless
from .sse import Event
from .stage import Stage
from .steps import Call, Failure, Step

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_log = logging.getLogger(__name__)


class Api(NamedTuple):
    """One API's own words."""

    read: Callable[[Mapping[str, Any]], Asked]
    plain: Callable[[Reply, Asked], dict[str, Any]]
    events: Callable[[Reply, Asked], Iterator[Event]]


_APIS = {
    "messages": Api(anthropic.read, anthropic.message, anthropic.events),
    "chat/completions": Api(openai_chat.read, openai_chat.completion, openai_chat.events),
    "responses": Api(openai_responses.read, openai_responses.response, openai_responses.events),
}


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

    def __init__(self, stage: Stage, models: tuple[str, ...]) -> None:
        self._stage, self._models = stage, models

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"{scope['type']} is not spoken here")
        client = Client(receive, send)
        data = await client.body()
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        recorded = Recorded(
            time=time.time(),
            method=scope["method"],
            path=scope["path"],
            headers=harmless(headers),
            body=_parsed(data),
        )
        work = asyncio.ensure_future(self._answer(recorded, client))
        gone = asyncio.ensure_future(client.gone())
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
            else:
                self._stage.gone(recorded)
        except Exception:
            _log.exception("no answer to %s %s", recorded.method, recorded.path)
            raise
        finally:
            for task in (work, gone):
                task.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)

    async def _answer(self, recorded: Recorded, client: Client) -> None:
        name = recorded.path.strip("/").removeprefix("v1").strip("/")
        if recorded.method == "POST" and name in _APIS and isinstance(recorded.body, dict):
            await self._call(_APIS[name], recorded.body, recorded, client)
            return
        recorded.side, recorded.status, answer = self._plain(name, recorded)
        self._stage.record(recorded)
        data = b"" if recorded.method == "HEAD" else json.dumps(answer).encode()
        await client.whole(recorded.status, {"content-type": "application/json"}, data)

    def _plain(self, name: str, recorded: Recorded) -> tuple[str, int, dict[str, Any]]:
        """What is no model call: its kind, and status and body of the answer."""
        if name == "":
            return "root", 200, {}
        if name == "messages/count_tokens" and isinstance(recorded.body, dict):
            return "count_tokens", 200, anthropic.count_tokens(recorded.body)
        shape: ModuleType = anthropic if "anthropic-version" in recorded.headers else openai_chat
        if name == "models":
            return "models", 200, shape.models(self._models)
        if name.startswith("models/"):
            return "models", 200, shape.models((name.removeprefix("models/"),))["data"][0]
        status = 400 if name in _APIS else 404
        make = failures.anthropic if name.startswith("messages") else failures.openai
        return "unknown", status, make(Failure(status=status), time.time(), _serial())[1]

    async def _call(self, api: Api, body: dict[str, Any], recorded: Recorded, client: Client) -> None:
        asked = api.read(body)
        recorded.api, recorded.model = asked.api, asked.model
        recorded.side = side.reason(asked, body)
        if recorded.side:
            step = Step(text=side.answer(recorded.side, body))
        else:
            recorded.step, step = self._stage.next(asked)
        calls, step = _calls(step, asked)
        recorded.status = step.failure.status if step.failure and not step.failure.in_stream else 200
        self._stage.record(recorded)
        performance = _Performance(
            self._stage, recorded, step, asked, client, serial=_serial(), calls=calls, api=api
        )
        await performance.play()


class _Performance:
    """One model call being answered."""

    def __init__(
        self,
        stage: Stage,
        recorded: Recorded,
        step: Step,
        asked: Asked,
        client: Client,
        *,
        serial: str,
        calls: tuple[Call, ...],
        api: Api,
    ) -> None:
        self._stage, self._recorded, self._step, self._asked = stage, recorded, step, asked
        self._client, self._serial, self._api = client, serial, api
        self._reply = Reply(text=step.text, calls=calls, usage=step.usage, serial=serial)

    async def play(self) -> None:
        """Answer, as the step says."""
        step = self._step
        if step.hang == "before":
            await self._stage.released(self._recorded)
        if step.nonsense:
            await self._client.whole(200, {"content-type": _TYPES[step.nonsense]}, _NONSENSE[step.nonsense])
        elif step.failure and not (step.failure.in_stream and self._asked.stream):
            headers, error = self._failure(step.failure)
            data = json.dumps(error).encode()
            await self._client.whole(
                step.failure.status, {"content-type": "application/json", **headers}, data
            )
        elif self._asked.stream:
            await self._stream(self._events(step.failure))
        else:
            await self._whole()

    def _events(self, failure: Failure | None) -> Iterator[Event]:
        """The events of the stream; with a failure, its first and then the error."""
        events = iter(self._api.events(self._reply, self._asked))
        if failure is None:
            yield from events
        else:
            yield next(events)
            yield failures.in_stream(self._asked.api, self._failure(failure)[1], self._serial)

    def _failure(self, failure: Failure) -> failures.Said:
        make = failures.anthropic if self._asked.api == "anthropic" else failures.openai
        return make(failure, time.time(), self._serial)

    async def _stream(self, events: Iterable[Event]) -> None:
        headers = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
        await self._client.begin(200, headers)
        chunks, cut = 0, self._step.cut_after
        for event in events:
            if event.content:
                if cut is not None and chunks >= cut:
                    return  # an answer that is not ended: the server closes the connection
                if self._step.hang == "middle" and chunks == 1:
                    await self._stage.released(self._recorded)
                await asyncio.sleep(self._step.every)
                chunks += 1
            await self._client.write(event.encode())
        if cut is None:
            await self._client.write(b"", more=False)

    async def _whole(self) -> None:
        """The plain answer. It takes as long as the stream would."""
        if self._step.hang == "middle":
            await self._stage.released(self._recorded)
        chunks = sum(event.content for event in self._api.events(self._reply, self._asked))
        await asyncio.sleep(self._step.every * chunks)
        data = json.dumps(self._api.plain(self._reply, self._asked)).encode()
        headers = {"content-type": "application/json"}
        if self._step.cut_after is None:
            await self._client.whole(200, headers, data)
        else:
            await self._client.begin(200, {**headers, "content-length": str(len(data))})
            await self._client.write(data[: len(data) // 2])


_TYPES = {"json": "application/json", "sse": "text/event-stream", "html": "text/html"}

_NONSENSE = {
    "json": b'{"id": "broken", "content": [{"type": ',
    "sse": b'event: what\ndata: {"type": "no_such_event"}\n\ndata: {"id": \n\ndata: 7\n\n',
    "html": b"<html><head><title>Sign in</title></head><body>Sign in to the guest network</body></html>",
}


def _calls(step: Step, asked: Asked) -> tuple[tuple[Call, ...], Step]:
    """The calls of a step, its shell command among them; a step that cannot be played becomes an error."""
    if step.run is None:
        return step.calls, step
    try:
        return (shell_call(step.run, asked.tools), *step.calls), step
    except LookupError as error:
        return (), Step(failure=Failure(status=400, message=f"The script runs a command, but {error}"))


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
