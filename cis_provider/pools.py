"""
Airflow pools: what they are called, how many slots they get, and what their descriptions say.

A task names a pool; the scheduler makes what is missing when a run starts (``listeners/pools.py``), before
the run's first task could wait on it. Pure: nothing here asks Airflow.
"""

from __future__ import annotations

import enum
import hashlib
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from cis_provider.errors import ConfigError
from cis_provider.model.scope import TaskScope

#: Every pool of ours begins so.
PREFIX = "cis-"
_DAG = f"{PREFIX}dag-"

#: Slots of a DAG's pool where nothing says a number; what ``max_workers`` of a CIS file is by default.
DAG_SLOTS = 4

#: Airflow's column for a pool's name has 256 characters, its own DAG ids up to 250.
_LONGEST = 250

#: The number that we set stands in the description: another one in the pool is a human's, and stays.
_NUMBER = re.compile(r"\(set to (\d+) by cis(?: for DAG (\S+))?\)")


class PoolSpec(NamedTuple):
    """
    A pool as it should be.

    :param name: E.g. ``cis-dag-nightly``.
    :param slots: Tasks at work at once; deferred ones count.
    :param dag_id: The DAG that says the number; empty: none does, it is a default.
    :param explicit: The number is another one than the node's.
    """

    name: str
    slots: int
    dag_id: str = ""
    explicit: bool = False

    @property
    def description(self) -> str:
        """What people read in Airflow's list of pools: whose limit it is, who made it, our number."""
        asker = f" for DAG {self.dag_id}" if self.explicit else ""
        return (
            f"{purpose_of(self.name)}. Made by cis; a number that you change stays yours "
            f"(set to {self.slots} by cis{asker})"
        )


def scope_pool_name(scope: TaskScope) -> str:
    """Name of a scope's pool: ``cis-project-proj-a``."""
    return f"{PREFIX}{scope.worker_name.removeprefix('worker-')}"


def dag_pool_name(dag_id: str) -> str:
    """Name of the pool that holds ``max_workers`` of a DAG, over all its runs."""
    name = f"{_DAG}{dag_id}"
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST - 11]}-{hashlib.sha256(dag_id.encode()).hexdigest()[:10]}"


def scope_pool(scope: TaskScope, slots: int) -> PoolSpec:
    """The pool of a scope, with the node's number."""
    return PoolSpec(scope_pool_name(scope), slots)


def dag_pool(dag_id: str, slots: int) -> PoolSpec:
    """The pool of a DAG, with the DAG's number."""
    return PoolSpec(dag_pool_name(dag_id), slots, dag_id, explicit=True)


def scope_of(name: str) -> TaskScope | None:
    """The scope that a pool is for; None where it is not a scope's."""
    if not name.startswith(PREFIX):
        return None
    kind, _, scope_id = name.removeprefix(PREFIX).partition("-")
    try:
        return TaskScope.parse(f"{kind}:{scope_id}" if scope_id else kind)
    except ConfigError:
        return None


def owner_of(name: str) -> str:
    """Whose limit a pool is: ``project:proj-a``, ``DAG nightly``; empty where the name does not say."""
    if scope := scope_of(name):
        return str(scope)
    return f"DAG {name.removeprefix(_DAG)}" if name.startswith(_DAG) and name != _DAG else ""


def purpose_of(name: str) -> str:
    """Whose limit a pool is, as a sentence without its full stop."""
    if scope := scope_of(name):
        return f"Tasks at work at once in the scope {scope}, over all DAGs and runs"
    if owner := owner_of(name):
        return f"Agents at work at once in {owner}, over all its runs"
    return "Tasks at work at once that name this pool"


def number_set(description: str | None) -> int | None:
    """The number of slots that we set, out of a pool's description."""
    found = _NUMBER.search(description or "")
    return int(found[1]) if found else None


def asker_of(description: str | None) -> str:
    """The DAG whose number we set; empty where it was a default."""
    found = _NUMBER.search(description or "")
    return found[2] or "" if found else ""


def is_ours(slots: int, description: str | None) -> bool:
    """Whether a pool has the number that we set; otherwise a human made it, or changed it."""
    return number_set(description) == slots


def follows(slots: int, description: str | None, wanted: PoolSpec) -> bool:
    """
    Whether a pool that exists should get another number.

    Never one that a human changed. A DAG's number gives way to that DAG's next one, and to a smaller one of
    another DAG; a default gives way to everything. So DAGs that share a pool do not take turns in it, and a
    task that does not say a number changes none.
    """
    if not is_ours(slots, description) or wanted.slots == slots:
        return False
    asker = asker_of(description)
    return asker in ("", wanted.dag_id) or (wanted.explicit and wanted.slots < slots)


