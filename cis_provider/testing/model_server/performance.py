"""One step played to one client: words, pauses, cuts, errors."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from . import failures
from .asked import Asked, Reply
from .client import Client
from .records import Recorded
from .sse import Event
from .stage import Stage
from .steps import Failure, Step


class Api(NamedTuple):
    """One API's own words."""

    read: Callable[[Mapping[str, Any]], Asked]
    plain: Callable[[Reply, Asked], dict[str, Any]]
    events: Callable[[Reply, Asked], Iterator[Event]]


class Performance:
    """One model call being answered."""

    def __init__(
        self,
        stage: Stage,
        recorded: Recorded,
        step: Step,
        asked: Asked,
        client: Client,
        *,
        reply: Reply,
        api: Api,
    ) -> None:
        self._stage, self._recorded, self._step, self._asked = stage, recorded, step, asked
        self._client, self._reply, self._api = client, reply, api

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
            yield failures.in_stream(self._asked.api, self._failure(failure)[1], self._reply.serial)

    def _failure(self, failure: Failure) -> failures.Said:
        make = failures.anthropic if self._asked.api == "anthropic" else failures.openai
        return make(failure, time.time(), self._reply.serial)

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
