"""
Recordings of terminals: asciicast v2 and v3 (docs.asciinema.org/manual/asciicast), or the bytes alone.

v2 counts seconds from the start, v3 from the event before. Events: ``o`` output, ``i`` input, ``r`` resize,
``m`` marker, ``x`` exit with a status; others are passed over, as the format wants. Any of them may be gzipped.
"""

from __future__ import annotations

import gzip
import json
import math
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec

from cis_provider.errors import UsageError

#: A line of a recording that is longer is no event.
_LINE_LIMIT = 64 * 1024 * 1024
_CHUNK = 64 * 1024
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")


class Event(msgspec.Struct, frozen=True):
    """
    :param at: Seconds since the start.
    :param code: ``o``, ``r``, ``x``, or another of the format's.
    :param data: Output as bytes, or text of the event.
    """

    at: float
    code: str
    data: bytes


class Header(msgspec.Struct, frozen=True):
    """
    :param size: Columns and rows; ``None``: the recording does not say.
    :param about: What it says of the program: its title and command.
    :param duration: Seconds; 0: the recording does not say.
    """

    size: tuple[int, int] | None = None
    about: str = ""
    duration: float = 0.0

    def version_of(self, program: str) -> str:
        """A version that is named behind the program's name: ``claude 2.1.329``; empty: none is."""
        match = re.search(rf"{re.escape(program)}[ @/=-]v?(\d+(?:\.\d+)+)", self.about)
        return match[1] if match else ""


class Recording:
    """
    A recording on disk, read event by event. A last line that was cut is passed over.

    :raises UsageError: It cannot be read, or is a recording of a kind we do not know.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with _opened(path) as file:
                first = file.readline(_LINE_LIMIT)
        except (OSError, EOFError, zlib.error) as error:
            raise UsageError(f"recording {path} cannot be read: {_why(error)}") from error
        header = _json(first)
        self.raw = not (isinstance(header, dict) and "version" in header)
        self._relative = False
        self.header = Header() if self.raw else self._header(header)

    def events(self) -> Iterator[Event]:
        """
        All of it, in order.

        :raises UsageError: A line in the middle is no event.
        """
        try:
            yield from self._bytes() if self.raw else self._lines()
        except (OSError, EOFError, zlib.error) as error:
            raise UsageError(f"recording {self.path} cannot be read: {_why(error)}") from error

    def _header(self, header: Any) -> Header:
        version = header["version"]
        if version not in (2, 3):
            raise UsageError(f"recording {self.path} is asciicast version {version!r}; 2 and 3 can be read")
        self._relative = version == 3
        term = header.get("term") if self._relative else header
        term = term if isinstance(term, dict) else {}
        size = (
            term.get("cols" if self._relative else "width"),
            term.get("rows" if self._relative else "height"),
        )
        return Header(
            size=_checked_size(*size),
            about=" ".join(text for key in ("title", "command") if isinstance(text := header.get(key), str)),
            duration=_seconds(header.get("duration")) or 0.0,
        )

    def _bytes(self) -> Iterator[Event]:
        with _opened(self.path) as file:
            while chunk := file.read(_CHUNK):
                yield Event(0.0, "o", chunk)

    def _lines(self) -> Iterator[Event]:
        at = 0.0
        with _opened(self.path) as file:
            file.readline(_LINE_LIMIT)
            for number, line in enumerate(iter(lambda: file.readline(_LINE_LIMIT), b""), start=2):
                if not line.strip() or line.startswith(b"#"):
                    continue
                event = _event(line, at if self._relative else 0.0)
                if event is None:
                    if not line.endswith(b"\n") or not file.read(1):
                        return  # the recorder was stopped while it wrote
                    raise UsageError(
                        f"recording {self.path}, line {number}: no event, "
                        f'which is [seconds, "code", "data"]: {line[:60]!r}'
                    )
                at = event.at
                yield event


def _opened(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        gzipped = file.read(2) == b"\x1f\x8b"
    return cast("BinaryIO", gzip.open(path)) if gzipped else path.open("rb")


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _event(line: bytes, since: float) -> Event | None:
    match _json(line):
        case [time, str(code), data]:
            seconds = _seconds(time)
            if seconds is None:
                return None
            return Event(since + seconds, code, str(data).encode("utf-8", "surrogatepass"))
    return None


def _json(line: bytes) -> Any:
    # Not msgspec: a recorder that cut a character in two wrote half a surrogate, which it refuses.
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _seconds(value: Any) -> float | None:
    good = (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
    )
    return float(value) if good else None


def _checked_size(columns: Any, rows: Any) -> tuple[int, int] | None:
    good = isinstance(columns, int) and isinstance(rows, int) and columns > 0 and rows > 0
    return (columns, rows) if good else None


def parse_size(text: str) -> tuple[int, int]:
    """
    ``120x40``: columns and rows.

    :raises UsageError: It is none.
    """
    match = _SIZE.fullmatch(text)
    if match is None or not all(int(number) for number in match.groups()):
        raise UsageError(f"size {text!r}: write COLUMNSxROWS, for example 120x40")
    return int(match[1]), int(match[2])
