"""``cis dag up``: from a CIS file to a run."""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cis_provider import paths
from cis_provider.cli import params, runs
from cis_provider.cli.connect import ask_for_parse, connect_or_start, named_url
from cis_provider.cli.gather import Gatherer
from cis_provider.errors import AirflowRefused, AirflowUnreachable, SpecError, UsageError

if TYPE_CHECKING:
    from cis_provider.cli.airflow_api import AirflowApi
    from cis_provider.cli.records import Dag, DagRun

#: Seconds until Airflow has read an installed file. A dag processor on a busy machine needs a few.
PARSE_DEADLINE = 60.0
#: Seconds until Airflow is asked again to parse: a request may have been taken by a parse under way.
_ASK_AGAIN = 5.0

#: A line that names a mistake in a CIS file.
_MISTAKE = re.compile(r":\d+:\d+: F\d+ ")


@dataclass(frozen=True)
class Begun:
    """A run that ``up`` began."""

    gather: Gatherer
    run: DagRun
    name: str


def begin(file: Path, *, name: str | None, given: list[str], tell: Callable[[str], None]) -> Begun:
    """
    Check a CIS file, hand it to Airflow, and begin a run.

    :param name: The run's name; by default the DAG's id.
    :param given: ``NAME=VALUE`` for the DAG's params.
    :param tell: Is told what happens, a line each.
    :raises SpecError: The file has mistakes.
    :raises UsageError: The name is taken, a param is unknown or has a wrong value.
    """
    from dag_factory.folder import check_file

    pairs = params.parse_pairs(given)
    if name is not None:
        runs.check_name(name)
    if not file.is_file():
        raise UsageError(f"-f {file}: no such file")
    spec = check_file(file).need()
    api = connect_or_start(tell)
    gather = Gatherer(api)
    running = api.unfinished()
    chosen = _choose_name(spec.name, name, running)
    since = time.time()
    installed, changed_at = _install(file, spec.name)
    dag = wait_until_parsed(api, spec.name, installed, changed_at=changed_at, since=since)
    values = params.typed(pairs, dag.params or {})
    others = sum(1 for run in running if run.dag_id == spec.name)
    if others:
        tell(f"runs of {spec.name} that have not ended, and go on: {others}")
    _switch_on(api, dag, tell)
    now = dt.datetime.now(dt.UTC)
    return Begun(gather, _trigger(api, spec.name, chosen, values, now), chosen)


def _choose_name(dag_id: str, name: str | None, running: list[DagRun]) -> str:
    taken = {held for run in running if (held := runs.given_name(run.dag_run_id))}
    if name is None:
        return runs.free_name(dag_id, taken)
    if name in taken:
        raise UsageError(
            f"a run named {name!r} has not ended; take another --name, or end it: cis dag down {name}"
        )
    return name


def _install(file: Path, dag_id: str) -> tuple[Path, float]:
    """
    Put the file where the loader finds it, unless it is there as it is.

    :return: Where it is, and since when (seconds since the epoch).
    """
    from dag_factory import index, origin

    entry = index.find_entry(paths.dags_dir(), dag_id)
    if entry is not None:
        there = Path(entry.path)
        source = origin.origin_of(there)
        try:
            is_same = source is not None and source.file == str(file.resolve())
            if is_same and there.read_bytes() == file.read_bytes():
                return there, there.stat().st_mtime
        except OSError:
            pass
    return origin.install(file, paths.dags_dir()), time.time()


def wait_until_parsed(api: AirflowApi, dag_id: str, file: Path, *, changed_at: float, since: float) -> Dag:
    """
    Wait until Airflow serves the DAG of this very file.

    :param changed_at: When the file got there; a parse that began before says nothing.
    :param since: When we came; an import error from before says nothing.
    :raises SpecError: Airflow could not read it; with its reason.
    :raises AirflowUnreachable: It has not been read in time.
    """
    content = file.read_text(encoding="utf-8-sig")
    deadline = time.monotonic() + PARSE_DEADLINE
    ask_at = 0.0
    while True:
        dag = api.dag(dag_id)
        if dag is not None and _is_fresh(dag, changed_at, file) and _same(api.source(dag_id), content):
            return dag
        _raise_import_failure(api, file, since)
        now = time.monotonic()
        if now > deadline:
            way_out = (
                f"its dags folder must hold dags/cis_loader.py and a link to {paths.dags_dir()}, see docs/install.md"
                if named_url()
                else "`cis airflow logs dag-processor` shows what keeps it"
            )
            raise AirflowUnreachable(f"Airflow has not read {file} within {PARSE_DEADLINE:.0f} s; {way_out}")
        if now >= ask_at:
            ask_for_parse(api, dag.file_token if dag else "")
            ask_at = now + _ASK_AGAIN
        time.sleep(0.15)


