"""A command that says whether an agent's work is done. It runs where the agent worked, with its variables."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import msgspec

from cis_provider.model.text import plain_text
from cis_provider.worker import processes
from cis_provider.worker.context import WorkContext

#: Seconds that a check may take: a test suite's, not a deployment's.
CHECK_LIMIT = 1800.0

#: Bytes of a check's output that are kept: its end says what is wrong.
_KEPT = 8 * 1024

#: Seconds for the last words of what it started, after its own end.
_DRAIN = 1.0

#: A shell's exit code for a command that is not there.
_NOT_STARTED = 127


class CheckReport(msgspec.Struct, frozen=True, kw_only=True):
    """
    How a check ended.

    :param attempt: 1 for the first time.
    :param output: The end of what it printed, without escape codes, secrets masked.
    """

    command: str
    passed: bool
    attempt: int = 1
    exit_code: int | None = None
    output: str = ""

    @property
    def error(self) -> str:
        """What went wrong, for the agent and for people; empty when it passed."""
        if self.passed:
            return ""
        how = "took too long" if self.exit_code is None else f"ended with exit code {self.exit_code}"
        said = f"; the end of its output:\n{self.output}" if self.output else " and printed nothing"
        return f"the check `{self.command}` {how}{said}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, for the result."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


async def run_check(work: WorkContext, *, attempt: int = 1, limit: float = CHECK_LIMIT) -> CheckReport:
    """
    Run the agent's check once. A stop of the session ends it, and counts as failed.

    :param limit: Seconds.
    """
    command = work.request.options.check
    loop = asyncio.get_running_loop()
    try:
        transport, running = await loop.subprocess_exec(
            lambda: _Running(loop),
            "bash",
            "-euo",
            "pipefail",
            "-c",
            command,
            cwd=work.workspace,
            env=work.env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        # The agent has removed its folder, for one: what it did cannot be accepted.
        said = f"it could not be started: {error}"
        return CheckReport(
            command=command, passed=False, attempt=attempt, exit_code=_NOT_STARTED, output=said
        )
    try:
        either: set[asyncio.Future[Any]] = {running.exited, work.stop}
        await asyncio.wait(either, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        ended = running.exited.done()
        if ended:
            # A daemon that it left behind (a build tool's) may hold its output for ever.
            await asyncio.wait({running.closed}, timeout=_DRAIN)
    finally:
        processes.signal_group(transport.get_pid(), signal.SIGKILL)
        transport.close()
    exit_code = transport.get_returncode()
    return CheckReport(
        command=command,
        passed=ended and exit_code == 0,
        attempt=attempt,
        exit_code=exit_code if ended else None,
        output=plain_text(work.mask.whole(running.tail)).strip(),
    )


class _Running(asyncio.SubprocessProtocol):
    """Keeps the end of what it prints, and tells when it has exited, and when its output is closed."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.tail = b""
        self.exited: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.tail = (self.tail + data)[-_KEPT:]

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)

    def process_exited(self) -> None:
        if not self.exited.done():
            self.exited.set_result(None)
