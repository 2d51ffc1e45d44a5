"""
Processes by group, and by whom they belong to. Linux: everything is read from ``/proc``.

A pid alone is no identity, since the kernel gives it out again: a pid and the time its process started are.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")


def start_time(pid: int) -> int:
    """Clock ticks since boot at which a process started; 0: there is no such process."""
    fields = _stat(pid)
    return int(fields[19]) if fields else 0


def is_same(pid: int, started: int) -> bool:
    """Whether ``pid`` is still the process that started then, and no zombie."""
    fields = _stat(pid)
    return bool(fields) and int(fields[19]) == started and fields[0] != "Z"


def resident_kb(pid: int) -> int:
    """Resident memory in KiB; 0: there is no such process."""
    try:
        pages = int((_PROC / str(pid) / "statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * (os.sysconf("SC_PAGE_SIZE") // 1024)


def belonging_to(session_id: str, group: int) -> list[int]:
    """
    Living processes of a session: those of its process group or terminal session, and those that carry its id in their
    environment, wherever they moved to (``setsid``, ``nohup``).
    """
    mark = f"CIS_SESSION_ID={session_id}".encode()
    found = []
    for pid in _pids():
        fields = _stat(pid)
        if not fields or fields[0] == "Z":
            continue
        if int(fields[2]) == group or int(fields[3]) == group or mark in _environment(pid):
            found.append(pid)
    return found


def signal_group(group: int, number: signal.Signals) -> None:
    """Send a signal to a process group, if there is one."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def signal_all(pids: list[int], number: signal.Signals) -> None:
    """Send a signal to each of these processes that is still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _pids() -> Iterator[int]:
    with os.scandir(_PROC) as entries:
        for entry in entries:
            if entry.name.isdigit():
                yield int(entry.name)


def _stat(pid: int) -> list[str]:
    """Fields of ``/proc/PID/stat`` from the third on: state, parent, group, session ..."""
    try:
        # The second field is the program's name in parentheses and may hold anything, ')' and spaces included.
        return (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _environment(pid: int) -> set[bytes]:
    try:
        return set((_PROC / str(pid) / "environ").read_bytes().split(b"\0"))
    except OSError:
        return set()
