"""
The context store: outputs and checkpoints of every agent of every run.

By the Airflow connection ``cis_default`` (SQLite or PostgreSQL) where there is one, else in
``$CIS_HOME/context.db``. Every call opens a connection, says what it has to, and closes it: nothing is held
across a fork, and any thread may call. Every function blocks.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec

from cis_provider import paths
from cis_provider.context import schema
from cis_provider.context.hooks import connect_by_airflow
from cis_provider.context.outputs import StoredOutput, cut_middle
from cis_provider.context.sqlite import open_file
from cis_provider.errors import CisError, StoreError
from cis_provider.model.result import AgentResult
from cis_provider.model.session import SessionKey

__all__ = ["CONN_ID", "ContextStore", "StoredOutput"]

#: The Airflow connection that names the store.
CONN_ID = "cis_default"

#: Characters of one output that are stored; of a longer one, its beginning and its end.
OUTPUT_LIMIT = 8 * 1024 * 1024

_KEY = ("dag_id", "run_id", "task_id", "map_index")


class ContextStore:
    """
    Outputs and checkpoints, by task instance.

    :param connect: Opens a DB-API connection.
    :param dialect: Of the database behind it.
    :param name: What to call the store in errors.
    """

    def __init__(self, connect: Callable[[], Any], dialect: schema.Dialect, *, name: str) -> None:
        self._connect = connect
        self._dialect = dialect
        self._checked = False
        self.name = name

    @classmethod
    def default(cls) -> ContextStore:
        """
        The store of this Airflow.

        Keep it for a task's or a trigger's length at most: where the store is, is looked up here.

        :raises ConfigError: ``cis_default`` is of a type that cannot hold it.
        :raises StoreError: Airflow did not say whether there is such a connection.
        """
        connect, dialect, name = connect_by_airflow(CONN_ID, paths.context_db())
        return cls(connect, dialect, name=name)

    @classmethod
    def at(cls, path: Path) -> ContextStore:
        """The store in a SQLite file, for processes without Airflow."""
        return cls(lambda: open_file(path), schema.SQLITE, name=str(path))

    def save(
        self,
        key: SessionKey,
        *,
        try_number: int,
        agent_type: str,
        result: AgentResult,
        ended_at: float | None = None,
    ) -> None:
        """
        Store what came of an agent, in place of what an earlier try left. Doing it twice changes nothing.

        Where the result carries only the head of its output, the whole is read from ``output_ref``.

        :param ended_at: When the session ended, seconds since the epoch; a result that ended before the
            stored one is passed over. ``None``: now.
        :raises StoreError: It could not be stored.
        """
        output = _storable(_whole_output(result))
        plain = json.dumps(msgspec.structs.replace(result, output="").to_dict())
        values = (try_number, agent_type, plain, output, time.time() if ended_at is None else ended_at)
        columns = ("try_number", "agent_type", "result", "output", "ended_at")
        self._upsert("cis_outputs", _KEY, columns, (*_values(key), *values), newest="ended_at")

    def outputs(
        self, dag_id: str, run_id: str, agent_ids: Collection[str] | None = None
    ) -> dict[str, StoredOutput]:
        """
        What the agents of a run handed on, by task id; without those that have not ended.

        :param agent_ids: Only these; ``None``: all.
        :raises StoreError: The store could not be read.
        """
        wanted = None if agent_ids is None else sorted(set(agent_ids))
        if wanted == []:
            return {}
        mark = self._dialect.mark
        query = (
            "SELECT task_id, agent_type, result, output, ended_at FROM cis_outputs "
            f"WHERE dag_id = {mark} AND run_id = {mark}"
        )
        # A database takes only so many parameters; for more ids, all of the run is read and sorted out here.
        few = wanted is not None and len(wanted) <= 500
        if wanted is not None and few:
            query += f" AND task_id IN ({', '.join([mark] * len(wanted))})"
        rows = self.rows(
            f"{query} ORDER BY task_id, map_index", (dag_id, run_id, *(wanted if wanted and few else ()))
        )
        return {
            task_id: _joined(list(parts))
            for task_id, parts in groupby(rows, key=lambda row: str(row[0]))
            if wanted is None or few or task_id in wanted
        }

    def result(self, key: SessionKey) -> AgentResult | None:
        """
        The stored result of a task instance, its output included; ``None`` where there is none.

        :raises StoreError: The store could not be read.
        """
        rows = self.rows(f"SELECT result, output FROM cis_outputs WHERE {self._where()}", _values(key))
        if not rows:
            return None
        return msgspec.structs.replace(_result(rows[0][0]), output=rows[0][1])

    def save_checkpoint(self, key: SessionKey, name: str, data: dict[str, Any]) -> None:
        """
        Keep something under a name, in place of what was there.

        :param data: JSON values.
        :raises StoreError: It could not be stored.
        """
        values = (*_values(key), name, json.dumps(data), time.time())
        self._upsert("cis_checkpoints", (*_KEY, "name"), ("data", "saved_at"), values)

    def checkpoints(self, key: SessionKey) -> dict[str, dict[str, Any]]:
        """
        What was kept for a task instance, oldest first.

        :raises StoreError: The store could not be read.
        """
        rows = self.rows(
            f"SELECT name, data FROM cis_checkpoints WHERE {self._where()} ORDER BY saved_at, name",
            _values(key),
        )
        return {str(name): json.loads(data) for name, data in rows}

    @property
    def mark(self) -> str:
        """How a parameter is written."""
        return self._dialect.mark

    def _where(self) -> str:
        return " AND ".join(f"{column} = {self._dialect.mark}" for column in _KEY)

    def _upsert(
        self,
        table: str,
        key: tuple[str, ...],
        columns: tuple[str, ...],
        values: tuple[Any, ...],
        *,
        newest: str = "",
    ) -> None:
        marks = ", ".join([self._dialect.mark] * len(values))
        changes = ", ".join(f"{column} = excluded.{column}" for column in columns)
        guard = f" WHERE excluded.{newest} >= {table}.{newest}" if newest else ""
        statement = (
            f"INSERT INTO {table} ({', '.join((*key, *columns))}) VALUES ({marks}) "
            f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}{guard}"
        )
        with self.cursor() as cursor:
            cursor.execute(statement, tuple(map(_text, values)))

    def rows(self, query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """
        What a query finds; for the tables of this package.

        :raises StoreError: The store could not be read.
        """
        with self.cursor() as cursor:
            cursor.execute(query, tuple(map(_text, values)))
            return list(cursor.fetchall())

    @contextmanager
    def cursor(self) -> Iterator[Any]:
        """
        A transaction on a connection of its own.

        :raises StoreError: The store could not be used; nothing was changed.
        """
        # Every driver has errors of its own; here they all become one.
        try:
            with closing(self._connect()) as connection:
                if not self._checked:
                    schema.ensure(connection, self._dialect)
                    self._checked = True
                deadline = (self._dialect.deadline,) if self._dialect.deadline else ()
                with schema.transaction(connection, deadline) as cursor:
                    yield cursor
        except StoreError as error:
            raise StoreError(f"the context store {self.name}: {error}") from None
        except CisError:
            raise
        except Exception as error:
            raise StoreError(
                f"the context store {self.name} could not be used: {type(error).__name__}: {str(error).strip()}"
            ) from error


def _values(key: SessionKey) -> tuple[str, str, str, int]:
    return key.dag_id, key.run_id, key.task_id, key.map_index


def _text(value: Any) -> Any:
    return _storable(value) if isinstance(value, str) else value


def _storable(text: str) -> str:
    # No database takes half a surrogate pair; PostgreSQL takes no NUL, either.
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")


def _whole_output(result: AgentResult) -> str:
    """The output up to the limit: of a longer one the beginning, a note, and the end."""
    if not result.output_ref:
        return _limited(result.output, len(result.output), "its session's folder")
    try:
        with Path(result.output_ref).open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            if size <= OUTPUT_LIMIT:
                return file.read().decode("utf-8", "replace")
            begin = file.read(OUTPUT_LIMIT // 2).decode("utf-8", "replace")
            file.seek(-(OUTPUT_LIMIT // 2), 2)
            end = file.read().decode("utf-8", "replace")
    except OSError as error:
        # The file is on another machine, or was cleared away: its head is what there is.
        return f"{result.output}\n\n[... the rest is in {result.output_ref}, unreadable here: {error.strerror} ...]\n"
    return f"{begin}\n\n[... {size - OUTPUT_LIMIT:,} bytes cut; the whole text is in {result.output_ref} ...]\n\n{end}"


def _limited(text: str, size: int, where: str) -> str:
    if size <= OUTPUT_LIMIT:
        return text
    begin, end = cut_middle(text, OUTPUT_LIMIT)
    cut = size - len(begin) - len(end)
    return f"{begin}\n\n[... {cut:,} characters cut; the whole text is in {where} ...]\n\n{end}"


def _result(plain: str) -> AgentResult:
    return msgspec.convert(json.loads(plain), AgentResult)


def _joined(rows: list[tuple[Any, ...]]) -> StoredOutput:
    results = [_result(row[2]) for row in rows]
    worst = next((result for result in results if result.is_error), results[0])
    return StoredOutput(
        agent_id=rows[0][0],
        agent_type=rows[-1][1],
        output="\n\n".join(row[3] for row in rows),
        is_error=worst.is_error,
        subtype=worst.subtype,
        workspace=_common([result.workspace for result in results]),
        commit=_common([result.commit for result in results]),
        branch=_common([result.branch for result in results]),
        ended_at=max(row[4] for row in rows),
    )


def _common(values: list[str | None]) -> str | None:
    return values[0] if len(set(values)) == 1 else None
