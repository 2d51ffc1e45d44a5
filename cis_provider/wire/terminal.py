"""
The protocol of a worker's socket for terminals: who attaches, what is shown, what is typed.

A frame is four bytes of length (big-endian) and one message as MessagePack. The client's first message is
:class:`Attach` or :class:`Look`. After :class:`Attached` the server sends :class:`Drawn` as it comes, and the
client what it types; either may close at any time. A :class:`Refused` may take the place of the first answer.
"""

from __future__ import annotations

import struct

import msgspec

from cis_provider.errors import ProtocolError

#: Raised when a message changes in a way that an older peer would misread.
TERMINAL_PROTOCOL = 1

#: A repaint of the largest screen is smaller, and a paste comes in pieces.
MAX_FRAME = 8 * 1024 * 1024

_LENGTH = struct.Struct(">I")


# --- from the client ------------------------------------------------------------------------------------


class Attach(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """
    Show me this session's terminal. Answer: :class:`Attached`, then :class:`Drawn` with all of its screen.

    :param columns: Size of the client's own terminal; one that no terminal has is ignored.
    :param read_only: Never types.
    :param take: Type also if somebody else does: they watch from then on.
    :param who: A name for the others.
    """

    session_id: str
    columns: int
    rows: int
    read_only: bool = False
    take: bool = False
    who: str = ""
    protocol: int = TERMINAL_PROTOCOL


class Typed(msgspec.Struct, tag=True, frozen=True):
    """Bytes of the keyboard. Of one who watches, they are dropped."""

    data: bytes


class Resized(msgspec.Struct, tag=True, frozen=True):
    """The client's terminal has another size."""

    columns: int
    rows: int


class Detach(msgspec.Struct, tag=True, frozen=True):
    """The client leaves. So does one that closes without a word."""


class Look(msgspec.Struct, tag=True, frozen=True):
    """What does this session's terminal show now? Answer: :class:`Seen`."""

    session_id: str
    protocol: int = TERMINAL_PROTOCOL


# --- from the server ------------------------------------------------------------------------------------


class Attached(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """
    You are in, or your part has changed.

    :param writer: Whether what you type reaches the program.
    :param note: What a person should know: why they only watch, who took over. May be empty.
    """

    writer: bool
    note: str = ""


class Drawn(msgspec.Struct, tag=True, frozen=True):
    """Bytes for the client's terminal. ``whole``: they paint all of the screen, whatever was there before."""

    data: bytes
    whole: bool = False


class Gone(msgspec.Struct, tag=True, frozen=True):
    """Nothing more comes: why."""

    reason: str


class Refused(msgspec.Struct, tag=True, frozen=True):
    """``code`` is the code of an error class."""

    code: str
    message: str


class Seen(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """
    A session's terminal at this moment.

    :param source: ``screen``: the agent's own; ``human``: the interface that a human has; ``output``: it has no
        screen, this is the end of what it printed.
    :param state: What the rules make of it: working, idle, blocked ...; empty without a screen.
    :param kind: With ``blocked``: a :class:`~cis_provider.model.blockage.BlockageKind`.
    :param rule: Id of the rule that says so.
    :param evidence: What that rule saw.
    :param text: The screen, secrets masked.
    :param writer: Who may type; empty: nobody.
    :param watchers: How many watch.
    """

    source: str
    columns: int
    rows: int
    text: str
    state: str = ""
    kind: str = ""
    rule: str = ""
    evidence: str = ""
    title: str = ""
    program: str = ""
    version: str = ""
    writer: str = ""
    watchers: int = 0


FromClient = Attach | Typed | Resized | Detach | Look
FromServer = Attached | Drawn | Gone | Refused | Seen
TerminalMessage = FromClient | FromServer

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[TerminalMessage] = msgspec.msgpack.Decoder(TerminalMessage)


def encode(message: TerminalMessage) -> bytes:
    """
    One whole frame.

    :raises ProtocolError: Longer than :data:`MAX_FRAME`.
    """
    body = _encoder.encode(message)
    if len(body) > MAX_FRAME:
        raise ProtocolError(f"{type(message).__name__} of {len(body)} bytes; the limit is {MAX_FRAME}")
    return _LENGTH.pack(len(body)) + body


class Inbox:
    """Bytes in, however they were cut; whole messages out."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> list[TerminalMessage]:
        """
        Messages that are whole now.

        :raises ProtocolError: One is too long, or is none.
        """
        self._held += data
        found: list[TerminalMessage] = []
        while len(self._held) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._held)
            if length > MAX_FRAME:
                raise ProtocolError(f"a frame of {length} bytes was announced; the limit is {MAX_FRAME}")
            end = _LENGTH.size + length
            if len(self._held) < end:
                break
            try:
                found.append(_decoder.decode(self._held[_LENGTH.size : end]))
            except msgspec.DecodeError as error:
                raise ProtocolError(f"no message of ours: {error}") from None
            del self._held[:end]
        return found
