"""``cis worker``: the processes that run agents. ``cis dag worker`` is the same."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Annotated

import typer

from cis_provider.cli.node import node_client
from cis_provider.cli.screen import JsonOption, say, say_json, table
from cis_provider.cli.words import ago, size

if TYPE_CHECKING:
    from cis_provider.model.session import SessionRecord
    from cis_provider.wire.messages import Status, WorkerInfo

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Scope workers: the processes that run agents.",
)


_NAME_HELP = "A worker, e.g. worker-project-a, or its scope, project:a."

NameArgument = Annotated[str | None, typer.Argument(metavar="NAME", help=_NAME_HELP)]


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """The scope workers of this node."""
    from cis_provider.cli.rows import plain

    with node_client() as node:
        found = node.status()
    if as_json:
        say_json(plain(found.workers))
    else:
        _table(found.workers)


@app.command()
def status(name: NameArgument = None, as_json: JsonOption = False) -> None:
    """The node's limit, its workers, and the agents at work; or one worker, its agents and its queue."""
    from cis_provider.cli.rows import plain

    with node_client() as node:
        found, sessions = node.status(), node.sessions(alive=True)
    if name:
        _status_of_one(_known(name, found, sessions), found, sessions, as_json)
        return
    if as_json:
        say_json({**plain(found), "sessions": plain(sessions)})
        return
    say(f"node {found.node_id}: {found.running} of {found.max_workers} places taken, {found.queued} waiting")
    say()
    _table(found.workers)
    if sessions:
        say()
        lines = [
            (
                record.key.task_id,
                record.key.dag_id,
                record.state.value,
                record.worker,
                str(record.pid or ""),
                _doing(record),
            )
            for record in sessions
        ]
        table(("AGENT", "DAG", "STATUS", "WORKER", "PID", "OUTPUT"), lines, last_is_long=True)


@app.command()
def stop(
    name: Annotated[str, typer.Argument(metavar="NAME", help=_NAME_HELP)],
    now: Annotated[bool, typer.Option("--now", help="End its agents; else it finishes them first.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Have a scope worker leave. What waits for it, and what comes later, gets a new one."""
    with node_client() as node:
        found, sessions = node.status(), node.sessions(alive=True)
        worker = _known(name, found, sessions)
        node.stop_worker(worker, now=now)
    count = sum(record.worker == worker and record.state != "queued" for record in sessions)
    if as_json:
        say_json({"worker": worker, "now": now, "sessions": count})
    elif not count:
        say(f"{worker} leaves")
    elif now:
        say(f"{worker} ends {_agents(count)} and leaves")
    else:
        say(f"{worker} finishes {_agents(count)} and leaves; new ones wait for the next worker")


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


def _status_of_one(name: str, found: Status, sessions: list[SessionRecord], as_json: bool) -> None:
    from cis_provider.cli.rows import plain

    worker = next((one for one in found.workers if one.name == name), None)
    its = [record for record in sessions if record.worker == name]
    if as_json:
        say_json({"worker": worker and plain(worker), "name": name, "sessions": plain(its)})
        return
    if worker:
        _table([worker])
        if worker.leaving:
            say(f"it {worker.leaving}")
    else:
        say(f"{name} does not run yet; {_agents(len(its))} wait{'' if len(its) != 1 else 's'} for it")
    if its:
        say()
        lines = [
            (
                record.key.task_id,
                record.key.dag_id,
                record.key.run_id,
                record.state.value,
                str(record.pid or ""),
                _doing(record),
            )
            for record in its
        ]
        table(("AGENT", "DAG", "RUN", "STATUS", "PID", "OUTPUT"), lines, last_is_long=True)


def _known(name: str, found: Status, sessions: list[SessionRecord]) -> str:
    """The name of a worker that runs, or that sessions wait for; a scope's text will do."""
    from cis_provider.cli.runs import suggestion
    from cis_provider.errors import ConfigError, UsageError
    from cis_provider.model.scope import TaskScope

    names = sorted({*(worker.name for worker in found.workers), *(record.worker for record in sessions)})
    scopes = sorted({*(worker.scope for worker in found.workers), *(record.scope for record in sessions)})
    wanted = name
    with contextlib.suppress(ConfigError):
        wanted = TaskScope.parse(name).worker_name
    if wanted in names:
        return wanted
    there = f"there are {', '.join(names)}" if names else "there is none"
    raise UsageError(
        f"no worker {name!r} on this node{suggestion(name, scopes if ':' in name else names)}; {there}"
    )


def _doing(record: SessionRecord) -> str:
    return f"waiting for {record.waiting_for}" if record.waiting_for else record.last_line


def _agents(count: int) -> str:
    return f"{count} agent{'s' if count != 1 else ''}"


def _table(workers: list[WorkerInfo]) -> None:
    now = time.time()
    lines = [
        (
            worker.name,
            worker.scope,
            str(worker.pid),
            worker.node_id,
            worker.version,
            str(worker.sessions),
            str(worker.queued),
            size(worker.memory_kb),
            ago(now - worker.since) + (", leaving" if worker.leaving else ""),
        )
        for worker in workers
    ]
    table(("WORKER", "SCOPE", "PID", "NODE", "VERSION", "AGENTS", "WAITING", "MEMORY", "STARTED"), lines)
