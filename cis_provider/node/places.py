"""How many scope workers a node may have, and which scopes could have one now. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cis_provider.model.scope import TaskScope


class WorkerPlaces:
    """
    Places for scope workers in one round of admission. Each scope that may have its worker takes a place.

    :param limit: Scope workers at a time.
    :param alive: Workers that run, or are being started: why they leave, or nothing.
    :param at_work: Workers with sessions that have begun; some may not run yet.
    """

    def __init__(self, *, limit: int, alive: Mapping[str, str], at_work: Iterable[str]) -> None:
        self._limit = limit
        self._alive = alive
        self._needed = set(at_work)
        self._idle = set(alive) - self._needed

    def why_not(self, scope: str) -> str:
        """
        Why a scope's worker cannot be had now, in words; empty: it can, and is needed from now on.

        A worker that is leaving gets nothing new; when it has nothing left, another takes its place.
        """
        name = TaskScope.parse(scope).worker_name
        if name in self._needed:
            return f"{name}, which {why}" if (why := self._alive.get(name)) else ""
        if name in self._idle:
            self._idle.discard(name)
        elif len(self._needed) + len(self._idle) >= self._limit:
            if not self._idle:
                return f"a place for another scope worker ({len(self._needed)} run, none is idle)"
            # Which one leaves is decided when the new one starts.
            self._idle.pop()
        self._needed.add(name)
        return ""
