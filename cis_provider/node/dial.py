"""Calling a scope worker: be welcomed by it, and hear what it has to tell."""

from __future__ import annotations

import asyncio

from cis_provider import paths
from cis_provider.errors import ProtocolError
from cis_provider.files import check_server
from cis_provider.wire import frames
from cis_provider.wire.messages import Alive, Failure, Hello, Subscribe, Welcome

Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def dial(name: str, *, timeout: float) -> tuple[Line, Welcome]:
    """
    A connection to a worker.

    :raises OSError: It does not listen, or does not answer.
    :raises ProtocolError: It is of a version that we do not understand.
    :raises ConfigError: Somebody else listens there.
    """
    path = paths.worker_socket(name)
    async with asyncio.timeout(timeout):
        reader, writer = await asyncio.open_unix_connection(str(path))
        try:
            check_server(writer.get_extra_info("socket"), path)
            writer.write(frames.encode(Hello("coordinator")))
            welcome = await frames.read(reader)
            if isinstance(welcome, Welcome):
                return (reader, writer), welcome
            raise ProtocolError(
                welcome.message if isinstance(welcome, Failure) else f"{name} did not welcome us"
            )
        except BaseException:
            writer.close()
            raise


async def subscribe(name: str, *, timeout: float) -> tuple[Line, Alive]:
    """
    A connection on which a worker tells what happens, and the sessions that it has to begin with.

    :raises OSError: As for :func:`dial`; so is the rest.
    """
    (reader, writer), _ = await dial(name, timeout=timeout)
    try:
        writer.write(frames.encode(Subscribe()))
        async with asyncio.timeout(timeout):
            alive = await frames.read(reader)
        if isinstance(alive, Alive):
            return (reader, writer), alive
        raise ProtocolError(f"{name} did not say which sessions it has")
    except BaseException:
        writer.close()
        raise
