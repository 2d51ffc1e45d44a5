"""Words on stdout and stderr: what every command shares. Rich is loaded for terminals only."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Sequence
from typing import Annotated, Any

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print records as JSON.")]


def say(text: str = "") -> None:
    """A line of what was asked for."""
    print(text, flush=True)


def note(text: str) -> None:
    """A line about what is going on; never part of what was asked for."""
    print(text, file=sys.stderr, flush=True)


def say_json(value: Any) -> None:
    """A record, or a list of them, as JSON values."""
    indent = 2 if sys.stdout.isatty() else None
    print(json.dumps(value, ensure_ascii=False, indent=indent, default=str), flush=True)


def interactive() -> bool:
    """Whether a person looks at stdout."""
    return sys.stdout.isatty()


def table(heads: Sequence[str], lines: Sequence[Sequence[str]], *, last_is_long: bool = False) -> None:
    """
    Print columns. In a terminal, nothing wraps: a last column that is long is cut to fit.

    :param last_is_long: The last column may be cut; the others never are.
    """
    if interactive():
        from cis_provider.cli.render import print_table

        print_table(heads, lines, last_is_long=last_is_long)
        return
    for line in aligned([heads, *lines]):
        say(line)


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Columns as plain lines; wide (CJK) characters count twice."""
    if not lines:
        return []
    widths = [max(width(line[i]) for line in lines) for i in range(len(lines[0]))]
    return [
        "   ".join(
            text + " " * (size - width(text)) for text, size in zip(line, widths, strict=True)
        ).rstrip()
        for line in lines
    ]


def width(text: str) -> int:
    """Cells of a terminal that a text takes."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )
