"""A painted screen looks, and goes on, as the one it was painted from; whatever the terminal was like before."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from cis_provider.screens.screen import Screen
from cis_provider.worker.attach_cut import Cutter
from cis_provider.worker.attach_paint import Excerpt, repaint
from cis_provider.worker.attach_undo import UNDO

_PIECES = [
    "words ",
    "a long line that is surely wider than the screen is, so that it wraps ",
    "漢字",
    "e\u0301",
    "\r\n",
    "\n",
    "\r",
    "\t",
    "\x1b[31;1mred\x1b[0m",
    "\x1b[48;5;200m  \x1b[K",
    "\x1b[38;2;1;2;3mrgb\x1b[9m",
    "\x1b[7m",
    "\x1b[0m",
    "\x1b[3;4H",
    "\x1b[9;20H",
    "\x1b[2J",
    "\x1b[K",
    "\x1b[3;7r",
    "\x1b[r",
    "\x1b[?6h",
    "\x1b[?6l",
    "\x1b[?1049h",
    "\x1b[?1049l",
    "\x1b[?47h",
    "\x1b[?47l",
    "\x1b7",
    "\x1b8",
    "\x1b(0lqk",
    "\x1b(B",
    "\x0e",
    "\x0f",
    "\x1b)0",
    "\x1b[4h",
    "\x1b[4l",
    "\x1b[?7l",
    "\x1b[?7h",
    "\x1b[?25l",
    "\x1b[?25h",
    "\x1b[?1000h",
    "\x1b[?1006h",
    "\x1b[?2004h",
    "\x1b[?1000l",
    "\x1b[?1h",
    "\x1b=",
    "\x1b>",
    "\x1b[5 q",
    "\x1b[>1u",
    "\x1b[>5u",
    "\x1b[<u",
    "\x1b[>4;2m",
    "\x1b]2;a title\x07",
    "\x1bM",
    "\x1b[2L",
    "\x1b[M",
    "\x1bc",
]
writings = st.lists(st.sampled_from(_PIECES), max_size=30).map("".join)


def state(screen: Screen) -> object:
    """All that can be seen of it, or felt later."""

    def rows(grid: object) -> object:
        return [(row.cells, row.styles) for row in grid.rows]  # type: ignore[attr-defined]

    cursor = screen.cursor
    return {
        "main": rows(screen.main),
        "alternate": screen.grid is screen.alternate and rows(screen.alternate),
        "cursor": (cursor.row, cursor.column, cursor.style, cursor.at_edge, cursor.origin),
        "charsets": (cursor.charsets, cursor.charset),
        "margins": (screen.top, screen.bottom),
        "modes": screen.modes - {6, 1048, 2026, 47, 1047, 1049},
        "insert": screen.insert_mode,
        "keypad": screen.keyboard.keypad,
        "shape": screen.keyboard.cursor_shape,
        "flags": screen.keyboard.flags(screen.grid is screen.alternate),
        "other_keys": screen.keyboard.other_keys,
    }


@given(writings, writings)
@example("\x1b[?6h\x1b[3;7r\x1b[9;20H", "")
@example("\x1b[9mstruck\x1b[?1049hwords", "")
@example("a long line that is surely wider than the screen is, so"[:24], "")
def test_it_is_the_same_on_a_terminal_in_any_state(shown: str, before: str) -> None:
    screen, other = Screen(24, 10), Screen(24, 10)
    screen.feed(shown.encode())
    other.feed(before.encode())
    other.feed(repaint(screen))
    assert state(other) == state(screen)
    assert other.last_title == screen.last_title or not screen.last_title


@given(writings, writings)
def test_what_is_written_afterwards_looks_the_same(shown: str, after: str) -> None:
    screen, other = Screen(24, 10), Screen(24, 10)
    screen.feed(shown.encode())
    other.feed(repaint(screen))
    screen.feed(after.encode())
    other.feed(after.encode())
    assert other.frame().text() == screen.frame().text()


@given(writings, st.integers(0, 200))
def test_who_comes_in_the_middle_of_a_sequence_sees_the_same(shown: str, place: int) -> None:
    data = shown.encode()
    first, rest = data[:place], data[place:]
    screen, other, cutter = Screen(24, 10), Screen(24, 10), Cutter()
    screen.feed(first)
    cutter.feed(first)
    other.feed(repaint(screen))
    screen.feed(rest)
    other.feed(cutter.feed(rest))
    assert other.frame().text() == screen.frame().text()


@given(writings)
def test_undoing_leaves_nothing_switched_on(shown: str) -> None:
    screen = Screen(24, 10)
    screen.feed(shown.encode() + UNDO)
    assert screen.modes & {1, 6, 1000, 1006, 2004} == set()
    assert {7, 25} <= screen.modes
    assert screen.grid is screen.main
    assert not screen.keyboard.keypad
    assert not screen.keyboard.cursor_shape
    assert not screen.keyboard.flags(False)
    assert (screen.top, screen.bottom) == (0, 9)
    assert screen.cursor.charsets == ["B", "B"]


@given(writings, writings, st.integers(8, 40), st.integers(2, 15))
def test_an_excerpt_shows_the_part_with_the_cursor(shown: str, after: str, columns: int, rows: int) -> None:
    screen, other = Screen(24, 10), Screen(columns, rows)
    excerpt = Excerpt(columns, rows)
    for words in (shown, after):
        screen.feed(words.encode())
        other.feed(excerpt.paint(screen))
        top = max(screen.cursor.row - rows + 1, 0)
        left = max(screen.cursor.column - columns + 1, 0)
        assert (other.cursor.row, other.cursor.column) == (
            screen.cursor.row - top,
            screen.cursor.column - left,
        )
        for number, line in enumerate(other.grid.rows):
            place = top + number
            if place < 10 and "" not in screen.grid.rows[place].cells:
                assert line.text == "".join(screen.grid.rows[place].cells[left : left + columns]).rstrip()
            elif place >= 10:
                assert line.text == ""
