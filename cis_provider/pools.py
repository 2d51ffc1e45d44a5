"""
Airflow pools: their names, and how they appear by themselves.

A task names a pool; the scheduler makes what is missing when a run starts (``listener.py``), before the
run's first task could wait on it.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from cis_provider.model.scope import TaskScope

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

#: Every pool of ours begins so.
PREFIX = "cis-"

#: Airflow's column for a pool's name has 256 characters, its own DAG ids up to 250.
_LONGEST = 250

#: The number that we set stands in the description: another one in the pool is a human's, and stays.
_NUMBER = re.compile(r"\(set to (\d+) by cis\)")


class ScopedPool(NamedTuple):
    """
    A pool of ours.

    :param name: E.g. ``cis-dag-nightly``.
    :param slots: Agents at work at once; deferred ones count.
    :param purpose: Whose limit it is, in words.
    """

    name: str
    slots: int
    purpose: str

    @property
    def description(self) -> str:
        """What people read in Airflow's list of pools."""
        return f"{self.purpose} (set to {self.slots} by cis)"


def scope_pool_name(scope: TaskScope) -> str:
    """Name of a scope's pool: ``cis-project-proj-a``."""
    return f"{PREFIX}{scope.worker_name.removeprefix('worker-')}"


def dag_pool_name(dag_id: str) -> str:
    """Name of the pool that holds ``max_workers`` of a DAG, over all its runs."""
    name = f"{PREFIX}dag-{dag_id}"
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST - 11]}-{hashlib.sha256(dag_id.encode()).hexdigest()[:10]}"


def dag_pool(dag_id: str, slots: int) -> ScopedPool:
    """The pool of a DAG."""
    return ScopedPool(dag_pool_name(dag_id), slots, f"Agents at work in DAG {dag_id}, over all its runs")


def ensure_pools(pools: list[ScopedPool], session: Session) -> None:
    """
    Make what is missing, and follow a number that changed in a file, unless a human has changed it since.

    Safe inside the scheduler's own transaction: nothing here can violate a constraint, so nothing can leave
    that transaction broken.
    """
    from airflow.models.pool import Pool
    from sqlalchemy import select, update

    known = {
        name: (slots, description)
        for name, slots, description in session.execute(
            select(Pool.pool, Pool.slots, Pool.description).where(
                Pool.pool.in_([pool.name for pool in pools])
            )
        )
    }
    for pool in pools:
        if pool.name not in known:
            session.execute(_insert_unless_there(pool, session.get_bind().dialect.name))
            continue
        slots, description = known[pool.name]
        if (ours := number_set(description)) is not None and ours == slots and slots != pool.slots:
            session.execute(
                update(Pool)
                .where(Pool.pool == pool.name, Pool.slots == slots, Pool.description == description)
                .values(slots=pool.slots, description=pool.description)
                .execution_options(synchronize_session=False)
            )


def number_set(description: str | None) -> int | None:
    """The number of slots that we set, out of a pool's description."""
    found = _NUMBER.search(description or "")
    return int(found[1]) if found else None


def _insert_unless_there(pool: ScopedPool, dialect: str) -> Any:
    from airflow.models.pool import Pool

    values = {
        "pool": pool.name,
        "slots": pool.slots,
        "description": pool.description,
        "include_deferred": True,
    }
    if dialect == "mysql":
        from sqlalchemy.dialects.mysql import insert as mysql_insert

        return mysql_insert(Pool).values(values).prefix_with("IGNORE")
    if dialect == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as sqlite_insert

        return sqlite_insert(Pool).values(values).on_conflict_do_nothing()
    from sqlalchemy.dialects.postgresql import insert

    return insert(Pool).values(values).on_conflict_do_nothing()
