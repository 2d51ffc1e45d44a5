"""
``${NAME}`` in the keys of a CIS file that shape its DAG, settled when the file is loaded.

In ``env``, ``headers``, ``config`` and in prompts they stay as they are: those are read on the node, when
the agent runs, so that no secret gets into Airflow's database. In a shell agent's command and in ``check``
``${...}`` is bash's own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from cis_provider.model.placeholders import malformed_in, substitute, unset_in
from dag_factory.blocked_keys import HUMAN
from dag_factory.diagnostics import Diagnostic
from dag_factory.document import Document, Path

Lookup = Callable[[str], str | None]

#: Keys whose text is not settled at load, with everything below them.
LEFT_ALONE = frozenset({"env", "prompt", "command", "check", "config", "output_schema"})

#: The same for one of ``mcp_servers``, whose command is no prompt.
_LEFT_ALONE_OF_SERVER = frozenset({"env", "headers"})

_QUESTION = frozenset({"prompt", "command"})

_MALFORMED_HINT = "write ${NAME}, ${NAME:-default}, or $${ for a plain ${"


def settle(document: Document, data: Any, lookup: Lookup = os.environ.get) -> tuple[Any, list[Diagnostic]]:
    """
    A copy of ``data`` with its placeholders filled in.

    :param lookup: A name's value, ``None`` where it is unset.
    :return: The copy, in which what could not be settled is left, and what is wrong.
    """
    settler = _Settler(document, lookup)
    return settler.settle(data, ()), settler.diagnostics


def malformed(document: Document, path: Path, text: str) -> list[Diagnostic]:
    """Every ``${`` that begins no placeholder, in a text that is read on the node."""
    return [
        Diagnostic(
            document.file,
            *document.place_in_text(path, at),
            "F007",
            f"{bad!r} is no placeholder",
            _MALFORMED_HINT,
        )
        for at, bad in malformed_in(text)
    ]


def unset(
    document: Document, path: Path, missing: Sequence[tuple[int, str]], why: str = ""
) -> list[Diagnostic]:
    """
    Placeholders without a value, in a text that is read at load.

    :param missing: Offsets in the text, and names.
    :param why: Added to the way out.
    """
    found = []
    for at, name in missing:
        place = document.place_in_text(path, at)
        hint = f"set it where Airflow's dag processor runs, or write ${{{name}:-default}}"
        hint += f"; {why}" if why else ""
        found.append(Diagnostic(document.file, *place, "F006", f"${{{name}}} is not set", hint))
    return found


class _Settler:
    def __init__(self, document: Document, lookup: Lookup) -> None:
        self._document = document
        self._lookup = lookup
        self.diagnostics: list[Diagnostic] = []

    def settle(self, value: Any, path: Path) -> Any:
        if isinstance(value, str):
            return self._text(value, path) if "${" in value else value
        if isinstance(value, dict):
            alone = LEFT_ALONE
            if value.get("type") == HUMAN:
                alone = LEFT_ALONE - _QUESTION  # no node reads it
            elif "mcp_servers" in path:
                alone = frozenset() if path[-1] == "mcp_servers" else _LEFT_ALONE_OF_SERVER
            return {
                key: item if key in alone else self.settle(item, (*path, key)) for key, item in value.items()
            }
        if isinstance(value, list):
            return [self.settle(item, (*path, index)) for index, item in enumerate(value)]
        return value

    def _text(self, text: str, path: Path) -> str:
        found = malformed(self._document, path, text)
        found += unset(self._document, path, unset_in(text, self._lookup))
        if found:
            self.diagnostics.extend(found)
            return text
        return substitute(text, self._lookup)
