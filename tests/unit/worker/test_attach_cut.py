"""What comes out of a cutter ends at a place where a screen may be painted anew."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cis_provider.worker.attach_cut import Cutter

_WHOLE = [
    "words",
    "漢",
    "\x1b[31m",
    "\x1b[?25l",
    "\x1b7",
    "\x1b(0",
    "\x1b]2;title\x07",
    "\x1b]2;t\x1b\\",
    "\r\n",
]
streams = st.lists(st.sampled_from(_WHOLE), max_size=12)


@given(streams, st.data())
def test_however_it_is_cut_only_whole_pieces_come_out_and_all_of_them(
    pieces: list[str], data: st.DataObject
) -> None:
    stream = "".join(pieces).encode()
    ends = {0}
    for piece in pieces:
        step = [len(char.encode()) for char in piece] if piece[0] != "\x1b" else [len(piece.encode())]
        for size in step:
            ends.add(max(ends) + size)
    cutter, out, place = Cutter(), b"", 0
    while place < len(stream):
        size = data.draw(st.integers(1, 7))
        out += cutter.feed(stream[place : place + size])
        place += size
        assert len(out) in ends
    assert out == stream


def test_questions_that_we_answer_ourselves_are_not_passed_on() -> None:
    assert Cutter().feed(b"a\x1b[c\x1b[0c\x1b[>c\x1b[>0c\x1b[5n\x1b[6n\x1b[?2026$pz") == b"az"
    cutter = Cutter()
    assert cutter.feed(b"a\x1b[6") + cutter.feed(b"nz") == b"az"


def test_questions_that_only_a_real_terminal_can_answer_are_passed_on() -> None:
    asked = b"\x1b]11;?\x07\x1b[?u\x1b[>q"
    assert Cutter().feed(asked) == asked


def test_a_string_without_an_end_is_not_held_for_ever() -> None:
    cutter = Cutter()
    given_, out = 0, 0
    for _ in range(20):
        given_ += 65536
        out += len(cutter.feed(b"\x1b]52;c;" + b"A" * (65536 - 7) if not out else b"A" * 65536))
    assert given_ - out < 600_000
