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
    process = await asyncio.create_subprocess_exec(
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
    reading = asyncio.ensure_future(_tail(process))
    try:
        either: set[asyncio.Future[Any]] = {reading, work.stop}
        await asyncio.wait(either, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended = reading.done()
        processes.signal_group(process.pid, signal.SIGKILL)
        tail = await reading
        exit_code = await process.wait()
    shown = plain_text(work.mask.whole(tail)).strip()
    return CheckReport(
        command=command,
        passed=ended and exit_code == 0,
        attempt=attempt,
        exit_code=exit_code if ended else None,
        output=shown,
    )


async def _tail(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None
    tail = b""
    while chunk := await process.stdout.read(64 * 1024):
        tail = (tail + chunk)[-_KEPT:]
    # Its pipe may be closed before it has exited.
    await process.wait()
    return tail
