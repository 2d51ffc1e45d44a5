"""Tasks that ask humans, in a real Airflow: every move of Airflow's own while an agent is blocked."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cis_provider.embedded import api
from tests.kit.forms import Forms

pytestmark = pytest.mark.system

CIS = Path(sys.executable).with_name("cis")

BY_HAND = """
import sys
from datetime import timedelta
from airflow.sdk import DAG
from cis_provider.operators.agent import AgentOperator
from cis_provider.interventions import interventions
from cis_provider.sensors.blockage import BlockageSensor

PROGRAM = {{"program": [sys.executable, "-m", "cis_provider.testing.fake_acp_agent"]}}
ENV = {{"FAKE_ACP_HOME": {home!r}}}
COMMON = {{"agent_type": "acp", "env": ENV, "options": PROGRAM}}

with DAG("by-hand", schedule=None, default_args={{"execution_timeout": timedelta(minutes=10)}}) as dag:
    first = AgentOperator(task_id="first", prompt="steps run touch a | say done", **COMMON)
    page = BlockageSensor(task_id="page", agent="first")
    never = BlockageSensor(task_id="never", agent="first", kinds=["quota"])
    many = AgentOperator.partial(task_id="many", **COMMON).expand(
        prompt=["steps run touch m0 | say m0", "steps run touch m1 | say m1"])
    first >> many
    interventions(dag)
