"""
Ending processes and all that came from them.

Each process of ours leads a terminal session (``setsid``). What it starts stays in that session, whatever
process group it moves to; what leaves it on purpose (a node's coordinator) is meant to live on. Only
PostgreSQL's processes each lead a session of their own: they are known by their user and their working folder,
the database.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from cis_provider.embedded.state import Process
from cis_provider.worker.processes import is_same, signal_all, start_time

log = logging.getLogger("cis.embedded")

_PROC = Path("/proc")
_NEVER = 1 << 62
_CHECK_EVERY = 0.02


def members(leaders: Collection[Process]) -> list[int]:
    """
    Living processes in the sessions of these leaders, whether or not the leader itself is still there.

    A pid that was given out again is not taken for ours: its process started at another time.
    """
    wanted: dict[int, int] = {}
    for leader in leaders:
        now = start_time(leader.pid) if leader.pid else 0
        if leader.pid and now in (0, leader.started):
            wanted[leader.pid] = leader.started
    return [pid for pid, fields in _living() if int(fields[19]) >= wanted.get(int(fields[3]), _NEVER)]


def at_work_in(database: Path) -> list[int]:
    """Living processes of the PostgreSQL server of this database: its user's, with it as working folder."""
    real = database.resolve()
    try:
        owner = real.stat().st_uid
    except OSError:
        return []
    return [pid for pid, _fields in _living() if _user(pid) == owner and _works_in(pid, real)]


def _works_in(pid: int, folder: Path) -> bool:
    try:
        return (_PROC / str(pid) / "cwd").readlink() == folder
    except PermissionError:
        # Root in a container may not look at another user's. That user is one home's own then, never a person:
        # without this check a person's own closed processes (an ssh-agent) would be taken for the database's.
        return os.geteuid() == 0 and _user(pid) != 0
    except OSError:
        return False


def end(
    leaders: Collection[Process],
    *,
    first: signal.Signals,
    grace: float,
    timeout: float,
    database: Path | None = None,
) -> list[int]:
    """
    Ask the leaders, twice, then kill what is left of their sessions. Blocks.

    :param first: The signal that asks. Some of Airflow's components only let go at the second one.
    :param grace: Seconds before the killing. What a leader leaves behind when it goes is killed at once.
    :param timeout: Seconds after it in which they must be gone.
    :param database: PostgreSQL's data, when its server is among them.
    :return: Pids that are still there; empty when all is well.
    """
    started = time.monotonic()
    for until in (grace / 2, grace):
        signal_all([leader.pid for leader in leaders if _leads(leader)], first)
        while left := _all(leaders, database):
            if time.monotonic() > started + until:
                break
            signal_all(members([leader for leader in leaders if not _leads(leader)]), signal.SIGKILL)
            time.sleep(_CHECK_EVERY)
    if left:
        log.warning("killing what did not end within %.0f s: %s", grace, _described(left))
    while left := _all(leaders, database):
        # Again and again: one that forks while we look may be missed once.
        signal_all(left, signal.SIGKILL)
        if time.monotonic() > started + grace + timeout:
            return left
        time.sleep(_CHECK_EVERY)
    return []


def _leads(leader: Process) -> bool:
    return is_same(leader.pid, leader.started)


def _all(leaders: Collection[Process], database: Path | None) -> list[int]:
    return members(leaders) + (at_work_in(database) if database else [])


def _described(pids: Collection[int]) -> str:
    """Pids with their programs, for a log."""
    words = []
    for pid in pids:
        with contextlib.suppress(OSError):
            program = (
                (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            )
            words.append(f"{pid} ({program.strip()[:80]})")
    return ", ".join(words)


def _living() -> Iterator[tuple[int, list[str]]]:
    """Processes that are no zombies, with their fields."""
    for folder in _PROC.iterdir():
        if folder.name.isdigit() and (fields := _stat(int(folder.name))) and fields[0] != "Z":
            yield int(folder.name), fields


def _user(pid: int) -> int:
    try:
        status = (_PROC / str(pid) / "status").read_text(errors="replace")
        return int(status.partition("\nUid:")[2].split()[1])
    except (OSError, IndexError):
        return -1  # it ended while we looked


def _stat(pid: int) -> list[str]:
    """Fields of ``/proc/PID/stat`` from the third on: state, parent, group, session ..."""
    try:
        return (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
