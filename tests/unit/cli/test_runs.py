"""Names of runs and agents."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cis_provider.cli import runs
from cis_provider.errors import UsageError

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, 678000, dt.UTC)
NAMES = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_.~-]{0,99}\Z")


@dataclass
class FakeRun:
    dag_id: str
    dag_run_id: str
    finished: bool = False


class FakeAirflow:
    """Answers from a list of runs, the newest first."""

    def __init__(self, *found: FakeRun, dags: Collection[str] = ()) -> None:
        self.runs = list(found)
        self.dags = {run.dag_id for run in found} | set(dags)

    def starting_with(self, prefix: str, dag_id: str | None) -> Sequence[FakeRun]:
        return [
            run for run in self.runs if run.dag_run_id.startswith(prefix) and dag_id in (None, run.dag_id)
        ]

    def latest(self, dag_id: str) -> FakeRun | None:
        return next((run for run in self.runs if run.dag_id == dag_id), None)

    def has_dag(self, dag_id: str) -> bool:
        return dag_id in self.dags

    def known_names(self) -> Collection[str]:
        return {runs.given_name(run.dag_run_id) or run.dag_run_id for run in self.runs} | self.dags


def ours(name: str, dag_id: str = "nightly", *, minute: int = 0, finished: bool = False) -> FakeRun:
    return FakeRun(dag_id, runs.new_run_id(name, NOW.replace(minute=minute)), finished)


@given(NAMES, st.datetimes(timezones=st.just(dt.UTC), min_value=dt.datetime(2000, 1, 1)))
def test_a_name_survives_its_run_id(name: str, now: dt.datetime) -> None:
    run_id = runs.new_run_id(name, now)
    assert runs.given_name(run_id) == name
    assert all(char.isalnum() or char in "_.~:+-" for char in run_id)


@pytest.mark.parametrize(
    "run_id", ["manual__2026-01-02T03:04:05+00:00", "scheduled__2026-01-02T00:00:00+00:00", "x", "a__b"]
)
def test_runs_of_the_scheduler_and_the_ui_have_no_name(run_id: str) -> None:
    assert runs.given_name(run_id) is None


@given(NAMES)
def test_every_allowed_name_is_taken_as_it_is(name: str) -> None:
    assert runs.check_name(name) == name


@pytest.mark.parametrize("name", ["", "-x", "a b", "a/b", "依赖", "x" * 101])
def test_a_name_that_airflow_would_refuse_is_refused_first(name: str) -> None:
    with pytest.raises(UsageError, match="--name"):
        runs.check_name(name)


def test_a_second_run_at_a_time_gets_a_number() -> None:
    assert runs.free_name("nightly", set()) == "nightly"
    assert runs.free_name("nightly", {"nightly"}) == "nightly-2"
    assert runs.free_name("nightly", {"nightly", "nightly-2"}) == "nightly-3"


@given(st.text(max_size=200))
def test_any_dag_id_gives_a_name_that_can_be_used(dag_id: str) -> None:
    assert runs.check_name(runs.free_name(dag_id, set()))


def test_a_name_means_the_run_that_has_it_now() -> None:
    old, new = ours("nightly", finished=True), ours("nightly", minute=5)
    assert runs.resolve("nightly", FakeAirflow(new, old)) == (new, None)


def test_a_dag_means_its_latest_run_whatever_it_is_called() -> None:
    newest = FakeRun("nightly", "scheduled__2026-01-02T00:00:00+00:00", finished=True)
    assert runs.resolve("nightly", FakeAirflow(newest, ours("nightly", finished=True))) == (newest, None)


def test_a_name_is_found_after_its_run_has_ended() -> None:
    run = ours("try-this", finished=True)
    assert runs.resolve("try-this", FakeAirflow(ours("nightly"), run)) == (run, None)


def test_a_run_id_is_found() -> None:
    run = FakeRun("nightly", "manual__2026-01-02T03:04:05+00:00")
    assert runs.resolve(run.dag_run_id, FakeAirflow(ours("x"), run)) == (run, None)


def test_a_run_id_of_two_dags_is_ambiguous_until_its_dag_is_named() -> None:
    one, two = (FakeRun(dag, "scheduled__2026-01-02T00:00:00+00:00") for dag in ("a", "b"))
    airflow = FakeAirflow(one, two)
    with pytest.raises(UsageError, match=r"more than one run; write one of a/scheduled__.*, b/scheduled__"):
        runs.resolve(one.dag_run_id, airflow)
    assert runs.resolve(f"b/{two.dag_run_id}", airflow) == (two, None)


def test_an_agents_id_means_its_run_and_its_place() -> None:
    run = ours("nightly-2")
    assert runs.resolve("nightly-2-003", FakeAirflow(run)) == (run, 3)


def test_a_run_whose_name_looks_like_an_agents_id_is_still_a_run() -> None:
    run = ours("release-001")
    assert runs.resolve("release-001", FakeAirflow(run, ours("release", "other"))) == (run, None)


def test_an_unknown_run_comes_with_what_was_meant() -> None:
    with pytest.raises(UsageError, match=r"no run 'nihgtly' \(did you mean 'nightly'\?\)"):
        runs.resolve("nihgtly", FakeAirflow(ours("nightly")))


def test_a_dag_without_runs_says_so() -> None:
    with pytest.raises(UsageError, match="DAG 'fresh' has no runs yet"):
        runs.resolve("fresh", FakeAirflow(dags=["fresh"]))


def test_every_shown_name_finds_its_run_again() -> None:
    found = [
        ours("nightly", minute=9),
        FakeRun("nightly", "manual__2026-01-02T03:04:08+00:00"),
        FakeRun("weekly", "scheduled__2026-01-02T03:04:07+00:00"),
        FakeRun("weekly", "scheduled__2026-01-02T03:04:06+00:00"),
        ours("mine", "weekly", minute=3),
    ]
    airflow = FakeAirflow(*found)
    latest = {dag: run.dag_run_id for dag in ("nightly", "weekly") if (run := airflow.latest(dag))}
    names = runs.shown_names(found, latest)
    assert names["weekly", "scheduled__2026-01-02T03:04:07+00:00"] == "weekly"
    assert len(set(names.values())) == len(found)
    for run in found:
        assert runs.resolve(names[run.dag_id, run.dag_run_id], airflow)[0] is run


IDS = {"nightly-001": "find", "nightly-002": "upgrade-pins", "nightly-010": "report"}


@pytest.mark.parametrize("text", ["upgrade-pins", "nightly-002", "2", "002"])
def test_an_agent_answers_to_its_id_its_place_and_its_full_id(text: str) -> None:
    assert runs.resolve_agent(text, IDS, "nightly") == "upgrade-pins"


def test_place_one_is_not_place_ten() -> None:
    assert runs.resolve_agent("1", IDS, "nightly") == "find"
    assert runs.resolve_agent("10", IDS, "nightly") == "report"


def test_an_unknown_agent_comes_with_those_there_are() -> None:
    with pytest.raises(
        UsageError, match=r"did you mean 'upgrade-pins'\?\); it has find, upgrade-pins, report"
    ):
        runs.resolve_agent("upgrade-pin", IDS, "nightly")
