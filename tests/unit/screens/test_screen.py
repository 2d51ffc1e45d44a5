"""A terminal's screen as programs draw it. After xterm, where terminals differ."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cis_provider.screens.screen import Screen
from cis_provider.screens.style import Look, Style


def shown(*parts: str, size: tuple[int, int] = (20, 5)) -> list[str]:
    return drawn(*parts, size=size).frame().lines


def drawn(*parts: str, size: tuple[int, int] = (20, 5)) -> Screen:
    screen = Screen(*size)
    for part in parts:
        screen.feed(part.encode())
    return screen


@pytest.mark.parametrize(
    "sequence",
    [
        "\x1b[<u",
        "\x1b[>1u",
        "\x1b[=5;1u",
        "\x1b[4:3m",
        "\x1b[58:2::1:2:3m",
        "\x1b[38;2;1;2;3m",
        "\x1b[!p",
        "\x1b[?2026$p",
        "\x1b[?1;2;3r",
        "\x1b[2 q",
        "\x1b[>0q",
        "\x1b[?u",
        "\x1b(B",
        "\x1b=",
        "\x1bP1$r0m\x1b\\",
        "\x1bP+q544e\x1b\\",
        "\x1b_Ga=q,i=31;AAAA\x1b\\",
        "\x1b^private\x1b\\",
        "\x1bXstart\x1b\\",
        "\x1b]0;title\x07",
        "\x1b]2;title\x1b\\",
        "\x1b]8;;http://host/a\x1b\\",
        "\x1b]10;?\x07",
        "\x1b]133;A\x07",
        "\x1b]9;4;1;50\x07",
        "\x1b[" + "1;" * 400 + "m",
    ],
)
def test_no_sequence_leaves_text_behind_however_it_is_cut(sequence):
    assert shown(f"a{sequence}b")[0] == "ab"
    assert shown("a", *sequence, "b")[0] == "ab"


def test_a_sequence_that_is_cut_off_by_another_is_dropped():
    assert shown("a\x1b[12\x1b[1;5Hb")[0] == "a   b"
    assert shown("a\x1b]0;title\x18b")[0] == "ab"
    assert shown("a\x1b[3\x18b")[0] == "ab"


def test_a_control_inside_of_a_sequence_takes_place_at_once():
    assert shown("ab\x1b[\r1Cc")[0] == "ac"


def test_text_wraps_only_when_the_next_character_comes():
    screen = drawn("12345", size=(5, 3))
    assert (screen.cursor.row, screen.cursor.column) == (0, 4)
    screen.feed(b"6")
    assert screen.frame().lines == ["12345", "6", ""]


def test_wide_characters_take_two_columns_and_never_stay_as_halves():
    assert shown("a中b")[0] == "a中b"
    assert shown("a中b\x1b[1;4HX")[0] == "a中X"
    assert shown("a中b\x1b[1;3HX")[0] == "a Xb"
    assert shown("1234中", size=(5, 2)) == ["1234", "中"]


def test_an_accent_belongs_to_the_character_before_it():
    assert shown("e\u0301x")[0] == "e\u0301x"


def test_the_alternate_screen_leaves_the_main_one_as_it_was():
    screen = drawn("main\x1b[?1049h\x1b[Hother")
    assert screen.frame().alternate
    assert screen.frame().lines[0] == "other"
    screen.feed(b"\x1b[?1049l!")
    assert not screen.frame().alternate
    assert screen.frame().lines[0] == "main!"


def test_only_the_scroll_region_moves():
    lines = shown("1\r\n2\r\n3\r\n4\r\n5\x1b[2;4r\x1b[4;1H\nX")
    assert lines == ["1", "3", "4", "X", "5"]


def test_lines_go_up_and_down_on_request():
    assert shown("1\r\n2\r\n3\x1b[1S") == ["2", "3", "", "", ""]
    assert shown("1\r\n2\r\n3\x1b[1T") == ["", "1", "2", "3", ""]
    assert shown("1\r\n2\r\n3\x1b[H\x1bM") == ["", "1", "2", "3", ""]
    assert shown("1\r\n2\r\n3\x1b[2;1H\x1b[L") == ["1", "", "2", "3", ""]
    assert shown("1\r\n2\r\n3\x1b[1;1H\x1b[2M") == ["3", "", "", "", ""]


def test_characters_are_inserted_deleted_erased_and_repeated():
    assert shown("abcdef\x1b[1;2H\x1b[2@")[0] == "a  bcdef"
    assert shown("abcdef\x1b[1;2H\x1b[2P")[0] == "adef"
    assert shown("abcdef\x1b[1;2H\x1b[2X")[0] == "a  def"
    assert shown("─\x1b[4b")[0] == "─────"


def test_a_frame_that_is_being_drawn_is_not_shown_yet():
    screen = Screen(20, 5)
    screen.feed(b"before", at=1.0)
    screen.feed(b"\x1b[?2026h\x1b[2J\x1b[Hhalf", at=1.0)
    assert screen.frame(1.1).lines[0] == "before"
    assert screen.frame(3.0).lines[0] == "half", "it never ended: show what there is"
    screen.feed(b" whole\x1b[?2026l", at=1.2)
    assert screen.frame(1.2).lines[0] == "half whole"


def test_the_title_the_bell_and_notifications_are_kept():
    screen = drawn("\x1b]0;one\x07\x1b]2;two\x1b\\\x07\x1b]9;look here\x07\x1b]777;notify;done;now\x07")
    frame = screen.frame()
    assert frame.title == "two"
    assert [title for _at, title in frame.titles] == ["one", "two"]
    assert frame.bells == 1
    assert frame.notifications == ("look here", "done;now")


def test_the_cursor_hides_and_is_saved():
    screen = drawn("\x1b[?25lab\x1b7cd\x1b8X")
    assert not screen.frame().cursor_visible
    assert screen.frame().lines[0] == "abXd"


def test_line_drawing_characters_are_drawn():
    assert shown("\x1b(0lqk\x1b(Babc")[0] == "┌─┐abc"


def test_how_characters_look_is_known():
    frame = drawn("\x1b[7;2mab\x1b[0m\x1b[38;5;9mc\x1b[38;2;1;2;3md\x1b[91;48:5:3me").frame()
    assert frame.styles(0, 0, 1) == [Style("", "", Look.REVERSE | Look.DIM)]
    assert frame.styles(0, 2, 5) == [Style("9"), Style("#010203"), Style("9", "3")]


def test_a_question_of_the_program_is_answered():
    answers: list[bytes] = []
    screen = Screen(20, 5, answers.append)
    screen.feed(b"ab\x1b[6n\x1b[c\x1b[5n\x1b[?2004h\x1b[?2004$p")
    assert answers == [b"\x1b[1;3R", b"\x1b[?62;22c", b"\x1b[0n", b"\x1b[?2004;1$y"]


def test_a_smaller_window_keeps_the_cursors_line():
    screen = drawn("1\r\n2\r\n3\r\n4\r\n5")
    screen.resize(20, 3)
    assert screen.frame().lines == ["3", "4", "5"]
    assert screen.frame().cursor_row == 2
    screen = drawn("1\r\n2")
    screen.resize(1, 3)
    assert screen.frame().lines == ["1", "2", ""]


def test_ten_megabytes_take_seconds_and_no_memory():
    screen = Screen(120, 40)
    chunk = "\x1b[32mhello\x1b[0m, 世界: a line of a program's log\r\n".encode() * 200
    start = time.monotonic()
    for _ in range(10_000_000 // len(chunk)):
        screen.feed(chunk)
    assert time.monotonic() - start < 30
    assert len(screen.head) <= 100
    assert all(len(row.cells) == 120 for row in screen.grid.rows)


_FRAGMENTS = st.one_of(
    st.binary(max_size=20),
    st.text(max_size=10).map(str.encode),
    st.sampled_from([b"\x1b", b"\x1b[", b"\x1b]0;", b"\x07", b"\x1b\\", b"\r\n", "中é❯".encode()]),
    st.builds(
        lambda private, numbers, final: f"\x1b[{private}{';'.join(map(str, numbers))}{final}".encode(),
        st.sampled_from(["", "", "?", ">"]),
        st.lists(st.sampled_from([0, 1, 2, 3, 5, 7, 25, 47, 1049, 2026, 99999]), max_size=3),
        st.sampled_from("@ABCDEFGHIJKLMPSTXZ`abcdefghlmnrsu"),
    ),
    st.sampled_from(
        [b"\x1bM", b"\x1b7", b"\x1b8", b"\x1bc", b"\x1bD", b"\x1bE", b"\x1b#8", b"\x1b(0", b"\x0e"]
    ),
)


def contents(screen: Screen) -> object:
    frame = screen.frame()
    cursor = frame.cursor_row, frame.cursor_column, frame.cursor_visible
    return frame.lines, cursor, frame.title, frame.bells, frame.notifications, frame.alternate, screen.head


@given(
    st.lists(_FRAGMENTS, max_size=40).map(b"".join),
    st.lists(st.integers(0, 400), max_size=8),
    st.integers(1, 12),
    st.integers(1, 6),
)
def test_any_bytes_in_any_pieces_give_the_same_screen(data, cuts, columns, rows):
    whole, pieces = Screen(columns, rows), Screen(columns, rows)
    whole.feed(data)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in itertools.pairwise(edges):
        pieces.feed(data[start:end])
    assert contents(whole) == contents(pieces)
    assert all(len(row.cells) == len(row.styles) == columns for row in whole.grid.rows)
    assert len(whole.grid.rows) == rows


@given(
    st.lists(st.one_of(_FRAGMENTS, st.tuples(st.integers(0, 9), st.integers(0, 9))), max_size=30),
)
def test_a_window_may_change_at_any_time(steps):
    screen = Screen(8, 4)
    for step in steps:
        if isinstance(step, bytes):
            screen.feed(step)
        else:
            screen.resize(*step)
        assert len(screen.grid.rows) == screen.rows
        assert 0 <= screen.cursor.row < screen.rows
        assert 0 <= screen.cursor.column < screen.columns
    screen.frame().text()
