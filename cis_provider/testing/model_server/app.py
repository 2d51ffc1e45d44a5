"""The HTTP side: one ASGI application that reads a call, asks for its step, and plays it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
import uuid
from types import ModuleType
from typing import Any

from . import anthropic, failures, openai_chat, openai_responses, side
from .asked import Asked, Reply, shell_call
from .client import Client, Message, Receive, Send
from .performance import Api, Performance
from .records import Recorded, harmless
from .stage import Stage
from .steps import Call, Failure, Step

_log = logging.getLogger(__name__)

_APIS = {
    "messages": Api(anthropic.read, anthropic.message, anthropic.events),
    "chat/completions": Api(openai_chat.read, openai_chat.completion, openai_chat.events),
    "responses": Api(openai_responses.read, openai_responses.response, openai_responses.events),
}


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
        if recorded.method == "POST" and name in _APIS and (asked := _read(_APIS[name], recorded.body)):
            await self._call(_APIS[name], asked, recorded, client)
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

    async def _call(self, api: Api, asked: Asked, recorded: Recorded, client: Client) -> None:
        body = recorded.body
        recorded.api, recorded.model = asked.api, asked.model
        recorded.side = side.reason(asked, body)
        if recorded.side:
            step = Step(text=side.answer(recorded.side, body))
        else:
            recorded.step, step = self._stage.next(asked)
        calls, step = _calls(step, asked)
        recorded.status = _status(step, asked)
        self._stage.record(recorded)
        reply = Reply(text=step.text, calls=calls, usage=step.usage, serial=_serial())
        performance = Performance(self._stage, recorded, step, asked, client, reply=reply, api=api)
        await performance.play()


def _read(api: Api, body: Any) -> Asked | None:
    """A body as a call; None: it has another shape, which the vendors answer with 400."""
    try:
        return api.read(body)
    except (TypeError, AttributeError, KeyError):
        return None


def _status(step: Step, asked: Asked) -> int:
    if step.failure and not (step.failure.in_stream and asked.stream):
        return step.failure.status
    return 200


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
