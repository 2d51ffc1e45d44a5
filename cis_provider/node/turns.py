"""
Whose turn it is in a scope. Pure.

A run that wants scopes for itself gets all of them at once, or waits for all of them holding none: two runs
that want the same two scopes never wait for each other. Who comes later does not overtake, unless it is more
urgent, or has a scope already: the others may be waiting for just that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Run = tuple[str, str]

#: Runs that a waiting one is told of.
_TOLD = 20


@dataclass(frozen=True)
class Ask:
    """
    A run that wants to work in scopes.

    :param alone: For itself alone, until it is over; else for one agent, beside others that want the same.
    :param priority: 0 (first) to 3.
    :param sequence: Order of the first asking.
    """

    run: Run
    scopes: tuple[str, ...]
    alone: bool
    priority: int = 2
    sequence: int = 0

    @property
    def order(self) -> tuple[int, int]:
        """Place in the line."""
        return self.priority, self.sequence


@dataclass(frozen=True)
class Turn:
    """
    An ask and how far it has come.

    :param since: When it was asked first, seconds since the epoch.
    :param stage: ``waiting``: in the line. ``granted``: the scopes are kept for it. ``arrived``: the run is
        at work in them.
    """

    ask: Ask
    since: float
    stage: Literal["waiting", "granted", "arrived"] = "waiting"


@dataclass(frozen=True)
class Verdict:
    """
    :param ahead: Runs that go first, the one whose turn it is at the head; nobody: go.
    :param reason: The same in words.
    """

    ahead: tuple[Run, ...] = ()
    reason: str = ""

    @property
    def granted(self) -> bool:
        """Whether it may go now."""
        return not self.ahead


def judge(
    ask: Ask,
    line: Iterable[Ask],
    *,
    leases: Mapping[str, Run],
    visitors: Mapping[str, Iterable[Run]],
) -> Verdict:
    """
    May a run go?

    :param line: Who waits, in any order; the run itself may be among them.
    :param leases: Scopes that belong to one run now.
    :param visitors: Runs with living sessions in a scope.
    """
    open_scopes = [scope for scope in ask.scopes if leases.get(scope) != ask.run]
    if not open_scopes:
        return Verdict()
    holders = [leases[scope] for scope in open_scopes if scope in leases]
    guests = [run for scope in open_scopes for run in visitors.get(scope, ()) if run != ask.run]
    earlier = [
        other.run
        for other in sorted(line, key=lambda other: other.order)
        if other.run != ask.run and other.order < ask.order and _collide(ask, other)
    ]
    if ask.run in leases.values():
        earlier = []
    ahead = tuple(dict.fromkeys([*holders, *(guests if ask.alone else ()), *earlier]))
    return Verdict(ahead[:_TOLD], _words(ask, ahead)) if ahead else Verdict()


def next_turns(
    line: Sequence[Ask], *, leases: Mapping[str, Run], visitors: Mapping[str, Iterable[Run]]
) -> list[Ask]:
    """Those in the line that may go now, the most urgent first; together they do not collide."""
    taken = dict(leases)
    ready: list[Ask] = []
    for ask in sorted(line, key=lambda ask: ask.order):
        if judge(ask, line, leases=taken, visitors=visitors).granted:
            ready.append(ask)
            if ask.alone:
                taken.update(dict.fromkeys(ask.scopes, ask.run))
    return ready


def _collide(one: Ask, other: Ask) -> bool:
    return (one.alone or other.alone) and not set(one.scopes).isdisjoint(other.scopes)


def _words(ask: Ask, ahead: Sequence[Run]) -> str:
    dag_id, run_id = ahead[0]
    others = f", and {len(ahead) - 1} more before it" if len(ahead) > 1 else ""
    return f"its turn in {', '.join(ask.scopes)}, which run {run_id} of {dag_id} has{others}"
