"""Starting one process of the embedded Airflow."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from cis_provider.embedded import child, layout
from cis_provider.embedded.account import Account
from cis_provider.embedded.state import Process
from cis_provider.worker.processes import start_time

_LARGE_LOG = 50 * 2**20


def spawn(
    name: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    death_signal: signal.Signals = signal.SIGTERM,
    account: Account | None = None,
    stdin: int = subprocess.DEVNULL,
) -> tuple[subprocess.Popen[bytes], Process]:
    """
    Start a command in a terminal session of its own, its output appended to its log.

    :param death_signal: What the kernel sends it when this process dies, however it dies.
    :param account: Who it becomes; ``None``: stays who we are.
    """
    uid, capability = (account.uid, account.capability) if account else (-1, 0)
    # -I -S: nothing of the installed packages is looked at, which makes it 10 ms.
    before = [
        sys.executable,
        "-I",
        "-S",
        child.__file__,
        *map(str, (os.getpid(), int(death_signal), uid, capability)),
    ]
    with open_log(name) as log:
        running = subprocess.Popen(
            [*before, "--", *command],
            env=dict(environment), cwd="/", stdin=stdin, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    return running, Process(pid=running.pid, started=start_time(running.pid), since=time.time())


def open_log(name: str) -> IO[bytes]:
    """The log of a process, to append to."""
    path = layout.component_log(name)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "wb")


def last_lines(path: Path, count: int = 3) -> str:
    """The end of a log in one line, for an error message."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    return " | ".join([line.strip() for line in lines if line.strip()][-count:])


def shorten_logs() -> None:
    """Keep each process's log below some 100 MB: the older half goes to ``NAME.log.1``."""
    for path in layout.component_log("any").parent.glob("*.log"):
        if path.stat().st_size > _LARGE_LOG:
            path.with_suffix(".log.1").write_bytes(path.read_bytes())
            # Its writers append, so they go on at the new end.
            os.truncate(path, 0)


def how_it_ended(code: int) -> str:
    """Words for an exit code."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
