"""A SQLite file that many processes write to."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

#: Seconds that a statement waits while another process writes.
BUSY = 30.0


def open_file(path: Path) -> sqlite3.Connection:
    """
    A connection to the file, made with mode 0600 if it was not there. Transactions begin where code says so.

    :raises OSError: The file cannot be made.
    :raises sqlite3.Error: It is no database.
    """
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite gives the file's mode to the others that it makes beside it.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    connection = sqlite3.connect(path, timeout=BUSY)
    try:
        tuned(connection)
        if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            _write_ahead(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def tuned(connection: sqlite3.Connection) -> sqlite3.Connection:
    """The connection, with patience, and without transactions that begin by themselves."""
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {int(BUSY * 1000)}")
    return connection


def _write_ahead(connection: sqlite3.Connection) -> None:
    # The change of mode does not wait for others, whatever the timeout says.
    deadline = time.monotonic() + BUSY
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
