"""A worker's socket for terminals closes in time, whoever is still attached."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from cis_provider.errors import NodeUnreachable
from cis_provider.files import bind_unix_socket
from cis_provider.wire.terminal import Attach, Typed, encode
from cis_provider.worker.attach import AttachServer
from cis_provider.worker.attach_client import TerminalLink
from cis_provider.worker.attach_live import LiveTerminal
from cis_provider.worker.mask import SecretMask
from cis_provider.worker.recording import Recording

pytestmark = pytest.mark.integration


async def test_a_client_that_reads_nothing_does_not_keep_its_worker_from_leaving(tmp_path: Path) -> None:
    output = tmp_path / "output.log"
    output.write_bytes(b"")
    recording = Recording(tmp_path / "r.cast", size=(120, 40), mask=SecretMask([]), title="t")
    came = asyncio.Event()
    live = LiveTerminal(output=output, recording=recording, mask=SecretMask([]), on_writer=came.set)
    server = AttachServer(tmp_path / "s", lambda session_id: live)
    await server.start()
    with socket.socket(socket.AF_UNIX) as stopped:
        stopped.setblocking(False)
        stopped.connect(str(tmp_path / "s"))
        stopped.send(encode(Attach(session_id="x", columns=120, rows=40, who="ada")))
        async with asyncio.timeout(5):
            await came.wait()
        for _ in range(30):  # more than the kernel keeps for it
            live.text(b"x" * 32 * 1024)
            await asyncio.sleep(0.01)
        live.close("the agent has ended")
        async with asyncio.timeout(5):
            await server.close()


def test_who_types_in_the_moment_in_which_the_worker_dies_is_told_so(tmp_path: Path) -> None:
    with bind_unix_socket(tmp_path / "s") as listening:
        link = TerminalLink(str(tmp_path / "s"))
    listening.close()
    with link, pytest.raises(NodeUnreachable, match="was lost"):
        link.send(Typed(b"y"))
