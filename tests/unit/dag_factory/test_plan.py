"""Spec to plan."""

from __future__ import annotations

import ast
import datetime
from pathlib import Path
from typing import Any

import pytest

from cis_provider import operators
from dag_factory.plan import AGENT_OPERATOR, OUTCOME_OPERATOR, DagPlan, TaskPlan, make_plan
from dag_factory.validate import check_spec


def _plan(*agents: dict[str, Any], **keys: Any) -> DagPlan:
    with_type = [{"type": "shell", "prompt": "x", **agent} for agent in agents]
    return make_plan(check_spec({"name": "d", "agents": with_type, **keys}), base_folder="/base")


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
            "scope": "global",
            "max_workers": 4,
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


def _places(plan: DagPlan) -> list[tuple[str, int, int]]:
    return [
        (task.arguments["pool"], task.arguments["pool_size"], task.arguments.get("max_workers", 0))
        for task in plan.tasks
    ]


@pytest.mark.parametrize(
    ("keys", "place"),
    [
        ({}, ("cis-dag-d", 4, 4)),
        ({"scope": "global", "exclusive": "run"}, ("cis-dag-d", 4, 4)),
        # The narrower of both is the pool; the coordinator holds the wider one.
        ({"scope": "project:a"}, ("cis-project-a", 4, 4)),
        ({"scope": "project:a", "max_workers": 9}, ("cis-project-a", 4, 9)),
        ({"scope": "project:a", "max_workers": 3}, ("cis-dag-d", 3, 3)),
        ({"scope": "user:a", "max_workers": 3, "exclusive": "agent"}, ("cis-user-a", 1, 3)),
        ({"scope": "type:a", "max_workers": 3, "exclusive": "no"}, ("cis-dag-d", 3, 3)),
        ({"scope": "project:{{ params.p }}"}, ("cis-dag-d", 4, 4)),
        ({"scope": "project:{{ params.p }}", "exclusive": "agent"}, ("cis-dag-d", 4, 4)),
    ],
)
def test_the_pool_is_the_narrower_one_of_scope_and_dag(
    keys: dict[str, Any], place: tuple[str, int, int]
) -> None:
    assert _places(_plan({"id": "a"}, **keys)) == [place]


def test_how_many_are_at_work_in_a_scope_is_the_node_s_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIS_WORKER_MAX_CONCURRENT_TASKS", "2")
    assert _places(_plan({"id": "a"}, scope="project:a")) == [("cis-project-a", 2, 4)]


def test_where_agents_are_in_several_pools_the_dag_s_limit_is_held_for_all_of_them() -> None:
    plan = _plan({"id": "a", "scope": "project:a"}, {"id": "b", "scope": "global"})
    assert _places(plan) == [("cis-project-a", 4, 4), ("cis-dag-d", 4, 4)]


def test_scope_turn_node_and_account_reach_the_operator() -> None:
    plan = _plan(
        {"id": "a", "node": "mine", "scope": "user:me"},
        {"id": "b", "account": "own"},
        scope="project:{{ params.p }}",
        exclusive="agent",
        node="gpu-1",
        defaults={"account": "work"},
    )
    a, b = (task.arguments for task in plan.tasks)
    assert (a["scope"], a["exclusive"], a["queue"], a["account"]) == ("user:me", "agent", "mine", "work")
    assert (b["scope"], b["queue"], b["account"]) == ("project:{{ params.p }}", "gpu-1", "own")


def test_what_the_file_does_not_say_is_left_to_the_operator() -> None:
    assert not {"exclusive", "queue", "account"} & _plan({"id": "a"}).tasks[0].arguments.keys()


def test_the_operator_takes_what_the_plan_has() -> None:
    tree = ast.parse(Path(operators.__path__[0], "agent.py").read_text(encoding="utf-8"))
    init = next(
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "__init__"
    )
    known = {argument.arg for argument in init.args.kwonlyargs}
    plan = _plan(
        {"id": "a", "node": "mine", "account": "x", "workspace": "/x", "env": {"A": "b"}, "timeout": 5},
        scope="project:a",
        exclusive="no",
    )
    of_airflow = {"pool", "queue", "retries", "priority_weight", "weight_rule"}
    assert plan.tasks[0].arguments.keys() - of_airflow <= known
