"""``cis config``: the settings of this node, and where each value comes from."""

from __future__ import annotations

from typing import Annotated

import typer

from cis_provider.cli.screen import JsonOption, note, say, say_json, table

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Settings: their values, and where those come from.",
)


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """Every setting, its value and its source. Exits with 1 when one cannot work, or has no reader."""
    from cis_provider.cli.config_report import all_settings, mistakes, shown
    from cis_provider.cli.rows import plain

    lines = all_settings()
    wrong = mistakes(lines)
    if as_json:
        say_json({"settings": plain(lines), "mistakes": wrong})
    else:
        rows = [(line.name, shown(line.value), line.source or "WRONG", line.meaning) for line in lines]
        table(("SETTING", "VALUE", "SOURCE", "MEANING"), rows, last_is_long=True)
        for problem in wrong:
            note(problem)
    if wrong:
        raise typer.Exit(1)


@app.command()
def get(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A setting, e.g. worker.max_concurrent_tasks.")],
    as_json: JsonOption = False,
) -> None:
    """The value of one setting."""
    from cis_provider.cli.config_report import all_settings, near, shown
    from cis_provider.cli.rows import plain
    from cis_provider.errors import ConfigError, UsageError

    found = next((line for line in all_settings() if line.name == name), None)
    if found is None:
        raise UsageError(f"there is no setting {name!r}{near(name)}; `cis config list` shows all")
    if found.problem:
        raise ConfigError(found.problem)
    if as_json:
        say_json(plain(found))
    else:
        say(shown(found.value))
