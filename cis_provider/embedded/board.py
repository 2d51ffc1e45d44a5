"""The supervisor's processes, each written to the state file as it starts: what is not there cannot be ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cis_provider.embedded import process
from cis_provider.embedded.account import Account
from cis_provider.embedded.state import Phase, Process, State, write
from cis_provider.errors import UnreachableError
from cis_provider.worker.processes import start_time

_CHECK_EVERY = 2.0  # seconds; a child's end is noticed at once by its signal, this is for one that got lost


@dataclass
class Job:
    """A running child."""

    running: subprocess.Popen[bytes]
    process: Process
    board: Board

    async def ended(self) -> str:
        """Wait for its end; says how it ended."""
        while self.running.poll() is None:
            await self.board.child_ended()
        return process.how_it_ended(self.running.returncode)

    async def code(self, timeout: float) -> int:
        """
        Wait for its exit code.

        :raises UnreachableError: It takes longer than ``timeout`` seconds.
        """
        try:
            async with asyncio.timeout(timeout):
                await self.ended()
        except TimeoutError:
            raise UnreachableError(f"{self.running.args!r} took longer than {timeout:.0f} s") from None
        return int(self.running.returncode)

    async def tell(self, line: bytes, *, timeout: float) -> int:
        """Write to its standard input, close that, and wait for its exit code."""
        assert self.running.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it is dead: its exit code says so
            self.running.stdin.write(line)
            self.running.stdin.close()
        return await self.code(timeout)


class Board:
    """Keeps the state file true."""

    def __init__(self, state: State) -> None:
        self.state = state
        state.supervisor = Process(pid=os.getpid(), started=start_time(os.getpid()), since=time.time())
        self._child = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._on_child)
        write(state)

    def phase(self, phase: Phase) -> None:
        """The next phase."""
        if phase is not self.state.phase:
            self.state.phase = phase
            self.state.waiting = {}
            write(self.state)

    def waiting_for(self, wrong: dict[str, str]) -> None:
        """What is not healthy yet."""
        self.state.waiting = wrong
        write(self.state)

    def fail(self, error: str) -> None:
        """It gave up."""
        self.state.error = error
        self.phase(Phase.FAILED)

    def begin(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        death_signal: signal.Signals = signal.SIGTERM,
        account: Account | None = None,
        with_input: bool = False,
        restarts: int = 0,
        last_exit: str = "",
    ) -> Job:
        """Start a process."""
        stdin = subprocess.PIPE if with_input else subprocess.DEVNULL
        running, found = process.spawn(
            name, command, environment, death_signal=death_signal, account=account, stdin=stdin
        )
        found.restarts, found.last_exit = restarts, last_exit
        self.state.processes[name] = found
        write(self.state)
        return Job(running, found, self)

    async def run_once(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        timeout: float,
        account: Account | None = None,
    ) -> int:
        """Start a process and wait for its exit code."""
        return await self.begin(name, command, environment, account=account).code(timeout)

    async def child_ended(self) -> None:
        """Wait until some child has ended, or for a moment."""
        # Not wait_for: up to Python 3.11 it forgets a cancellation that comes together with the event.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CHECK_EVERY):
                await self._child.wait()

    def _on_child(self) -> None:
        # Wakes everybody who waits now; whoever comes later waits for the next one.
        self._child.set()
        self._child = asyncio.Event()
