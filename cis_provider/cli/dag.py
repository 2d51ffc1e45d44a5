"""``cis dag``: run CIS files, and look at what runs. In manner like ``docker compose``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cis_provider.cli.answer import answer
from cis_provider.cli.attach import attach
from cis_provider.cli.screen import JsonOption, note, say, say_json, table
from cis_provider.cli.via import ViaOption, maybe_via
from cis_provider.cli.worker import app as worker_app

if TYPE_CHECKING:
    from cis_provider.cli.gather import Gatherer
    from cis_provider.cli.rows import Row, RunView

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Run CIS files, and look at what runs.",
)
app.add_typer(worker_app, name="worker", help="The same as `cis worker`.")

RunArgument = Annotated[
    str,
    typer.Argument(metavar="RUN", help="A run's name or id, or a DAG for its latest run; DAG/RUN is both."),
]
AgentArgument = Annotated[
    str | None,
    typer.Argument(metavar="AGENT", help="An agent's id, ID, or place in the file; all by default."),
]
FileOption = Annotated[Path, typer.Option("--file", "-f", metavar="FILE", help="The CIS file.")]
NameOption = Annotated[
    str | None, typer.Option("--name", metavar="RUN", help="What to call the run; by default as its DAG.")
]
ParamOption = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", metavar="NAME=VALUE", help="A param of the DAG; may be repeated."),
]
DetachOption = Annotated[bool, typer.Option("--detach", "-d", help="Do not wait for the end.")]


@app.command()
def up(
    file: FileOption,
    name: NameOption = None,
    param: ParamOption = None,
    detach: DetachOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run a CIS file: start Airflow if none runs, begin a run, and show it until it ends."""
    from cis_provider.cli.up import run_file

    raise typer.Exit(run_file(file, name=name, given=param or [], detach=detach, as_json=as_json))


@app.command("run")
def run_(
    file: FileOption,
    name: NameOption = None,
    param: ParamOption = None,
    detach: DetachOption = False,
    as_json: JsonOption = False,
) -> None:
    """The same as `up`."""
    up(file, name, param, detach, as_json)


@app.command()
def ps(
    run: Annotated[
        str | None, typer.Argument(metavar="RUN", help="A run; by default all runs that have not ended.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Stay, and show changes.")] = False,
    host: ViaOption = None,
    as_json: JsonOption = False,
) -> None:
    """Agents: what each one does, and who waits for you. Without RUN, those of all runs that have not ended."""
    maybe_via(host, tty=True)
    with _gatherer() as gather:
        if watch:
            from cis_provider.cli.watch import watch_agents

            watch_agents(gather, run, as_json=as_json)
            return
        rows = _rows(gather, run)
    if as_json:
        say_json(_plain(rows))
    elif rows or run is not None:
        from cis_provider.cli.lines import PS_HEADS, ps_lines

        table(PS_HEADS, ps_lines(rows), last_is_long=True)
    else:
        note("nothing runs; `cis dag list` shows the DAGs")


@app.command()
def logs(
    run: RunArgument,
    agent: AgentArgument = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Stay until the run ends.")] = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="As it was printed, with escape codes. Lines as they end.")
    ] = False,
    host: ViaOption = None,
    as_json: JsonOption = False,
) -> None:
    """What agents printed, without escape codes."""
    maybe_via(host, tty=follow)
    from cis_provider.cli import logs as log_reader

    with _gatherer() as gather:
        found, name, position = gather.find(run)
        view = gather.view(found, name)
        wanted = _wanted(view, agent, position)
        write = _log_writer(view, wanted, as_json)
        if follow:
            log_reader.follow(gather, found, name, wanted, write, raw=raw)
        else:
            log_reader.dump(gather, view, wanted, write, raw=raw)


@app.command()
def outputs(run: RunArgument, agent: AgentArgument = None, as_json: JsonOption = False) -> None:
    """What agents handed on, as they wrote it (Markdown)."""
    from cis_provider.cli.outputs import show_outputs

    with _gatherer() as gather:
        found, name, position = gather.find(run)
        view = gather.view(found, name)
        show_outputs(gather, view, _wanted(view, agent, position), as_json=as_json)


@app.command()
def stats(run: RunArgument, as_json: JsonOption = False) -> None:
    """What a run's agents used: time, model calls, tokens, money; and what was checked."""
    from cis_provider.cli import stats as accounts
    from cis_provider.cli.results import results

    with _gatherer() as gather:
        found, name, _position = gather.find(run)
        view = gather.view(found, name)
        given = results(gather, view)
    accounts.show(accounts.stats_of(view.agents, given), run=name, as_json=as_json)


app.command()(answer)
app.command()(attach)


