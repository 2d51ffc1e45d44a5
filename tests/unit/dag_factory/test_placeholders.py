"""``${NAME}``."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cis_provider.errors import ConfigError
from cis_provider.model.placeholders import malformed_in, placeholders_in, substitute, unset_in


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("${A}", "1"),
        ("x${A}y${B:-z}", "x1yz"),
        ("${EMPTY}|${EMPTY:-default}|${A:-default}", "|default|1"),
        ("$${A} $A $$ {A}", "${A} $A $$ {A}"),
        ("$$${A}", "$${A}"),
        ("${B:-}", ""),
        ("${B:-a:-b $5}", "a:-b $5"),
        ("${LOOP}", "${A}"),
    ],
)
def test_values_take_the_place_of_placeholders(text: str, result: str) -> None:
    assert substitute(text, {"A": "1", "EMPTY": "", "LOOP": "${A}"}.get) == result


def test_every_unset_name_is_in_the_error() -> None:
    with pytest.raises(ConfigError, match=r"not set: X, Y$"):
        substitute("${X} ${Y} ${X} ${A:-1}", {}.get)
    assert unset_in("a ${X}", {}.get) == [(2, "X")]


def test_names_are_listed_once_in_order() -> None:
    assert placeholders_in("${B:-1} ${A} ${B} $${C}") == ["B", "A"]


@pytest.mark.parametrize("text", ["${}", "${a b}", "${a.b}", "${#a}", "${a", "${A:-${B}}", "${1}"])
def test_what_begins_like_a_placeholder_and_is_none_is_an_error(text: str) -> None:
    assert malformed_in(text)
    with pytest.raises(ConfigError, match="no placeholder"):
        substitute(text, {"A": "1", "a": "1"}.get)


@given(st.text())
def test_text_that_was_escaped_comes_back(text: str) -> None:
    assert substitute(text.replace("${", "$${"), {}.get) == text or text.endswith("$")


@given(st.text(alphabet="${}AB:-\n x"))
def test_any_text_is_settled_or_refused(text: str) -> None:
    try:
        substitute(text, {"A": "1"}.get)
    except ConfigError:
        assert malformed_in(text) or unset_in(text, {"A": "1"}.get)
