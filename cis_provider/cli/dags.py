"""``cis dag list`` and ``cis dag status``: DAGs and their latest runs."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING

import msgspec

from cis_provider.cli.rows import RunView
from cis_provider.cli.runs import suggestion
from cis_provider.cli.screen import note, say, table
from cis_provider.cli.words import ago, duration
from cis_provider.errors import UsageError

if TYPE_CHECKING:
    from cis_provider.cli.gather import Gatherer
    from cis_provider.cli.records import Dag, DagRun

#: Newest runs that are looked at to find each DAG's last one.
_RECENT = 200
#: DAGs whose last run is older than those, and is asked for one by one.
_SINGLE_LOOKS = 50
_LATEST = 10


class RunLine(msgspec.Struct, frozen=True, kw_only=True):
    """A run in short. ``seconds``: from its start to its end, or to now."""

    run: str
    run_id: str
    state: str
    started_at: dt.datetime | None
    seconds: float


class DagLine(msgspec.Struct, frozen=True, kw_only=True):
    """
    A DAG in short. ``schedule`` is None where it has none.

    :param scopes: And ``nodes``: of its agents; None where nobody asked.
    :param agents: How many are in which status, over its runs that have not ended; None where nobody asked.
    """

    dag_id: str
    description: str
    schedule: str | None
    on: bool
    next_run: dt.datetime | None
    file: str
    latest: RunLine | None
    scopes: list[str] | None = None
    nodes: list[str] | None = None
    agents: dict[str, int] | None = None


class DagStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A DAG, its latest runs, the newest first, and the agents of the newest one."""

    dag: DagLine
    url: str
    runs: list[RunLine]
    newest: RunView | None


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A file that Airflow could not read. ``last_line`` is the reason in short."""

    filename: str
    last_line: str
    text: str


def all_dags(gather: Gatherer) -> tuple[list[DagLine], list[Failure]]:
    """Every DAG, and every file that gives none."""
    newest: dict[str, DagRun] = {}
    for run in gather.api.runs(limit=_RECENT):
        newest.setdefault(run.dag_id, run)
    dags = gather.api.dags()
    for dag in [dag for dag in dags if dag.dag_id not in newest][:_SINGLE_LOOKS]:
        for run in gather.api.runs(dag_id=dag.dag_id, limit=1):
            newest[dag.dag_id] = run
    lines = [_line(gather, dag, newest.get(dag.dag_id)) for dag in dags]
    failures = [
        Failure(filename=one.filename, last_line=_reason(one.stack_trace), text=one.stack_trace)
        for one in gather.api.import_failures()
    ]
    return lines, failures


def with_places(gather: Gatherer, dags: list[DagLine], *, scope: str, node: str) -> list[DagLine]:
    """
    The same with scopes and nodes; only those with an agent in a scope and on a node, empty being any.

    :raises UsageError: It is no scope.
    """
    from cis_provider.cli.dag_places import places_of, select

    places = places_of(gather, [dag.dag_id for dag in dags])
    return [
        msgspec.structs.replace(
            dag, scopes=list(places[dag.dag_id].scopes), nodes=list(places[dag.dag_id].nodes)
        )
        for dag in select(dags, places, scope=scope, node=node)
    ]


def with_agents(gather: Gatherer, dags: list[DagLine]) -> list[DagLine]:
    """The same with the number of agents in each status."""
    from cis_provider.cli.dag_places import at_work

    counts = at_work(gather)
    return [msgspec.structs.replace(dag, agents=dict(counts.get(dag.dag_id, {}))) for dag in dags]


def dag_status(gather: Gatherer, dag_id: str) -> DagStatus:
    """
    One DAG.

    :raises UsageError: There is none of that id.
    """
    dag = gather.api.dag(dag_id)
    if dag is None:
        known = [one.dag_id for one in gather.api.dags()]
        raise UsageError(f"no DAG {dag_id!r}{suggestion(dag_id, known)}; `cis dag list` shows them")
    found = gather.api.runs(dag_id=dag_id, limit=_LATEST)
    view = gather.view(found[0], gather.name_of(found[0])) if found else None
    return DagStatus(
        dag=_line(gather, dag, found[0] if found else None),
        url=f"{gather.api.url}/dags/{dag_id}",
        runs=[_run_line(gather, run) for run in found],
        newest=view,
    )


def print_list(dags: list[DagLine], failures: list[Failure], *, with_status: bool) -> None:
    """As ``list`` prints them."""
    if dags and with_status:
        heads = ("DAG", "SCOPE", "NODE", "STATE", "RUNNING", "BLOCKED", "QUEUED", "WAITING", "LAST RUN")
        table(heads, [_status_line(dag) for dag in dags], last_is_long=True)
    elif dags:
        lines = [(dag.dag_id, _schedule(dag), _next(dag), _last(dag), dag.description) for dag in dags]
        table(("DAG", "SCHEDULE", "NEXT RUN", "LAST RUN", "DESCRIPTION"), lines, last_is_long=True)
    for failure in failures:
        note(f"cannot be read: {failure.filename}: {failure.last_line}")


def print_status(found: DagStatus) -> None:
    """As ``status`` prints it."""
    dag = found.dag
    say(dag.dag_id + (f": {dag.description}" if dag.description else ""))
    say(f"schedule  {_schedule(dag)}" + (f", next run {_next(dag)}" if _next(dag) else ""))
    say(f"file      {dag.file}")
    say(f"page      {found.url}")
    if found.runs:
        say()
        lines = [
            (run.run, run.state, duration(run.seconds), _since(run.started_at), run.run_id)
            for run in found.runs
        ]
        table(("RUN", "STATE", "TIME", "STARTED", "RUN ID"), lines)
    if found.newest is not None:
        from cis_provider.cli.lines import PS_HEADS, ps_lines

        say()
        table(PS_HEADS, ps_lines(found.newest.agents), last_is_long=True)


def _status_line(dag: DagLine) -> tuple[str, ...]:
    agents = dag.agents or {}
    return (
        dag.dag_id,
        ", ".join(dag.scopes or ()),
        ", ".join(dag.nodes or ()),
        dag.latest.state if dag.latest else "never run",
        *(str(agents.get(word, 0)) for word in ("running", "blocked", "queued", "waiting")),
        dag.latest.run if dag.latest else "",
    )


def _line(gather: Gatherer, dag: Dag, newest: DagRun | None) -> DagLine:
    return DagLine(
        dag_id=dag.dag_id,
        description=dag.description or "",
        schedule=dag.timetable_summary,
        on=not dag.is_paused,
        next_run=dag.next_dagrun_run_after,
        file=dag.fileloc,
        latest=_run_line(gather, newest) if newest else None,
    )


def _run_line(gather: Gatherer, run: DagRun) -> RunLine:
    from cis_provider.cli.runs import given_name

    end = run.end_date.timestamp() if run.end_date else time.time()
    return RunLine(
        run=given_name(run.dag_run_id) or run.dag_id,
        run_id=run.dag_run_id,
        state=run.state,
        started_at=run.start_date,
        seconds=max(0.0, end - run.start_date.timestamp()) if run.start_date else 0.0,
    )


def _schedule(dag: DagLine) -> str:
    if not dag.schedule:
        return "none"
    return dag.schedule if dag.on else f"{dag.schedule} (off)"


def _next(dag: DagLine) -> str:
    if dag.next_run is None or not dag.on:
        return ""
    return f"{dag.next_run.astimezone():%Y-%m-%d %H:%M}"


def _last(dag: DagLine) -> str:
    return f"{dag.latest.state} {_since(dag.latest.started_at)}".rstrip() if dag.latest else "never"


def _since(moment: dt.datetime | None) -> str:
    return ago(time.time() - moment.timestamp()) if moment else ""


def _reason(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"
