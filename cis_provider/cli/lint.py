"""``cis lint`` and ``cis schema``."""

from __future__ import annotations

import enum
import json
from pathlib import Path
from typing import Annotated

import typer

from cis_provider.cli.screen import JsonOption, note, say

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class Format(enum.StrEnum):
    """How mistakes are printed."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"


@app.command()
def lint(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE|FOLDER...", help="CIS files, and folders of them.")
    ],
    style: Annotated[
        Format, typer.Option("--format", help="github: marks beside the lines of a pull request.")
    ] = (Format.TEXT),
    as_json: JsonOption = False,
) -> None:
    """Check CIS files; exits with 1 when there is a mistake. Warnings (W...) are none."""
    from cis_provider.errors import UsageError
    from dag_factory.diagnostics import render
    from dag_factory.lint import lint_paths

    missing = [str(file) for file in files if not file.exists()]
    if missing:
        raise UsageError(f"no such file: {', '.join(missing)}")
    found = lint_paths(files)
    chosen = Format.JSON if as_json else style
    if found or chosen is Format.JSON:
        say(render(found, chosen.value))
    mistakes = [diagnostic for diagnostic in found if not diagnostic.is_warning]
    if mistakes:
        places = len({diagnostic.file for diagnostic in mistakes})
        note(f"{_count(len(mistakes), 'mistake')} in {_count(places, 'file')}")
        raise typer.Exit(1)
    if chosen is Format.TEXT:
        note("no mistakes")


@app.command()
def schema() -> None:
    """Print the JSON schema of a CIS file, for editors."""
    from dag_factory.json_schema import cis_schema

    say(json.dumps(cis_schema(), ensure_ascii=False, indent=2))


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
