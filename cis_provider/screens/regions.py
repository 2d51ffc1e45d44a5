"""Parts of a screen that a rule may look at: pure functions from a frame to lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cis_provider.screens.frame import Frame


@dataclass(frozen=True)
class Piece:
    """Part of a line: the screen's row, where in its text it starts, and the text."""

    row: int
    start: int
    text: str


Lines = Sequence[Piece]


@dataclass(frozen=True)
class Cut:
    """
    A region made of another one. Steps are taken in the order of the fields; a step whose expression is
    nowhere found leaves nothing.
    """

    of: str = "screen"
    from_first: re.Pattern[str] | None = None
    after_first: re.Pattern[str] | None = None
    from_last: re.Pattern[str] | None = None
    after_last: re.Pattern[str] | None = None
    until: re.Pattern[str] | None = None
    through: re.Pattern[str] | None = None
    before_last: re.Pattern[str] | None = None
    nonblank: bool = False
    first: int = 0
    last: int = 0

    def apply(self, lines: Lines) -> Lines:
        """What is left of ``lines``."""
        for pattern, backwards, extra in (
            (self.from_first, False, 0),
            (self.after_first, False, 1),
            (self.from_last, True, 0),
            (self.after_last, True, 1),
        ):
            if pattern is not None:
                found = _find(lines, pattern, backwards)
                lines = [] if found is None else lines[found + extra :]
        for pattern, backwards, extra in (
            (self.until, False, 0),
            (self.through, False, 1),
            (self.before_last, True, 0),
        ):
            if pattern is not None:
                found = _find(lines, pattern, backwards)
                lines = [] if found is None else lines[: found + extra]
        if self.nonblank:
            lines = [line for line in lines if line.text.strip()]
        if self.first:
            lines = lines[: self.first]
        return lines[-self.last :] if self.last else lines


def _find(lines: Lines, pattern: re.Pattern[str], backwards: bool) -> int | None:
    numbers = range(len(lines) - 1, -1, -1) if backwards else range(len(lines))
    return next((number for number in numbers if pattern.search(lines[number].text)), None)


def _whole(frame: Frame, start: int, end: int) -> Lines:
    """Lines without blank ones above and below."""
    first, last = frame.filled
    return [Piece(row, 0, frame.lines[row]) for row in range(max(start, first), min(end, last))]


_TOP, _BOTTOM, _SIDE = "╭┌┏╔", "╰└┗╚", "│┃║"
#: A title may stand in it: ``╭ title ───╮``.
_TOP_EDGE = re.compile(rf"[{_TOP}][─━═ ].*[╮┐┓╗]")
_BOTTOM_EDGE = re.compile(rf"[{_BOTTOM}][─━═].*[╯┘┛╝]")
#: A line across the screen, which may carry a label.
_RULE = re.compile(r"^\s*[─━═▔▁]{10,}|^[─━═▔▁]{3,} .* [─━═▔▁]{3,}$")


@dataclass(frozen=True)
class _Box:
    top: int
    bottom: int
    inside: Lines


def _box(frame: Frame) -> _Box | None:
    """The lowest box: a frame, or what stands between two lines across the screen."""
    found = [box for box in (_framed(frame), _ruled(frame)) if box is not None]
    return max(found, key=lambda box: (box.bottom, box.top), default=None)


def _framed(frame: Frame) -> _Box | None:
    for bottom in range(len(frame.lines) - 1, -1, -1):
        edge = _BOTTOM_EDGE.search(frame.lines[bottom])
        if edge is None:
            continue
        left = edge.start()
        for top in range(bottom - 1, -1, -1):
            above = frame.lines[top][left : left + 1]
            if above and above in _TOP and _TOP_EDGE.match(frame.lines[top], left):
                inside = [_inside(frame, row, left) for row in range(top + 1, bottom)]
                return _Box(top, bottom, inside)
    return None


def _inside(frame: Frame, row: int, left: int) -> Piece:
    text = frame.lines[row][left + 1 :]
    right = max(text.rfind(side) for side in _SIDE)
    return Piece(row, left + 1, (text[:right] if right >= 0 else text).rstrip())


def _ruled(frame: Frame) -> _Box | None:
    rules = [row for row, line in enumerate(frame.lines) if _RULE.search(line)]
    if len(rules) < 2:
        return None
    top, bottom = rules[-2:]
    return _Box(top, bottom, [Piece(row, 0, frame.lines[row]) for row in range(top + 1, bottom)])


def _prompt_box(frame: Frame) -> Lines:
    box = _box(frame)
    return box.inside if box else []


def _above_box(frame: Frame) -> Lines:
    box = _box(frame)
    return _whole(frame, 0, box.top) if box else []


def _below_box(frame: Frame) -> Lines:
    box = _box(frame)
    return _whole(frame, box.bottom + 1, len(frame.lines)) if box else []


#: Regions that every rule file may name.
BUILT_IN: dict[str, Callable[[Frame], Lines]] = {
    "screen": lambda frame: _whole(frame, 0, len(frame.lines)),
    "cursor": lambda frame: [Piece(frame.cursor_row, 0, frame.lines[frame.cursor_row])],
    "above_cursor": lambda frame: _whole(frame, 0, frame.cursor_row),
    "below_cursor": lambda frame: _whole(frame, frame.cursor_row + 1, len(frame.lines)),
    "prompt_box": _prompt_box,
    "above_box": _above_box,
    "below_box": _below_box,
}


class Regions:
    """Regions of one frame, each worked out once."""

    def __init__(self, frame: Frame, cuts: dict[str, Cut]) -> None:
        self.frame = frame
        self._cuts = cuts
        self._known: dict[str, Lines] = {}

    def named(self, name: str) -> Lines:
        """A built-in region, or one of the file's."""
        if name not in self._known:
            cut = self._cuts.get(name)
            self._known[name] = (
                cut.apply(self.named(cut.of)) if cut is not None else BUILT_IN[name](self.frame)
            )
        return self._known[name]
