"""Terminal bytes as text, durations, scopes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cis_provider.errors import ConfigError
from cis_provider.model.duration import format_duration, parse_duration
from cis_provider.model.scope import TaskScope
from cis_provider.model.text import LineAssembler, last_line, plain_text, variable_name


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (b"\x1b[31mred\x1b[0m\r\n", "red\n"),
        (b"10%\r50%\r100%\r\n", "100%\n"),
        (b"\x1b]0;title\x07text", "text"),
        (b"\x1b[2K\x1b[1Gdone\r\n", "done\n"),
        ("grün 分析\r\n".encode(), "grün 分析\n"),
        (b"a\x08b\x00c", "abc"),
    ],
)
def test_plain_text(shown, text):
    assert plain_text(shown) == text


def test_the_last_line_is_one_with_something_in_it():
    assert last_line(b"one\r\ntwo\r\n\x1b[0m\r\n  \r\n") == "two"
    assert last_line(b"") == ""


@given(st.lists(st.binary(max_size=40), max_size=10))
def test_lines_are_the_same_however_they_arrive(chunks):
    whole = b"".join(chunks)
    lines = LineAssembler()
    got = [line for chunk in chunks for line in lines.feed(chunk)]
    got.append(lines.finish())
    expected = LineAssembler()
    assert got == [*expected.feed(whole), expected.finish()]


def test_a_line_without_end_does_not_fill_the_memory():
    lines = LineAssembler(limit=10)
    assert lines.feed(b"x" * 25) == ["x" * 25]
    assert lines.finish() == ""


def test_variable_names():
    assert variable_name("analyze-deps.2") == "ANALYZE_DEPS_2"


@given(st.integers(1, 10**7))
def test_a_duration_survives_being_written_and_read(seconds):
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize("value", ["", "0", "-5", "5x", "m5", "5m1h", True, 0, "1.5h", "5 m"])
def test_what_is_no_duration(value):
    with pytest.raises(ValueError, match="no duration"):
        parse_duration(value)


@pytest.mark.parametrize("text", ["global", "project:proj-a", "user:123", "type:backup"])
def test_a_scope_survives_being_read_and_written(text):
    assert str(TaskScope.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "project", "project:", "project:a/b", "user:..", "global:x", "team:x", "type:a\n"]
)
def test_what_is_no_scope(text):
    with pytest.raises(ConfigError):
        TaskScope.parse(text)


@given(
    st.lists(
        st.sampled_from(
            [b"a", b"\r", b"\n", b"\r\n", b"\x00", b"\xe2\x82", b"\x1b[31m", b"\x1b]0;t", b"\x07"]
        )
    )
)
def test_many_lines_at_once_are_what_each_of_them_alone_is(parts):
    shown = b"".join(parts)
    lines = LineAssembler()
    assert [*lines.feed(shown), lines.finish()] == plain_text(shown + b"\n").removesuffix("\n").split("\n")
