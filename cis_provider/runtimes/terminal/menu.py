"""
A menu on a screen: the lines below each other of which one is marked. Pure.

Where rules know no more than that Enter confirms, Enter takes what is marked, and that may be "No, exit". So a
human is shown the lines, and the marker is moved to the one that was chosen.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

_MARKED = re.compile(r"^([ │┃]*[❯›>] +)(\S.*?)[ │┃]*$")
_NUMBER = re.compile(r"^\d+[.)] +")
_SIDES = " │┃"


class Menu(NamedTuple):
    """
    :param lines: What can be chosen, from top to bottom, without numbers.
    :param marked: Index of the line that Enter would take.
    """

    lines: tuple[str, ...]
    marked: int

    def way(self, index: int) -> tuple[str, ...]:
        """Keys that move the marker to a line."""
        steps = index - self.marked
        return ("down",) * steps if steps > 0 else ("up",) * -steps


def read(screen: Sequence[str]) -> Menu | None:
    """The lowest menu of a screen; ``None``: there is none of at least two lines."""
    for number in reversed(range(len(screen))):
        if found := _MARKED.match(screen[number]):
            column = len(found[1])
            above = _same_column(screen[:number][::-1], column)[::-1]
            below = _same_column(screen[number + 1 :], column)
            lines = [*above, found[2], *below]
            if len(lines) < 2:
                return None
            return Menu(tuple(_NUMBER.sub("", line) for line in lines), len(above))
    return None


def _same_column(lines: Sequence[str], column: int) -> list[str]:
    """The texts of the first lines that begin at this column, without a gap."""
    texts = []
    for line in lines:
        text = line.rstrip(_SIDES)
        if len(text) <= column or text[:column].strip(_SIDES) or text[column] == " ":
            break
        texts.append(text[column:])
    return texts
