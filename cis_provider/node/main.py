"""``cis node run``: the process of a coordinator."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

from cis_provider import paths
from cis_provider.errors import CisError
from cis_provider.files import lock_for_life, private_folder
from cis_provider.node.server import CoordinatorServer


def run() -> int:
    """
    Serve this node until told to stop.

    :return: The exit code. 0 also when another process is the coordinator already.
    :raises ConfigError: A file, folder or socket is in the way.
    """
    lock = lock_for_life(private_folder(paths.node_dir()) / "coordinator.lock")
    if lock is None:
        logging.getLogger(__name__).info("this node has a coordinator already")
        return 0
    with lock:
        asyncio.run(_serve())
    return 0


async def _serve() -> None:
    server = CoordinatorServer()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    await server.run()


def main() -> None:
    """``python -m cis_provider.node``, as whoever needs the node first starts it."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        sys.exit(run())
    except CisError as error:
        sys.exit(f"{error}")
