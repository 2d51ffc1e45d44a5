"""A screen as bytes that paint it on another terminal, whatever stood there and whatever state it was in. Pure."""

from __future__ import annotations

from functools import lru_cache

from cis_provider.screens.grid import Grid, Row
from cis_provider.screens.screen import Cursor, Screen
from cis_provider.screens.style import PLAIN, Look, Style
from cis_provider.worker.attach_undo import KNOWN_MODES

#: Modes that are painted, not just switched.
_PAINTED = frozenset({6, 7, 25, 47, 1047, 1048, 1049, 2026})
_ALTERNATE = (1049, 1047, 47)

#: No margins, origin mode, insert mode or charset; the cursor hidden while it runs about; on the main screen.
_BEGIN = b"\x1b[?2026l\x1b[?25l\x1b[?1049l\x1b[?6l\x1b[?7h\x1b[4l\x1b[r\x1b(B\x1b)B\x0f\x1b[0m"

_LOOKS = (
    (Look.BOLD, "1"),
    (Look.DIM, "2"),
    (Look.ITALIC, "3"),
    (Look.UNDERLINE, "4"),
    (Look.BLINK, "5"),
    (Look.REVERSE, "7"),
    (Look.HIDDEN, "8"),
    (Look.STRIKE, "9"),
)


def repaint(screen: Screen) -> bytes:
    """All of it, for a terminal of its size: both screens, modes, title, cursors, margins."""
    alternate = screen.grid is screen.alternate
    out = [_BEGIN.decode(), _grid(screen.main, screen.columns)]
    if (saved := screen.saved.get(False)) is not None:
        out.append(f"{_at(saved)}\x1b7")
    if alternate:
        mode = next((mode for mode in _ALTERNATE if mode in screen.modes), 1049)
        out += [f"\x1b[?{mode}h", _grid(screen.alternate, screen.columns)]
        if (saved := screen.saved.get(True)) is not None:
            out.append(f"{_at(saved)}\x1b7")
    out += [_modes(screen), _keyboard(screen, alternate)]
    if screen.last_title:
        out.append(f"\x1b]2;{screen.last_title}\x1b\\")
    out.append(_cursor(screen))
    return "".join(out).encode("utf-8", "replace")


class Excerpt:
    """As much of a screen as fits on a terminal of another size; of what was painted before, only what changed."""

    def __init__(self, columns: int, rows: int) -> None:
        self._columns, self._height = columns, rows
        self._painted: list[str] = []
        self._title = ""

    def paint(self, screen: Screen) -> bytes:
        """Bytes that make it what it is now. The part with the cursor is shown."""
        cursor = screen.cursor
        top = max(cursor.row - self._height + 1, 0)
        left = max(cursor.column - self._columns + 1, 0)
        out: list[str] = []
        if not self._painted:
            off = "".join(f"\x1b[?{mode}l" for mode in KNOWN_MODES if mode != 1007)
            out.append(f"{_BEGIN.decode()}{off}\x1b[2J")
            self._painted = [""] * self._height
        for number in range(self._height):
            place = top + number
            line = ""
            if place < len(screen.grid.rows):
                line = _row(_cut(screen.grid.rows[place], left, self._columns), self._columns)
            if line != self._painted[number]:
                self._painted[number] = line
                out.append(f"\x1b[?25l\x1b[{number + 1}H{line or chr(27) + '[K'}")
        if screen.last_title != self._title:
            self._title = screen.last_title
            out.append(f"\x1b]2;{self._title}\x1b\\")
        shown = "h" if 25 in screen.modes else "l"
        out.append(f"\x1b[0m\x1b[{cursor.row - top + 1};{cursor.column - left + 1}H\x1b[?25{shown}")
        return "".join(out).encode("utf-8", "replace")


def _grid(grid: Grid, columns: int) -> str:
    # A saved cursor may have left its colours.
    return "\x1b[m" + "".join(
        f"\x1b[{number}H{_row(row, columns)}" for number, row in enumerate(grid.rows, start=1)
    )


