"""
Recordings of sessions: asciicast v3 (docs.asciinema.org/manual/asciicast/v3), output and sizes, never input.

One event is one line, written at once: a killed worker's recording lacks its end, or ends in half a line, and
nothing else. Secrets are masked before they are written.
"""

from __future__ import annotations

import codecs
import logging
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from cis_provider.worker.mask import SecretMask

log = logging.getLogger(__name__)

#: Bytes of a recording; then a marker says so, and it ends.
LIMIT = 64 * 1024 * 1024

#: Its name in a session's folder.
NAME = "recording.cast"


class Recording:
    """
    Records one session. A session that is begun again goes on in its file. Trouble with the disk ends the
    recording, and never the session.

    :param size: Columns and rows at the start.
    :param mask: Its own: it holds back what may begin a secret.
    :param title: What is recorded.
    :param clock: Seconds, for the times between events.
    """

    def __init__(
        self,
        path: Path,
        *,
        size: tuple[int, int],
        mask: SecretMask,
        title: str,
        clock: Callable[[], float] = time.monotonic,
        limit: int = LIMIT,
    ) -> None:
        self.path = path
        self.size = size
        self._mask = mask
        self._title = title
        self._clock = clock
        self._limit = limit
        #: Whether nothing is recorded any more.
        self.over = False
        self._written = 0
        self._fd = -1
        self._told = 0.0
        self._began = clock()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def output(self, data: bytes) -> None:
        """What a program wrote."""
        if not self.over:
            self._output(self._mask.feed(data))

    def resized(self, columns: int, rows: int) -> None:
        """The terminal has another size."""
        if (columns, rows) != self.size:
            self.size = columns, rows
            if self._fd >= 0:
                self._event("r", f"{columns}x{rows}")

    def mark(self, text: str) -> None:
        """A place that a viewer may jump to."""
        self._event("m", text)

    def hide(self, secrets: Iterable[str]) -> None:
        """Values that are secret from now on."""
        self._mask.add(secrets)

    def close(self, exit_code: int | None = None) -> None:
        """Make it durable. Safe twice."""
        if not self.over:
            self._output(self._mask.finish(), final=True)
            if exit_code is not None and self._fd >= 0:
                self._event("x", str(exit_code))
        self.over = True
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            try:
                os.fsync(fd)
            except OSError as error:
                log.warning("recording %s may not be on disk: %s", self.path, error)
            finally:
                os.close(fd)

    def _output(self, data: bytes, *, final: bool = False) -> None:
        if text := self._decoder.decode(data, final=final):
            self._event("o", text)

    def _event(self, code: str, text: str) -> None:
        if self.over:
            return
        try:
            if self._fd < 0:
                self._open()
            line = self._line(code, text)
            if self._written + len(line) > self._limit:
                line = self._line("m", f"the recording ends here: it has {self._limit // 1024 // 1024} MB")
                self.over = True
            self._write(line)
        except OSError as error:
            log.warning("recording %s ends: %s", self.path, error)
            self.over = True

    def _line(self, code: str, text: str) -> bytes:
        # Rounded times add up to what they should: each is counted from what was told.
        interval = round(max(self._clock() - self._began - self._told, 0.0), 3)
        self._told += interval
        return msgspec.json.encode([interval, code, text]) + b"\n"

    def _open(self) -> None:
        self._fd = os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._written = _cut_torn_line(self._fd)
        if self._written:
            self._write(self._line("m", "begun again"))
            self._write(self._line("r", f"{self.size[0]}x{self.size[1]}"))
            return
        header = {
            "version": 3,
            "term": {"cols": self.size[0], "rows": self.size[1], "type": "xterm-256color"},
            "timestamp": int(time.time()),
            "title": self._title,
        }
        self._write(msgspec.json.encode(header) + b"\n")

    def _write(self, line: bytes) -> None:
        view = memoryview(line)
        while view:
            view = view[os.write(self._fd, view) :]
        self._written += len(line)


def _cut_torn_line(fd: int) -> int:
    """Cut what a killed worker wrote half of; the size of what is left."""
    size = os.fstat(fd).st_size
    while size:
        start = max(size - 65536, 0)
        end = os.pread(fd, size - start, start).rfind(b"\n")
        size = start + end + 1 if end >= 0 else start
        if end >= 0:
            break
    os.ftruncate(fd, size)
    return size
