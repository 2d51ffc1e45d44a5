"""What a terminal program said, line by line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cis_provider.runtimes.terminal.transcript import LIMIT, Transcript
from cis_provider.screens.screen import Screen


def told(*chunks: str, columns: int = 20, rows: int = 4) -> tuple[list[str], str]:
    """The lines that are told when it is looked at after each chunk, and the text in the end."""
    lines: list[str] = []
    screen = Screen(columns, rows)
    transcript = Transcript(screen, lines.append)
    for chunk in chunks:
        screen.feed(chunk.replace("\n", "\r\n").encode())
        transcript.tell()
    transcript.tell(last=True)
    return lines, transcript.text()


def test_lines_are_told_once_and_in_order():
    text = "".join(f"line {number}\n" for number in range(9)) + "rest"
    assert told(text) == (text.split("\n"), text)
    assert told(*text)[0] == text.split("\n")


def test_a_line_that_is_longer_than_the_screen_is_one_line():
    lines, text = told("x" * 50 + "\n", "y" * 45)
    assert lines == ["x" * 50, "y" * 45]
    assert text == "x" * 50 + "\n" + "y" * 45
    assert told("x" * 50 + "\n" * 6 + "y")[0] == ["x" * 50, "", "", "", "", "", "y"]


def test_a_line_is_told_when_the_cursor_has_left_it():
    assert told("50%", "\r100%", "\ndone")[0] == ["100%", "done"]


def test_lines_that_are_written_anew_are_told_anew():
    lines, text = told("one\ntwo\n", "\x1b[2A\x1b[Jthree\n")
    assert lines == ["one", "two", "three"]
    assert text == "three"


def test_what_was_said_before_is_forgotten_on_request():
    screen = Screen(20, 3)
    transcript = Transcript(screen, lambda line: None)
    screen.feed(b"1\r\n2\r\n3\r\n4")
    transcript.begin()
    screen.feed(b"\r\n5")
    assert transcript.text() == "2\n3\n4\n5"


def test_of_a_flood_the_end_is_kept():
    screen = Screen(120, 5)
    transcript = Transcript(screen, lambda line: None)
    for number in range(20):
        screen.feed((f"{number} " + "x" * 99 + "\r\n").encode() * 1000)
    text = transcript.text()
    assert LIMIT - 200 < len(text) < LIMIT + 1000
    assert text.splitlines()[-1].startswith("19 ")


@given(st.lists(st.text("ab\n", max_size=30), max_size=8), st.integers(2, 9), st.integers(1, 5))
def test_plain_text_is_told_whole_however_it_comes(chunks, columns, rows):
    lines, text = told(*chunks, columns=columns, rows=rows)
    whole = "".join(chunks)
    assert text == whole.strip("\n")
    assert "\n".join(lines).rstrip("\n") == whole.rstrip("\n")