def needed_pools(dag_id: str, named: Iterable[tuple[str, int]], *, scope_slots: int) -> list[PoolSpec]:
    """
    The pools of ours that a DAG's tasks name, in the order of their names.

    :param named: The pool of each task, and the slots the task wants it to have; 0: it does not say. (The
        number of a :class:`ScopedPool` does not reach the scheduler with every operator.)
    :param scope_slots: Slots of a pool for which no task says a number, unless it is a DAG's.
    """
    sizes: dict[str, set[int]] = {}
    for name, size in named:
        if name.startswith(PREFIX) and name != PREFIX:
            sizes.setdefault(name, set()).add(size)
    return [_spec(name, sizes[name], dag_id, scope_slots) for name in sorted(sizes)]


def _spec(name: str, sizes: set[int], dag_id: str, scope_slots: int) -> PoolSpec:
    default = DAG_SLOTS if name.startswith(_DAG) else scope_slots
    given = {size for size in sizes if size > 0}
    if not name.startswith(_DAG):
        # A scope's number that is the node's own must go on following the setting.
        given -= {default}
    if given:
        return PoolSpec(name, min(given), dag_id, explicit=True)
    return PoolSpec(name, default, "" if 0 in sizes else dag_id)


def combined(pools: Iterable[PoolSpec]) -> list[PoolSpec]:
    """One wish for each pool, out of several DAGs': the smallest that a DAG says, else a default."""
    best: dict[str, PoolSpec] = {}
    for pool in sorted(pools, key=lambda pool: (pool.name, not pool.explicit, pool.slots, pool.dag_id)):
        best.setdefault(pool.name, pool)
    return list(best.values())


class _NameOfPool(enum.EnumType):
    """Makes a member for each call: there is no list of all pools."""

    def __call__(cls, scope: TaskScope | str, slots: int | None = None) -> Any:  # type: ignore[override]
        return cls.made(scope, slots)  # type: ignore[attr-defined]


if TYPE_CHECKING:

    class _Text(str):
        pass

else:
    # Airflow demands a str, and hands it as it is to msgspec, which knows no subclass of str: the whole DAG
    # file would be lost. Only of an enum does Airflow's serialisation take the value, which is a plain str.
    class _Text(enum.StrEnum, metaclass=_NameOfPool):
        pass


class ScopedPool(_Text):
    """
    The pool of a scope, for any operator: ``BashOperator(..., pool=ScopedPool("project:proj-a", slots=2))``.

    It is the pool's name as text, and the pool appears by itself when a run begins. The number of slots
    reaches the scheduler with an ``AgentOperator``; for other operators, ``cis pools sync FILE`` sets it.

    :param scope: ``project:ID``, ``user:ID``, ``type:ID`` or ``global``; no template.
    :param slots: Tasks at work at once, deferred ones too; default: the setting
        ``worker.max_concurrent_tasks``.
    :raises ConfigError: No scope, or no number above zero.
    """

    scope: TaskScope
    slots: int | None

    if TYPE_CHECKING:

        def __new__(cls, scope: TaskScope | str, slots: int | None = None) -> ScopedPool: ...

    @classmethod
    def made(cls, scope: TaskScope | str, slots: int | None) -> ScopedPool:
        """What a call of the class gives."""
        if slots is not None and (not isinstance(slots, int) or isinstance(slots, bool) or slots < 1):
            raise ConfigError(f"ScopedPool({str(scope)!r}, slots={slots!r}): slots is a whole number, from 1")
        given = scope if isinstance(scope, TaskScope) else TaskScope.parse(scope)
        pool: Any = str.__new__(cls, scope_pool_name(given))
        pool._name_ = pool._value_ = scope_pool_name(given)
        pool.scope, pool.slots = given, slots
        made: ScopedPool = pool
        return made

    @property
    def description(self) -> str:
        """What Airflow's list of pools will say of it."""
        return purpose_of(str(self))

    def __repr__(self) -> str:
        return f"ScopedPool({str(self.scope)!r}, slots={self.slots!r})"

    def __reduce_ex__(self, protocol: Any) -> Any:
        return ScopedPool, (str(self.scope), self.slots)

    def __copy__(self) -> ScopedPool:
        return self

    def __deepcopy__(self, memo: Any) -> ScopedPool:
        return self
