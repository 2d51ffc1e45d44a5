"""
The other end of a worker's socket for terminals: for commands, on plain sockets.

Where the socket is, and a session's screen at once: :func:`cis_provider.node.terminals.look`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from cis_provider.errors import CisError, NodeUnreachable, ProtocolError, UsageError
from cis_provider.files import check_server, check_socket_path
from cis_provider.wire.terminal import (
    Attach,
    Attached,
    Inbox,
    Look,
    Refused,
    Seen,
    TerminalMessage,
    encode,
)

#: Seconds for the worker to answer.
_ANSWER = 5.0
_READ = 256 * 1024

M = TypeVar("M", Attached, Seen)


class TerminalLink:
    """
    A connection to one session's terminal; a context manager.

    :param path: The worker's socket for terminals.
    :raises NodeUnreachable: Nobody listens there.
    """

    def __init__(self, path: str) -> None:
        self._inbox = Inbox()
        self._held: list[TerminalMessage] = []
        self.socket = _connected(path)

    def __enter__(self) -> TerminalLink:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def attach(self, attach: Attach) -> Attached:
        """
        Come in.

        :raises CisError: It was refused; the message says why.
        """
        return self._ask(attach, Attached)

    def look(self, session_id: str) -> Seen:
        """
        What the session's terminal shows now.

        :raises UsageError: It is not at work there.
        """
        return self._ask(Look(session_id), Seen)

    def send(self, message: TerminalMessage) -> None:
        """
        Say something; nothing is answered.

        :raises NodeUnreachable: The worker is gone, or takes nothing.
        """
        try:
            self.socket.sendall(encode(message))
        except OSError as error:
            raise NodeUnreachable(f"the connection to the agent's worker was lost: {error}") from None

    def receive(self) -> Iterator[TerminalMessage]:
        """
        What has come. Waits for the first of it as long as the socket's timeout says.

        :raises NodeUnreachable: The worker is gone.
        """
        held, self._held = self._held, []
        yield from held
        if held:
            return
        try:
            data = self.socket.recv(_READ)
        except ConnectionError:
            data = b""
        if not data:
            raise NodeUnreachable("the connection to the agent's worker was lost")
        yield from self._inbox.feed(data)

    def fileno(self) -> int:
        """For ``select``."""
        return self.socket.fileno()

    @property
    def pending(self) -> bool:
        """Whether messages have come already that :meth:`receive` gives without waiting."""
        return bool(self._held)

    def _ask(self, request: Attach | Look, kind: type[M]) -> M:
        self.socket.settimeout(_ANSWER)
        try:
            self.send(request)
            while True:
                messages = list(self.receive())
                if messages:
                    break
        except OSError as error:
            raise NodeUnreachable(f"the agent's worker did not answer: {error}") from None
        first, self._held = messages[0], messages[1:]
        if isinstance(first, Refused):
            raise _error(first)
        if not isinstance(first, kind):
            raise ProtocolError(f"expected {kind.__name__}, got {type(first).__name__}")
        return first


def _connected(path: str) -> socket.socket:
    check_socket_path(Path(path))
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(_ANSWER)
        sock.connect(path)
        check_server(sock, Path(path))
    except OSError as error:
        sock.close()
        why = os.strerror(error.errno) if error.errno else str(error)
        raise NodeUnreachable(f"no worker listens at {path} ({why}); it may have been killed") from None
    except CisError:
        sock.close()
        raise
    return sock


def _error(refused: Refused) -> CisError:
    kinds: dict[str, type[CisError]] = {kind.code: kind for kind in (UsageError, ProtocolError)}
    return kinds.get(refused.code, NodeUnreachable)(refused.message)
