"""
The answer to the API server's question for logs of running tasks: nothing beyond what you have read.

Airflow's own log servers listen on all interfaces and cannot be told not to, so they are not started. The API
server reads the same files from disk, and asks a log server as well; without an answer it would show an error
above every log.
"""

from __future__ import annotations

import asyncio
import contextlib

_NOTHING = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_TIMEOUT = 5.0  # seconds a client has to say its request


async def serve(port: int) -> asyncio.Server:
    """Listen on loopback. Close the server to end it."""
    return await asyncio.start_server(_answer, "127.0.0.1", port, limit=16384)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        async with asyncio.timeout(_TIMEOUT):
            await reader.readuntil(b"\r\n\r\n")
        writer.write(_NOTHING)
        await writer.drain()
    writer.close()
