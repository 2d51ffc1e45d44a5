"""
What the coordinator must not forget: sessions, their requests, who has which folder and scope, who waits.

SQLite, written before anything is acknowledged. Requests with their inputs are files of their own.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from cis_provider import paths
from cis_provider.errors import ConfigError, StoreError
from cis_provider.files import private_folder, write_atomic
from cis_provider.model.session import SessionKey, SessionRecord, SessionRequest
from cis_provider.node.turns import Ask, Turn
from cis_provider.wire.messages import Finished

_SCHEMA_VERSION = 2

#: Ended sessions that are removed in one go: half a second's work.
_FORGET_AT_ONCE = 500

#: Statements that lead from each version to the next; version 0 is an empty file.
_SCHEMA = (
    """
CREATE TABLE session (
    session_id TEXT PRIMARY KEY,
    sequence   INTEGER NOT NULL UNIQUE,
    dag_id TEXT NOT NULL, run_id TEXT NOT NULL, task_id TEXT NOT NULL, map_index INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    record BLOB NOT NULL
);
CREATE INDEX session_key ON session (dag_id, run_id, task_id, map_index, sequence);
CREATE INDEX session_alive ON session (ended) WHERE ended = 0;
CREATE TABLE folder (path TEXT PRIMARY KEY, dag_id TEXT NOT NULL, run_id TEXT NOT NULL, since REAL NOT NULL);
""",
    """
