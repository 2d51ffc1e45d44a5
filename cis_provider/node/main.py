"""``cis node run``: the process of a coordinator."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

from cis_provider import paths
from cis_provider.errors import CisError
from cis_provider.files import check_socket_path, lock_for_life
from cis_provider.node.server import CoordinatorServer


def run(*, stay: bool) -> int:
    """
    Serve this node until told to stop.

    :param stay: Whether to stay when nobody has needed the node for ``node.idle_exit`` seconds.
    :return: The exit code. 0 also when another process is the coordinator already.
    :raises ConfigError: A file, folder or socket is in the way.
    """
    # The longest of all: no worker could listen later.
    check_socket_path(paths.worker_socket("any"))
    lock = lock_for_life(paths.coordinator_lock())
    if lock is None:
        logging.getLogger(__name__).info("this node has a coordinator already")
        return 0
    with lock:
        asyncio.run(_serve(stay))
    return 0


async def _serve(stay: bool) -> None:
    server = CoordinatorServer(stay=stay)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    await server.run()


def main() -> None:
    """``python -m cis_provider.node``, as whoever needs the node first starts it."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        sys.exit(run(stay=False))
    except CisError as error:
        sys.exit(f"{error}")
