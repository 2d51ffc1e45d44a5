"""
Kills parts of a node and of its embedded Airflow at random, and keeps a log of it.

Which, and when, comes from a seed: who is alive at that moment does not, so a seed gives the same fire, not
the same history.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import psutil

from cis_provider.embedded import state

#: How often each kind is chosen, and seconds for which it is spared afterwards: the supervisor waits longer and
#: longer before it starts again what dies young.
_KINDS = {
    "worker": (6, 0.0),
    "task": (5, 0.0),
    "coordinator": (4, 0.0),
    "worker and coordinator": (2, 0.0),
    "scheduler": (1, 30.0),
    "triggerer": (1, 25.0),
    "stalled triggerer": (1, 25.0),
}

#: Mean seconds between two kills, and how long a triggerer is stopped.
_PAUSE, _STALL = 1.5, (10.0, 15.0)

#: Seconds in which one of a kind may appear.
_PATIENCE = 1.0

#: The title of a task's process ends with the id of its task instance.
_TASK = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")


class Killer:
    """
    A thread, for as long as the ``with`` lasts. What it stopped goes on afterwards.

    :param home: The node's ``CIS_HOME``, which is also this process's own.
    """

    def __init__(self, home: Path, random: Random) -> None:
        self.log: list[str] = []
        self._kinds: list[str] = []
        self._home = home
        self._random = random
        self._began = time.monotonic()
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run, name="killer", daemon=True)
        self._spared: dict[str, float] = {}
        self._stalled: tuple[float, list[psutil.Process]] | None = None
        self._error: BaseException | None = None

    def __enter__(self) -> Killer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join(30)
        if self._error:
            raise self._error

    def counts(self) -> Counter[str]:
        """How many of each kind were killed."""
        return Counter(self._kinds)

    def _run(self) -> None:
        try:
            while not self._enough.wait(self._random.expovariate(1 / _PAUSE)):
                self._resume(only_due=True)
                self._strike()
        except BaseException as error:
            self._error = error
        finally:
            self._resume()

    def _strike(self) -> None:
        now = time.monotonic()
        kinds = [kind for kind in _KINDS if self._spared.get(kind, 0.0) <= now]
        kind = self._random.choices(kinds, [_KINDS[kind][0] for kind in kinds])[0]
        for part in kind.split(" and "):
            self._strike_one(part)
        for one in (kind, "triggerer", "stalled triggerer") if "triggerer" in kind else (kind,):
            self._spared[one] = now + _KINDS[one][1]

    def _strike_one(self, kind: str) -> None:
        which, victims = self._random.random(), list(self._victims(kind))
        patience = time.monotonic() + _PATIENCE
        # A task's process lives for a second.
        while not victims and time.monotonic() < patience:
            victims = list(self._victims(kind))
        if not victims:
            return
        victim = victims[int(which * len(victims))]
        with contextlib.suppress(psutil.NoSuchProcess):
            words = " ".join(victim.cmdline()).strip()[-50:]
            if kind == "stalled triggerer":
                self._stall(victim)
            else:
                victim.kill()
            self._kinds.append(kind)
            self.log.append(f"{time.monotonic() - self._began:6.1f} s: {kind} {victim.pid}: {words}")

    def _victims(self, kind: str) -> Iterator[psutil.Process]:
        if kind == "coordinator":
            yield from of_node(self._home, "cis_provider.node")
        elif kind == "worker":
            workers = list(of_node(self._home, "cis_provider.worker"))
            # An idle one has little to lose.
            yield from [one for one in workers if _has_children(one)] or workers
        elif kind == "task":
            for one in family("scheduler"):
                with contextlib.suppress(psutil.Error):
                    title = " ".join(one.cmdline()).strip()
                    if _TASK.search(title) and "LocalExecutor" not in title:
                        yield one
        else:
            yield from family(kind.split()[-1])[:1]

    def _stall(self, triggerer: psutil.Process) -> None:
        stopped = [triggerer, *triggerer.children(recursive=True)]
        self._stalled = time.monotonic() + self._random.uniform(*_STALL), stopped
        for one in stopped:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.suspend()

    def _resume(self, *, only_due: bool = False) -> None:
        if self._stalled is None or (only_due and time.monotonic() < self._stalled[0]):
            return
        for one in self._stalled[1]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.resume()
        self._stalled = None


def of_node(home: Path, *modules: str) -> Iterator[psutil.Process]:
    """The node's own processes of one home, whether or not anybody knows of them."""
    for one in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if not set(modules).isdisjoint(one.cmdline()) and one.environ().get("CIS_HOME") == str(home):
                yield one


def left_of(home: Path) -> list[str]:
    """Processes that name a home in their command line or environment: its node's, its Airflow's, its agents'."""
    found = []
    for one in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if one.pid in _ourselves() or one.status() == psutil.STATUS_ZOMBIE:
                continue
            if any(str(home) in word for word in (*one.cmdline(), *one.environ().values())):
                found.append(f"{one.pid} {' '.join(one.cmdline())[:120]}")
    return found


def family(component: str) -> list[psutil.Process]:
    """A component of the embedded Airflow, and all that descends from it; nobody: it is not there."""
    found = state.read_living()
    if found is None or component not in found.processes:
        return []
    known = found.processes[component]
    with contextlib.suppress(psutil.Error):
        eldest = psutil.Process(known.pid)
        if abs(eldest.create_time() - known.since) < 10:
            return [eldest, *eldest.children(recursive=True)]
    return []


def _has_children(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.children())
    return False


def _ourselves() -> set[int]:
    here = psutil.Process()
    return {here.pid, *(parent.pid for parent in here.parents())}
