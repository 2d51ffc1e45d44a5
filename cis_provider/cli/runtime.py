"""``cis runtime``: types of agent, and what is there of them on this machine."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from cis_provider.cli.screen import JsonOption, note, say, say_json, table

if TYPE_CHECKING:
    from cis_provider.runtimes.health import Health

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Types of agent: programs, versions, logins.",
)

_HEADS = ("TYPE", "STATE", "VERSION", "LOGIN", "PROGRAM", "NOTE")


@app.callback()
def group() -> None:
    """Types of agent: programs, versions, logins."""


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """All types of agent, and whether this machine has their programs. Asks each for its version only."""
    from cis_provider.errors import PermanentAgentError
    from cis_provider.runtimes.health import Health, survey
    from cis_provider.runtimes.registry import REGISTRY

    descriptors, broken = [], []
    for name in REGISTRY.types():
        try:
            descriptors.append(REGISTRY.get(name))
        except PermanentAgentError as error:
            broken.append(Health(type=name, message=str(error)))
    found = [*asyncio.run(survey(descriptors)), *broken]
    if as_json:
        say_json([_record(health) for health in found])
        return
    table(_HEADS, [_line(health) for health in found], last_is_long=True)


@app.command()
def check(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A type of agent, such as claude.")],
    as_json: JsonOption = False,
) -> None:
    """Look at one type closely: program, version, login. Costs no tokens. Exits with 1 if it cannot run."""
    from cis_provider.errors import PermanentAgentError, UsageError
    from cis_provider.runtimes.health import probe
    from cis_provider.runtimes.registry import REGISTRY

    if name not in REGISTRY.types():
        raise UsageError(f"no type of agent {name!r}; there are {', '.join(REGISTRY.types())}")
    try:
        descriptor = REGISTRY.get(name)
    except PermanentAgentError as error:
        note(f"cis: {error}")
        raise typer.Exit(1) from None
    health = asyncio.run(probe(descriptor, ask_login=True))
    if as_json:
        say_json(_record(health) | {"capabilities": sorted(descriptor.capabilities)})
    else:
        _say(health, descriptor.tested)
    if not health.ok:
        raise typer.Exit(1)


def _record(health: Health) -> dict[str, object]:
    return {name: getattr(health, name) for name in health.__struct_fields__}


def _state(health: Health) -> str:
    if not health.ok:
        return "missing" if not health.path else "no login" if health.login == "no" else "broken"
    return "untested" if health.supported is False else "ok"


def _line(health: Health) -> tuple[str, ...]:
    note = health.how_to_install if _state(health) == "missing" else health.message
    return (
        health.type,
        _state(health),
        health.installed_version or "-",
        health.login or "-",
        health.path or "-",
        " ".join(note.split()),
    )


def _say(health: Health, tested: tuple[str, str]) -> None:
    lines = [
        ("type", f"{health.type} ({health.display_name})"),
        ("state", _state(health)),
        ("program", health.path),
        ("version", health.installed_version),
        ("tested", f"{tested[0]} and newer, older than {tested[1]}" if tested[0] else ""),
        ("login", f"{health.login} {f'({health.login_by})' if health.login_by else ''}".strip()),
        ("note", health.message),
        ("install", health.how_to_install if _state(health) == "missing" else ""),
    ]
    for name, text in lines:
        if text:
            say(f"{name:8} {text}")
