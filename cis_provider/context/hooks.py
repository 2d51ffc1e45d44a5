"""Finding the store's connection through Airflow. Airflow is imported when a function is called, not before."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cis_provider.context import schema
from cis_provider.context.sqlite import open_file, tuned
from cis_provider.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from airflow.sdk import Connection

#: Seconds for reaching a database server.
_CONNECT = 10

Opening = tuple[Callable[[], Any], schema.Dialect, str]


def connect_by_airflow(conn_id: str, otherwise: Path) -> Opening:
    """
    How to open the store, its dialect, and its name.

    :param otherwise: The SQLite file for an Airflow without a connection ``conn_id``.
    :raises ConfigError: The connection is of another type than SQLite or PostgreSQL.
    :raises StoreError: Airflow did not say whether there is one.
    """
    connection = find_connection(conn_id)
    if connection is None:
        return _file(conn_id, otherwise)
    if connection.conn_type == "sqlite":
        return _sqlite(connection)
    if connection.conn_type in ("postgres", "postgresql"):
        return _postgres(connection)
    raise ConfigError(
        f"connection {conn_id!r} has type {connection.conn_type!r}; the context store can be in sqlite or "
        f"postgres: change the connection, or remove it to use {otherwise}"
    )


def find_connection(conn_id: str) -> Connection | None:
    """
    An Airflow connection; ``None`` only if Airflow says that there is none.

    :raises StoreError: Airflow could not be asked.
    """
    from airflow.sdk.bases.hook import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    supervisor = getattr(sys.modules.get("airflow.sdk.execution_time.task_runner"), "SUPERVISOR_COMMS", None)
    try:
        if supervisor is None or _kept_elsewhere(conn_id):
            try:
                found: Connection = BaseHook.get_connection(conn_id)
                return found
            except AirflowNotFoundException:
                if supervisor is None:
                    return None
        return _ask(supervisor, conn_id)
    except StoreError:
        raise
    except Exception as error:
        raise StoreError(f"Airflow did not say whether there is a connection {conn_id!r}: {error}") from error


def _kept_elsewhere(conn_id: str) -> bool:
    from airflow.sdk.configuration import conf

    return f"AIRFLOW_CONN_{conn_id.upper()}" in os.environ or any(
        conf.get(section, option, fallback="")
        for section, option in (("secrets", "backend"), ("workers", "secrets_backend"))
    )


def _ask(supervisor: Any, conn_id: str) -> Connection | None:
    # A task or trigger. Not by the hook here: it reports an API server that failed as "not there".
    from airflow.sdk import Connection
    from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
    from airflow.sdk.execution_time.comms import ErrorResponse, GetConnection
    from airflow.sdk.log import mask_secret

    try:
        reply = supervisor.send(GetConnection(conn_id=conn_id))
    except AirflowRuntimeError as error:
        reply = error.error
    if isinstance(reply, ErrorResponse):
        if reply.error == ErrorType.CONNECTION_NOT_FOUND:
            return None
        raise StoreError(
            f"Airflow did not say whether there is a connection {conn_id!r}: {reply.error.value} {reply.detail}"
        )
    if reply.password:
        mask_secret(reply.password)
    return Connection(
        conn_id=conn_id,
        conn_type=reply.conn_type,
        host=reply.host,
        schema=reply.schema_,
        login=reply.login,
        password=reply.password,
        port=reply.port,
        extra=reply.extra,
    )


def _file(conn_id: str, path: Path) -> Opening:
    from airflow.providers.sqlite.hooks.sqlite import SqliteHook
    from airflow.sdk import Connection

    connection = Connection(conn_id=conn_id, conn_type="sqlite", host=str(path))

    class ContextFileHook(SqliteHook):
        """SQLite in a file that no connection of Airflow names."""

        @classmethod
        def get_connection(cls, conn_id: str) -> Connection:
            return connection

        def get_conn(self) -> Any:
            # The hook's own way goes through a URI, in which "?", "#" and "%" of a path mean something.
            return open_file(path)

    hook = ContextFileHook(conn_id)  # type: ignore[no-untyped-call]
    return hook.get_conn, schema.SQLITE, str(path)


def _sqlite(connection: Connection) -> Opening:
    from airflow.providers.sqlite.hooks.sqlite import SqliteHook

    if not connection.host and (connection.schema or "").startswith("/"):
        # sqlite:////path, as SQLAlchemy has it; the hook wants sqlite:///path.
        connection.host, connection.schema = connection.schema, None
    where = connection.host or f"/{connection.schema or ''}"

    class GivenSqliteHook(SqliteHook):
        """A hook for a connection that was found already: Airflow is not asked again."""

        @classmethod
        def get_connection(cls, conn_id: str) -> Connection:
            return connection

    hook = GivenSqliteHook(connection.conn_id)  # type: ignore[no-untyped-call]
    return lambda: tuned(hook.get_conn()), schema.SQLITE, f"{connection.conn_id} ({where})"


def _postgres(connection: Connection) -> Opening:
    try:
        from airflow.providers.postgres.hooks.postgres import PostgresHook
    except ImportError as error:
        raise ConfigError(
            f"connection {connection.conn_id!r} needs the PostgreSQL provider ({error}): "
            "pip install 'cis-provider[postgres]'"
        ) from None
    # A server that does not answer must not hold a task for ever; rows come as tuples, whatever is set.
    extra = {"connect_timeout": _CONNECT, **connection.extra_dejson}
    extra.pop("cursor", None)
    connection.extra = json.dumps(extra)
    hook = PostgresHook(connection.conn_id, connection=connection)
    where = f"{connection.host or 'localhost'}:{connection.port or 5432}/{connection.schema or ''}"
    return hook.get_conn, schema.POSTGRES, f"{connection.conn_id} ({where})"
