"""Secrets in output."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cis_provider.worker.mask import SecretMask


def masked(secrets: list[str], chunks: list[bytes]) -> bytes:
    mask = SecretMask(secrets)
    return b"".join([*(mask.feed(chunk) for chunk in chunks), mask.finish()])


def test_a_secret_is_hidden():
    assert masked(["hunter22"], [b"password: hunter22\r\n"]) == b"password: ***\r\n"


def test_a_secret_in_pieces_is_hidden_and_ordinary_text_is_not_held_back():
    mask = SecretMask(["hunter22"])
    assert mask.feed(b"the prompt> ") == b"the prompt> "
    assert mask.feed(b"hun") == b""
    assert mask.feed(b"ter22!") == b"***!"


def test_a_secret_of_several_lines_is_hidden_as_a_terminal_shows_it():
    assert masked(["line one\nline two"], [b"line one\r\nline two\r\n"]) == b"***\r\n"


def test_short_values_are_left_alone():
    assert masked(["yes"], [b"yes, yesterday"]) == b"yes, yesterday"


@given(st.lists(st.sampled_from([b"aaaaaab", b"aaaaaa", b"a", b"b", b"xyz"]), max_size=12), st.data())
def test_no_secret_gets_through_however_it_is_cut(parts, data):
    text = b"".join(parts)
    chunks, rest = [], text
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        chunks.append(rest[:size])
        rest = rest[size:]
    shown = masked(["aaaaaab", "aaaaaa"], chunks)
    assert b"aaaaaa" not in shown


@given(st.lists(st.binary(max_size=20), max_size=8))
def test_text_without_secrets_arrives_as_it_was(chunks):
    assert masked(["never-in-there"], chunks) == b"".join(chunks)
