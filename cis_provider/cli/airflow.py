"""``cis airflow``: the embedded Airflow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cis_provider.cli.screen import JsonOption, note, say, say_json, table
from cis_provider.cli.words import duration

if TYPE_CHECKING:
    from cis_provider.embedded.api import ComponentStatus

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="The embedded Airflow."
)


@app.command()
def start(
    wait: Annotated[float, typer.Option("--wait", help="Seconds until all of it must be healthy.")] = 60.0,
    as_json: JsonOption = False,
) -> None:
    """Start it, if it does not run, and wait until it is healthy."""
    from cis_provider.embedded import api

    found = api.start(wait=wait, progress=note)
    if as_json:
        say_json({"url": found.url, "user": found.user})
        return
    say(found.url)
    note(f"user {found.user}; `cis airflow password` prints the password")


@app.command()
def stop(
    timeout: Annotated[
        float, typer.Option("--timeout", help="Seconds; then all that is left is killed.")
    ] = 30.0,
    as_json: JsonOption = False,
) -> None:
    """Stop it. Agents at work go on, and their results arrive when it is started again."""
    from cis_provider.embedded import api

    api.stop(timeout)
    if as_json:
        say_json({"stopped": True})
    else:
        say("Airflow is stopped")


@app.command()
def status(as_json: JsonOption = False) -> None:
    """What runs of it, and how it is. Exits with 3 when it is not healthy."""
    from cis_provider.embedded import api

    found = api.status()
    if as_json:
        components = [vars(one) for one in found.components]
        say_json(
            {"phase": found.phase.value, "healthy": found.healthy, "url": found.url, "error": found.error}
            | {"components": components}
        )
    else:
        say(f"{found.phase.value}{f' at {found.url}' if found.phase.value == 'ready' else ''}")
        if found.error:
            say(found.error)
        if found.components:
            say()
            table(("PART", "PID", "UP", "RESTARTS", "STATE"), [_line(one) for one in found.components])
    if not found.healthy:
        raise typer.Exit(3)


@app.command()
def url(as_json: JsonOption = False) -> None:
    """Print its address."""
    from cis_provider.cli.connect import connect

    with connect() as api:
        say_json({"url": api.url}) if as_json else say(api.url)


@app.command()
def password(as_json: JsonOption = False) -> None:
    """Print the password of its one user."""
    from cis_provider.embedded import api, secrets

    found = api.password()
    say_json({"user": secrets.USER, "password": found}) if as_json else say(found)


@app.command()
def logs(
    part: Annotated[
        str | None,
        typer.Argument(metavar="PART", help="scheduler, triggerer, ...; all of them by default."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Stay, and show what is added.")] = False,
    lines: Annotated[int, typer.Option("--tail", "-n", help="Lines of each to begin with.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """What its processes write."""
    from cis_provider.cli.component_logs import show
    from cis_provider.cli.runs import suggestion
    from cis_provider.embedded import api
    from cis_provider.errors import UsageError

    files: dict[str, Path] = api.log_files()
    if part is not None:
        if part not in files:
            known = ", ".join(files) or "none yet: it was never started"
            raise UsageError(f"no part {part!r}{suggestion(part, files)}; there are {known}")
        files = {part: files[part]}
    show(files, lines=lines, follow=follow, as_json=as_json)


def _line(one: ComponentStatus) -> tuple[str, str, str, str, str]:
    alive = one.problem or "healthy"
    down = f"down: {one.last_exit}" if one.last_exit else "down"
    return one.name, str(one.pid or ""), duration(one.uptime), str(one.restarts), alive if one.alive else down
