"""How many scope workers a node may have, and which scopes could have one now. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cis_provider.model.scope import TaskScope


class WorkerPlaces:
    """
    Places for scope workers in one round of admission. Each scope that may have its worker takes a place.

    :param limit: Scope workers at a time.
    :param leaving: Why workers get nothing new, in words, by their names.
    :param needed: Workers with sessions that have begun, whether they run yet or not, and those that do not
        answer.
    """

    def __init__(self, *, limit: int, leaving: Mapping[str, str], needed: Iterable[str]) -> None:
        self._limit = limit
        self._leaving = leaving
        self._needed = set(needed)

    def why_not(self, scope: str) -> str:
        """
        Why a scope's worker cannot be had now, in words; empty: it can, and is needed from now on.

        A worker that is leaving gets nothing new; when it has nothing left, another takes its place. One that
        is idle is not needed, whether it runs or not: it makes room for one that is.
        """
        name = TaskScope.parse(scope).worker_name
        if name in self._needed:
            return f"{name}, which {why}" if (why := self._leaving.get(name)) else ""
        if len(self._needed) >= self._limit:
            return f"a place for another scope worker ({len(self._needed)} run, none is idle)"
        self._needed.add(name)
        return ""
