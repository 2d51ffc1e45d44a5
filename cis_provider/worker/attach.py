"""The worker's socket for terminals: people attach to sessions there, and look at them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path

from cis_provider.errors import CisError, ConfigError, ProtocolError, UsageError
from cis_provider.files import bind_unix_socket, peer_uid
from cis_provider.wire.terminal import (
    TERMINAL_PROTOCOL,
    Attach,
    Detach,
    Inbox,
    Look,
    Refused,
    Resized,
    TerminalMessage,
    Typed,
    encode,
)
from cis_provider.worker.attach_guest import Client
from cis_provider.worker.attach_live import LiveTerminal, sane

log = logging.getLogger(__name__)

#: Seconds for a client's first words.
_GREETING = 5.0
#: Seconds for one that leaves, or is dropped, to take what was still to be sent.
_FAREWELL = 1.0
_READ = 64 * 1024
#: Bytes that the kernel keeps for a client: what it did not read of a flood, it is sent all the same.
_KERNEL = 32 * 1024


class AttachServer:
    """
    Serves one Unix socket to processes of the same user. A client that is lost is one that has left.

    :param find: The live terminal of a session; ``None``: there is no such session here.
    """

    def __init__(self, path: Path, find: Callable[[str], LiveTerminal | None]) -> None:
        self.path = path
        self._find = find
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """
        Listen.

        :raises ConfigError: The path cannot be a socket.
        """
        self._server = await asyncio.start_unix_server(self._accepted, sock=bind_unix_socket(self.path))

    async def close(self) -> None:
        """Stop listening and drop whoever is still there."""
        if self._server:
            self._server.close()
        await asyncio.sleep(0)
        for task in self._clients:
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        self.path.unlink(missing_ok=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL)
            writer.transport.set_write_buffer_limits(high=0)
            if peer_uid(sock) not in (os.getuid(), 0):
                raise ConfigError(
                    f"this terminal belongs to user {os.getuid()}, not to user {peer_uid(sock)}"
                )
            await self._converse(reader, writer)
        except CisError as error:
            log.info("a client of a terminal was dropped: %s", error)
            with contextlib.suppress(OSError):
                writer.write(encode(Refused(error.code, str(error))))
        except (OSError, TimeoutError, asyncio.CancelledError):
            pass
        except Exception:
            log.exception("a client of a terminal was dropped")
        finally:
            self._clients.discard(task)
            writer.close()
            with contextlib.suppress(Exception):
                async with asyncio.timeout(_FAREWELL):
                    await writer.wait_closed()
            # One that does not read would keep its worker from leaving.
            writer.transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inbox, words = Inbox(), list[TerminalMessage]()
        async with asyncio.timeout(_GREETING):
            while not words:
                data = await reader.read(_READ)
                if not data:
                    return
                words = inbox.feed(data)
        first = words[0]
        if not isinstance(first, Attach | Look):
            raise ProtocolError(f"its first message was {type(first).__name__}, not Attach or Look")
        if first.protocol != TERMINAL_PROTOCOL:
            raise ProtocolError(
                f"it speaks protocol {first.protocol}, and this worker {TERMINAL_PROTOCOL}; "
                "the older of the two is to be started again"
            )
        live = self._find(first.session_id)
        if live is None:
            raise UsageError(f"session {first.session_id} is not at work any more")
        if isinstance(first, Look):
            writer.write(encode(live.seen()))
            await writer.drain()
            return
        await self._attached(first, live, words[1:], inbox, reader, writer)

    async def _attached(
        self,
        attach: Attach,
        live: LiveTerminal,
        words: list[TerminalMessage],
        inbox: Inbox,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        client = Client(live, writer, who=attach.who or "somebody", size=(attach.columns, attach.rows))
        sender = asyncio.create_task(client.send())
        listener = asyncio.create_task(_listen(client, live, words, inbox, reader))
        try:
            live.join(client, read_only=attach.read_only, take=attach.take)
            log.info("%s is attached%s", client.who, "" if live.writer is client else ", and watches")
            await asyncio.wait({sender, listener}, return_when=asyncio.FIRST_COMPLETED)
            for task in (sender, listener):
                if task.done():
                    task.result()
        finally:
            live.leave(client)
            for task in (sender, listener):
                task.cancel()
            await asyncio.gather(sender, listener, return_exceptions=True)
            log.info("%s has left", client.who)


async def _listen(
    client: Client,
    live: LiveTerminal,
    words: list[TerminalMessage],
    inbox: Inbox,
    reader: asyncio.StreamReader,
) -> None:
    while True:
        for word in words:
            match word:
                case Typed(data=data):
                    live.typed(client, data)
                case Resized(columns=columns, rows=rows):
                    if sane((columns, rows)):
                        client.size = columns, rows
                        live.resized(client)
                case Detach():
                    return
                case _:
                    raise ProtocolError(f"a terminal does not take {type(word).__name__}")
        data = await reader.read(_READ)
        if not data:
            return
        words = inbox.feed(data)
