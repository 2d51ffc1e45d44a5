"""Terminal bytes as text a person or a log can read."""

from __future__ import annotations

import re

#: CSI and OSC sequences, other two- and three-byte escapes, and control characters but tab and newline.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"
    r"|\x1b[ -/]*[0-~]"
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
)


def plain_line(line: str) -> str:
    """
    One line without escape codes, as a screen would show it at the end.

    What a carriage return was followed by has overwritten what stood before it.
    """
    line = _ESCAPES.sub("", line.rstrip("\r\n"))
    return line.rpartition("\r")[2] if "\r" in line else line


def plain_text(data: bytes) -> str:
    """Whole output as plain lines, each ending with a newline but the last one if it had none."""
    text = data.decode("utf-8", "replace")
    ending = "\n" if text.endswith("\n") else ""
    return "\n".join(plain_line(line) for line in text.removesuffix("\n").split("\n")) + ending


def _plain_lines(data: bytes) -> list[str]:
    """What :func:`plain_line` makes of each line; five times faster where nothing is coloured or overwritten."""
    text = data.decode("utf-8", "replace")
    simple = text.replace("\r\n", "\n").removesuffix("\r")
    if "\x1b" in simple or "\r" in simple:
        return [plain_line(line) for line in text.split("\n")]
    # No escape can span two lines now: what is left to remove are single characters.
    return _ESCAPES.sub("", simple).split("\n")


def last_line(tail: bytes, *, limit: int = 200) -> str:
    """The last line of ``tail`` with anything to see in it, at most ``limit`` characters."""
    for line in reversed(tail.decode("utf-8", "replace").split("\n")):
        if shown := plain_line(line).strip():
            return shown[:limit]
    return ""


def variable_name(agent_id: str) -> str:
    """An agent's id as part of a variable's name: ``analyze-deps`` is ``ANALYZE_DEPS``."""
    return re.sub(r"[^A-Za-z0-9]", "_", agent_id).upper()


class LineAssembler:
    """Chunks in, whole plain lines out. Keeps only the unfinished line."""

    def __init__(self, *, limit: int = 64 * 1024) -> None:
        self._rest = b""
        self._limit = limit

    def feed(self, chunk: bytes) -> list[str]:
        """The lines that ``chunk`` completes; a line above the limit comes in pieces."""
        whole, newline, self._rest = (self._rest + chunk).rpartition(b"\n")
        lines = _plain_lines(whole) if newline else []
        if len(self._rest) > self._limit:
            lines.append(self.finish())
        return lines

    @property
    def pending(self) -> int:
        """Bytes of the unfinished line."""
        return len(self._rest)

    def finish(self) -> str:
        """The unfinished line, which is forgotten then."""
        line, self._rest = plain_line(self._rest.decode("utf-8", "replace")), b""
        return line
