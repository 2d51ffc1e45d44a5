"""What an agent prints and hands on: on disk in full, in memory only its end."""

from __future__ import annotations

import os
from pathlib import Path

from cis_provider.model.text import LineAssembler, last_line

#: An agent's output up to this many characters travels in its result; above, the file does the carrying.
HEAD_LIMIT = 32 * 1024

_TAIL = 8 * 1024


class OutputLog:
    """``output.log``: every byte the agent printed. Never cut, never kept in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._tail = b""
        self._fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)

    def write(self, chunk: bytes) -> None:
        """
        Append.

        :raises OSError: The disk is full, for one.
        """
        view = memoryview(chunk)
        while view:
            view = view[os.write(self._fd, view) :]
        self.size += len(chunk)
        self._tail = (self._tail + chunk)[-_TAIL:]

    @property
    def tail(self) -> bytes:
        """The last few KB."""
        return self._tail

    @property
    def last_line(self) -> str:
        """The last line with anything to see in it."""
        return last_line(self._tail)

    def close(self) -> None:
        """Make it durable."""
        os.fsync(self._fd)
        os.close(self._fd)


def handed_on(written: Path, log: Path, whole: Path) -> tuple[str, str]:
    """
    What an agent hands on: what it wrote into ``$CIS_OUTPUT``, else what it printed, as plain text.

    :param written: The file ``$CIS_OUTPUT``.
    :param log: ``output.log``.
    :param whole: Where to put the plain text when it is long and was printed, not written.
    :return: The text, or its head, and in that case the path of the whole.
    """
    try:
        size = written.stat().st_size
    except OSError:
        size = 0
    if size:
        with written.open(encoding="utf-8", errors="replace") as file:
            head = file.read(HEAD_LIMIT + 1)
        return (head, "") if len(head) <= HEAD_LIMIT else (head[:HEAD_LIMIT], str(written))
    return _plain(log, whole)


def _plain(log: Path, whole: Path) -> tuple[str, str]:
    head: list[str] = []
    room, long = HEAD_LIMIT, False
    lines = LineAssembler()
    with log.open("rb") as source, whole.open("w", encoding="utf-8") as target:
        while chunk := source.read(1 << 20):
            text = "".join(f"{line}\n" for line in lines.feed(chunk))
            target.write(text)
            head.append(text[:room])
            long = long or len(text) > room
            room -= len(head[-1])
        rest = lines.finish()
        target.write(rest)
        head.append(rest[:room])
        long = long or len(rest) > room
    if long:
        return "".join(head), str(whole)
    whole.unlink()
    return "".join(head).strip("\n"), ""
