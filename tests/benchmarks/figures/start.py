"""
From nothing but the installed packages to a healthy Airflow: the embedded one, and a bare one by hand.

The bare one has the same settings, the same PostgreSQL binaries and options, and the same log folder; what it
does not have is a supervisor: ``initdb``, ``postgres``, ``airflow db migrate``, and then its four components
side by side. (The provider is installed beside both, so that its listener loads in both.)
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from kit.home import eventually, temporary_home
from kit.rows import Row, Scale, Target, spread

from cis_provider import paths
from cis_provider.embedded import api as embedded
from cis_provider.embedded import config, health, layout, ports, postgres, process, secrets, sessions
from cis_provider.embedded.account import initdb_account
from cis_provider.embedded.state import Process
from cis_provider.files import private_folder

_COMPONENTS = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
_DEADLINE = 180.0


def measure(scale: Scale) -> list[Row]:
    """Interleaved, each in a new home."""
    ours, peer = [], []
    for _ in range(scale.of(5, 1)):
        peer.append(_bare())
        ours.append(_ours())
    return [
        Row("embedded Airflow from nothing to healthy", median(ours), "s", median(peer), Target.RATIO_AT_MOST, 1.25,
            f"median of {len(ours)}, interleaved; ours {spread(ours)}, the peer's {spread(peer)}"),
    ]  # fmt: skip


def _ours() -> float:
    with temporary_home():
        try:
            began = time.monotonic()
            embedded.start(wait=_DEADLINE)
            return time.monotonic() - began
        finally:
            embedded.stop()


def _bare() -> float:
    with temporary_home():
        for folder in (paths.airflow_dir(), paths.dags_dir(), layout.logs_dir()):
            private_folder(folder)
        with _ended() as running:
            began = time.monotonic()
            _bare_airflow(running)
            return time.monotonic() - began


def _bare_airflow(running: list[Process]) -> None:
    server, keys, chosen = postgres.locate(), secrets.load_or_make(), ports.choose()
    config.write(server, keys, chosen)
    plain = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    command = postgres.make(server, keys)
    assert command is not None
    made, _ = process.spawn("initdb", command, plain, account=initdb_account(server.account))
    if made.wait(_DEADLINE):
        raise RuntimeError(f"initdb failed: {process.last_lines(layout.component_log('initdb'))}")
    postgres.keep(server)
    postgres.open_sockets(server)
    _, database = process.spawn("postgres", server.command(), plain, account=server.account)
    running.append(database)
    eventually(lambda: server.is_ready(database.pid), _DEADLINE, "PostgreSQL is ready", every=0.01)
    server.prepare(keys)
    airflow = [sys.executable, "-m", "airflow"]
    environment = config.environment(os.environ)
    subprocess.run(
        [*airflow, "db", "migrate"], env=environment, check=True, capture_output=True, timeout=_DEADLINE
    )
    for name, words in _COMPONENTS.items():
        running.append(process.spawn(name, [*airflow, *words], environment)[1])
    url = f"http://{config.HOST}:{chosen.api}"
    eventually(lambda: not health.ask(url), _DEADLINE, "the bare Airflow is healthy", every=0.1)


@contextmanager
def _ended() -> Iterator[list[Process]]:
    """A list of processes; the database is the first of them and the last to go."""
    running: list[Process] = []
    try:
        yield running
    finally:
        sessions.end(running[1:], first=signal.SIGTERM, grace=2.0, timeout=5.0)
        sessions.end(running, first=signal.SIGINT, grace=6.0, timeout=5.0, database=layout.database_dir())
        for one in running:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(one.pid, 0)
