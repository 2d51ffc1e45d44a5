"""A node for tests: a real coordinator, real workers, real shells."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from cis_provider.errors import NodeUnreachable
from cis_provider.model.session import SessionKey, SessionRecord, SessionRequest, WorkspaceRequest
from cis_provider.node.client import NodeClient
from cis_provider.worker import processes


class Node:
    """A node in a ``CIS_HOME`` of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def request(self, command: str, task_id: str = "a", **changes: object) -> SessionRequest:
        """A shell agent's request."""
        key = SessionKey("d", str(changes.pop("run_id", "r")), task_id)
        values: dict[str, object] = {
            "key": key,
            "try_number": 1,
            "max_tries": 0,
            "agent_id": task_id,
            "agent_type": "shell",
            "command": command,
            "workspace": WorkspaceRequest(),
            **changes,
        }
        return SessionRequest(**values)  # type: ignore[arg-type]

    def submit(self, command: str, task_id: str = "a", **changes: object) -> SessionRecord:
        """Submit a shell agent."""
        with NodeClient("test") as client:
            return client.submit(self.request(command, task_id, **changes)).record

    def wait(
        self, session_id: str, until: Callable[[SessionRecord], bool], timeout: float = 20
    ) -> SessionRecord:
        """Wait for a state of a session."""
        with NodeClient("test") as client:
            for record in client.watch(session_id, timeout=timeout):
                if until(record):
                    return record
        raise AssertionError(f"session {session_id} did not get there within {timeout} s: {record}")

    def ended(self, session_id: str, timeout: float = 20) -> SessionRecord:
        """Wait for a session's end."""
        return self.wait(session_id, lambda record: record.state == "ended", timeout)

    def run(self, command: str, task_id: str = "a", **changes: object) -> SessionRecord:
        """Submit a shell agent and wait for its end."""
        return self.ended(self.submit(command, task_id, **changes).session_id)

    def coordinator_pid(self) -> int:
        """The coordinator, started if need be."""
        with NodeClient("test") as client:
            return client.status().pid

    def worker_pid(self) -> int:
        """The global scope's worker."""
        with NodeClient("test") as client:
            return next(worker.pid for worker in client.status().workers)

    def kill(self, pid: int) -> None:
        """SIGKILL, and wait until it is gone."""
        started = processes.start_time(pid)
        os.kill(pid, signal.SIGKILL)
        self.wait_until(lambda: not processes.is_same(pid, started))

    def wait_until(self, condition: Callable[[], bool], timeout: float = 10) -> None:
        """For what tells nobody when it happens, such as the end of a process that is not a child."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.01)


@pytest.fixture
def node(cis_home: Path) -> Iterator[Node]:
    """A node that is stopped with its workers at the end, late starters included."""
    node = Node(cis_home)
    yield node

    def stopped() -> bool:
        with contextlib.suppress(NodeUnreachable), NodeClient("test", start=False) as client:
            client.stop(workers=True)
        return not _processes_of(cis_home)

    node.wait_until(stopped, 30)


def _processes_of(home: Path) -> list[int]:
    """Living coordinators and workers of a home."""
    mark = f"CIS_HOME={home}".encode()
    found = []
    for one in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            words = one.cmdline()
            if "cis_provider.node" in words or "cis_provider.worker" in words:
                environment = Path(f"/proc/{one.pid}/environ").read_bytes().split(b"\0")
                if mark in environment and one.status() != psutil.STATUS_ZOMBIE:
                    found.append(one.pid)
    return found
