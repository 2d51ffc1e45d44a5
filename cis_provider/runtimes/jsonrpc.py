"""
JSON-RPC 2.0 with a program over its pipes: one message a line, requests in both directions.

Codex's app-server leaves the member ``"jsonrpc": "2.0"`` out and takes it either way; we send it.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import msgspec

from cis_provider.errors import CisError

#: Error codes of the specification (jsonrpc.org/specification, section 5.1).
METHOD_NOT_FOUND = -32601

RequestId = int | str


class RpcError(CisError):
    """The peer answered a request with an error; the message has its words."""

    code = "rpc"

    def __init__(self, method: str, code: int, message: str, data: Any = None) -> None:
        super().__init__(f"{method}: {message} ({code})")
        self.method = method
        self.number = code
        self.words = message
        self.data = data


class RpcClosed(CisError):
    """The peer is gone, or closed its output; what was asked is not answered any more."""

    code = "rpc_closed"
    retryable = True


class JsonRpc:
    """
    A peer. :meth:`run` must be running for anything to be answered.

    :param on_request: Called with id, method and parameters of a peer's request, which is to be answered by
        :meth:`respond` or :meth:`refuse`, now or later.
    :param on_notification: Called with method and parameters. Neither may block: nothing is read meanwhile.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        on_request: Callable[[RequestId, str, dict[str, Any]], None],
        on_notification: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._on_request = on_request
        self._on_notification = on_notification
        self._ids = itertools.count(1)
        self._waiting: dict[RequestId, tuple[str, asyncio.Future[Any]]] = {}
        self._decode = msgspec.json.Decoder().decode
        self._encode = msgspec.json.Encoder().encode
        self._closed = False

    async def run(self) -> None:
        """
        Read until the peer closes its output. Lines that are no message are passed over.

        Every request that waits then, or is made later, raises :class:`RpcClosed`.
        """
        try:
            while line := await self._reader.readline():
                self._take(line)
        except (ConnectionError, ValueError):
            pass  # reset; or a line longer than the reader's limit: nothing after it can be trusted
        finally:
            self._closed = True
            for method, future in self._waiting.values():
                if not future.done():
                    future.set_exception(RpcClosed(f"{method}: the program ended before it answered"))
                    future.exception()  # nobody may be waiting any more
            self._waiting.clear()

    async def request(self, method: str, params: Any) -> Any:
        """
        Ask, and wait for the answer. No deadline: the caller has one.

        :raises RpcError: The peer refuses.
        :raises RpcClosed: The peer is gone.
        """
        if self._closed:
            raise RpcClosed(f"{method}: the program has ended")
        number = next(self._ids)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = (method, future)
        try:
            await self._send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
            return await future
        finally:
            self._waiting.pop(number, None)

    async def notify(self, method: str, params: Any = None) -> None:
        """:raises RpcClosed: The peer is gone."""
        message = {"jsonrpc": "2.0", "method": method}
        await self._send(message if params is None else message | {"params": params})

    async def respond(self, number: RequestId, result: Any) -> None:
        """:raises RpcClosed: The peer is gone."""
        await self._send({"jsonrpc": "2.0", "id": number, "result": result})

    async def refuse(self, number: RequestId, message: str, code: int = METHOD_NOT_FOUND) -> None:
        """:raises RpcClosed: The peer is gone."""
        await self._send({"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": message}})

    async def _send(self, message: dict[str, Any]) -> None:
        # One write per message: several tasks may send at once.
        try:
            self._writer.write(self._encode(message) + b"\n")
            await self._writer.drain()
        except (ConnectionError, RuntimeError) as error:
            raise RpcClosed(f"{message.get('method', 'answer')}: the program has ended: {error}") from error

    def _take(self, line: bytes) -> None:
        try:
            message = self._decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        if not isinstance(message, dict):
            return
        method, number = message.get("method"), message.get("id")
        if isinstance(method, str):
            params = message.get("params")
            params = params if isinstance(params, dict) else {}
            if isinstance(number, int | str):
                self._on_request(number, method, params)
            else:
                self._on_notification(method, params)
        elif isinstance(number, int | str):
            self._answered(number, message)

    def _answered(self, number: RequestId, message: dict[str, Any]) -> None:
        method, future = self._waiting.get(number, ("", None))
        if future is None or future.done():
            return
        error = message.get("error")
        if isinstance(error, dict):
            words = str(error.get("message", "no reason given"))
            number = error.get("code", 0)
            code = number if isinstance(number, int) else 0
            future.set_exception(RpcError(method, code, words, error.get("data")))
        else:
            future.set_result(message.get("result"))
