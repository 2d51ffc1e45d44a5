"""Placeholders kept apart from what templates put in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cis_provider.model.placeholders import guard, substitute, unguard


def test_what_a_template_puts_in_names_no_secret():
    text, tokens = guard("Bearer ${TOKEN} for {{ who }}")
    rendered = text.replace("{{ who }}", "${PASSWORD}")
    assert (
        substitute(unguard(rendered, tokens), {"TOKEN": "t", "PASSWORD": "p"}.get)
        == "Bearer t for ${PASSWORD}"
    )


@given(st.lists(st.sampled_from(["${A}", "${B:-c}", "$${A}", "text", "$", "{", "}", "${"])).map("".join))
def test_a_text_without_templates_means_the_same_afterwards(text):
    values = {"A": "1", "B": "2"}.get
    from cis_provider.errors import ConfigError

    try:
        expected = substitute(text, values)
    except ConfigError:
        return
    assert substitute(unguard(*guard(text)), values) == expected
