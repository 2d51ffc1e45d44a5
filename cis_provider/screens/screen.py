"""A terminal's screen, kept from the bytes that a program writes to it."""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from cis_provider.screens import sequences
from cis_provider.screens.frame import Frame
from cis_provider.screens.grid import Grid, Row, runs
from cis_provider.screens.keyboard import Keyboard
from cis_provider.screens.parser import Parser
from cis_provider.screens.style import PLAIN, Style, styled

#: Sizes that no real terminal has are cut to these.
MAX_COLUMNS, MAX_ROWS = 1000, 500
#: Lines that left at the top and are kept: a program's banner stands in the first ones.
_HEAD_LINES = 100
_TITLES, _TITLE_LIMIT = 64, 4096
#: A program that begins a synchronized update and does not end it within these seconds is shown as it is.
_SYNC_LIMIT = 1.0

_CHARSET_GRAPHICS = str.maketrans("`abcdefghijklmnopqrstuvwxyz{|}~", "◆▒␉␌␍␊°±␤␋┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·")


@dataclass
class Cursor:
    """Where the next character goes, and how it will look. ``at_edge``: it wraps before it is drawn."""

    row: int = 0
    column: int = 0
    style: Style = PLAIN
    at_edge: bool = False
    origin: bool = False
    charsets: list[str] = field(default_factory=lambda: ["B", "B"])
    charset: int = 0

    def copy(self) -> Cursor:
        """One that does not move with this one."""
        return Cursor(
            self.row, self.column, self.style, self.at_edge, self.origin, self.charsets[:], self.charset
        )


