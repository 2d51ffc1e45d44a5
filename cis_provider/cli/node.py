"""``cis node``: this node's coordinator."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cis_provider.cli.screen import JsonOption, say, say_json
from cis_provider.cli.words import ago

if TYPE_CHECKING:
    from cis_provider.node.client import NodeClient

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="This node's coordinator."
)


@app.command("run")
def run_() -> None:
    """Run the coordinator in the foreground. Whoever needs it first starts it, so nobody has to."""
    from cis_provider.node.main import run

    _log_to_stderr()
    raise typer.Exit(run(stay=True))


@app.command()
def status(as_json: JsonOption = False) -> None:
    """How the coordinator is, and what it has to do."""
    from cis_provider.cli.rows import plain

    with node_client() as node:
        found = node.status()
    if as_json:
        say_json(plain(found))
        return
    say(f"node {found.node_id}, coordinator {found.pid}, up since {ago(time.time() - found.since)}")
    say(f"{found.running} of {found.max_workers} places taken, {found.queued} waiting")
    say(f"{len(found.workers)} scope workers; `cis worker list` shows them")


@app.command()
def stop(
    workers: Annotated[
        bool, typer.Option("--workers", help="Stop the scope workers, too, and with them every agent.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Stop the coordinator. Agents at work go on, unless --workers is given."""
    from cis_provider.errors import NodeUnreachable

    was_there = True
    try:
        with node_client() as node:
            node.stop(workers=workers)
    except NodeUnreachable:
        was_there = False
    answer: dict[str, Any] = {"stopped": was_there, "workers": workers}
    if as_json:
        say_json(answer)
    else:
        say("the coordinator leaves" if was_there else "no coordinator runs on this node")


def _log_to_stderr() -> None:
    import logging

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")


def node_client() -> NodeClient:
    """
    A client of this node's coordinator.

    :raises NodeUnreachable: None runs; the message says how one comes to be.
    """
    from cis_provider.errors import NodeUnreachable
    from cis_provider.node.client import NodeClient

    try:
        return NodeClient("cli", start=False)
    except NodeUnreachable as error:
        raise NodeUnreachable(
            f"{error}; the first agent starts the coordinator, and so does `cis node run`"
        ) from error
