"""
CPU time of whole families of processes.

Sums user and system time out of ``/proc/PID/stat``, each process's own and that of its children that have
ended and been waited for, over everything that descends from the given processes. A process that ends between
two looks is in its parent's sum by then, so the difference of two sums is what the family used, short-lived
processes included.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

_PROC = Path("/proc")
_TICK = os.sysconf("SC_CLK_TCK")


def family_seconds(roots: Collection[int]) -> float:
    """CPU seconds that these processes and all that descend from them have used so far."""
    return sum(sum(times) for times in _of_family(roots).values())


def breakdown(roots: dict[str, int]) -> dict[str, float]:
    """CPU seconds of each root's family, by its name; a family inside another counts for itself alone."""
    everything = _stats()
    owner = {pid: name for name, pid in roots.items()}
    found = dict.fromkeys(roots, 0.0)
    for pid, (parent, seconds) in everything.items():
        here, up = pid, parent
        while here not in owner and up in everything:
            here, up = up, everything[up][0]
        if here in owner:
            found[owner[here]] += sum(seconds)
    return found


def rss_mb(pid: int) -> float:
    """Resident memory of one process, MB; what it shares with others counts, too."""
    return _status_kb(pid, "VmRSS") / 1024


def peak_rss_mb(pid: int) -> float:
    """The most it ever had, MB."""
    return _status_kb(pid, "VmHWM") / 1024


def _status_kb(pid: int, name: str) -> int:
    for line in (_PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise LookupError(f"process {pid} has no {name}")


def _of_family(roots: Collection[int]) -> dict[int, tuple[float, ...]]:
    everything = _stats()
    children: dict[int, list[int]] = {}
    for pid, (parent, _) in everything.items():
        children.setdefault(parent, []).append(pid)
    family: dict[int, tuple[float, ...]] = {}
    waiting = [pid for pid in roots if pid in everything]
    while waiting:
        pid = waiting.pop()
        if pid not in family:
            family[pid] = everything[pid][1]
            waiting += children.get(pid, [])
    return family


def _stats() -> dict[int, tuple[int, tuple[float, ...]]]:
    """Parent, and the four times in seconds, of every process."""
    found = {}
    for folder in _PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        # From the third field on: 1 is the parent, 11 to 14 are utime, stime, cutime, cstime.
        found[int(folder.name)] = (int(fields[1]), tuple(int(field) / _TICK for field in fields[11:15]))
    return found
