"""What a person reads of a run."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from cis_provider.cli.questions import asked_of
from cis_provider.cli.records import DagRun, HumanQuestion, Task
from cis_provider.cli.rows import Plan, Row, blocked_first, leaves, plan_from_tasks, view
from cis_provider.cli.status import PlanAgent, short_error
from cis_provider.model.blockage import Blockage, BlockageKind
from cis_provider.model.session import SessionState

PLAN: Plan = (
    PlanAgent("find", 1, ()),
    PlanAgent("check", 2, ()),
    PlanAgent("upgrade", 3, ("find", "check")),
    PlanAgent("report", 4, ("upgrade",)),
)


def one(records: Any, state: str | None, *sessions: Any, **more: Any) -> Row:
    """The row of one agent alone."""
    plan = (PlanAgent("a", 1, ()),)
    (row,) = records.view(plan, [records.task("a", state, **more)], list(sessions)).agents
    return row


def test_agents_stand_in_the_order_of_the_file(records: Any) -> None:
    tasks = [records.task(name, None) for name in ("report", "upgrade", "check", "find")]
    rows = records.view(PLAN, tasks).agents
    assert [(row.id, row.agent) for row in rows] == [
        ("run-001", "find"),
        ("run-002", "check"),
        ("run-003", "upgrade"),
        ("run-004", "report"),
    ]


def test_a_waiting_agent_says_for_whom(records: Any) -> None:
    tasks = [
        records.task("find", "success"),
        records.task("check", "running"),
        records.task("upgrade", None),
        records.task("report", None),
    ]
    rows = records.view(PLAN, tasks).agents
    assert [(row.status, row.output) for row in rows[2:]] == [
        ("waiting", "waiting for check"),
        ("waiting", "waiting for upgrade"),
    ]


def test_an_agent_behind_a_failed_one_says_whose_fault_it_is(records: Any) -> None:
    tasks = [
        records.task("find", "failed"),
        records.task("check", "success"),
        records.task("upgrade", "upstream_failed"),
        records.task("report", "upstream_failed"),
    ]
    rows = records.view(PLAN, tasks).agents
    assert [(row.status, row.output) for row in rows[2:]] == [
        ("skipped", "find failed"),
        ("skipped", "upgrade failed"),
    ]


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (None, "waiting"),
        ("scheduled", "queued"),
        ("queued", "queued"),
        ("running", "running"),
        ("deferred", "running"),
        ("success", "done"),
        ("failed", "failed"),
        ("upstream_failed", "skipped"),
        ("skipped", "skipped"),
        ("removed", "skipped"),
        ("up_for_retry", "retrying"),
        ("a state of a later Airflow", "waiting"),
    ],
)
def test_every_state_has_a_word(records: Any, state: str | None, status: str) -> None:
    assert one(records, state).status == status


def test_an_agent_at_work_shows_its_last_line_and_its_time(records: Any) -> None:
    row = one(
        records,
        "deferred",
        records.session(
            "a", SessionState.RUNNING, started_at=988.0, last_line="building 3 of 7", workspace="/w"
        ),
    )
    assert (row.status, row.output, row.seconds, row.workspace) == ("running", "building 3 of 7", 12.0, "/w")


def test_an_agent_that_the_node_lets_wait_is_queued_and_says_for_what(records: Any) -> None:
    waiting = records.session("a", SessionState.QUEUED, waiting_for="folder /tmp/x, which run r0 of d has")
    row = one(records, "deferred", waiting)
    assert (row.status, row.output, row.seconds) == (
        "queued",
        "waiting for folder /tmp/x, which run r0 of d has",
        0.0,
    )


def test_a_cleared_agent_does_not_show_its_last_try(records: Any) -> None:
    ended = records.session("a", SessionState.ENDED, last_line="old", started_at=1.0, ended_at=2.0)
    assert one(records, None, ended).output == "waiting for the scheduler"
    assert one(records, "running", ended, try_number=2).output == "starting"
    assert one(records, "success", ended).output == "old"


def test_the_newest_session_of_a_task_counts(records: Any) -> None:
    first = records.session("a", SessionState.ENDED, session_id="s1", created_at=10.0, last_line="first")
    second = records.session("a", SessionState.ENDED, session_id="s2", created_at=20.0, last_line="second")
    row = one(records, "success", second, first)
    assert (row.session_id, row.output) == ("s2", "second")


def test_a_failed_agent_without_output_shows_its_error(records: Any) -> None:
    result = records.result(is_error=True, subtype="workspace", error="the repository /x is not there\nmore")
    row = one(records, "failed", records.session("a", SessionState.ENDED, result=result))
    assert row.output == "the repository /x is not there"
    assert row.error.endswith("more")


def test_an_agent_that_only_wrote_its_report_shows_the_head_of_it(records: Any) -> None:
    result = records.result(output="\n# Upgrades\n\n- three\n")
    assert (
        one(records, "success", records.session("a", SessionState.ENDED, result=result)).output == "Upgrades"
    )


def test_an_agent_of_another_node_has_times_from_airflow(records: Any) -> None:
    begin = dt.datetime.fromtimestamp(900, dt.UTC)
    row = one(records, "success", start_date=begin, end_date=begin + dt.timedelta(seconds=30))
    assert (row.seconds, row.output) == (30.0, "")


def test_mapped_agents_have_a_row_each(records: Any) -> None:
    plan = (PlanAgent("a", 1, ()), PlanAgent("b", 2, ("a",)))
    tasks = [records.task("a", state, map_index=n) for n, state in ((1, "running"), (0, "success"))]
    rows = records.view(plan, [*tasks, records.task("b", None)]).agents
    assert [(row.title, row.status) for row in rows] == [
        ("a[0]", "done"),
        ("a[1]", "running"),
        ("b", "waiting"),
    ]
    assert rows[-1].output == "waiting for a"


def test_tasks_that_are_no_agents_are_left_out(records: Any) -> None:
    helper = records.task("outcome", None, operator="RunOutcomeOperator")
    plan = (PlanAgent("a", 1, ()),)
    assert [row.agent for row in records.view(plan, [records.task("a", None), helper]).agents] == ["a"]


def test_an_agent_that_the_file_has_lost_is_still_shown(records: Any) -> None:
    plan = (PlanAgent("a", 1, ()),)
    rows = records.view(plan, [records.task("a", "success"), records.task("gone", "success")]).agents
    assert [(row.id, row.agent) for row in rows] == [("run-001", "a"), ("run-002", "gone")]


def test_leaves_are_the_agents_that_nobody_waits_for() -> None:
    assert leaves(PLAN) == ["report"]
    assert leaves((PlanAgent("a", 1, ()), PlanAgent("b", 2, ()))) == ["a", "b"]


def test_a_dag_written_by_hand_is_ordered_by_its_edges() -> None:
    def task(name: str, *downstream: str, kind: str = "AgentOperator") -> Task:
        return Task(task_id=name, downstream_task_ids=list(downstream), class_ref={"class_name": kind})

    found = plan_from_tasks(
        [
            task("a-last"),
            task("z-first", "m-mid", "log"),
            task("m-mid", "a-last"),
            task("log", kind="BashOperator"),
        ]
    )
    assert found == (
        PlanAgent("z-first", 1, ()),
        PlanAgent("m-mid", 2, ("z-first",)),
        PlanAgent("a-last", 3, ("m-mid",)),
    )


def test_an_error_is_said_without_the_lines_that_follow() -> None:
    assert short_error("exit code 3; its last lines:\none\ntwo") == "exit code 3"
    assert short_error("") == ""


# --- blocked ---------------------------------------------------------------------------------------------


def _asking(number: int = 1, since: float = 900.0, **more: Any) -> Blockage:
    values = {"kind": BlockageKind.PERMISSION, "title": "Bash: git push", **more}
    return Blockage(number=number, since=since, **values)


def test_a_blocked_agent_says_what_it_asks_and_since_when(records: Any) -> None:
    session = records.session("a", SessionState.RUNNING, blockage=_asking(), started_at=800.0)
    row = one(records, "deferred", session)
    assert row.status == "blocked" and row.blockage == _asking()
    assert row.output.startswith("permission: Bash: git push (since ")


def test_an_agent_that_is_done_waits_for_nobody(records: Any) -> None:
    session = records.session("a", SessionState.ENDED, blockage=_asking(), result=records.result())
    assert one(records, "success", session).blockage is None


def test_who_waits_for_a_human_stands_first_the_longest_before_the_others(records: Any) -> None:
    plan = tuple(PlanAgent(name, place, ()) for place, name in enumerate("abcd", 1))
    sessions = [
        records.session("a", SessionState.RUNNING),
        records.session("b", SessionState.RUNNING, blockage=_asking(since=950.0)),
        records.session("d", SessionState.RUNNING, blockage=_asking(since=910.0)),
    ]
    rows = records.view(plan, [records.task(name, "deferred") for name in "abcd"], sessions).agents
    assert [row.agent for row in blocked_first(rows)] == ["d", "b", "a", "c"]


def test_tasks_that_ask_for_agents_are_no_agents() -> None:
    tasks = [
        Task(task_id="a", class_ref={"class_name": "AgentOperator"}),
        Task(task_id="interventions.a", class_ref={"class_name": "InterventionSensor"}),
        Task(task_id="ok", class_ref={"class_name": "HumanSensor"}),
    ]
    assert [agent.id for agent in plan_from_tasks(tasks)] == ["a", "ok"]
    assert [agent.id for agent in plan_from_tasks(tasks[1:2])] == []


def test_an_agent_whose_terminal_somebody_has_says_who(records: Any) -> None:
    row = one(records, "deferred", records.session("a", state=SessionState.RUNNING, attached="ann"))
    assert (row.status, row.output) == ("running", "ann has its terminal")


def test_a_human_who_is_asked_is_a_blocked_step(records: Any) -> None:
    run = DagRun(dag_id="d", dag_run_id="r", state="running")
    ti = records.task("ok", "deferred", operator="HumanSensor")
    question = HumanQuestion(
        task_instance=ti,
        subject="Ship it?",
        options=["Approve (1)", "Reject (1)"],
        created_at=dt.datetime.fromtimestamp(950, dt.UTC),
    )
    (row,) = view(
        run, "run", [ti], [], (PlanAgent("ok", 1, ()),), url="", now=1000.0, asked=asked_of([question])
    ).agents
    assert row.status == "blocked" and row.output.startswith("question: Ship it? (since ")
    assert row.asked_by == "ok" and row.blockage is not None
    assert [(option.id, option.label) for option in row.blockage.options] == [
        ("Approve (1)", "Approve"),
        ("Reject (1)", "Reject"),
    ]


def test_a_question_of_an_agent_elsewhere_is_known_by_the_task_that_asks_it(records: Any) -> None:
    question = HumanQuestion(
        task_instance=records.task("interventions.a", "deferred", operator="InterventionSensor"),
        subject="Bash: git push",
        options=["Allow (3)", "Deny (3)"],
        created_at=dt.datetime.fromtimestamp(950, dt.UTC),
    )
    found = asked_of([question])["a", -1]
    assert (found.task_id, found.blockage.number) == ("interventions.a", 3)
