"""The listening side of a node's sockets: greet, check who it is, answer one request after another."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from cis_provider.errors import CisError, ConfigError, ProtocolError
from cis_provider.files import bind_unix_socket, peer_uid
from cis_provider.wire import frames
from cis_provider.wire.messages import PROTOCOL_VERSION, Failure, Hello, Message, Welcome

log = logging.getLogger(__name__)

#: Answers a request with one message, or with a stream that goes on until the client leaves.
Handler = Callable[[Message], Awaitable[Message | AsyncIterator[Message]]]

#: Seconds for a client's first words, for one that does not read what it asked for, and for what is still to be
#: sent to one that leaves or is dropped.
_GREETING, _SEND, _FAREWELL = 5.0, 30.0, 1.0


class Server:
    """
    Serves one Unix socket to processes of the same user.

    :param handler: Raises :class:`CisError` to refuse; anything else is a bug, and is reported as one.
    :param on_word: Called when a client is about to be greeted, asks for something, and leaves.
    """

    def __init__(
        self, path: Path, welcome: Welcome, handler: Handler, *, on_word: Callable[[], None] = lambda: None
    ) -> None:
        #: Clients that were greeted and are still there.
        self.greeted = 0
        self._path = path
        self._welcome = welcome
        self._handler = handler
        self._on_word = on_word
        self._closing = False
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """
        Listen.

        :raises ConfigError: The path cannot be a socket.
        """
        sock = bind_unix_socket(self._path)
        self._server = await asyncio.start_unix_server(self._accepted, sock=sock, limit=1 << 20)

    def refuse(self) -> None:
        """Greet nobody from now on. One that has connected is dropped without a greeting, and asks elsewhere."""
        self._closing = True
        if self._server:
            self._server.close()

    async def close(self) -> None:
        """Stop listening and drop the clients."""
        self.refuse()
        # Those that have just connected see that; cancelled before they begin, they would be an error.
        await asyncio.sleep(0)
        for task in self._clients:
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        self._path.unlink(missing_ok=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            if self._closing:
                return
            if refusal := _other_user(writer.get_extra_info("socket")):
                await _send(writer, refusal)
            else:
                await self._converse(reader, writer)
        except ProtocolError as error:
            log.warning("a client was dropped: %s", error)
        except (ConnectionError, TimeoutError):
            pass
        except asyncio.CancelledError:
            pass
        finally:
            self._clients.discard(task)
            writer.close()
            with contextlib.suppress(Exception):
                async with asyncio.timeout(_FAREWELL):
                    await writer.wait_closed()
            # One that does not read would keep this process from leaving.
            writer.transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(_GREETING):
            hello = await frames.read(reader)
        if not isinstance(hello, Hello):
            raise ProtocolError("it did not say hello")
        if hello.protocol != PROTOCOL_VERSION:
            await _send(writer, Failure("protocol", _other_version(hello.protocol, self._welcome)))
            return
        if self._closing:
            return
        self._on_word()
        self.greeted += 1
        try:
            await self._serve(reader, writer)
        finally:
            self._on_word()
            self.greeted -= 1

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _send(writer, self._welcome)
        while (request := await frames.read(reader)) is not None:
            self._on_word()
            answer = await self._answer(request)
            if not isinstance(answer, AsyncIterator):
                await _send(writer, answer)
                continue
            await _stream(answer, reader, writer)
            return

    async def _answer(self, request: Message) -> Message | AsyncIterator[Message]:
        try:
            return await self._handler(request)
        except CisError as error:
            return Failure(error.code, str(error))
        except Exception as error:
            log.exception("%s failed", type(request).__name__)
            return Failure("error", f"{type(error).__name__}: {error}")


async def _stream(
    messages: AsyncIterator[Message], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Send until the stream ends or the client leaves: it has nothing more to say."""

    async def send_all() -> None:
        async for message in messages:
            await _send(writer, message)

    sender = asyncio.create_task(send_all())
    gone = asyncio.create_task(reader.read(1))
    try:
        await asyncio.wait({sender, gone}, return_when=asyncio.FIRST_COMPLETED)
        if sender.done():
            sender.result()
    finally:
        for task in (sender, gone):
            task.cancel()
        await asyncio.gather(sender, gone, return_exceptions=True)


async def _send(writer: asyncio.StreamWriter, message: Message) -> None:
    writer.write(frames.encode(message))
    # Not wait_for: in Python 3.11 it may swallow a cancellation, and this server would never close.
    async with asyncio.timeout(_SEND):
        await writer.drain()


def _other_user(sock: socket.socket) -> Failure | None:
    uid = peer_uid(sock)
    if uid in (os.getuid(), 0):
        return None
    log.warning("a process of user %d was turned away", uid)
    return Failure(
        ConfigError.code, f"this node belongs to user {os.getuid()}, not to user {uid}; set CIS_HOME"
    )


def _other_version(theirs: int, ours: Welcome) -> str:
    return (
        f"{ours.name} (pid {ours.pid}, version {ours.version}) speaks protocol {ours.protocol}, "
        f"but was greeted in {theirs}; end the older of the two"
    )
