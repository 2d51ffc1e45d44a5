"""
Pools appear by themselves: when a run starts, and again when tasks wait for one that was deleted.

The scheduler calls us in the midst of a transaction of its own, and must never be hurt: on PostgreSQL and
MySQL we work in a short one beside it. SQLite has one writer, which the scheduler may be: there we write
through its session, in statements that violate nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cis_provider import settings
from cis_provider.errors import ConfigError
from cis_provider.pools import PREFIX, PoolSpec, combined, follows, needed_pools

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from sqlalchemy import Connection
    from sqlalchemy.orm import Session

log = logging.getLogger(__name__)

#: Seconds that the scheduler waits for a lock on a pool that somebody else writes.
LOCK_TIMEOUT = 2

#: Missing pools that one look makes; the next look makes the others.
_AT_A_TIME = 100


def pools_for_run(dag_run: DagRun) -> None:
    """
    Make what the tasks of a run name and is missing. To be called in the scheduler, before they are scheduled.

    Leaves the scheduler's transaction whole, whatever happens.

    :raises Exception: Whatever the database raises; there is nothing to clean up.
    """
    from sqlalchemy.orm import object_session

    pools = _pools_of(dag_run.dag_id, dag_run.dag)
    session = object_session(dag_run)
    if not pools or session is None:
        return
    bind = session.get_bind()
    if bind.dialect.name == "sqlite":
        # What the scheduler has not flushed yet is its own business, and so are the errors of that.
        with session.no_autoflush:
            ensure_pools(pools, session)
        return
    with bind.engine.connect() as connection, connection.begin():
        ensure_pools(pools, connection)


def heal_pools() -> None:
    """
    Make the pools that scheduled tasks wait for and that do not exist: somebody deleted them.

    One query when nothing is missing. Opens its own session; trouble with the database is logged, not raised.
    """
    try:
        from airflow.utils.session import create_session

        with create_session() as session:
            missing = _missing(session)
            if missing:
                _heal(missing, session)
    except Exception as error:
        log.error("pools that are missing could not be made; it is tried again: %s", error)


def ensure_pools(pools: Iterable[PoolSpec], database: Session | Connection) -> None:
    """
    Make what is missing, and follow a number that changed in a file, unless a human has changed it since.

    Two who do so at once do no harm: nothing here can violate a constraint, and rows are written in the order
    of their names, so that nobody waits for the other in a circle.

    :param database: In a transaction. But for SQLite, one that nobody else's work depends on.
    """
    from airflow.models.pool import Pool
    from sqlalchemy import select

    table: Any = Pool.__table__
    wanted = sorted(pools, key=lambda pool: pool.name)
    rows = database.execute(
        select(table.c.pool, table.c.slots, table.c.description).where(
            table.c.pool.in_([pool.name for pool in wanted])
        )
    )
    known = {name: (slots, description) for name, slots, description in rows}
    dialect = _dialect(database)
    writes: list[Any] = []
    for pool in wanted:
        if pool.name not in known:
            writes.append(_insert_unless_there(pool, dialect))
        elif follows(*known[pool.name], pool):
            writes.append(_follow(pool, *known[pool.name]))
    if writes:
        with _impatience(database, dialect):
            for statement in writes:
                database.execute(statement)


@contextmanager
def _impatience(database: Session | Connection, dialect: str) -> Iterator[None]:
    """Wait for another's lock for a moment only, not for as long as it takes."""
    from sqlalchemy import text

    if dialect == "postgresql":  # until the end of the transaction
        database.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}s'"))
    if dialect != "mysql":
        yield
        return
    database.execute(text(f"SET SESSION innodb_lock_wait_timeout = {LOCK_TIMEOUT}"))
    try:
        yield
    finally:
        # The connection goes back to a pool that the scheduler shares.
        database.execute(text("SET SESSION innodb_lock_wait_timeout = DEFAULT"))