def _row(row: Row, columns: int) -> str:
    """From its first column; the colours are the terminal's own at its end."""
    cells, styles = row.cells, row.styles
    end = len(cells)
    while end and cells[end - 1] == " " and styles[end - 1] == PLAIN:
        end -= 1
    out: list[str] = []
    style = PLAIN
    for cell, wanted in zip(cells[:end], styles[:end], strict=True):
        if wanted != style:
            style = wanted
            out.append(sgr(style))
        out.append(cell)
    if style != PLAIN:
        out.append("\x1b[m")
    if end < columns:
        out.append("\x1b[K")
    return "".join(out)


def _cut(row: Row, left: int, columns: int) -> Row:
    """A part of a line; half of a wide character is a blank."""
    part = row.copy()
    if left:
        if left < len(part.cells) and part.cells[left] == "":
            part.cells[left] = " "
        del part.cells[:left], part.styles[:left]
    part.resize(columns)
    return part


@lru_cache(maxsize=4096)
def sgr(style: Style) -> str:
    """The sequence that sets exactly this style."""
    codes = ["0", *(code for look, code in _LOOKS if style.look & look)]
    codes += [code for colour, base in ((style.fg, 30), (style.bg, 40)) if (code := _colour(colour, base))]
    return f"\x1b[{';'.join(codes)}m"


def _colour(colour: str, base: int) -> str:
    if not colour:
        return ""
    if colour.startswith("#"):
        red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
        return f"{base + 8};2;{red};{green};{blue}"
    number = int(colour)
    if number < 8:
        return str(base + number)
    return str(base + 52 + number) if number < 16 else f"{base + 8};5;{number}"


def _modes(screen: Screen) -> str:
    off = [mode for mode in KNOWN_MODES if mode not in screen.modes and mode != 1007]
    on = sorted(screen.modes - _PAINTED)
    return "".join(f"\x1b[?{mode}l" for mode in off) + "".join(f"\x1b[?{mode}h" for mode in on)


def _keyboard(screen: Screen, alternate: bool) -> str:
    keyboard = screen.keyboard
    return (
        ("\x1b=" if keyboard.keypad else "\x1b>")
        + (f"\x1b[>4;{keyboard.other_keys}m" if keyboard.other_keys else "\x1b[>4m")
        + "\x1b[<99u"
        + "".join(f"\x1b[>{flags}u" for flags in keyboard.flags(alternate))
        + f"\x1b[{keyboard.cursor_shape} q"
    )


def _cursor(screen: Screen) -> str:
    """Margins and origin first: both move the cursor."""
    cursor, out = screen.cursor, []
    if (screen.top, screen.bottom) != (0, screen.rows - 1):
        out.append(f"\x1b[{screen.top + 1};{screen.bottom + 1}r")
    if cursor.at_edge:
        # A terminal that is about to wrap has just drawn in its last column.
        out.append(_at_edge(screen))
    elif cursor.origin:
        out.append(f"\x1b[?6h\x1b[{cursor.row - screen.top + 1};{cursor.column + 1}H{sgr(cursor.style)}")
    else:
        out.append(_at(cursor))
    if 7 not in screen.modes:
        out.append("\x1b[?7l")
    if screen.insert_mode:
        out.append("\x1b[4h")
    out += [f"\x1b{side}{charset}" for side, charset in zip("()", cursor.charsets, strict=True)]
    out.append("\x0e" if cursor.charset else "\x0f")
    out.append("\x1b[?25h" if 25 in screen.modes else "\x1b[?25l")
    return "".join(out)


def _at_edge(screen: Screen) -> str:
    cursor, row = screen.cursor, screen.row
    column = screen.columns - 1
    wide = row.cells[column] == "" and column > 0
    start = column - 1 if wide else column
    place = f"\x1b[{cursor.row + 1};{start + 1}H"
    if cursor.origin:
        place = f"\x1b[?6h\x1b[{cursor.row - screen.top + 1};{start + 1}H"
    return f"{place}{sgr(row.styles[start])}{row.cells[start]}{sgr(cursor.style)}"


def _at(cursor: Cursor) -> str:
    return f"\x1b[{cursor.row + 1};{cursor.column + 1}H{sgr(cursor.style)}"
