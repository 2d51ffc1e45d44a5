"""``cis worker``: the processes that run agents. ``cis dag worker`` is the same."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from cis_provider.cli.node import node_client
from cis_provider.cli.screen import JsonOption, say, say_json, table
from cis_provider.cli.words import ago, size

if TYPE_CHECKING:
    from cis_provider.wire.messages import Status

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Scope workers: the processes that run agents.",
)


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """The scope workers of this node."""
    from cis_provider.cli.rows import plain

    found = _status()
    if as_json:
        say_json(plain(found.workers))
    else:
        _table(found)


@app.command()
def status(as_json: JsonOption = False) -> None:
    """The node's limit, its workers, and the agents at work."""
    from cis_provider.cli.rows import plain

    with node_client() as node:
        found, sessions = node.status(), node.sessions(alive=True)
    if as_json:
        say_json({**plain(found), "sessions": plain(sessions)})
        return
    say(f"node {found.node_id}: {found.running} of {found.max_workers} places taken, {found.queued} waiting")
    say()
    _table(found)
    if sessions:
        say()
        lines = [
            (
                record.key.task_id,
                record.key.dag_id,
                record.state.value,
                record.worker,
                str(record.pid or ""),
                f"waiting for {record.waiting_for}" if record.waiting_for else record.last_line,
            )
            for record in sessions
        ]
        table(("AGENT", "DAG", "STATUS", "WORKER", "PID", "OUTPUT"), lines, last_is_long=True)


@app.command("run")
def run_(
    worker_id: Annotated[str, typer.Option("--id", help="The worker's name, e.g. worker-global.")],
    scope: Annotated[
        str, typer.Option("--scope", help="Whose agents it runs: global, project:ID, user:ID or type:ID.")
    ] = "global",
) -> None:
    """Run a scope worker in the foreground. The coordinator starts them when there is work."""
    import logging

    from cis_provider.worker.main import run

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    raise typer.Exit(run(worker_id, scope))


def _status() -> Status:

    with node_client() as node:
        return node.status()


def _table(found: Status) -> None:
    now = time.time()
    lines = [
        (
            worker.name,
            worker.scope,
            str(worker.pid),
            str(worker.sessions),
            str(worker.queued),
            size(worker.memory_kb),
            ago(now - worker.since),
        )
        for worker in found.workers
    ]
    table(("WORKER", "SCOPE", "PID", "AGENTS", "WAITING", "MEMORY", "STARTED"), lines)