CREATE TABLE turn (
    dag_id TEXT NOT NULL, run_id TEXT NOT NULL, scopes TEXT NOT NULL, alone INTEGER NOT NULL,
    priority INTEGER NOT NULL, sequence INTEGER NOT NULL, since REAL NOT NULL, stage TEXT NOT NULL,
    PRIMARY KEY (dag_id, run_id, scopes, alone)
);
""",
)

_encode = msgspec.msgpack.Encoder().encode
_record = msgspec.msgpack.Decoder(SessionRecord).decode


class SessionStore:
    """
    The coordinator's database; used from its one thread.

    :raises ConfigError: The file is of a newer version, or no database.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or private_folder(paths.node_dir()) / "sessions.db"
        try:
            self._db = sqlite3.connect(self._path, isolation_level=None, timeout=10)
            self._path.chmod(0o600)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._migrate()
        except sqlite3.Error as error:
            raise ConfigError(f"{self._path}: {error}; move the file away to begin anew") from None

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def add(self, record: SessionRecord, sequence: int, request: SessionRequest) -> None:
        """
        A new session and its request, without the request's secrets.

        :raises StoreError: It is not on disk (a full one, for example); nothing was accepted.
        """
        try:
            folder = private_folder(paths.session_dir(record.session_id))
            # The names stay: a session whose secrets are lost must not run without them unnoticed.
            public = msgspec.structs.replace(request, secrets=dict.fromkeys(request.secrets, ""))
            write_atomic(folder / "request.msgpack", _encode(public))
            key = record.key
            self._db.execute(
                "INSERT INTO session VALUES (?, ?, ?, ?, ?, ?, 0, ?)",
                (
                    record.session_id,
                    sequence,
                    key.dag_id,
                    key.run_id,
                    key.task_id,
                    key.map_index,
                    _encode(record),
                ),
            )
        except (OSError, sqlite3.Error) as error:
            raise StoreError(
                f"session for {record.key} could not be written below {paths.cis_home()}: {error}"
            ) from None

    def update(self, record: SessionRecord) -> None:
        """Write what is known of a session now."""
        self._db.execute(
            "UPDATE session SET record = ?, ended = ? WHERE session_id = ?",
            (_encode(record), int(record.state == "ended"), record.session_id),
        )

    def give_up(self, finished: Finished) -> None:
        """
        Write the result of a session that no worker took.

        A worker that stood still may find it among its letters one day: it begins nothing that has a result.
        """
        write_atomic(paths.session_dir(finished.session_id) / "result.json", msgspec.json.encode(finished))

    def request(self, session_id: str) -> SessionRequest:
        """A session's request, the values in ``secrets`` empty."""
        data = (paths.session_dir(session_id) / "request.msgpack").read_bytes()
        return msgspec.msgpack.decode(data, type=SessionRequest)

    def finished(self, session_id: str) -> Finished | None:
        """What its worker wrote at its end; ``None`` when it did not."""
        try:
            data = (paths.session_dir(session_id) / "result.json").read_bytes()
            return msgspec.json.decode(data, type=Finished)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def newest(self, key: SessionKey) -> SessionRecord | None:
        """The newest session of a key."""
        row = self._db.execute(
            "SELECT record FROM session WHERE dag_id = ? AND run_id = ? AND task_id = ? AND map_index = ? "
            "ORDER BY sequence DESC LIMIT 1",
            (key.dag_id, key.run_id, key.task_id, key.map_index),
        ).fetchone()
        return _record(row[0]) if row else None

    def get(self, session_id: str) -> SessionRecord | None:
        """One session."""
        row = self._db.execute("SELECT record FROM session WHERE session_id = ?", (session_id,)).fetchone()
        return _record(row[0]) if row else None

    def alive(self) -> list[tuple[int, SessionRecord]]:
        """Sessions that have not ended, with their sequence, the oldest first."""
        rows = self._db.execute("SELECT sequence, record FROM session WHERE ended = 0 ORDER BY sequence")
        return [(sequence, _record(data)) for sequence, data in rows]

    def find(
        self, *, dag_id: str = "", run_id: str = "", task_id: str = "", limit: int = 10_000
    ) -> list[SessionRecord]:
        """Sessions that match every field given, the oldest first; of too many the newest."""
        given = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id}
        where = " AND ".join(f"{name} = ?" for name, value in given.items() if value) or "1"
        values = [value for value in given.values() if value]
        rows = self._db.execute(
            f"SELECT record FROM session WHERE {where} ORDER BY sequence DESC LIMIT ?", (*values, limit)
        ).fetchall()
        return [_record(data) for (data,) in reversed(rows)]

    def last_sequence(self) -> int:
        """The highest sequence ever given."""
        (last,) = self._db.execute("SELECT coalesce(max(sequence), 0) FROM session").fetchone()
        return int(last)

    def folders(self) -> dict[str, tuple[str, str]]:
        """Folders and the runs that have them."""
        rows = self._db.execute("SELECT path, dag_id, run_id FROM folder")
        return {path: (dag_id, run_id) for path, dag_id, run_id in rows}

    def take_folder(self, path: str, run: tuple[str, str], now: float) -> None:
        """A folder belongs to a run from now on."""
        self._db.execute("INSERT OR REPLACE INTO folder VALUES (?, ?, ?, ?)", (path, *run, now))

    def release_folders(self, runs: Iterable[tuple[str, str]]) -> None:
        """Runs are over: their folders are free."""
        self._db.executemany("DELETE FROM folder WHERE dag_id = ? AND run_id = ?", list(runs))

    def touch_folders(self, run: tuple[str, str], now: float) -> None:
        """A run was at work in its folders until now."""
        self._db.execute("UPDATE folder SET since = ? WHERE dag_id = ? AND run_id = ?", (now, *run))

    def turns(self) -> list[Turn]:
        """Runs that have scopes for themselves, or wait for them, in the order of their asking."""
        rows = self._db.execute(
            "SELECT dag_id, run_id, scopes, alone, priority, sequence, since, stage FROM turn ORDER BY sequence"
        )
        return [
            Turn(Ask((dag_id, run_id), tuple(scopes.split()), bool(alone), priority, sequence), since, stage)
            for dag_id, run_id, scopes, alone, priority, sequence, since, stage in rows
        ]

    def keep_turn(self, turn: Turn) -> None:
        """
        Write down a run's turn, or its place in the line.

        :raises StoreError: It could not be written.
        """
        ask = turn.ask
        values = (
            *ask.run,
            " ".join(ask.scopes),
            ask.alone,
            ask.priority,
            ask.sequence,
            turn.since,
            turn.stage,
        )
        try:
            self._db.execute("INSERT OR REPLACE INTO turn VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
        except sqlite3.Error as error:
            raise StoreError(f"the turn of run {ask.run[1]} could not be written: {error}") from None

    def drop_turn(self, turn: Turn) -> None:
        """It is over."""
        self._db.execute(
            "DELETE FROM turn WHERE dag_id = ? AND run_id = ? AND scopes = ? AND alone = ?",
            (*turn.ask.run, " ".join(turn.ask.scopes), turn.ask.alone),
        )

    def abandoned_folders(self, before: float) -> list[tuple[str, str]]:
        """Runs with folders in which nobody is at work, nor was since ``before``."""
        return self._db.execute(
            "SELECT DISTINCT dag_id, run_id FROM folder WHERE since < ? AND NOT EXISTS (SELECT 1 FROM session "
            "WHERE ended = 0 AND session.dag_id = folder.dag_id AND session.run_id = folder.run_id)",
            (before,),
        ).fetchall()

    def forget_older(self, before: float) -> int:
        """Remove ended sessions of long ago with their files, some at a time; how many there were."""
        old: list[str] = []
        for (data,) in self._db.execute("SELECT record FROM session WHERE ended = 1 ORDER BY sequence"):
            record = _record(data)
            # Everybody waits meanwhile. And what follows was created later still.
            if record.created_at >= before or len(old) == _FORGET_AT_ONCE:
                break
            if record.ended_at < before:
                old.append(record.session_id)
        for session_id in old:
            shutil.rmtree(paths.session_dir(session_id), ignore_errors=True)
        if old:
            with self._transaction():
                self._db.executemany("DELETE FROM session WHERE session_id = ?", [(one,) for one in old])
        return len(old)

    def _migrate(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > _SCHEMA_VERSION:
            raise ConfigError(
                f"{self._path} was written by a newer version (schema {version}, this one knows {_SCHEMA_VERSION}); "
                "install that version again"
            )
        if version < _SCHEMA_VERSION:
            with self._transaction():
                for statement in ";".join(_SCHEMA[version:]).split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
