"""``cis dag attach``: an agent's live terminal."""

from __future__ import annotations

import getpass
import os
from typing import TYPE_CHECKING, Annotated

import typer

from cis_provider import settings
from cis_provider.cli.screen import note
from cis_provider.cli.via import ViaOption, maybe_via
from cis_provider.errors import NodeUnreachable, UsageError

if TYPE_CHECKING:
    from cis_provider.cli.rows import Row, RunView

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
    row = _found(run, agent)
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


def _found(run: str, agent: str | None) -> Row:
    from cis_provider.cli.connect import connect
    from cis_provider.cli.gather import Gatherer
    from cis_provider.cli.runs import resolve_agent

    with Gatherer(connect()) as gather:
        found, name, position = gather.find(run)
        view = gather.view(found, name)
        if agent is None and position is None:
            return _only(view)
        ids = {row.id: row.agent for row in view.agents}
        task_id = resolve_agent(agent if agent is not None else str(position), ids, view.run)
        rows = [row for row in view.agents if row.agent == task_id]
        return _at_work([row for row in rows if row.id == agent] or rows, view)


def _only(view: RunView) -> Row:
    """The agent that is meant where none is named."""
    there = [row for row in view.agents if row.session_id and row.status in ("running", "blocked")]
    waiting = [row for row in there if row.status == "blocked"]
    if len(waiting) == 1:
        return waiting[0]
    if len(there) == 1:
        return there[0]
    words = ", ".join(row.title for row in there)
    raise UsageError(
        f"which agent of {view.run}? at work: {words}" if there else f"no agent of {view.run} is at work now"
    )


def _at_work(rows: list[Row], view: RunView) -> Row:
    there = [row for row in rows if row.session_id and row.status in ("running", "blocked")]
    if len(there) > 1:
        words = ", ".join(row.id for row in there)
        raise UsageError(f"{there[0].agent} is mapped; write the ID of one: {words}")
    if there:
        return there[0]
    row = rows[0]
    if row.session_id:
        raise UsageError(
            f"{row.title} is {row.status}; `cis session play {view.run} {row.agent}` shows what its terminal "
            "showed"
        )
    why = f" ({row.output})" if row.output else ""
    raise UsageError(f"{row.title} is {row.status}{why}; it has no terminal yet")


def _who() -> str:
    """A name for the others: they are all the same user."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    origin = os.environ.get("SSH_CONNECTION", "").partition(" ")[0]
    return f"{user}@{origin}" if origin else user