def _dialect(database: Any) -> str:
    bind = database.get_bind() if hasattr(database, "get_bind") else database
    return str(bind.dialect.name)


def _follow(pool: PoolSpec, slots: int, description: str) -> Any:
    """Set our new number, unless the old one has changed since we looked."""
    from airflow.models.pool import Pool
    from sqlalchemy import update

    table: Any = Pool.__table__
    return (
        update(table)
        .where(table.c.pool == pool.name, table.c.slots == slots, table.c.description == description)
        .values(slots=pool.slots, description=pool.description)
    )


def _insert_unless_there(pool: PoolSpec, dialect: str) -> Any:
    from airflow.models.pool import Pool

    table: Any = Pool.__table__
    values = {
        "pool": pool.name,
        "slots": pool.slots,
        "description": pool.description,
        "include_deferred": True,
    }
    if dialect == "mysql":
        from sqlalchemy.dialects.mysql import insert as mysql_insert

        return mysql_insert(table).values(values).prefix_with("IGNORE")
    if dialect == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as sqlite_insert

        return sqlite_insert(table).values(values).on_conflict_do_nothing()
    from sqlalchemy.dialects.postgresql import insert

    return insert(table).values(values).on_conflict_do_nothing()


def _pools_of(dag_id: str, dag: Any) -> list[PoolSpec]:
    """The pools of ours that a serialised DAG names."""
    named = [(task.pool, _pool_size(task)) for task in dag.tasks] if dag else []
    if not any(name.startswith(PREFIX) for name, _ in named):
        return []
    return needed_pools(dag_id, named, scope_slots=_scope_slots())


def _pool_size(task: Any) -> int:
    given = getattr(task, "pool_size", None) or getattr(task, "partial_kwargs", {}).get("pool_size")
    return int(given or 0)


def _scope_slots() -> int:
    """The setting; its default where somebody has broken the file: a task must not wait for that."""
    name = "worker.max_concurrent_tasks"
    try:
        return settings.integer(name)
    except ConfigError as error:
        log.warning("pools are made with the default of %s: %s", name, error)
        default = settings.SETTINGS[name].default
        assert isinstance(default, int)
        return default


def _missing(session: Session) -> dict[str, set[str]]:
    """Pools of ours that scheduled tasks name and that do not exist, and the DAGs of those tasks."""
    from airflow.models.pool import Pool
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import select

    rows = session.execute(
        select(TaskInstance.pool, TaskInstance.dag_id)
        .join(Pool, Pool.pool == TaskInstance.pool, isouter=True)
        .where(TaskInstance.state == "scheduled", TaskInstance.pool.like(f"{PREFIX}%"), Pool.id.is_(None))
        .distinct()
        .limit(_AT_A_TIME)
    )
    found: dict[str, set[str]] = {}
    for name, dag_id in rows:
        found.setdefault(name, set()).add(dag_id)
    return found


def _heal(missing: dict[str, set[str]], session: Session) -> None:
    dags = {dag_id: _dag(dag_id, session) for dag_id in sorted(set().union(*missing.values()))}
    wanted = [pool for dag_id, dag in dags.items() for pool in _pools_of(dag_id, dag) if pool.name in missing]
    # A task keeps the pool of the version of its DAG that it belongs to; today's may name another one.
    left = missing.keys() - {pool.name for pool in wanted}
    spare = needed_pools("", [(name, 0) for name in left], scope_slots=_scope_slots())
    pools = combined([*wanted, *spare])
    ensure_pools(pools, session)
    for pool in pools:
        log.warning("tasks waited for the pool %s, which was missing: made with %d slots", *pool[:2])


def _dag(dag_id: str, session: Session) -> Any:
    from airflow.models.serialized_dag import SerializedDagModel

    try:
        return SerializedDagModel.get_dag(dag_id, session=session)
    except Exception as error:
        # A default number is better than a task that waits for ever.
        log.warning("DAG %s could not be read, so its pools get default numbers: %s", dag_id, error)
        return None