def _is_fresh(dag: Dag, changed_at: float, file: Path) -> bool:
    """Whether the parse that Airflow serves began after the file was changed."""
    if dag.is_stale or dag.last_parsed_time is None:
        return False
    parsed_at = dag.last_parsed_time.timestamp()
    if parsed_at - (dag.last_parse_duration or 0.0) < changed_at:
        return False
    return bool(named_url()) or _seen_by_loader(dag.dag_id, file, parsed_at)


def _seen_by_loader(dag_id: str, file: Path, parsed_at: float) -> bool:
    """
    Whether the loader had this very file when Airflow took in its DAGs.

    Airflow's two times alone leave a gap: between the end of a parse and its time.
    """
    from dag_factory import index

    entry = index.find_entry(paths.dags_dir(), dag_id)
    if entry is None:
        return True
    written_at = index.index_file(paths.dags_dir()).stat().st_mtime
    return entry.mtime_ns == file.stat().st_mtime_ns and parsed_at >= written_at


def _same(served: str | None, content: str) -> bool:
    return served is not None and served.strip() == content.strip()


def _raise_import_failure(api: AirflowApi, file: Path, since: float) -> None:
    """
    :raises SpecError: Airflow has tried this file since, and could not.
    """
    for failure in api.import_failures():
        is_ours = str(file).endswith(f"/{failure.filename.lstrip('/')}")
        if is_ours and failure.timestamp.timestamp() >= since:
            # What our own loader has to say is a list of mistakes below a traceback that helps nobody.
            mistakes = [line for line in failure.stack_trace.splitlines() if _MISTAKE.search(line)]
            reason = "\n".join(mistakes) or failure.stack_trace.strip()
            raise SpecError(f"cis: Airflow cannot read {file}:\n{reason}")


def _switch_on(api: AirflowApi, dag: Dag, tell: Callable[[str], None]) -> None:
    """A run of a paused DAG would never begin."""
    if not dag.is_paused:
        return
    api.pause(dag.dag_id, False)
    if dag.timetable_summary:
        tell(
            f"its schedule ({dag.timetable_summary}) is on from now; "
            f"`cis dag down {dag.dag_id} --dag` switches it off"
        )


def _trigger(api: AirflowApi, dag_id: str, name: str, values: dict[str, Any], now: dt.datetime) -> DagRun:
    try:
        return api.trigger(dag_id, runs.new_run_id(name, now), values, now)
    except AirflowRefused as error:
        if error.status in (400, 422):
            raise UsageError(f"{dag_id} cannot run like this: {error}") from error
        raise


def run_file(file: Path, *, name: str | None, given: list[str], detach: bool, as_json: bool) -> int:
    """The whole of ``cis dag up``; returns the exit code."""
    from cis_provider.cli.progress import display, follow
    from cis_provider.cli.rows import plain
    from cis_provider.cli.screen import note, say, say_json
    from cis_provider.cli.summary import summarize

    begun = None
    try:
        begun = begin(file, name=name, given=given, tell=note)
        with begun.gather as gather:
            run, called = begun.run, begun.name
            page = gather.page(run)
            if detach:
                if as_json:
                    record = {"run": called, "dag_id": run.dag_id, "run_id": run.dag_run_id, "url": page}
                    say_json(record | {"state": run.state})
                else:
                    say(called)
                    note(f"`cis dag ps {called}` and `cis dag logs -f {called}` show it, and so does {page}")
                return 0
            note(f"run {called}: {page}")
            with display(quiet=as_json) as show:
                view = follow(gather, run, called, show)
            if as_json:
                say_json(plain(view))
            else:
                summarize(gather, view)
            return 0 if view.state == "success" else 1
    except KeyboardInterrupt:
        if begun is None:
            note("left before the run began; nothing runs because of it")
        else:
            note(
                f"left; the run {begun.name} goes on. `cis dag ps {begun.name}` shows it, "
                f"`cis dag logs -f {begun.name}` follows it, `cis dag down {begun.name}` ends it"
            )
        raise
