"""
Frames: four bytes of length (big-endian), then one message as MessagePack.

The same bytes for asyncio streams and for plain sockets, so that an operator needs no event loop.
"""

from __future__ import annotations

import asyncio
import socket
import struct

import msgspec

from cis_provider.errors import ProtocolError
from cis_provider.wire.messages import Message

#: A request carries the prompt and the inputs of one agent, each of them a few MB at the very most.
MAX_FRAME = 64 * 1024 * 1024

_LENGTH = struct.Struct(">I")
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """
    One whole frame.

    :raises ProtocolError: Longer than :data:`MAX_FRAME`.
    """
    body = _encoder.encode(message)
    if len(body) > MAX_FRAME:
        raise ProtocolError(f"{type(message).__name__} of {len(body)} bytes; the limit is {MAX_FRAME}")
    return _LENGTH.pack(len(body)) + body


def decode(body: bytes) -> Message:
    """
    The message of a frame's body.

    :raises ProtocolError: It is none.
    """
    try:
        return _decoder.decode(body)
    except msgspec.DecodeError as error:
        raise ProtocolError(f"no message of ours: {error}") from None


async def read(reader: asyncio.StreamReader) -> Message | None:
    """
    The next message; ``None`` when the peer has closed between two frames.

    :raises ProtocolError: Too long, cut short, or no message.
    """
    try:
        header = await reader.readexactly(_LENGTH.size)
        body = await reader.readexactly(_body_length(header))
    except asyncio.IncompleteReadError as error:
        if error.partial or error.expected != _LENGTH.size:
            raise ProtocolError("the peer closed in the middle of a frame") from None
        return None
    except ConnectionError:
        return None
    return decode(body)


def read_blocking(sock: socket.socket) -> Message | None:
    """As :func:`read`, for a plain socket; its timeout is the deadline of each ``recv``."""
    header = _receive(sock, _LENGTH.size)
    if not header:
        return None
    return decode(_receive(sock, _body_length(header), whole=True))


def _receive(sock: socket.socket, size: int, *, whole: bool = False) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = sock.recv(min(size - len(parts), 1 << 20))
        if not part:
            if parts or whole:
                raise ProtocolError("the peer closed in the middle of a frame")
            return b""
        parts += part
    return bytes(parts)


def _body_length(header: bytes) -> int:
    (length,) = _LENGTH.unpack(header)
    if length > MAX_FRAME:
        raise ProtocolError(f"a frame of {length} bytes was announced; the limit is {MAX_FRAME}")
    return int(length)
