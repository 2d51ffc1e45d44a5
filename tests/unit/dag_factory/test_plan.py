"""Spec to plan."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from dag_factory.plan import AGENT_OPERATOR, OUTCOME_OPERATOR, DagPlan, TaskPlan, make_plan
from dag_factory.validate import check_spec


def _plan(*agents: dict[str, Any], **keys: Any) -> DagPlan:
    with_type = [{"type": "shell", "prompt": "x", **agent} for agent in agents]
    return make_plan(check_spec({"name": "d", "agents": with_type, **keys}).need(), base_folder="/base")


def test_an_agent_is_one_task_under_its_own_id() -> None:
    plan = _plan(
        {"id": "a"}, {"id": "b", "deps": ["a"], "priority": "p0", "timeout": "5m", "retry_delay": 30}
    )
    assert [task.task_id for task in plan.tasks] == ["a", "b"]
    assert plan.tasks[1] == TaskPlan(
        task_id="b",
        operator=AGENT_OPERATOR,
        arguments={
            "agent_type": "shell",
            "prompt": "x",
            "inputs": ("a",),
            "position": 2,
            "priority": 0,
            "priority_weight": 1000,
            "weight_rule": "absolute",
            "pool": "cis-dag-d",
            "pool_size": 4,
            "retries": 0,
            "base_folder": "/base",
            "timeout": 300.0,
            "retry_delay": datetime.timedelta(seconds=30),
        },
        upstream=("a",),
        trigger_rule="all_success",
    )


@pytest.mark.parametrize(
    ("workspace", "argument"),
    [
        ("/x", "/x"),
        ({"path": "/x"}, {"path": "/x"}),
        ({"path": "/x", "shared": True}, {"path": "/x", "shared": True}),
        ({"repo": ".", "ref": "main"}, {"repo": ".", "ref": "main"}),
        ({"from": "a"}, {"from": "a"}),
    ],
)
def test_a_workspace_reaches_the_operator_as_the_file_has_it(workspace: Any, argument: Any) -> None:
    plan = _plan({"id": "a"}, {"id": "b", "deps": ["a"], "workspace": workspace})
    assert plan.tasks[1].arguments["workspace"] == argument


def test_defaults_fill_in_what_an_agent_does_not_say() -> None:
    plan = _plan(
        {"id": "a", "retries": 0, "env": {"C": "agent"}},
        {"id": "b"},
        env={"A": "dag", "B": "dag", "C": "dag"},
        defaults={"retries": 2, "priority": "p3", "env": {"B": "defaults", "C": "defaults"}},
    )
    a, b = (task.arguments for task in plan.tasks)
    assert (a["retries"], b["retries"], b["priority"]) == (0, 2, 3)
    assert a["env"] == {"A": "dag", "B": "defaults", "C": "agent"}
    assert b["env"] == {"A": "dag", "B": "defaults", "C": "defaults"}


def test_a_run_with_a_failed_agent_fails_though_a_later_agent_succeeds() -> None:
    plan = _plan(
        {"id": "a"},
        {"id": "b", "deps": ["a"], "when": "failure"},
        {"id": "c", "deps": ["a"], "when": "always"},
    )
    assert [task.trigger_rule for task in plan.tasks] == [
        "all_success",
        "one_failed",
        "all_done",
        "one_failed",
    ]
    outcome = plan.tasks[-1]
    assert (outcome.task_id, outcome.operator, outcome.upstream) == (
        "run-outcome",
        OUTCOME_OPERATOR,
        ("a", "b", "c"),
    )


def test_where_every_agent_needs_success_there_is_no_further_task() -> None:
    assert len(_plan({"id": "a"}, {"id": "b", "deps": ["a"]}).tasks) == 2


def test_the_dag_is_tagged_and_has_no_schedule_by_itself() -> None:
    plan = _plan({"id": "a"}, tags=["x"])
    assert plan.tags == {"x", "cis"}
    assert (plan.schedule, plan.start_date, plan.catchup, plan.max_workers) == (None, None, False, 4)
