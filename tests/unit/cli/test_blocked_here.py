"""Who is meant, by what the node knows alone."""

from __future__ import annotations

from typing import Any

import pytest

from cis_provider.cli.blocked_here import find_row
from cis_provider.model.blockage import Blockage, BlockageKind
from cis_provider.model.session import SessionKey, SessionRecord, SessionState

MONDAY, OTHER = "monday__20260102T030405.678Z", "monday__20260103T030405.678Z"
ASKING = Blockage(number=1, kind=BlockageKind.QUESTION, title="Which?")


@pytest.fixture
def session(records: Any) -> Any:
    def session(task_id: str, position: int, run_id: str = MONDAY, **more: Any) -> SessionRecord:
        key = SessionKey(more.pop("dag_id", "d"), run_id, task_id, more.pop("map_index", -1))
        values = {"blockage": ASKING, "position": position, "key": key, **more}
        found = records.session(
            task_id, SessionState.RUNNING, **{k: v for k, v in values.items() if k != "key"}
        )
        found.key, found.session_id = key, f"{run_id}-{task_id}-{key.map_index}"
        return found

    return session


@pytest.mark.parametrize(
    ("run", "agent"),
    [
        ("monday", "collect"),
        ("monday", "2"),
        ("monday", "monday-002"),
        ("d/monday", "collect"),
        (MONDAY, "collect"),
        ("monday-002", None),
    ],
)
def test_whatever_names_one_agent_alone_finds_it(session: Any, run: str, agent: str | None) -> None:
    row = find_row([session("find", 1), session("collect", 2)], run, agent)
    assert row is not None
    assert (row.title, row.id, row.run, row.blockage) == ("collect", "monday-002", "monday", ASKING)


@pytest.mark.parametrize(
    ("run", "agent"),
    [
        ("d", "collect"),  # a DAG is its latest run, which only Airflow knows
        ("monday", None),  # a human of that run may be asked, too
        ("monday", "coll"),
        ("e/monday", "collect"),
        ("monday", "done"),
    ],
)
def test_what_may_mean_another_one_is_not_decided_here(session: Any, run: str, agent: str | None) -> None:
    alive = [session("find", 1), session("collect", 2), session("done", 3, blockage=None)]
    assert find_row(alive, run, agent) is None


def test_two_runs_of_one_name_are_not_told_apart(session: Any) -> None:
    alive = [session("collect", 2), session("collect", 2, OTHER)]
    assert find_row(alive, "monday", "collect") is None
    row = find_row(alive, OTHER, "collect")
    assert row is not None and row.run_id == OTHER


def test_one_of_a_mapped_agent_needs_its_place(session: Any) -> None:
    alive = [session("test", 1, map_index=0), session("test", 1, map_index=1)]
    assert find_row(alive, "monday", "test") is None
    row = find_row(alive, "monday", "test[1]")
    assert row is not None and row.map_index == 1
