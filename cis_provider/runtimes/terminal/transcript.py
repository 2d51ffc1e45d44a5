"""What a program said since a moment: the lines that left its screen, then what is still on it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from cis_provider.screens.grid import Row
from cis_provider.screens.screen import Screen

#: Characters that are kept; of more, the end.
LIMIT = 1024 * 1024


class Transcript:
    """
    Follows one screen.

    :param on_line: Gets each line when it leaves the screen; the rest comes by :meth:`text`.
    """

    def __init__(self, screen: Screen, on_line: Callable[[str], None]) -> None:
        self._screen = screen
        self._on_line = on_line
        self._lines: deque[str] = deque()
        self._size = 0
        self._part = ""
        screen.on_scroll = self._gone

    def begin(self) -> None:
        """Forget what was said before."""
        self._lines.clear()
        self._size = 0
        self._part = ""

    def text(self, last: list[str] | None = None) -> str:
        """
        Everything since :meth:`begin`.

        :param last: Lines that are still on the screen; ``None``: all of it.
        """
        rest = self.rest() if last is None else last
        return "\n".join([*self._lines, *rest]).strip("\n")

    def rest(self) -> list[str]:
        """Lines that are on the screen still, those that were too long for it put together."""
        lines: list[str] = []
        part = self._part
        for row in self._screen.grid.rows:
            part += row.text
            if not row.wrapped:
                lines.append(part)
                part = ""
        if part:
            lines.append(part)
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def _gone(self, row: Row) -> None:
        self._part += row.text
        if row.wrapped and len(self._part) < LIMIT:
            return
        line, self._part = self._part, ""
        self._lines.append(line)
        self._size += len(line) + 1
        while self._size > LIMIT:
            self._size -= len(self._lines.popleft()) + 1
        self._on_line(line)
