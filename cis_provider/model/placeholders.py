"""
``${NAME}`` and ``${NAME:-default}`` in text; ``$${NAME}`` stands for the characters ``${NAME}``.

Pure: where a name's value comes from is the caller's business. As in bash, ``:-`` takes the default when
the name is unset or empty. A default holds no ``}`` and no other placeholder.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from cis_provider.errors import ConfigError

_TOKEN = re.compile(
    r"\$\$\{(?P<literal>)"
    r"|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>(?:(?!\$\{)[^}])*))?\}"
    r"|(?P<bad>\$\{[^\s}]{0,40}\}?)"
)


_MARK = re.compile(r"\x00(\d+)\x00")


def placeholders_in(text: str) -> list[str]:
    """The names of all placeholders, each once, in the order of the text."""
    return list(dict.fromkeys(match["name"] for match in _tokens(text) if match["name"]))


def malformed_in(text: str) -> list[tuple[int, str]]:
    """Every ``${`` that begins no placeholder: its offset in ``text``, and how it looks."""
    return [(match.start(), match["bad"]) for match in _tokens(text) if match["bad"]]


def unset_in(text: str, lookup: Callable[[str], str | None]) -> list[tuple[int, str]]:
    """Every placeholder without a value and without a default: its offset in ``text``, and its name."""
    return [
        (match.start(), match["name"])
        for match in _tokens(text)
        if match["name"] and match["default"] is None and lookup(match["name"]) is None
    ]


def substitute(text: str, lookup: Callable[[str], str | None]) -> str:
    """
    Put values in the place of placeholders. Values are not looked into again.

    :param lookup: A name's value, ``None`` where it is unset.
    :raises ConfigError: Names are unset, all of which are listed, or a ``${`` begins no placeholder.
    """
    if "${" not in text:
        return text
    if malformed := malformed_in(text):
        looks = ", ".join(repr(bad) for _, bad in malformed)
        raise ConfigError(
            f"no placeholder: {looks}; write ${{NAME}}, ${{NAME:-default}}, or $${{ for a plain ${{"
        )
    if unset := dict.fromkeys(name for _, name in unset_in(text, lookup)):
        raise ConfigError(f"not set: {', '.join(unset)}")
    return _TOKEN.sub(lambda match: _value(match, lookup), text)


def guard(text: str) -> tuple[str, list[str]]:
    """
    Take the placeholders out of a text before something else is put into it.

    What a template puts in, a run's params for example, must not name the node's secrets.

    :return: The text with marks in their places, and what :func:`unguard` puts back.
    """
    tokens: list[str] = []

    def mark(match: re.Match[str]) -> str:
        tokens.append(match[0])
        return f"\x00{len(tokens) - 1}\x00"

    return _TOKEN.sub(mark, text), tokens


def unguard(text: str, tokens: list[str]) -> str:
    """Put them back; every other ``${`` is escaped, and stays text."""
    return _MARK.sub(lambda match: tokens[int(match[1])], text.replace("${", "$${"))


def _value(match: re.Match[str], lookup: Callable[[str], str | None]) -> str:
    name = match["name"]
    if name is None:
        return "${"
    value, default = lookup(name), match["default"]
    if default is not None:
        return value or default
    return value or ""


def _tokens(text: str) -> Iterator[re.Match[str]]:
    return _TOKEN.finditer(text) if "${" in text else iter(())