@app.command()
def retry(
    run: RunArgument,
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="An agent's id, ID, or place in the file.")],
    fresh: Annotated[
        bool, typer.Option("--fresh", help="In a new conversation, not in the one that it had.")
    ] = False,
    host: ViaOption = None,
    as_json: JsonOption = False,
) -> None:
    """Do an agent, and all that came after it, again; one that failed goes on in its conversation."""
    maybe_via(host, tty=False)
    from cis_provider.cli.retry import retry_agent

    with _gatherer() as gather:
        retry_agent(gather, run, agent, fresh=fresh, as_json=as_json)


@app.command()
def down(
    run: RunArgument,
    dag: Annotated[
        bool, typer.Option("--dag", help="Switch the DAG off, too: nothing starts by schedule.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """End a run: its agents are stopped, what has not begun does not begin."""
    from cis_provider.cli.down import end_run

    with _gatherer() as gather:
        found, name, _position = gather.find(run)
        if dag:
            gather.api.pause(found.dag_id, True)
        stopped: list[str] = []
        was_over = found.finished
        if not was_over:
            stopped = end_run(gather, found, gather.view(found, name))
    if as_json:
        record = {"run": name, "dag_id": found.dag_id, "run_id": found.dag_run_id}
        say_json(record | {"stopped": stopped, "was_over": was_over, "paused": dag})
        return
    if was_over:
        say(f"{name} had ended already ({found.state})")
    else:
        say(f"{name} is down; " + (f"stopped: {', '.join(stopped)}" if stopped else "no agent was at work"))
    if dag:
        say(f"{found.dag_id} is switched off; `cis dag up -f FILE` switches it on again")


@app.command("list")
def list_(
    with_status: Annotated[
        bool, typer.Option("--status", help="Scopes, nodes, the latest run's state, agents at work.")
    ] = False,
    scope: Annotated[str, typer.Option(metavar="SCOPE", help="Only DAGs with an agent in it.")] = "",
    node: Annotated[str, typer.Option(metavar="NODE", help="Only DAGs with an agent for that queue.")] = "",
    as_json: JsonOption = False,
) -> None:
    """The DAGs that Airflow has."""
    from cis_provider.cli import dags

    with _gatherer() as gather:
        found, failures = dags.all_dags(gather)
        any_dags = bool(found or failures)
        if with_status or scope or node:
            found = dags.with_places(gather, found, scope=scope, node=node)
        if with_status:
            found = dags.with_agents(gather, found)
    if as_json:
        say_json({"dags": _plain(found), "import_errors": _plain(failures)})
        return
    dags.print_list(found, failures, with_status=with_status)
    if not any_dags:
        note("no DAGs yet; `cis dag up -f FILE` brings one")
    elif not found and (scope or node):
        note(f"no DAG has an agent{f' in {scope}' if scope else ''}{f' for node {node}' if node else ''}")


@app.command()
def status(
    dag: Annotated[str, typer.Argument(metavar="DAG", help="A DAG's id.")], as_json: JsonOption = False
) -> None:
    """A DAG: its schedule, its agents, its latest runs."""
    from cis_provider.cli.dags import dag_status, print_status

    with _gatherer() as gather:
        found = dag_status(gather, dag)
    if as_json:
        say_json(_plain(found))
    else:
        print_status(found)


@app.command()
def scope(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A CIS file.")], as_json: JsonOption = False
) -> None:
    """The scopes of a CIS file: whose agents are in which, and what decided it."""
    from cis_provider.cli.scope import show_scopes

    show_scopes(file, as_json=as_json)


def _rows(gather: Gatherer, run: str | None) -> list[Row]:
    from cis_provider.cli.rows import blocked_first

    if run is None:
        return blocked_first(row for view in gather.unfinished() for row in view.agents)
    found, name, position = gather.find(run)
    return blocked_first(row for row in gather.view(found, name).agents if position in (None, row.position))


def _wanted(view: RunView, agent: str | None, position: int | None) -> list[str]:
    """Task ids of the agents that are meant; ``position`` comes from an agent's ID in the place of a run."""
    from cis_provider.cli.runs import resolve_agent

    if agent is None and position is None:
        return list(dict.fromkeys(row.agent for row in view.agents))
    ids = {row.id: row.agent for row in view.agents}
    return [resolve_agent(agent if agent is not None else str(position), ids, view.run)]


def _log_writer(view: RunView, wanted: list[str], as_json: bool) -> Any:
    if as_json:
        return lambda row, line: say_json({"id": row.id, "agent": row.title, "line": line})
    if len(wanted) == 1:
        return lambda _row, line: print(line)
    from cis_provider.cli.prefix import prefixed

    return prefixed([row.title for row in view.agents if row.agent in wanted])


def _gatherer() -> Gatherer:
    from cis_provider.cli.connect import connect
    from cis_provider.cli.gather import Gatherer

    return Gatherer(connect())


def _plain(value: Any) -> Any:
    from cis_provider.cli.rows import plain

    return plain(value)
