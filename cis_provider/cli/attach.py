"""``cis dag attach``: an agent's live terminal."""

from __future__ import annotations

import getpass
import os
from typing import Annotated

import typer

from cis_provider import settings
from cis_provider.cli.agents import at_work, find_rows
from cis_provider.cli.screen import note
from cis_provider.cli.via import ViaOption, maybe_via
from cis_provider.errors import NodeUnreachable, UsageError

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def attach(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's name or id, or a DAG for its latest run; or an ID.")
    ],
    agent: Annotated[
        str | None,
        typer.Argument(
            metavar="AGENT", help="An agent's id, ID, or place in the file; the one at work, if there is one."
        ),
    ] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", "-r", help="Watch; nothing you type reaches the agent.")
    ] = False,
    take: Annotated[
        bool, typer.Option("--take", help="If somebody else has it: take it over; they watch then.")
    ] = False,
    host: ViaOption = None,
) -> None:
    r"""Sit down at an agent's live terminal. Ctrl+\ leaves (setting terminal.detach_key); the agent goes on."""
    maybe_via(host, tty=True)
    from cis_provider.cli.attach_keys import detach_pattern
    from cis_provider.cli.attach_loop import check_terminal

    if read_only and take:
        raise UsageError("--read-only and --take: who takes the terminal over types")
    check_terminal()
    detach_pattern(settings.text("terminal.detach_key"))
    row = at_work(*find_rows(run, agent))
    raise typer.Exit(sit_down(row.session_id, row.title, read_only=read_only, take=take))


def sit_down(session_id: str, title: str, *, read_only: bool, take: bool) -> int:
    """
    Attach to a session of this node until the person leaves, or it ends; the exit code.

    :raises NodeUnreachable: Its worker is gone.
    :raises UsageError: It has not begun, or has ended.
    """
    from cis_provider.cli.attach_keys import detach_pattern, shown
    from cis_provider.cli.attach_loop import Seat, terminal_size
    from cis_provider.node.terminals import socket_of
    from cis_provider.wire.terminal import Attach
    from cis_provider.worker.attach_client import TerminalLink

    key = settings.text("terminal.detach_key")
    columns, rows = terminal_size()
    with TerminalLink(socket_of(session_id)) as link:
        first = link.attach(
            Attach(
                session_id=session_id, columns=columns, rows=rows, read_only=read_only, take=take, who=_who()
            )
        )
        how = "attached to" if first.writer else "watching"
        note(f"{how} {title}; {shown(key)} leaves, and the agent goes on")
        try:
            left = Seat(link, detach_pattern(key)).run(first)
        except NodeUnreachable as error:
            raise NodeUnreachable(
                f"{title}: {error}; `cis dag ps` shows whether it goes on, and attaching again is safe"
            ) from None
    if left.signal:
        return 128 + left.signal
    note(f"{title}: {left.reason}" if left.reason else f"left {title}; it goes on")
    return 0


def _who() -> str:
    """A name for the others: they are all the same user."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    origin = os.environ.get("SSH_CONNECTION", "").partition(" ")[0]
    return f"{user}@{origin}" if origin else user
