"""A session's output as lines of a task's log."""

from __future__ import annotations

from typing import Any

from cis_provider import paths
from cis_provider.model.session import SessionRecord
from cis_provider.model.text import LineAssembler

#: Bytes of output that go into Airflow's log; the rest is in ``cis dag logs``. A log line costs a
#: hundred times what reading it does, and a triggerer writes those of all its agents.
LIMIT = 1024 * 1024

_CHUNK = 64 * 1024


class SessionLog:
    """
    Follows ``output.log`` and logs each whole line, up to :data:`LIMIT`.

    :param log: Anything with ``info``.
    :param position: Bytes that were logged before.
    """

    def __init__(self, session_id: str, log: Any, position: int = 0) -> None:
        self.position = position
        self._path = paths.session_dir(session_id) / "output.log"
        self._log = log
        self._lines = LineAssembler()
        self._full = position >= LIMIT

    def follow(self, record: SessionRecord) -> None:
        """Log what is new."""
        if self._full or record.output_bytes <= self.position:
            return
        with self._path.open("rb") as file:
            file.seek(self.position)
            while not self._full and (chunk := file.read(_CHUNK)):
                self.position += len(chunk)
                for line in self._lines.feed(chunk):
                    self._log.info(line)
                if self.position >= LIMIT:
                    self._full = True
                    self._log.info("(more output than a log should hold; all of it: %s)", self._path)

    def finish(self, record: SessionRecord) -> None:
        """Log the rest, an unfinished line included."""
        self.follow(record)
        if rest := self._lines.finish():
            self._log.info(rest)
