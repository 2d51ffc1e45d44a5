"""Columns, times and drawings."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from cis_provider.cli import render
from cis_provider.cli.progress import ChangeLines
from cis_provider.cli.rows import Row
from cis_provider.cli.screen import aligned
from cis_provider.cli.status import PlanAgent
from cis_provider.cli.summary import branches
from cis_provider.cli.words import duration
from cis_provider.model.session import SessionState


def test_columns_stand_under_each_other_with_wide_characters_too() -> None:
    assert aligned([("ID", "AGENT", "OUTPUT"), ("r-001", "分析", "x"), ("r-002", "ab", "")]) == [
        "ID      AGENT   OUTPUT",
        "r-001   分析    x",
        "r-002   ab",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, ""),
        (0.02, "0.1s"),
        (3.44, "3.4s"),
        (59.6, "1m00s"),
        (200, "3m20s"),
        (7500, "2h05m"),
        (90000, "1d1h"),
    ],
)
def test_times_are_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def rows_of(records: Any, *states: str | None) -> list[Row]:
    plan = tuple(PlanAgent(f"a{n}", n, ()) for n in range(1, len(states) + 1))
    tasks = [records.task(f"a{n}", state) for n, state in enumerate(states, 1)]
    agents: list[Row] = records.view(plan, tasks).agents
    return agents


def test_all_rows_are_shown_where_there_is_room(records: Any) -> None:
    rows = rows_of(records, "success", None)
    assert render.fit(rows, 2) == (rows, "")


def test_a_small_terminal_keeps_what_tells_most_in_its_order(records: Any) -> None:
    rows = rows_of(records, "success", "failed", "success", None, "running", None)
    shown, rest = render.fit(rows, 3)
    assert [row.status for row in shown] == ["failed", "waiting", "running"]
    assert rest == "and 1 waiting, 2 done"


def test_a_table_in_a_narrow_terminal_cuts_the_output_alone() -> None:
    grid = render.grid_of(
        ("ID", "STATUS", "OUTPUT"), [("refactor-001", "running", "x" * 200)], last_is_long=True
    )
    console = Console(width=40, file=io.StringIO(), color_system=None)
    console.print(grid)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines()[1].rstrip() == "refactor-001   running   " + "x" * 14 + "…"


def test_brackets_in_an_agents_output_are_no_markup() -> None:
    console = Console(width=60, file=io.StringIO(), color_system=None)
    console.print(render.grid_of(("ID", "OUTPUT"), [("a", "[bold]x[/] :smile:")], last_is_long=True))
    assert isinstance(console.file, io.StringIO)
    assert "[bold]x[/] :smile:" in console.file.getvalue()


def test_each_change_is_one_line(records: Any) -> None:
    lines: list[str] = []
    changes = ChangeLines(lines.append)
    plan = (PlanAgent("a", 1, ()), PlanAgent("b", 2, ("a",)))

    def at(first: str | None, second: str | None, *sessions: Any) -> None:
        tasks = [records.task("a", first), records.task("b", second)]
        changes.update(records.view(plan, tasks, list(sessions)))

    running = records.session("a", SessionState.RUNNING, started_at=990.0, last_line="1 of 2")
    result = records.result(is_error=True, subtype="exit_code", error="exit code 3; its last lines:\nx")
    ended = records.session(
        "a", SessionState.ENDED, started_at=990.0, ended_at=993.0, last_line="x", result=result
    )
    at(None, None)
    at("deferred", None, running)
    at("deferred", None, running)
    at("failed", "upstream_failed", ended)
    assert lines == [
        "run-001  a  running",
        "run-001  a  failed  3.0s  exit code 3",
        "run-002  b  skipped  a failed",
    ]


def test_a_branch_is_named_once_as_its_last_agent_left_it(records: Any) -> None:
    plan = (PlanAgent("up", 1, ()), PlanAgent("verify", 2, ("up",)), PlanAgent("say", 3, ("verify",)))
    view = records.view(plan, [records.task(name, "success") for name in ("up", "verify", "say")])
    found: dict[tuple[str, int], dict[str, Any]] = {
        ("up", -1): {"branch": "cis/nightly", "commit": "a" * 40, "workspace": "/w/up"},
        ("verify", -1): {"branch": "cis/nightly", "commit": "b" * 40, "workspace": "/w/verify"},
        ("say", -1): {"branch": None},
    }
    assert branches(view, found) == ["branch cis/nightly at bbbbbbbbbbbb in /w/verify (verify)"]
