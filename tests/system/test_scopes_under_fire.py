"""
Twenty scopes, two hundred agents, and everything being killed at random: nothing is lost, nothing runs twice, no
limit and no turn is broken.

``STRESS_SECONDS`` makes it shorter or longer, ``STRESS_SCOPES`` smaller, ``STRESS_SEED`` lights the same fire again.
What the agents did, the killer's log and all logs are kept in pytest's temporary folder.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cis_provider import paths
from cis_provider.cli.airflow_api import AirflowApi
from cis_provider.cli.connect import connect
from cis_provider.cli.records import DagRun
from cis_provider.embedded import api as embedded
from cis_provider.errors import AirflowRefused, AirflowUnreachable, CisError
from cis_provider.node.client import NodeClient
from tests.kit import agent_script
from tests.kit.checker import Fault, Submission, check
from tests.kit.history import Run, read
from tests.kit.killer import Killer, left_of
from tests.kit.scenario import CONFIG, StressDag, limits, stress_dags

pytestmark = [pytest.mark.system, pytest.mark.stress]

SECONDS = float(os.environ.get("STRESS_SECONDS", "300"))
SCOPES = int(os.environ.get("STRESS_SCOPES", "20"))
SEED = int(os.environ.get("STRESS_SEED") or time.time())

LIMITS = {
    Fault.NODE_LIMIT,
    Fault.SCOPE_LIMIT,
    Fault.DAG_LIMIT,
    Fault.RUNTIME_LIMIT,
    Fault.ACCOUNT_LIMIT,
}

#: Seconds that the last runs may take when nobody kills any more.
DEADLINE = 300.0


class Stress:
    """The runs, and what is seen of them from outside."""

    def __init__(self, api: AirflowApi, dags: list[StressDag], random: Random) -> None:
        self.api = api
        self.dags = dags
        self.random = random
        self.submitted: dict[Run, StressDag] = {}
        self.asked: dict[Run, int] = {}

    def round(self) -> None:
        """Submit the runs of a round, in any order."""
        wanted = [dag for dag in self.dags for _ in range(dag.runs)]
        self.random.shuffle(wanted)
        for dag in wanted:
            run_id = f"stress-{len(self.submitted):04}"
            patiently(lambda dag=dag, run_id=run_id: self._trigger(dag.name, run_id))
            self.submitted[dag.name, run_id] = dag

    def runs(self) -> list[DagRun]:
        """All of them, as Airflow has them now."""
        return patiently(lambda: self.api.runs(run_id_prefix="stress-", limit=10_000))

    def unfinished(self) -> list[Run]:
        """Runs that are not over."""
        over = {(run.dag_id, run.dag_run_id) for run in self.runs() if run.finished}
        return sorted(self.submitted.keys() - over)

    def submissions(self) -> list[Submission]:
        """What the checker must know."""
        over = {(run.dag_id, run.dag_run_id): run.end_date for run in self.runs()}
        return [
            Submission(
                *run,
                tasks={(agent, -1) for agent in dag.deps},
                scopes=dag.turn,
                exclusive=dag.exclusive,
                priority=dag.priority,
                asked=self.asked.get(run, 0),
                over=(int(over[run].timestamp() * 1e9),) if over.get(run) else (),
                account=dag.account,
            )
            for run, dag in self.submitted.items()
        ]

    @contextlib.contextmanager
    def noting_the_line(self) -> Iterator[None]:
        """Note when each run joined the line; a place that is lost later on is seen by that."""
        enough = threading.Event()
        thread = threading.Thread(target=self._note_the_line, args=(enough,), name="line", daemon=True)
        thread.start()
        try:
            yield
        finally:
            enough.set()
            thread.join(30)

    def _note_the_line(self, enough: threading.Event) -> None:
        while not enough.wait(0.3):
            with contextlib.suppress(CisError), NodeClient("test", start=False, timeout=5) as client:
                for turn in client.turns():
                    self.asked.setdefault((turn.dag_id, turn.run_id), int(turn.since * 1e9))

    def _trigger(self, dag_id: str, run_id: str) -> None:
        with contextlib.suppress(AirflowRefused):  # it arrived, though the answer did not
            self.api.trigger(dag_id, run_id, {}, dt.datetime.now(dt.UTC))


def patiently(ask: Any) -> Any:
    """Airflow's answer, which may take a while in such a fire."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return ask()
        except AirflowUnreachable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


