"""A screen at one moment: what rules look at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from cis_provider.screens.grid import Row
from cis_provider.screens.style import Style


@dataclass(frozen=True)
class Frame:
    """
    What stands on a screen, and what it told besides.

    :param cursor_row: From 0.
    :param cursor_column: From 0.
    :param titles: Every change of the window's title: when, and to what; the latest ones.
    :param notifications: What it notified its human of (OSC 9, OSC 777); the latest ones.
    :param bells: How often it rang.
    :param handed_back: Bracketed paste (mode 2004), which it had switched on, is off again.
    """

    rows: list[Row]
    columns: int
    cursor_row: int
    cursor_column: int
    cursor_visible: bool
    alternate: bool
    title: str = ""
    titles: tuple[tuple[float, str], ...] = ()
    notifications: tuple[str, ...] = ()
    bells: int = 0
    handed_back: bool = False

    @cached_property
    def lines(self) -> list[str]:
        """Every line, without blanks at its end."""
        return [row.text for row in self.rows]

    @cached_property
    def filled(self) -> tuple[int, int]:
        """First and last line with anything on it, the last one exclusive; ``(0, 0)`` on an empty screen."""
        found = [number for number, line in enumerate(self.lines) if line]
        return (found[0], found[-1] + 1) if found else (0, 0)

    def text(self) -> str:
        """The screen as a human would copy it."""
        first, last = self.filled
        return "\n".join(self.lines[first:last])

    def styles(self, row: int, start: int, end: int) -> list[Style]:
        """How the characters from ``start`` to ``end`` of a line's text look."""
        found: list[Style] = []
        position = 0
        for cell, style in zip(self.rows[row].cells, self.rows[row].styles, strict=True):
            if position >= end:
                break
            if cell and position + len(cell) > start:
                found.append(style)
            position += len(cell)
        return found
