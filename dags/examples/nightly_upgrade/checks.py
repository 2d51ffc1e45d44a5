"""Run the check command in a worktree, never longer than it may take."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

KEPT_LINES = 40
_EXCEPTION = re.compile(r"^(?:E\s+)?(?:\w+\.)*[A-Z]\w+: \S.*$|^(?:error|fatal): .*$")


@dataclass(frozen=True)
class CheckResult:
    """
    How a check went.

    :param seconds: How long it took.
    :param tail: The last lines it printed.
    """

    passed: bool
    seconds: float
    tail: list[str]
    timed_out: bool = False

    @property
    def reason(self) -> str:
        """Why it did not pass, in one line: the last exception it printed, else its last line."""
        if self.timed_out:
            return f"not done after {self.seconds:.0f} s"
        lines = [line.strip() for line in self.tail if line.strip()]
        exceptions = [line for line in lines if _EXCEPTION.match(line)]
        return (exceptions or lines or ["it failed and printed nothing"])[-1]


def run_check(command: str, folder: Path, limit: float) -> CheckResult:
    """Run ``command`` with bash in ``folder``; at ``limit`` seconds it and its children are killed."""
    began = time.monotonic()
    # A file, not a pipe: what the check leaves running in the background cannot hold us up.
    with tempfile.TemporaryFile() as output:
        # No process group of its own: who stops the agent stops the check.
        process = subprocess.Popen(
            ["bash", "-c", command],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        timed_out = False
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            timed_out = True
            _kill_tree(process.pid)
            process.wait(10)
        return CheckResult(
            passed=process.returncode == 0,
            seconds=time.monotonic() - began,
            tail=_last_lines(output),
            timed_out=timed_out,
        )


def _last_lines(output: IO[bytes]) -> list[str]:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - 64 * 1024))
    return output.read().decode(errors="replace").splitlines()[-KEPT_LINES:]


def _kill_tree(pid: int) -> None:
    """Kill a process, then its children. Stopped first, so that it starts no more of them."""
    os.kill(pid, signal.SIGSTOP)
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        children = []  # no /proc on this system
    for child in children:
        try:
            _kill_tree(int(child))
        except ProcessLookupError:
            continue
    os.kill(pid, signal.SIGKILL)
