"""What a file says about a blocked agent, and steps where a human decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from cis_provider.model.on_blocked import OnBlocked
from cis_provider.operators.options import to_options
from dag_factory.plan import HUMAN_SENSOR, INTERVENTION_SENSOR, DagPlan, TaskPlan, make_plan
from dag_factory.validate import check_spec

Complaints = Callable[..., list[str]]


def _plan(*agents: dict[str, Any], **keys: Any) -> DagPlan:
    given = [{"type": "claude", "prompt": "x", **agent} for agent in agents]
    return make_plan(check_spec({"name": "d", "agents": given, **keys}))


def _task(plan: DagPlan, task_id: str) -> TaskPlan:
    return next(task for task in plan.tasks if task.task_id == task_id)


def _rules(**keys: Any) -> OnBlocked:
    plan = _plan({"id": "a", **keys})
    return to_options(_task(plan, "a").arguments.get("options")).on_blocked


# --- rules -----------------------------------------------------------------------------------------------


def test_every_rule_reaches_the_request() -> None:
    found = _rules(
        on_blocked={
            "permission": {"allow": ["Bash(git *)", "Read"]},
            "question": {"answer": "Decide yourself."},
            "trust": "allow",
            "login": "fail",
            "stalled": "nudge",
            "rate_limit": "wait",
            "quota": "wait",
        },
        on_budget="ask",
        answer_timeout="4h",
        on_answer_timeout="escalate",
        approvers=["anna"],
        escalate_to=["boss"],
    )
    assert found == OnBlocked(
        permission="allow",
        allow=("Bash(git *)", "Read"),
        question="answer",
        answer="Decide yourself.",
        trust="allow",
        login="fail",
        stalled="nudge",
        budget="ask",
        answer_timeout=14400.0,
        after_timeout="escalate",
        approvers=("anna",),
        escalate_to=("boss",),
    )


def test_every_rule_of_the_model_can_be_said_in_a_file() -> None:
    """A field that no key fills would be a rule that nobody can make."""
    plain = msgspec.to_builtins(
        _rules(
            on_blocked={"permission": {"allow": ["a"]}, "question": {"answer": "b"}, "trust": "deny"}
            | {"login": "fail", "stalled": "fail"},
            on_budget="ask",
            answer_timeout=1,
            on_answer_timeout="escalate",
            approvers=["c"],
            escalate_to=["d"],
        )
    )
    assert not {name for name, value in plain.items() if value == msgspec.to_builtins(OnBlocked())[name]}


def test_without_rules_every_blockage_asks() -> None:
    assert _rules() == OnBlocked()
    assert _rules(on_blocked={"permission": "ask", "question": "ask"}) == OnBlocked()
    assert "options" not in _task(_plan({"id": "a", "on_blocked": {}}), "a").arguments


def test_defaults_are_for_all_agents_but_scripts() -> None:
    plan = _plan(
        {"id": "a"},
        {"id": "b", "on_blocked": {"permission": "ask"}},
        {"id": "s", "type": "shell"},
        defaults={"on_blocked": {"permission": "deny"}, "approvers": ["anna"]},
    )
    a, b = (to_options(_task(plan, name).arguments["options"]).on_blocked for name in "ab")
    assert (a.permission, b.permission) == ("deny", "ask")
    assert (a.approvers, b.approvers) == (("anna",), ("anna",))
    assert "options" not in _task(plan, "s").arguments


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (
            "on_blocked: {permision: deny}",
            'f.yaml:3:19: F101 agent "a": unknown key "permision" (did you mean "permission"?)',
        ),
        (
            "on_blocked: {permission: {alow: [Read]}}",
            'f.yaml:3:32: F101 agent "a": unknown key "alow" (did you mean "allow"?)',
        ),
        (
            "on_blocked: {permission: denny}",
            'f.yaml:3:31: F103 agent "a": "permission" must be one of ask, deny, not \'denny\' (did you mean "deny"?)',
        ),
        (
            "on_blocked: {permission: [Read]}",
            'f.yaml:3:31: F103 agent "a": "permission" must be ask, deny or {allow: [PATTERN, ...]}',
        ),
        (
            "on_blocked: {permission: {allow: Read}}",
            'f.yaml:3:39: F103 agent "a": "allow" must be a list, not \'Read\' (write [Read])',
        ),
        (
            "on_blocked: {question: {anwser: x}}",
            'f.yaml:3:30: F101 agent "a": unknown key "anwser" (did you mean "answer"?)',
        ),
        (
            "on_blocked: {quota: fail}",
            'f.yaml:3:26: F103 agent "a": "quota" must be one of wait, not \'fail\'',
        ),
        (
            "on_blocked: ask",
            'f.yaml:3:18: F103 agent "a": "on_blocked" must be a mapping, not \'ask\'',
        ),
        (
            "answer_timeout: soon",
            'f.yaml:3:22: F104 agent "a": "answer_timeout" ',
        ),
        (
            "approvers: anna",
            'f.yaml:3:17: F103 agent "a": "approvers" must be a list, not \'anna\' (write [anna])',
        ),
        (
            "on_answer_timeout: deny",
            'f.yaml:3:6: F102 agent "a": "on_answer_timeout" needs answer_timeout: after how long?',
        ),
        (
            "answer_timeout: 1h, on_answer_timeout: escalate",
            'f.yaml:3:45: F102 agent "a": "on_answer_timeout: escalate" needs escalate_to: to whom?',
        ),
        ("options: [a]", 'f.yaml:3:6: F112 agent "a": "options" is for steps of type human'),
    ],
)
def test_what_is_wrong_is_said_where_it_stands(complaints: Complaints, lines: str, complaint: str) -> None:
    found = complaints(f"agents:\n  - {{id: a, type: claude, prompt: x,\n     {lines}}}\n")
    assert any(line.startswith(complaint) for line in found), found


@pytest.mark.parametrize("word", ["approve", "allow", "accept", "yes"])
def test_nobody_who_is_silent_agrees(complaints: Complaints, word: str) -> None:
    found = complaints(f"""
        agents:
          - {{id: a, type: claude, prompt: x, answer_timeout: 1h, on_answer_timeout: {word}}}
    """)
    assert len(found) == 1
    assert "never approves: who does not answer has agreed to nothing" in found[0]


def test_a_script_asks_nobody_unless_it_says_so(complaints: Complaints) -> None:
    (found,) = complaints("""
        agents:
          - {id: a, type: shell, prompt: x, approvers: [anna]}
    """)
    assert found.startswith('f.yaml:2:37: F112 agent "a": "approvers" makes no sense for a shell agent')
    assert not complaints("""
        agents:
          - {id: a, type: shell, prompt: x, on_blocked: {}, approvers: [anna]}
    """)


# --- sensors ---------------------------------------------------------------------------------------------


def test_beside_each_agent_that_can_ask_stands_a_task_that_asks() -> None:
    plan = _plan(
        {"id": "a"},
        {
            "id": "b",
            "deps": ["a"],
            "when": "failure",
            "node": "far",
            "retries": 3,
            "priority": "p0",
            "answer_timeout": "1h",
            "approvers": ["anna"],
        },
        {"id": "s", "type": "shell"},
    )
    sensors = [task for task in plan.tasks if task.group]
    assert sensors == [
        TaskPlan(
            task_id="interventions.a",
            operator=INTERVENTION_SENSOR,
            arguments={"agent": "a"},
            group="interventions",
        ),
        TaskPlan(
            task_id="interventions.b",
            operator=INTERVENTION_SENSOR,
            arguments={
                "agent": "b",
                "approvers": ("anna",),
                "answer_timeout": 3600.0,
                "after_timeout": "remind",
                "queue": "far",
            },
            upstream=("a",),
            trigger_rule="one_failed",
            group="interventions",
        ),
    ]


def test_a_script_that_may_ask_has_one_too() -> None:
    plan = _plan({"id": "s", "type": "shell", "on_blocked": {}})
    assert [task.task_id for task in plan.tasks] == ["s", "interventions.s"]


def test_the_run_is_judged_by_its_agents_alone() -> None:
    plan = _plan({"id": "a"}, {"id": "b", "deps": ["a"], "when": "always"})
    outcome = _task(plan, "run-outcome")
    assert outcome.upstream == ("a", "b") and outcome.arguments["agents"] == ("a", "b")


@pytest.mark.parametrize("name", ["interventions", "interventions.a"])
def test_no_agent_may_have_the_groups_name(complaints: Complaints, name: str) -> None:
    (found,) = complaints(f"""
        agents:
          - {{id: {name}, type: claude, prompt: x}}
    """)
    assert found.startswith('f.yaml:2:10: F106 "interventions" is the group of the tasks that ask a human')


# --- humans ----------------------------------------------------------------------------------------------


def test_a_human_is_a_step_like_any_other() -> None:
    plan = _plan(
        {"id": "a"},
        {
            "id": "ok",
            "type": "human",
            "prompt": "Is `{{ outputs.a }}` good?",
            "options": ["Ship it", "Not yet"],
            "free_text": True,
            "deps": ["a"],
            "approvers": ["anna"],
            "answer_timeout": "2d",
            "on_answer_timeout": "deny",
            "description": "The last word.",
        },
        {"id": "b", "deps": ["ok"]},
        node="far",
        scope="project:x",
    )
    assert _task(plan, "ok") == TaskPlan(
        task_id="ok",
        operator=HUMAN_SENSOR,
        arguments={
            "question": "Is `{{ outputs.a }}` good?",
            "options": ("Ship it", "Not yet"),
            "free_text": True,
            "approvers": ("anna",),
            "answer_timeout": 172800.0,
            "after_timeout": "deny",
            "queue": "far",
            "doc_md": "The last word.\n",
        },
        upstream=("a",),
    )
    assert _task(plan, "b").arguments["inputs"] == ("ok",)
    assert "interventions.ok" not in [task.task_id for task in plan.tasks]


def test_defaults_of_agents_are_not_for_humans_but_how_long_one_waits_is() -> None:
    plan = _plan(
        {"id": "ok", "type": "human"},
        defaults={
            "model": "m",
            "timeout": 5,
            "workspace": "/x",
            "env": {"A": "b"},
            "on_blocked": {"permission": "deny"},
            "approvers": ["anna"],
            "answer_timeout": 60,
        },
    )
    assert _task(plan, "ok").arguments == {
        "question": "x",
        "approvers": ("anna",),
        "answer_timeout": 60.0,
        "after_timeout": "remind",
    }


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("workspace: /x", "remove it, or choose another type"),
        ("env: {A: b}", "remove it"),
        ("model: m", "remove it"),
        ("retries: 2", "remove it"),
        ("scope: global", "remove it"),
        ("timeout: 5m", "write answer_timeout"),
        ("on_blocked: {permission: deny}", "remove it"),
    ],
)
def test_what_drives_a_program_makes_no_sense_for_a_human(
    complaints: Complaints, key: str, hint: str
) -> None:
    (found,) = complaints(f"agents:\n  - id: ok\n    type: human\n    prompt: x\n    {key}\n")
    name = key.partition(":")[0]
    assert (
        found.startswith(f'f.yaml:5:5: F112 agent "ok": "{name}" makes no sense for a human')
        and hint in found
    )


def test_humans_have_no_workspace_no_conversation_and_no_options_that_read_alike(
    complaints: Complaints,
) -> None:
    found = complaints("""
        agents:
          - {id: a, type: claude, prompt: x}
          - {id: ok, type: human, prompt: x, deps: [a], options: [Yes, "yes"]}
          - {id: b, type: claude, prompt: x, deps: [a, ok], workspace: {from: ok}}
          - {id: c, type: claude, prompt: x, deps: [ok], session: {from: ok}}
    """)
    assert [line.partition(" ")[2] for line in found] == [
        'F103 agent "ok": option "yes" is there twice',
        'F206 agent "b": "ok" is a human and has no workspace (such as a)',
        'F206 agent "c": "session: from" names "ok", a human, who has no conversation to go on with',
    ]


def test_a_humans_question_is_filled_in_at_load(check: Callable[..., Any]) -> None:
    checked = check(
        "agents:\n  - {id: ok, type: human, prompt: 'Deploy to ${PLACE}?'}\n", env={"PLACE": "production"}
    )
    assert _task(make_plan(checked), "ok").arguments["question"] == "Deploy to production?"


def test_a_misspelt_human_is_offered(complaints: Complaints) -> None:
    (found,) = complaints("agents:\n  - {id: ok, type: humman, prompt: x}\n")
    assert 'did you mean "human"?' in found
