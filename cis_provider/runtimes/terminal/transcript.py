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

    :param on_line: Gets each line once: when it leaves the screen, or by :meth:`tell` before.
    """

    def __init__(self, screen: Screen, on_line: Callable[[str], None]) -> None:
        self._screen = screen
        self._on_line = on_line
        self._lines: deque[str] = deque()
        self._size = 0
        self._part = ""
        self._told: deque[str] = deque()  # texts of the screen's first rows, as they were told
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
        lines = [line for _end, line in self._whole(self._part)]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def tell(self, *, last: bool = False) -> None:
        """
        Give ``on_line`` the lines above the cursor. A program that goes back up and changes them has them told
        anew.

        :param last: The program is gone: give all that is there.
        """
        cursor = self._screen.cursor.row
        whole = self._whole(self._part)
        if last:
            filled = [end for end, line in whole if line]
            cursor = filled[-1] if filled else 0
        elif self._screen.grid is self._screen.alternate:
            return
        rows = self._screen.grid.rows
        same = 0
        while same < min(len(self._told), cursor) and self._told[same] == rows[same].text:
            same += 1
        while len(self._told) > same:
            self._told.pop()
        for end, line in whole:
            if len(self._told) < end <= cursor:
                self._on_line(line)
                self._told.extend(row.text for row in rows[len(self._told) : end])

    def _whole(self, part: str) -> list[tuple[int, str]]:
        """Lines on the screen, each with the number of the row behind it."""
        lines: list[tuple[int, str]] = []
        rows = self._screen.grid.rows
        for number, row in enumerate(rows, start=1):
            part += row.text
            if not row.wrapped or number == len(rows):
                lines.append((number, part))
                part = ""
        return lines

    def _gone(self, row: Row) -> None:
        told = bool(self._told) and self._told.popleft() == row.text
        self._part += row.text
        if row.wrapped and len(self._part) < LIMIT:
            return
        line, self._part = self._part, ""
        self._lines.append(line)
        self._size += len(line) + 1
        while self._size > LIMIT:
            self._size -= len(self._lines.popleft()) + 1
        if not told:
            self._on_line(line)
