"""What ``cis dag stats`` adds up."""

from __future__ import annotations

import json

import pytest

from cis_provider.cli.rows import Row
from cis_provider.cli.stats import show, stats_of


def row(agent: str, status: str) -> Row:
    return Row(
        id=f"x_{agent}_1",
        agent=agent,
        status=status,
        output="",
        seconds=0.0,
        run="x",
        dag_id="d",
        run_id="r",
        position=1,
        map_index=-1,
        state="success",
        try_number=1,
        session_id="",
        workspace="",
        error="",
    )


def result(**fields: object) -> dict[str, object]:
    return {"duration": 2.0, "num_turns": 3, "agent_type": "claude"} | fields


GIVEN = {
    ("plan", -1): result(usage={"input_tokens": 100, "output_tokens": 20}, cost_usd=0.25),
    ("build", -1): result(
        usage={"input_tokens": 7},
        cost_usd=None,
        checked={"passed": False},
        error="check failed",
        denied=["Bash"],
    ),
}


def test_a_failed_agent_is_counted_like_any_other(capsys: pytest.CaptureFixture[str]) -> None:
    stats = stats_of([row("plan", "done"), row("build", "failed"), row("later", "waiting")], GIVEN)
    show(stats, run="x", as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert [agent["agent"] for agent in told["agents"]] == ["plan", "build"]
    assert told["total"] == {
        "seconds": 4.0,
        "turns": 6,
        "input_tokens": 107,
        "cached_tokens": 0,
        "output_tokens": 20,
        "cost_usd": 0.25,
    }
    assert told["agents"][1]["check"] == "failed"


def test_the_table_has_a_line_for_the_whole_and_says_what_was_denied(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show(stats_of([row("plan", "done"), row("build", "failed")], GIVEN), run="x", as_json=False)
    shown = capsys.readouterr()
    assert shown.out.splitlines()[-1].split()[:2] == ["total", "4.0s"]
    assert "$0.2500" in shown.out
    assert "build was not allowed to: Bash" in shown.out + shown.err