"""


class Blocked:
    """Runs of agents that ask before each command."""

    def __init__(self, runs: Any, folder: Path) -> None:
        self.runs, self.folder = runs, folder

    def agent(self, *commands: str, **more: Any) -> dict[str, Any]:
        steps = " | ".join([*(f"run {command}" for command in commands), "say done"])
        return {
            "id": "agent",
            "type": "acp",
            "program": [sys.executable, "-m", "cis_provider.testing.fake_acp_agent"],
            "env": {"FAKE_ACP_HOME": str(self.folder)},
            "prompt": f"steps {steps}",
            **more,
        }

    def up(self, *commands: str, **more: Any) -> tuple[Any, Forms]:
        """A run of one agent, and one after it."""
        after = {"id": "after", "deps": ["agent"], "command": "true"}
        run = self.runs.up([self.agent(*commands, **more), after])
        return run, Forms(run)

    def another(self, forms: Forms, task: str, than: dict[str, Any]) -> dict[str, Any]:
        """The form of a task that has other options than one before."""
        found: dict[str, Any] = forms._run.airflow.eventually(
            lambda: next(
                (
                    form
                    for form in forms.open()
                    if form["task_instance"]["task_id"] == task and form["options"] != than["options"]
                ),
                None,
            ),
            60,
        )
        return found


@pytest.fixture
def blocked(runs: Any, tmp_path: Path) -> Iterator[Blocked]:
    folder = tmp_path / "acp"
    folder.mkdir()
    yield Blocked(runs, folder)


def states(run: Any) -> dict[str, str | None]:
    found = run.airflow.request(f"{run.path}/taskInstances?limit=100")[1]["task_instances"]
    return {task["task_id"]: task["state"] for task in found}


def patch_dag(run: Any, **body: Any) -> None:
    headers = {"Authorization": f"Bearer {api.bearer_token()}"}
    url = f"{run.airflow.url}/api/v2/dags/{run.dag_id}"
    assert httpx.patch(url, json=body, headers=headers, timeout=15).status_code == 200


def test_ten_questions_show_their_own_text_and_the_run_ends_with_its_agent(blocked: Blocked) -> None:
    names = [f"file{number}" for number in range(1, 11)]
    run, forms = blocked.up(*(f"touch {name}" for name in names))
    form: dict[str, Any] = {"options": []}
    for number, name in enumerate(names, 1):
        older, form = form, blocked.another(forms, "interventions.agent", form)
        assert f"touch {name}\n" in form["body"]
        assert form["options"][0] == f"Allow ({number})"
        if older["options"]:
            assert forms.send(form, older["options"][:1], {}) == 400
        assert forms.fill(form, "allow" if number % 2 else "reject") == 200
        assert forms.fill(form, "reject") in (400, 409), "two answers at once"
    assert run.ended(60) == "success"
    assert forms.open() == []
    answers = run.xcom("agent")["answers"]
    assert [(one["number"], one["option"]) for one in answers] == [
        (number, "Allow" if number % 2 else "Reject") for number in range(1, 11)
    ]
    assert states(run) == {"agent": "success", "after": "success", "interventions.agent": "success"}
    assert run.tries("agent") == 1


def test_nobody_is_needed_and_the_run_ends_soon_after_its_agent(blocked: Blocked) -> None:
    run, forms = blocked.up()
    assert run.ended(60) == "success"
    assert states(run)["interventions.agent"] == "skipped"
    assert forms.open() == []


def test_a_param_without_a_default_does_not_end_the_triggerer(
    blocked: Blocked, embedded_airflow: Any
) -> None:
    before = embedded_airflow.pid("triggerer")
    agent = blocked.agent("touch {{ params.name }}", on_blocked={"permission": "deny"})
    run = blocked.runs.up([agent], given=["name=one"], params={"name": {"type": "string"}})
    assert run.ended(60) == "success"
    assert states(run) == {"agent": "success", "interventions.agent": "skipped"}
    assert embedded_airflow.pid("triggerer") == before


def test_an_answer_at_the_terminal_takes_the_form_away(blocked: Blocked) -> None:
    run, forms = blocked.up("touch one", "touch two")
    first = forms.wait("agent")
    subprocess.run([CIS, "dag", "answer", run.run_id, "agent", "Allow"], check=True, timeout=60)
    second = blocked.another(forms, "interventions.agent", first)
    assert "touch two" in second["body"]
    assert forms.fill(second, "reject") == 200
    assert run.ended(60) == "success"
    assert forms.open() == []


def test_only_approvers_may_answer_and_others_once_it_was_escalated(blocked: Blocked) -> None:
    keys = {"approvers": ["somebody-else"], "answer_timeout": "5s", "on_answer_timeout": "escalate"}
    run, forms = blocked.up("touch one", **keys, escalate_to=["admin"])
    form = forms.wait("agent", containing="Airflow has no active user `somebody-else`")
    assert form["body"].startswith("> Nobody may answer this form.")
    assert [user["name"] for user in form["assigned_users"]] == ["somebody-else"]
    assert forms.fill(form, "allow") == 403
    run.airflow.eventually(lambda: len(forms.wait("agent")["assigned_users"]) == 2, 60)
    assert forms.fill(form, "allow") == 200
    assert run.ended(60) == "success"


@pytest.mark.parametrize("state", ["success", "failed"])
def test_a_mark_while_it_is_blocked_does_what_it_says(blocked: Blocked, state: str) -> None:
    run, forms = blocked.up("touch one")
    forms.wait("agent")
    run.patch("agent", state)
    assert run.ended(60) == state
    assert forms.open() == []
    assert states(run)["after"] == ("success" if state == "success" else "upstream_failed")
    run.airflow.eventually(lambda: run.sessions("agent")[-1].has_ended)


def test_a_clear_while_it_is_blocked_brings_a_new_question_and_no_old_answer(blocked: Blocked) -> None:
    run, forms = blocked.up("touch one")
    old = forms.wait("agent")
    run.clear("agent")
    form = blocked.another(forms, "interventions.agent", old)
    assert forms.send(form, old["options"][:1], {}) == 400
    assert forms.fill(form, "allow") == 200
    assert run.ended(60) == "success"
    assert run.tries("agent") == 2


def test_a_clear_after_the_end_brings_the_form_back(blocked: Blocked) -> None:
    run, forms = blocked.up("touch one")
    old = forms.wait("agent")
    assert forms.fill(old, "allow") == 200
    assert run.ended(60) == "success"
    run.clear("agent")
    form = blocked.another(forms, "interventions.agent", old)
    assert forms.fill(form, "reject") == 200
    run.airflow.eventually(lambda: states(run)["after"] is not None)
    assert run.ended(60) == "success"
    assert states(run)["interventions.agent"] == "success"


def test_a_run_that_is_stopped_asks_nobody_any_more(blocked: Blocked) -> None:
    run, forms = blocked.up("touch one")
    forms.wait("agent")
    run.fail()
    run.airflow.eventually(lambda: states(run)["interventions.agent"] in ("failed", "skipped"))
    run.airflow.eventually(lambda: run.sessions("agent")[-1].has_ended)


def test_a_form_answered_while_the_dag_is_paused_waits_and_the_command_does_not(blocked: Blocked) -> None:
    run, forms = blocked.up("touch one", "touch two")
    form = forms.wait("agent")
    patch_dag(run, is_paused=True)
    try:
        assert forms.fill(form, "allow") == 200
        run.reaches("interventions.agent", "scheduled")
        subprocess.run([CIS, "dag", "answer", run.run_id, "agent", "Reject"], check=True, timeout=60)
        run.airflow.eventually(lambda: run.sessions("agent")[-1].settled)
    finally:
        patch_dag(run, is_paused=False)
    second = blocked.another(forms, "interventions.agent", form)
    assert forms.fill(second, "allow") == 200
    assert run.ended(60) == "success"
    assert [one["option"] for one in run.xcom("agent")["answers"]] == ["Reject", "Allow"]


@pytest.mark.parametrize("component", ["triggerer", "scheduler", "api-server"])
def test_a_component_that_is_killed_while_it_is_blocked_loses_no_question(
    blocked: Blocked, embedded_airflow: Any, component: str
) -> None:
    import os
    import signal

    run, forms = blocked.up("touch one", "touch two")
    first = forms.wait("agent")
    os.kill(embedded_airflow.pid(component), signal.SIGKILL)

    def answered() -> bool:
        try:
            return forms.fill(first, "allow") in (200, 409)
        except httpx.HTTPError:
            return False

    run.airflow.eventually(answered, 60)
    second = blocked.another(forms, "interventions.agent", first)
    assert "touch two" in second["body"]
    assert forms.fill(second, "allow") == 200
    assert run.ended(90) == "success"
    assert [one["option"] for one in run.xcom("agent")["answers"]] == ["Allow", "Allow"]
    assert run.tries("agent") == 1


@pytest.fixture
def by_hand(embedded_airflow: Any, tmp_path: Path) -> Iterator[Callable[[str], Any]]:
    """Starts a run of a DAG of a file written by hand."""
    file = embedded_airflow.home / "dags" / "by_hand.py"
    file.write_text(BY_HAND.format(home=str(tmp_path)), encoding="utf-8")

    def start(runs: Any, dag_id: str) -> Any:
        headers = {"Authorization": f"Bearer {api.bearer_token()}"}
        url = f"{embedded_airflow.url}/api/v2/dags/{dag_id}"

        def unpaused() -> bool:
            return httpx.patch(url, json={"is_paused": False}, headers=headers).status_code == 200

        embedded_airflow.eventually(unpaused, 60)
        made = httpx.post(f"{url}/dagRuns", json={"logical_date": None}, headers=headers, timeout=15)
        return runs.known(dag_id, made.json()["dag_run_id"])

    yield start
    file.unlink()


def test_a_dag_written_by_hand_asks_and_pages(runs: Any, blocked: Blocked, by_hand: Any) -> None:
    run = by_hand(runs, "by-hand")
    forms = Forms(run)
    form = forms.wait("first")
    run.reaches("page", "success")
    assert run.xcom("page")["title"] == "shell: touch a"
    assert forms.fill(form, "allow") == 200
    parts = []
    seen: dict[str, Any] = {"options": []}
    for _ in range(2):
        seen = blocked.another(forms, "interventions.many", seen)
        parts.append(seen["subject"].split()[0])
        assert forms.fill(seen, "allow") == 200
    assert sorted(parts) == ["many[0]", "many[1]"]
    assert run.ended(60) == "success"
    assert states(run)["never"] == "skipped"


@pytest.mark.parametrize(("choice", "state"), [("approve", "success"), ("reject", "failed")])
def test_a_human_step_lets_the_rest_go_on_or_not(runs: Any, choice: str, state: str) -> None:
    run = runs.up(
        [
            {"id": "one", "command": "echo found 42"},
            {
                "id": "ask",
                "type": "human",
                "deps": ["one"],
                "prompt": "# Go on?\n\nIt says: {{ outputs['one'] }}",
                "free_text": True,
            },
            {"id": "after", "deps": ["ask"], "command": 'echo "$CIS_OUTPUT_ASK"'},
        ]
    )
    forms = Forms(run)
    form = forms.wait("ask", containing="It says: found 42")
    assert forms.fill(form, choice, answer="but carefully") == 200
    assert run.ended(60) == state
    result = run.xcom("ask")
    assert "but carefully" in result["output"]
    assert result["answers"][0]["by"] == "ui:admin"
    if state == "success":
        assert "**Approve**" in run.xcom("after")["output"]
    else:
        assert states(run)["after"] == "upstream_failed"


def test_a_human_who_does_not_come_has_refused_where_the_file_says_so(runs: Any) -> None:
    run = runs.up(
        [{"id": "ask", "type": "human", "prompt": "?", "answer_timeout": "2s", "on_answer_timeout": "deny"}]
    )
    began = time.monotonic()
    assert run.ended(60) == "failed"
    assert time.monotonic() - began >= 2
    assert run.xcom("ask")["answers"][0]["by"] == "timeout:deny"
