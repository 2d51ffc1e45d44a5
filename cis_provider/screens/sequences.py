"""What each escape sequence does to a screen. After xterm's control sequences (invisible-island.net/xterm)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cis_provider.screens.screen import Screen

_LARGEST = 9999
#: Repeats of one character (REP): no more than the largest screen's line is worth it.
_MOST_REPEATS = 1000

_ALTERNATE = (47, 1047, 1049)


def escape(screen: Screen, intermediates: str, final: str) -> None:
    """``ESC`` and what follows it."""
    if intermediates in ("(", ")"):
        screen.cursor.charsets["()".index(intermediates)] = final
    elif intermediates == "#" and final == "8":
        for row in screen.grid.rows:
            row.write(0, "E" * screen.columns, screen.blank)
    elif not intermediates and final in ("=", ">"):
        screen.keyboard.keypad = final == "="
    elif not intermediates and final in _ESCAPES:
        _ESCAPES[final](screen)


def csi(screen: Screen, params: str, intermediates: str, final: str) -> None:
    """A control sequence that is not SGR."""
    private = params[0] if params[:1] in ("<", "=", ">", "?") and params else ""
    numbers = [_number(part) for part in params[len(private) :].split(";")]
    if screen.keyboard.csi(private, numbers, intermediates, final, screen.grid is screen.alternate):
        return
    if intermediates:
        if intermediates == "!" and final == "p":
            _soft_reset(screen)
        elif intermediates == "$" and final == "p" and private == "?":
            state = 1 if numbers[0] in screen.modes else 2
            screen.reply(f"\x1b[?{numbers[0]};{state if numbers[0] in _REPORTED else 0}$y")
    elif private == "?" and final in "hl":
        for number in numbers:
            _private_mode(screen, number, final == "h")
    elif private == ">" and final == "c":
        screen.reply("\x1b[>0;276;0c")
    elif (not private and final in _SEQUENCES) or (private == "?" and final in "JK"):
        _SEQUENCES[final](screen, numbers)


def _number(text: str) -> int:
    text = text.partition(":")[0]
    return min(int(text), _LARGEST) if text.isascii() and text.isdigit() else 0


#: Modes whose state is told to a program that asks: cursor keys, wrapping, cursor, alternate screen, focus,
#: paste, synchronized updates.
_REPORTED = frozenset({1, 7, 25, 1004, 1049, 2004, 2026})


def _private_mode(screen: Screen, number: int, on: bool) -> None:
    if number in _ALTERNATE:
        _switch(screen, number, on)
    elif number == 1048:
        _save(screen) if on else _restore(screen)
    elif number == 2026:
        screen.hold_frame(on)
    elif number == 6:
        screen.cursor.origin = on
        screen.move(screen.top if on else 0, 0)
    if on:
        screen.modes.add(number)
        screen.took_pastes |= number == 2004
    else:
        screen.modes.discard(number)


def _switch(screen: Screen, number: int, on: bool) -> None:
    if on == (screen.grid is screen.alternate):
        return
    if on:
        if number == 1049:
            _save(screen)
        screen.grid = screen.alternate
        if number != 47:
            screen.grid.erase((0, 0), (screen.rows - 1, screen.columns), screen.blank)
    else:
        screen.grid = screen.main
        if number == 1049:
            _restore(screen)


def _save(screen: Screen) -> None:
    screen.saved[screen.grid is screen.alternate] = screen.cursor.copy()


def _restore(screen: Screen) -> None:
    saved = screen.saved.get(screen.grid is screen.alternate)
    screen.cursor = saved.copy() if saved else type(screen.cursor)()
    at_edge = screen.cursor.at_edge
    screen.move(screen.cursor.row, screen.cursor.column)
    screen.cursor.at_edge = at_edge and screen.cursor.column == screen.columns - 1


def _soft_reset(screen: Screen) -> None:
    screen.insert_mode = False
    screen.cursor.origin = False
    screen.cursor.style = type(screen.cursor)().style
    screen.modes |= {7, 25}
    screen.top, screen.bottom = 0, screen.rows - 1


def _reverse_index(screen: Screen) -> None:
    if screen.cursor.row == screen.top:
        screen.grid.scroll_down(screen.top, screen.bottom, 1, screen.blank)
    else:
        screen.move(screen.cursor.row - 1, screen.cursor.column)


def _next_line(screen: Screen) -> None:
    screen.line_feed()
    screen.cursor.column = 0


_ESCAPES: dict[str, Callable[[Screen], None]] = {
    "7": _save,
    "8": _restore,
    "c": lambda screen: screen.reset(),
    "D": lambda screen: screen.line_feed(),
    "E": _next_line,
    "M": _reverse_index,
}


def _up(screen: Screen, count: int) -> None:
    limit = screen.top if screen.cursor.row >= screen.top else 0
    screen.move(max(screen.cursor.row - count, limit), screen.cursor.column)


def _down(screen: Screen, count: int) -> None:
    limit = screen.bottom if screen.cursor.row <= screen.bottom else screen.rows - 1
    screen.move(min(screen.cursor.row + count, limit), screen.cursor.column)


def _up_to_start(screen: Screen, count: int) -> None:
    _up(screen, count)
    screen.move(screen.cursor.row, 0)


def _down_to_start(screen: Screen, count: int) -> None:
    _down(screen, count)
    screen.move(screen.cursor.row, 0)


def _to(screen: Screen, numbers: list[int]) -> None:
    row, column = [*numbers, 0][:2]
    _to_row(screen, row)
    screen.move(screen.cursor.row, max(column, 1) - 1)


def _to_row(screen: Screen, row: int) -> None:
    row = max(row, 1) - 1
    if screen.cursor.origin:
        row = min(row + screen.top, screen.bottom)
    screen.move(row, screen.cursor.column)


def _erase_display(screen: Screen, numbers: list[int]) -> None:
    here, start = (screen.cursor.row, screen.cursor.column), (0, 0)
    end = (screen.rows - 1, screen.columns)
    if numbers[0] == 0:
        screen.grid.erase(here, end, screen.blank)
    elif numbers[0] == 1:
        screen.grid.erase(start, (here[0], here[1] + 1), screen.blank)
    elif numbers[0] == 2:
        screen.grid.erase(start, end, screen.blank)


def _erase_line(screen: Screen, numbers: list[int]) -> None:
    column = screen.cursor.column
    start = column if numbers[0] == 0 else 0
    end = column + 1 if numbers[0] == 1 else screen.columns
    if numbers[0] in (0, 1, 2):
        screen.row.erase(start, end, screen.blank)


def _insert_lines(screen: Screen, count: int) -> None:
    if screen.top <= screen.cursor.row <= screen.bottom:
        screen.grid.scroll_down(screen.cursor.row, screen.bottom, count, screen.blank)
        screen.move(screen.cursor.row, 0)


def _delete_lines(screen: Screen, count: int) -> None:
    if screen.top <= screen.cursor.row <= screen.bottom:
        screen.grid.scroll_up(screen.cursor.row, screen.bottom, count, screen.blank)
        screen.move(screen.cursor.row, 0)


def _margins(screen: Screen, numbers: list[int]) -> None:
    top, bottom = [*numbers, 0][:2]
    top, bottom = max(top, 1) - 1, min(bottom or screen.rows, screen.rows) - 1
    if top < bottom:
        screen.top, screen.bottom = top, bottom
        screen.move(top if screen.cursor.origin else 0, 0)


def _repeat(screen: Screen, count: int) -> None:
    if screen.last_drawn:
        screen.draw(screen.last_drawn * min(count, _MOST_REPEATS))


def _tabs(screen: Screen, count: int) -> None:
    screen.move(screen.cursor.row, (screen.cursor.column // 8 + count) * 8)


def _back_tabs(screen: Screen, count: int) -> None:
    screen.move(screen.cursor.row, (-(-screen.cursor.column // 8) - count) * 8)


def _report(screen: Screen, numbers: list[int]) -> None:
    if numbers[0] == 5:
        screen.reply("\x1b[0n")
    elif numbers[0] == 6:
        row = screen.cursor.row - (screen.top if screen.cursor.origin else 0)
        screen.reply(f"\x1b[{row + 1};{screen.cursor.column + 1}R")


def _mode(screen: Screen, numbers: list[int], on: bool) -> None:
    if 4 in numbers:
        screen.insert_mode = on


def _counted(action: Callable[[Screen, int], None]) -> Callable[[Screen, list[int]], None]:
    """For a sequence with one number, which is 1 if it is missing or 0."""
    return lambda screen, numbers: action(screen, numbers[0] or 1)


_Sequence = Callable[["Screen", list[int]], None]

_SEQUENCES: dict[str, _Sequence] = {
    "@": _counted(lambda s, n: s.row.insert(s.cursor.column, n, s.blank)),
    "A": _counted(_up),
    "B": _counted(_down),
    "C": _counted(lambda s, n: s.move(s.cursor.row, s.cursor.column + n)),
    "D": _counted(lambda s, n: s.move(s.cursor.row, s.cursor.column - n)),
    "E": _counted(_down_to_start),
    "F": _counted(_up_to_start),
    "G": _counted(lambda s, n: s.move(s.cursor.row, n - 1)),
    "H": _to,
    "I": _counted(_tabs),
    "J": _erase_display,
    "K": _erase_line,
    "L": _counted(_insert_lines),
    "M": _counted(_delete_lines),
    "P": _counted(lambda s, n: s.row.delete(s.cursor.column, n, s.blank)),
    "S": _counted(lambda s, n: s.grid.scroll_up(s.top, s.bottom, n, s.blank)),
    "T": lambda s, numbers: (
        s.grid.scroll_down(s.top, s.bottom, numbers[0] or 1, s.blank) if len(numbers) == 1 else None
    ),
    "X": _counted(lambda s, n: s.row.erase(s.cursor.column, s.cursor.column + n, s.blank)),
    "Z": _counted(_back_tabs),
    "`": _counted(lambda s, n: s.move(s.cursor.row, n - 1)),
    "a": _counted(lambda s, n: s.move(s.cursor.row, s.cursor.column + n)),
    "b": _counted(_repeat),
    "c": lambda s, _numbers: s.reply("\x1b[?62;22c"),
    "d": _counted(_to_row),
    "e": _counted(_down),
    "f": _to,
    "h": lambda s, numbers: _mode(s, numbers, True),
    "l": lambda s, numbers: _mode(s, numbers, False),
    "n": _report,
    "r": _margins,
    "s": lambda s, _numbers: _save(s),
    "u": lambda s, _numbers: _restore(s),
}
