"""A session's output as lines of a task's log."""

from __future__ import annotations

from typing import Any

from cis_provider import paths
from cis_provider.model.session import SessionRecord
from cis_provider.model.text import LineAssembler

#: Bytes and lines of output that go into Airflow's log; the rest is in ``cis dag logs``. A log line costs a
#: hundred times what reading it does, and a triggerer writes those of all its agents.
LIMIT, LINE_LIMIT = 1024 * 1024, 5000

_CHUNK = 16 * 1024


class SessionLog:
    """
    Follows ``output.log`` and logs each whole line, up to a limit.

    :param log: Anything with ``info``.
    :param position: Bytes that were logged before.
    """

    def __init__(self, session_id: str, log: Any, position: int = 0) -> None:
        self._read = position
        self._count = 0
        self._path = paths.session_dir(session_id) / "output.log"
        self._log = log
        self._lines = LineAssembler()
        self._full = position >= LIMIT

    @property
    def position(self) -> int:
        """Where another one must go on: an unfinished line has not been logged."""
        return self._read - self._lines.pending

    def follow(self, record: SessionRecord) -> None:
        """Log what is new."""
        while self.step(record):
            pass

    def step(self, record: SessionRecord) -> bool:
        """Log a little of what is new; whether there may be more. For an event loop that has others to serve."""
        if self._full or record.output_bytes <= self._read:
            return False
        with self._path.open("rb") as file:
            file.seek(self._read)
            chunk = file.read(_CHUNK)
        self._read += len(chunk)
        for line in self._lines.feed(chunk):
            self._log.info(line)
            self._count += 1
        if self._read >= LIMIT or self._count >= LINE_LIMIT:
            self._full = True
            self._log.info("(more output than a log should hold; all of it: %s)", self._path)
        return bool(chunk)

    def finish(self) -> None:
        """Log an unfinished line, after the last step."""
        if rest := self._lines.finish():
            self._log.info(rest)
