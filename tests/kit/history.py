"""
What agents did, by their own words. Pure.

Agents append lines to one file: ``begin``, ``beat`` while they work, ``end`` when they have done all of it. One
that is killed leaves a ``begin`` without an ``end``. ``agent.sh`` is such an agent, ``checker.py`` the judge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["begin", "beat", "end"]
#: DAG and run.
Run = tuple[str, str]
#: DAG, run, agent, map index.
Task = tuple[str, str, str, int]


@dataclass(frozen=True)
class Event:
    """One line. ``time``: nanoseconds since the epoch; ``attempt``: Airflow's number of the try."""

    kind: Kind
    time: int
    scope: str
    dag: str
    run: str
    agent: str
    map_index: int
    attempt: int
    pid: int
    session: str

    @property
    def task(self) -> Task:
        """Whose it is, whatever the try."""
        return self.dag, self.run, self.agent, self.map_index

    def line(self) -> str:
        """As it stands in the file, with the end of the line."""
        return "\t".join(str(value) for value in vars(self).values()) + "\n"


def read(text: str) -> list[Event]:
    """
    Events in the order of time.

    :raises ValueError: A line is none; the message has its number.
    """
    events = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            kind, time, scope, dag, run, agent, *rest, session = line.split("\t")
            map_index, attempt, pid = map(int, rest)
            if kind not in get_args(Kind):
                raise ValueError
        except ValueError:
            raise ValueError(f"line {number} is no event: {line!r}") from None
        events.append(Event(kind, int(time), scope, dag, run, agent, map_index, attempt, pid, session))  # type: ignore[arg-type]
    return sorted(events, key=lambda event: event.time)


@dataclass
class Attempt:
    """One process of a task: from its begin to the last that was heard of it."""

    task: Task
    scope: str
    session: str
    pid: int
    begin: int
    last: int
    ended: bool = False

    @property
    def run(self) -> Run:
        """Its run."""
        return self.task[:2]

    def __str__(self) -> str:
        dag, run, agent, index = self.task
        mapped = f"[{index}]" if index >= 0 else ""
        return f"{dag}/{run}/{agent}{mapped} (pid {self.pid}, session {self.session})"
