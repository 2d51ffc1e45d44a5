"""``cis worker run``: the process of a scope worker."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

from cis_provider import paths
from cis_provider.errors import CisError, ConfigError
from cis_provider.files import lock_for_life
from cis_provider.identity import node_id
from cis_provider.model.scope import TaskScope
from cis_provider.worker import leftovers
from cis_provider.worker.server import WorkerServer

_THREADS = 256


def run(name: str, scope: str) -> int:
    """
    Serve one scope until idle or told to stop.

    :param name: The worker's name, e.g. ``worker-global``; must be that of ``scope``.
    :return: The exit code. 0 also when another process is this worker already.
    :raises ConfigError: The name is not that of the scope, or a file or socket is in the way.
    """
    expected = TaskScope.parse(scope).worker_name
    if name != expected:
        raise ConfigError(f"the worker of scope {scope} is called {expected}, not {name}")
    lock = lock_for_life(paths.worker_lock(name))
    if lock is None:
        logging.getLogger(__name__).info("%s runs already", name)
        return 0
    with lock:
        os.chdir(paths.worker_dir(name))
        asyncio.run(_serve(WorkerServer(name, node_id())))
        if not leftovers.noted(name):
            leftovers.remove_folder(name)
    return 0


async def _serve(server: WorkerServer) -> None:
    loop = asyncio.get_running_loop()
    # Work on workspaces may wait for a network or a lock; the default of a few threads would be used up by that.
    loop.set_default_executor(ThreadPoolExecutor(_THREADS, thread_name_prefix="workspace"))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    await server.run()


def main() -> None:
    """``python -m cis_provider.worker NAME SCOPE``, as a coordinator starts it."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        sys.exit(run(*sys.argv[1:3]))
    except CisError as error:
        sys.exit(f"{error}")
