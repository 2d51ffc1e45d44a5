"""What an agent prints and hands on: on disk in full, in memory only its end."""

from __future__ import annotations

import codecs
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from cis_provider.model.text import LineAssembler, last_line
from cis_provider.worker.mask import SecretMask

#: An agent's output up to this many characters travels in its result; above, the file does the carrying.
HEAD_LIMIT = 32 * 1024

_TAIL = 8 * 1024
_CHUNK = 1 << 17


class OutputLog:
    """
    ``output.log``: every byte the agent printed. Never cut, never kept in memory.

    :param on_write: Gets what was appended.
    """

    def __init__(self, path: Path, on_write: Callable[[bytes], None] = lambda chunk: None) -> None:
        self.path = path
        self.on_write = on_write
        self._tail = b""
        # What is there already was printed before its worker was lost: the same session goes on.
        self._fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        self.size = os.fstat(self._fd).st_size

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
        self.on_write(chunk)

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


def handed_on(written: Path, said: Path | str, whole: Path, mask: SecretMask) -> tuple[str, str]:
    """
    What an agent hands on: what it wrote into ``$CIS_OUTPUT``, else what it said or printed, as plain text.

    :param written: The file ``$CIS_OUTPUT``.
    :param said: Its final text, or ``output.log`` for one that only prints.
    :param whole: Where to put the text when it is long.
    :param mask: For what was written or said; what was printed is masked already.
    :return: The text, or its head, and in that case the path of the whole.
    """
    try:
        size = written.stat().st_size
    except OSError:
        size = 0
    if size:
        return _headed(_masked(written, mask), whole)
    if isinstance(said, str):
        return _headed(iter([_storable(mask.whole(said.encode()).decode())]), whole)
    head, whole_path = _headed(_plain(said), whole)
    return (head, whole_path) if whole_path else (head.strip("\n"), "")


def _masked(written: Path, mask: SecretMask) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    with written.open("rb") as source:
        while chunk := source.read(_CHUNK):
            yield _storable(decoder.decode(mask.feed(chunk)))
    yield _storable(decoder.decode(mask.finish(), final=True))


def _storable(text: str) -> str:
    """PostgreSQL takes no null character in a text."""
    return text.replace("\0", "\ufffd")


def _plain(log: Path) -> Iterator[str]:
    lines = LineAssembler()
    with log.open("rb") as source:
        while chunk := source.read(_CHUNK):
            yield "".join(f"{line}\n" for line in lines.feed(chunk))
    yield lines.finish()


def _headed(parts: Iterator[str], whole: Path) -> tuple[str, str]:
    """Write all of it to ``whole``; its head, and the path only if there is more than that."""
    head: list[str] = []
    room, long = HEAD_LIMIT, False
    with whole.open("w", encoding="utf-8") as target:
        for text in parts:
            target.write(text)
            head.append(text[:room])
            long = long or len(text) > room
            room -= len(head[-1])
    if long:
        return "".join(head), str(whole)
    whole.unlink()
    return "".join(head), ""