@pytest.fixture
def report(tmp_path_factory: pytest.TempPathFactory, request: Any) -> Path:
    """A folder that outlives the test."""
    return tmp_path_factory.mktemp("under-fire")


def test_nothing_is_lost_or_doubled_and_no_limit_or_turn_is_broken(other_airflow, report):
    random = Random(SEED)
    dags = stress_dags(SCOPES, random)
    history = report / "history"
    history.touch()
    with other_airflow.at_home():
        killer = Killer(other_airflow.home, Random(SEED + 1))
        try:
            stress = started(other_airflow, dags, history, random)
            with stress.noting_the_line():
                with killer:
                    under_fire(stress)
                drain(stress)
            assert_nothing_is_left_to_do(other_airflow)
            states = Counter(run.state for run in stress.runs())
            events, submissions = read(history.read_text()), stress.submissions()
            faults = check(events, submissions, limits(dags))
            assert (states, faults) == ({"success": len(stress.submitted)}, [])
            reached = {fault.fault for fault in check(events, submissions, limits(dags, less=1))}
            print(f"seed {SEED}; {len(submissions)} runs; killed: {dict(killer.counts())}")
            print(f"limits that were reached: {', '.join(sorted(reached))}")
            assert len(stress.asked) > SCOPES, "turns were hardly ever seen"
            assert SCOPES < 20 or reached == LIMITS
            other_airflow.stop()
            assert left_of(other_airflow.home) == []
        except BaseException as error:
            error.add_note(told(killer, history, stress if "stress" in locals() else None, dags, report))
            raise
        finally:
            keep(killer, report)


def started(airflow: Any, dags: list[StressDag], history: Path, random: Random) -> Stress:
    """An Airflow that serves the DAGs."""
    paths.cis_home().mkdir(parents=True, exist_ok=True)
    paths.config_file().write_text(CONFIG)
    paths.dags_dir().mkdir(parents=True, exist_ok=True)
    script = paths.cis_home() / "agent.sh"
    shutil.copy(agent_script(), script)
    for dag in dags:
        file = paths.dags_dir() / f"{dag.name}.json"
        file.write_text(json.dumps(dag.cis_file(script, history)))
    airflow.start()
    api = connect()
    embedded.request_parse()
    airflow.eventually(lambda: {dag.name for dag in dags} <= {one.dag_id for one in api.dags()}, 60)
    for dag in dags:
        api.pause(dag.name, False)
    return Stress(api, dags, random)


def under_fire(stress: Stress) -> None:
    """One round after the other, until the time is over."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        stress.round()
        while stress.unfinished() and time.monotonic() < until:
            time.sleep(1)


def drain(stress: Stress) -> None:
    """Nobody kills any more: every run ends."""
    deadline = time.monotonic() + DEADLINE
    while unfinished := stress.unfinished():
        assert time.monotonic() < deadline, f"runs that do not end: {unfinished}"
        time.sleep(1)


def assert_nothing_is_left_to_do(airflow: Any) -> None:
    """No session, no turn, no line."""

    def idle() -> bool:
        with NodeClient("test", timeout=10) as client:
            status = client.status()
            return not (
                client.turns() or client.held_runs() or client.sessions(alive=True)
                or status.running or status.queued
            )  # fmt: skip

    airflow.eventually(idle, 30)


def keep(killer: Killer, report: Path) -> None:
    """The killer's log, and all logs, beside the history."""
    (report / "killer.log").write_text("\n".join(killer.log))
    for name, folder in (("node", paths.node_dir()), ("airflow", paths.airflow_dir() / "logs")):
        with contextlib.suppress(OSError, shutil.Error):
            shutil.copytree(folder, report / name)


def told(killer: Killer, history: Path, stress: Stress | None, dags: list[StressDag], report: Path) -> str:
    """What somebody needs to find out why."""
    words = [f"seed {SEED}; more in {report}", *killer.log]
    if stress:
        with contextlib.suppress(Exception):
            submissions = stress.submissions()
            (report / "submissions.txt").write_text("\n".join(map(repr, submissions)))
            words += map(str, check(read(history.read_text()), submissions, limits(dags)))
            words += [f"not over: {run}" for run in stress.unfinished()]
    return "\n".join(words)
