"""A bash script as an agent."""

from __future__ import annotations

from pathlib import Path

from cis_provider.files import write_atomic
from cis_provider.model.session import SessionRequest
from cis_provider.model.text import plain_text
from cis_provider.runtimes.base import Launch, ProgramRuntime, Verdict

#: Lines of output that are repeated in the error: enough for a stack trace's end, not a page.
_LAST_LINES = 10


class ShellRuntime(ProgramRuntime):
    """``bash -euo pipefail`` on the agent's command; its exit code is the result."""

    name = "shell"

    def launch(self, request: SessionRequest, folder: Path) -> Launch:
        # A file, not `bash -c`: a command line can be read by every user of the machine, and has a limit.
        script = folder / "command.sh"
        write_atomic(script, request.command.encode())
        return Launch(["bash", "-euo", "pipefail", str(script)])

    def verdict(self, exit_code: int, tail: bytes) -> Verdict:
        if exit_code == 0:
            return Verdict("success")
        lines = [line for line in plain_text(tail).splitlines() if line.strip()][-_LAST_LINES:]
        what = f"exit code {exit_code}" + (f" (signal {exit_code - 128})" if exit_code > 128 else "")
        return Verdict("exit_code", "\n".join([f"the command ended with {what}; its last lines:", *lines]))
