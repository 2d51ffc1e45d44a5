"""A screen's characters, line by line, and how they move."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache

from wcwidth import wcwidth

from cis_provider.screens.style import PLAIN, Style

#: Characters that are surely one column wide, so that a run of them is written at once.
_NARROW = re.compile("[ -~\u00a1-\u00ac\u00ae-\u02ff\u2010-\u2027\u2500-\u25fc\u2800-\u28ff]+")
#: A base character and its accents: more are dropped.
_CELL_LIMIT = 8


@lru_cache(maxsize=4096)
def width(char: str) -> int:
    """Columns that a character takes: 0, 1 or 2."""
    return max(wcwidth(char), 0)


def runs(text: str) -> Iterator[tuple[str, int]]:
    """``text`` in pieces: runs of narrow characters as ``(run, 1)``, any other character with its width."""
    position = 0
    while position < len(text):
        if match := _NARROW.match(text, position):
            yield match[0], 1
            position = match.end()
        else:
            yield text[position], width(text[position])
            position += 1


class Row:
    """
    One line. A wide character stands in its first cell, its second one is empty.

    :ivar wrapped: Whether its text goes on in the next line because the screen was too narrow.
    """

    __slots__ = ("cells", "styles", "wrapped")

    def __init__(self, columns: int, style: Style = PLAIN) -> None:
        self.cells = [" "] * columns
        self.styles = [style] * columns
        self.wrapped = False

    def copy(self) -> Row:
        """The same line, which no longer changes with this one."""
        row = Row.__new__(Row)
        row.cells, row.styles, row.wrapped = self.cells[:], self.styles[:], self.wrapped
        return row

    @property
    def text(self) -> str:
        """Without blanks at its end."""
        return "".join(self.cells).rstrip()

    def write(self, column: int, text: str, style: Style) -> None:
        """Narrow characters over what is there; they must fit."""
        end = column + len(text)
        self._split_wide(column, end)
        self.cells[column:end] = text
        self.styles[column:end] = [style] * (end - column)

    def write_wide(self, column: int, char: str, style: Style) -> None:
        """A character of two columns."""
        self._split_wide(column, column + 2)
        self.cells[column : column + 2] = [char, ""]
        self.styles[column : column + 2] = [style, style]

    def combine(self, column: int, char: str) -> None:
        """An accent, or what else has no width, for the character at ``column``."""
        if self.cells[column] == "" and column:
            column -= 1
        if len(self.cells[column]) < _CELL_LIMIT:
            self.cells[column] += char

    def erase(self, start: int, end: int, style: Style) -> None:
        """Blanks in the colours of ``style``."""
        end = min(end, len(self.cells))
        if start < end:
            self._split_wide(start, end)
            self.cells[start:end] = [" "] * (end - start)
            self.styles[start:end] = [style] * (end - start)
            self.wrapped = self.wrapped and end < len(self.cells)

    def insert(self, column: int, count: int, style: Style) -> None:
        """Blanks at ``column``; what is there moves right, and out."""
        columns = len(self.cells)
        count = min(count, columns - column)
        self._split_wide(column, column)
        self.cells[column:column] = [" "] * count
        self.styles[column:column] = [style] * count
        self.resize(columns)

    def delete(self, column: int, count: int, style: Style) -> None:
        """Take characters out; what is right of them moves left."""
        count = min(count, len(self.cells) - column)
        self._split_wide(column, column + count)
        del self.cells[column : column + count], self.styles[column : column + count]
        self.cells += [" "] * count
        self.styles += [style] * count

    def resize(self, columns: int) -> None:
        """Cut, or fill with blanks."""
        missing = columns - len(self.cells)
        if missing > 0:
            self.cells += [" "] * missing
            self.styles += [PLAIN] * missing
        elif missing < 0:
            if self.cells[columns] == "":
                self.cells[columns - 1] = " "
            del self.cells[columns:], self.styles[columns:]

    def _split_wide(self, start: int, end: int) -> None:
        """Half of a wide character cannot stay."""
        cells = self.cells
        if start < len(cells) and cells[start] == "" and start:
            cells[start - 1] = cells[start] = " "
        if start < end < len(cells) and cells[end] == "":
            cells[end] = " "


class Grid:
    """
    All lines of one screen.

    :param on_scroll: Gets each line that leaves at the top of the whole screen.
    """

    def __init__(self, columns: int, rows: int, on_scroll: Callable[[Row], None] | None = None) -> None:
        self.columns = columns
        self.rows = [Row(columns) for _ in range(rows)]
        self._on_scroll = on_scroll

    def scroll_up(self, top: int, bottom: int, count: int, style: Style) -> None:
        """Lines ``top`` to ``bottom`` (inclusive) move up; blank ones come in below."""
        for _ in range(min(count, bottom - top + 1)):
            row = self.rows.pop(top)
            if top == 0 and self._on_scroll is not None:
                self._on_scroll(row)
            self.rows.insert(bottom, Row(self.columns, style))

    def scroll_down(self, top: int, bottom: int, count: int, style: Style) -> None:
        """The other way."""
        for _ in range(min(count, bottom - top + 1)):
            del self.rows[bottom]
            self.rows.insert(top, Row(self.columns, style))

    def erase(self, start: tuple[int, int], end: tuple[int, int], style: Style) -> None:
        """From one ``(row, column)`` up to another, which is left."""
        (first, left), (last, right) = start, end
        for number in range(first, min(last, len(self.rows) - 1) + 1):
            row = self.rows[number]
            row.erase(left if number == first else 0, right if number == last else self.columns, style)

    def resize(self, columns: int, rows: int, cursor_row: int) -> int:
        """
        Cut or fill. Lines below the cursor's go first, then those at the top.

        :return: How many lines the cursor's moved up.
        """
        while len(self.rows) > max(rows, cursor_row + 1):
            self.rows.pop()
        moved = max(len(self.rows) - rows, 0)
        del self.rows[:moved]
        self.rows += [Row(columns) for _ in range(rows - len(self.rows))]
        if columns != self.columns:
            for row in self.rows:
                row.resize(columns)
        self.columns = columns
        return moved
