"""A node of its own for a measurement: temporary folders, and no setting of the caller's."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from cis_provider.errors import NodeUnreachable
from cis_provider.node.client import NodeClient
from cis_provider.worker.processes import is_same, start_time

T = TypeVar("T")


@contextmanager
def temporary_home(**settings: str) -> Iterator[Path]:
    """
    An empty ``CIS_HOME`` in the environment of this process; it, and the node in it, is gone afterwards.

    :param settings: More environment, e.g. ``CIS_DAG_LOCAL_MAX_WORKERS``.
    """
    before = dict(os.environ)
    memory = Path("/dev/shm")
    runtime = Path(tempfile.mkdtemp(prefix="cis-b-", dir=memory if os.access(memory, os.W_OK) else None))
    home = Path(tempfile.mkdtemp(prefix="cis-bench-"))
    for name in [name for name in os.environ if name.startswith(("CIS_", "AIRFLOW_"))]:
        del os.environ[name]
    # Its absence is worth more than any code of ours: see embedded/bytecode.py.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ.update(settings, CIS_HOME=str(home), CIS_RUNTIME_DIR=str(runtime))
    # A BashOperator's bash has a socket as standard input. Without a shell above it (cron, nohup) it takes that
    # for a remote login and reads ~/.bashrc: what stands in there would be counted against the peer.
    os.environ["SHLVL"] = "2"
    try:
        yield home
    finally:
        stop_node()
        os.environ.clear()
        os.environ.update(before)
        for folder in (home, runtime):
            shutil.rmtree(folder, ignore_errors=True)


def stop_node() -> None:
    """Stop this home's coordinator and workers, and wait until they are gone."""
    with contextlib.suppress(NodeUnreachable):
        pids = list(node_processes().values())
        with NodeClient("bench", start=False) as node:
            node.stop(workers=True)
        eventually(lambda: not any(is_alive(pid) for pid in pids), 20, "the node is gone")


def is_alive(pid: int) -> bool:
    """Whether a process is there and no zombie: those that this process has started stay as one."""
    return is_same(pid, start_time(pid))


def node_processes() -> dict[str, int]:
    """
    Pids of the coordinator and the scope workers.

    :raises NodeUnreachable: No coordinator runs.
    """
    with NodeClient("bench", start=False) as node:
        status = node.status()
    return {"coordinator": status.pid} | {worker.name: worker.pid for worker in status.workers}


def eventually(condition: Callable[[], T], seconds: float, what: str, *, every: float = 0.05) -> T:
    """
    What ``condition`` gives, once it is true.

    :raises TimeoutError: It did not become true in time.
    """
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:.0f} s: {what}")
        time.sleep(every)
    return found
