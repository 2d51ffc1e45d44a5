"""``cis doctor``: what is missing on this machine, and how to get it."""

from __future__ import annotations

import typer

from cis_provider.cli.screen import JsonOption, interactive, say, say_json

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_COLOURS = {"ok": "\x1b[32m", "warn": "\x1b[33m", "fail": "\x1b[31m"}


@app.command()
def doctor(as_json: JsonOption = False) -> None:
    """What is missing on this machine, and how to get it. Exits with 1 when something needed is."""
    from cis_provider.cli.checks import all_checks

    found = list(all_checks())
    if as_json:
        say_json([check._asdict() for check in found])
    else:
        for check in found:
            word = f"{_COLOURS[check.state]}{check.state:4}\x1b[0m" if interactive() else f"{check.state:4}"
            say(f"{word}  {check.name:14} {check.found}")
            if check.remedy and check.state != "ok":
                say(f"{'':20} -> {check.remedy}")
    if any(check.state == "fail" for check in found):
        raise typer.Exit(1)
