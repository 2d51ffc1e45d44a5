"""Start the coordinator when there is none; whoever needs it first does, and the others wait for it."""

from __future__ import annotations

import subprocess
import time
from types import TracebackType
from typing import IO

from cis_provider import paths
from cis_provider.errors import NodeUnreachable
from cis_provider.files import is_locked, let_go, lock_for_life
from cis_provider.node.detached import last_words, start_detached

#: Seconds between two attempts of the one that starts, and of those that wait for it.
_PACE, _PACE_OF_OTHERS = 0.02, 0.05


class Starter:
    """
    The pace of joining a node: try to connect, start a coordinator if nobody answers, try again.

    Shared by the blocking and the asyncio client, which wait in their own ways. A context manager: of many that
    begin at once one starts a coordinator, holding a lock until the end of its own attempts. A starter
    that is killed loses the lock to the next one.

    :param timeout: Seconds for all of it.
    :param start: Whether to start a coordinator.
    """

    def __init__(self, *, timeout: float, start: bool) -> None:
        self._deadline = time.monotonic() + timeout
        self._timeout = timeout
        self._start = start
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None

    def __enter__(self) -> Starter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock:
            let_go(self._lock)
            self._lock = None

    def refused(self, error: OSError) -> float:
        """
        Nobody answered. Starts a coordinator if that helps.

        :return: Seconds to wait before the next attempt.
        :raises NodeUnreachable: There is no hope.
        :raises ConfigError: The node's folder cannot be used.
        """
        if not self._start:
            raise NodeUnreachable(
                f"no coordinator answers at {paths.coordinator_socket()}: {error.strerror or error}"
            )
        if self._process is None and self._may_start():
            self._process = start_detached("cis_provider.node", log=paths.coordinator_log())
        code = self._process.poll() if self._process else None
        if code:
            raise NodeUnreachable(
                f"the coordinator ended with code {code}; {last_words(paths.coordinator_log())}"
            )
        if code == 0:
            # Another one held the lock: it serves already, or is just leaving.
            self._process = None
        if time.monotonic() > self._deadline:
            raise NodeUnreachable(
                f"no coordinator answered within {self._timeout:.0f} s; see {paths.coordinator_log()}"
            )
        return _PACE if self._lock else _PACE_OF_OTHERS

    def _may_start(self) -> bool:
        if is_locked(paths.coordinator_lock()):
            return False
        self._lock = self._lock or lock_for_life(paths.starting_lock(), looks=1)
        # Again: whoever had the lock before may have just started one.
        return self._lock is not None and not is_locked(paths.coordinator_lock())
