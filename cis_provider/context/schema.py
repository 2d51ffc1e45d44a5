"""
The store's tables, by version, for SQLite and PostgreSQL.

A step is never changed once it has been released: what comes later is a new step.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from cis_provider.errors import StoreError

# Version 1. Both databases take these words.
_OUTPUTS = """
CREATE TABLE cis_outputs (
  dag_id TEXT NOT NULL,
  run_id TEXT NOT NULL,
  task_id TEXT NOT NULL,
  map_index INTEGER NOT NULL,
  try_number INTEGER NOT NULL,
  agent_type TEXT NOT NULL,
  result TEXT NOT NULL,
  output TEXT NOT NULL,
  ended_at DOUBLE PRECISION NOT NULL,
  PRIMARY KEY (dag_id, run_id, task_id, map_index)
)"""
_CHECKPOINTS = """
CREATE TABLE cis_checkpoints (
  dag_id TEXT NOT NULL,
  run_id TEXT NOT NULL,
  task_id TEXT NOT NULL,
  map_index INTEGER NOT NULL,
  name TEXT NOT NULL,
  data TEXT NOT NULL,
  saved_at DOUBLE PRECISION NOT NULL,
  PRIMARY KEY (dag_id, run_id, task_id, map_index, name)
)"""

# Version 2. What agents waited for. `asked_as` is the number in the labels of its form; 0: it had none.
_BLOCKAGES = """
CREATE TABLE cis_blockages (
  dag_id TEXT NOT NULL,
  run_id TEXT NOT NULL,
  task_id TEXT NOT NULL,
  map_index INTEGER NOT NULL,
  session_id TEXT NOT NULL,
  number INTEGER NOT NULL,
  kind TEXT NOT NULL,
  since DOUBLE PRECISION NOT NULL,
  state TEXT NOT NULL,
  blockage TEXT NOT NULL,
  asked_as INTEGER NOT NULL DEFAULT 0,
  asked_at DOUBLE PRECISION NOT NULL DEFAULT 0,
  reminded INTEGER NOT NULL DEFAULT 0,
  answer TEXT NOT NULL DEFAULT '',
  settled TEXT NOT NULL DEFAULT '',
  changed_at DOUBLE PRECISION NOT NULL,
  PRIMARY KEY (dag_id, run_id, task_id, map_index, session_id, number)
)"""
# Who looks every second reads these, and nothing else.
_WAITING = "CREATE INDEX cis_blockages_waiting ON cis_blockages (dag_id, run_id) WHERE state <> 'settled'"
_ENDED = "CREATE INDEX cis_outputs_ended ON cis_outputs (ended_at)"

#: The statements that lead from each version to the next; the first from nothing to version 1.
STEPS: tuple[tuple[str, ...], ...] = ((_OUTPUTS, _CHECKPOINTS), (_BLOCKAGES, _WAITING, _ENDED))

#: The version that this code reads and writes.
VERSION = len(STEPS)

#: For PostgreSQL's advisory lock around an upgrade: "cis" in ASCII.
_LOCK = 0x636973


@dataclass(frozen=True)
class Dialect:
    """
    What differs between the databases.

    :param mark: How a parameter is written.
    :param begin: Begins a transaction in which one process upgrades at a time.
    :param deadline: Makes each statement of the transaction end; empty where opening has seen to it.
    """

    mark: str
    begin: tuple[str, ...]
    deadline: str


SQLITE = Dialect(mark="?", begin=("BEGIN IMMEDIATE",), deadline="")
_SOON = "SET LOCAL statement_timeout = '60s'"
POSTGRES = Dialect(mark="%s", begin=(_SOON, f"SELECT pg_advisory_xact_lock({_LOCK})"), deadline=_SOON)


def ensure(connection: Any, dialect: Dialect) -> None:
    """
    See that the tables are there, in this code's version.

    :param connection: A DB-API connection, in no transaction; in none afterwards.
    :raises StoreError: They are newer than this code.
    """
    version = _version(connection)
    if version is None or version < VERSION:
        _upgrade(connection, dialect)
    elif version > VERSION:
        _refuse(version)


def _version(connection: Any) -> int | None:
    # A store without tables fails the query: the driver's own error, whichever driver it is. Any other
    # cause shows again in the upgrade, and is reported from there.
    try:
        return _read_version(connection)
    except Exception:
        return None
    finally:
        connection.rollback()


def _read_version(connection: Any) -> int | None:
    with closing(connection.cursor()) as cursor:
        cursor.execute("SELECT version FROM cis_schema")
        row = cursor.fetchone()
        return int(row[0]) if row else None


def _upgrade(connection: Any, dialect: Dialect) -> None:
    with transaction(connection, dialect.begin) as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS cis_schema (version INTEGER NOT NULL)")
        # Again, now that nobody else can be at it.
        found = _read_version(connection)
        version = found or 0
        if version > VERSION:
            _refuse(version)
        for step in STEPS[version:]:
            for statement in step:
                cursor.execute(statement)
        if found is None:
            cursor.execute(f"INSERT INTO cis_schema (version) VALUES ({VERSION})")
        else:
            cursor.execute(f"UPDATE cis_schema SET version = {VERSION}")


def _refuse(version: int) -> None:
    raise StoreError(
        f"its tables have version {version}, and this cis-provider knows up to {VERSION}; "
        "upgrade cis-provider here, too"
    )


@contextmanager
def transaction(connection: Any, begin: tuple[str, ...] = ()) -> Iterator[Any]:
    """A cursor whose work is committed as a whole, or not at all."""
    try:
        with closing(connection.cursor()) as cursor:
            for statement in begin:
                cursor.execute(statement)
            yield cursor
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
