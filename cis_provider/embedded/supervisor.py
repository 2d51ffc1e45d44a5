"""
The process that keeps the embedded Airflow alive: ``python -m cis_provider.embedded.supervisor``.

It holds a lock for its life, so there is one for each ``CIS_HOME``. It starts PostgreSQL and Airflow's
components, starts again what dies, and on SIGTERM ends all of them and looks that none is left. When it is
killed itself, the kernel tells its children; what survives that is ended by the next one.

It imports no Airflow.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

from cis_provider import paths
from cis_provider.embedded import config, layout, postgres, sessions
from cis_provider.embedded.board import Board
from cis_provider.embedded.keeper import KILL_TIMEOUT, Keeper
from cis_provider.embedded.ports import choose
from cis_provider.embedded.secrets import load_or_make
from cis_provider.embedded.state import Phase, State, boot_id, read
from cis_provider.errors import UnreachableError
from cis_provider.files import lock_for_life, private_folder

log = logging.getLogger("cis.embedded")


async def _supervise() -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    _end_leftovers()
    state = State(phase=Phase.DATABASE, boot=boot_id())
    board = Board(state)
    try:
        server = postgres.locate()
        secrets, ports = load_or_make(), choose()
        config.write(server, secrets, ports)
        await Keeper(board, server, secrets, ports).run(stop)
    except Exception as error:  # whoever waits for us must learn of it, whatever it is
        log.exception("given up")
        board.fail(str(error) or repr(error))
        return 1
    board.phase(Phase.STOPPED)
    log.info("stopped; no process is left")
    return 0


def _end_leftovers() -> None:
    """End what a supervisor that was killed has left behind, before anything new runs."""
    before = read()
    if before is None or before.boot != boot_id():
        return
    leaders = list(before.processes.values())
    if left := sessions.members(leaders) + sessions.at_work_in(layout.database_dir()):
        log.warning("a supervisor was killed; ending what it left: %s", left)
        # Not SIGTERM: PostgreSQL waits for its clients then, whatever became of them.
        left = sessions.end(
            leaders, first=signal.SIGINT, grace=5.0, timeout=KILL_TIMEOUT, database=layout.database_dir()
        )
        if left:
            raise UnreachableError(f"processes {left} of an earlier start could not be ended")


def main() -> int:
    """Supervise, unless another does."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    for folder in (paths.cis_home(), paths.airflow_dir(), paths.dags_dir(), layout.logs_dir()):
        private_folder(folder)
    lock = lock_for_life(layout.lock_file())
    if lock is None:
        log.info("another supervisor is at work")
        return 0
    with lock:
        return asyncio.run(_supervise())


if __name__ == "__main__":
    sys.exit(main())