class Screen:
    """
    Feed it, and look at :meth:`frame`. Takes any bytes; never raises for what they say.

    :param on_reply: Gets what a terminal would answer to a program's questions (where the cursor is).
    :param on_scroll: Gets each line that leaves the main screen at its top.
    """

    grid: Grid
    cursor: Cursor
    top: int
    bottom: int

    def __init__(
        self,
        columns: int = 120,
        rows: int = 40,
        on_reply: Callable[[bytes], None] | None = None,
        on_scroll: Callable[[Row], None] | None = None,
    ) -> None:
        self.columns, self.rows = _sane(columns, rows)
        self.on_reply = on_reply
        self.on_scroll = on_scroll
        self.head: list[str] = []
        self.titles: deque[tuple[float, str]] = deque(maxlen=_TITLES)
        self.notifications: deque[str] = deque(maxlen=16)
        self.bells = 0
        self.now = 0.0
        self.took_pastes = False
        self.last_title = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._parser = Parser(self)
        self.reset()

    def reset(self) -> None:
        """As it was switched on, but for its size and what was counted."""
        self.main = Grid(self.columns, self.rows, self._scrolled)
        self.alternate = Grid(self.columns, self.rows)
        self.grid = self.main
        self.cursor = Cursor()
        self.saved: dict[bool, Cursor] = {}
        self.top, self.bottom = 0, self.rows - 1
        self.modes: set[int] = {7, 25}
        self.keyboard = Keyboard()
        self.insert_mode = False
        self.last_drawn = ""
        self._held_frame: tuple[float, list[Row], int, int] | None = None

    def feed(self, data: bytes, at: float = 0.0) -> None:
        """Bytes that the program wrote, and when: seconds on a clock of the caller's."""
        self.now = at
        self._parser.feed(self._decoder.decode(data))

    def resize(self, columns: int, rows: int) -> None:
        """The window has another size now."""
        columns, rows = _sane(columns, rows)
        moved = self.grid.resize(columns, rows, self.cursor.row)
        other = self.alternate if self.grid is self.main else self.main
        other.resize(columns, rows, rows - 1)
        self.columns, self.rows = columns, rows
        self.top, self.bottom = 0, rows - 1
        self._held_frame = None
        self.move(self.cursor.row - moved, self.cursor.column)

    def frame(self, now: float | None = None) -> Frame:
        """What a human would see: during a synchronized update, what stood there before it."""
        held = self._held_frame
        if held is not None and (now is None or now - held[0] <= _SYNC_LIMIT):
            _at, rows, row, column = held
        else:
            rows, row, column = self.grid.rows, self.cursor.row, self.cursor.column
        return Frame(
            rows=[line.copy() for line in rows],
            columns=self.columns,
            cursor_row=row,
            cursor_column=column,
            cursor_visible=25 in self.modes,
            alternate=self.grid is self.alternate,
            title=self.last_title,
            titles=tuple(self.titles),
            notifications=tuple(self.notifications),
            bells=self.bells,
            handed_back=self.took_pastes and 2004 not in self.modes,
        )

    def hold_frame(self, on: bool) -> None:
        """A synchronized update begins or ends (mode 2026)."""
        if not on:
            self._held_frame = None
        elif self._held_frame is None:
            rows = [row.copy() for row in self.grid.rows]
            self._held_frame = (self.now, rows, self.cursor.row, self.cursor.column)

    # What the parser tells.

    def draw(self, text: str) -> None:
        """Printable characters."""
        if self.cursor.charsets[self.cursor.charset] == "0":
            text = text.translate(_CHARSET_GRAPHICS)
        for piece, width in runs(text):
            if width == 1:
                self._draw_narrow(piece)
            elif width == 2:
                self._draw_wide(piece)
            else:
                self._combine(piece)
        self.last_drawn = text[-1:]

    def control(self, char: str) -> None:
        """A C0 control character."""
        cursor = self.cursor
        if char == "\r":
            cursor.column, cursor.at_edge = 0, False
        elif char in "\n\v\f":
            self.line_feed()
        elif char == "\b":
            cursor.column, cursor.at_edge = max(cursor.column - 1, 0), False
        elif char == "\t":
            self.move(cursor.row, (cursor.column // 8 + 1) * 8)
        elif char == "\a":
            self.bells += 1
        elif char in "\x0e\x0f":
            cursor.charset = 1 if char == "\x0e" else 0

    def escape(self, intermediates: str, final: str) -> None:
        """``ESC`` and what follows it."""
        sequences.escape(self, intermediates, final)

    def csi(self, params: str, intermediates: str, final: str) -> None:
        """A control sequence."""
        if final == "m" and not intermediates and params[:1] not in ("<", "=", ">", "?"):
            self.cursor.style = styled(self.cursor.style, params)
            return
        sequences.csi(self, params, intermediates, final)

    def string(self, kind: str, data: str) -> None:
        """Titles and notifications; other strings say nothing about the screen."""
        if kind != "]":
            return
        code, _, text = data.partition(";")
        if code in ("0", "2"):
            self._title(text)
        elif code == "9" and not text.startswith("4;"):  # 9;4 is a progress bar
            self.notifications.append(text[:_TITLE_LIMIT])
        elif code == "777" and text.startswith("notify;"):
            self.notifications.append(text[len("notify;") :][:_TITLE_LIMIT])

    # How the cursor moves.

    def move(self, row: int, column: int) -> None:
        """To a place of the screen; outside of it, to the nearest one inside."""
        self.cursor.row = min(max(row, 0), self.rows - 1)
        self.cursor.column = min(max(column, 0), self.columns - 1)
        self.cursor.at_edge = False

    def line_feed(self) -> None:
        """One line down; at the bottom of the region, its lines move up."""
        self.cursor.at_edge = False
        if self.cursor.row == self.bottom:
            self.grid.scroll_up(self.top, self.bottom, 1, self.blank)
        elif self.cursor.row < self.rows - 1:
            self.cursor.row += 1

    def reply(self, answer: str) -> None:
        """Answer a question of the program's."""
        if self.on_reply is not None:
            self.on_reply(answer.encode())

    @property
    def row(self) -> Row:
        """The cursor's line."""
        return self.grid.rows[self.cursor.row]

    @property
    def blank(self) -> Style:
        """Of what is erased: its background is the present one."""
        return Style(bg=self.cursor.style.bg) if self.cursor.style.bg else PLAIN

    def _draw_narrow(self, text: str) -> None:
        cursor, position = self.cursor, 0
        while position < len(text):
            self._wrap()
            room = self.columns - cursor.column
            part = text[position : position + room]
            if 7 not in self.modes and len(text) - position > room:
                part = part[:-1] + text[-1]  # without wrapping, the last cell is overwritten
                position = len(text)
            if self.insert_mode:
                self.row.insert(cursor.column, len(part), cursor.style)
            self.row.write(cursor.column, part, cursor.style)
            self._advance(len(part))
            position += len(part)

    def _draw_wide(self, char: str) -> None:
        self._wrap()
        if self.columns < 2:
            return
        if self.cursor.column == self.columns - 1:
            if 7 not in self.modes:
                return
            self.cursor.at_edge = True
            self._wrap()
        if self.insert_mode:
            self.row.insert(self.cursor.column, 2, self.cursor.style)
        self.row.write_wide(self.cursor.column, char, self.cursor.style)
        self._advance(2)

    def _combine(self, char: str) -> None:
        column = self.cursor.column if self.cursor.at_edge else self.cursor.column - 1
        if column >= 0:
            self.row.combine(column, char)

    def _wrap(self) -> None:
        if self.cursor.at_edge and 7 in self.modes:
            self.row.wrapped = True
            self.line_feed()
            self.cursor.column = 0
        self.cursor.at_edge = False

    def _advance(self, columns: int) -> None:
        self.cursor.column += columns
        if self.cursor.column >= self.columns:
            self.cursor.column = self.columns - 1
            self.cursor.at_edge = True

    def _scrolled(self, row: Row) -> None:
        if len(self.head) < _HEAD_LINES:
            self.head.append(row.text)
        if self.on_scroll is not None:
            self.on_scroll(row)

    def _title(self, text: str) -> None:
        text = text[:_TITLE_LIMIT]
        if text != self.last_title:
            self.last_title = text
            self.titles.append((self.now, text))


def _sane(columns: int, rows: int) -> tuple[int, int]:
    return min(max(columns, 1), MAX_COLUMNS), min(max(rows, 1), MAX_ROWS)
