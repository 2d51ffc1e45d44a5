"""One process that must be there: started, watched, started again."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Mapping, Sequence

from cis_provider.embedded import layout, sessions
from cis_provider.embedded.account import Account
from cis_provider.embedded.board import Board, Job
from cis_provider.embedded.restarts import Restarts

log = logging.getLogger("cis.embedded")


class Component:
    """PostgreSQL, or one of Airflow's processes."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        board: Board,
        *,
        death_signal: signal.Signals = signal.SIGTERM,
        account: Account | None = None,
    ) -> None:
        self.name = name
        self.restarts = Restarts()
        self._command = command
        self._environment = environment
        self._board = board
        self._death_signal = death_signal
        self._account = account
        self._job: Job | None = None
        self._last_exit = ""

    @property
    def pid(self) -> int:
        """Its process; 0: it was never started."""
        return self._job.process.pid if self._job else 0

    def start(self, *, wait_for_go: bool = False) -> None:
        """
        Start it, and tell the board.

        :param wait_for_go: Its standard input stays open until ``go``.
        """
        self._job = self._board.begin(
            self.name,
            self._command,
            self._environment,
            death_signal=self._death_signal,
            account=self._account,
            with_input=wait_for_go,
            restarts=self.restarts.total,
            last_exit=self._last_exit,
        )

    def go(self) -> None:
        """What it waited for is there."""
        if self._job and self._job.running.stdin:
            self._job.running.stdin.close()

    async def ended(self) -> float:
        """Wait until its process ends; gives back the seconds to wait before the next start."""
        assert self._job is not None
        self._last_exit = await self._job.ended()
        delay = self.restarts.died(time.time() - self._job.process.since)
        log.warning("%s ended (%s); next start in %.1f s", self.name, self._last_exit, delay)
        return delay

    def end_rest(self) -> None:
        """Kill what it has left behind: a dead scheduler's tasks would go on beside the next one's. Blocks."""
        assert self._job is not None
        database = layout.database_dir() if self.name == "postgres" else None
        sessions.end([self._job.process], first=signal.SIGTERM, grace=0.5, timeout=5.0, database=database)
