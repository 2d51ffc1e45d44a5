"""Start the coordinator when there is none; whoever needs it first does."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from cis_provider import paths
from cis_provider.errors import NodeUnreachable
from cis_provider.files import is_locked, private_folder
from cis_provider.node.detached import start_detached


class Starter:
    """
    The pace of joining a node: try to connect, start a coordinator if nobody answers, try again.

    Shared by the blocking and the asyncio client, which wait in their own ways.

    :param timeout: Seconds for all of it.
    :param start: Whether to start a coordinator.
    """

    def __init__(self, *, timeout: float, start: bool) -> None:
        self._deadline = time.monotonic() + timeout
        self._timeout = timeout
        self._start = start
        self._process: subprocess.Popen[bytes] | None = None

    def refused(self, error: OSError) -> float:
        """
        Nobody answered. Starts a coordinator if that helps.

        :return: Seconds to wait before the next attempt.
        :raises NodeUnreachable: There is no hope.
        """
        if not self._start:
            raise NodeUnreachable(f"no coordinator answers at {paths.coordinator_socket()}: {error.strerror}")
        if self._process is None and not is_locked(paths.node_dir() / "coordinator.lock"):
            self._process = start_detached("cis_provider.node", log=log_file())
        code = self._process.poll() if self._process else None
        if code:
            raise NodeUnreachable(f"the coordinator ended with code {code}; {_last_words()}")
        if code == 0:
            # Another one held the lock: it serves already, or is just leaving.
            self._process = None
        if time.monotonic() > self._deadline:
            raise NodeUnreachable(f"no coordinator answered within {self._timeout:.0f} s; see {log_file()}")
        return 0.02


def log_file() -> Path:
    """Where a coordinator that was started by others writes."""
    return private_folder(paths.node_dir()) / "coordinator.log"


def _last_words() -> str:
    lines = log_file().read_text(errors="replace").strip().splitlines()
    return f"{lines[-1]} (see {log_file()})" if lines else f"see {log_file()}"
