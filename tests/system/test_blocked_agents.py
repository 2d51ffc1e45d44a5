"""Real agent programs that wait for a human in a real Airflow, and go on in the same conversation."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pexpect
import pytest

from cis_provider.model.session import SessionRecord
from cis_provider.node.client import NodeClient
from cis_provider.testing.model_server import run, status, text, tool
from tests.kit.forms import Forms
from tests.kit.models import Models

pytestmark = [pytest.mark.system, pytest.mark.agents]

CIS = Path(sys.executable).with_name("cis")


@pytest.fixture
def models(tmp_path: Path) -> Models:
    return Models(tmp_path)


def cis(*words: str) -> str:
    done = subprocess.run([CIS, *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def blocked(begun: Any, agent: str, number: int = 0) -> SessionRecord:
    """The agent's session, once it waits for an answer: for that of a number, if there is one."""

    def found() -> SessionRecord | None:
        return next(
            (
                one
                for one in begun.sessions(agent)
                if one.blockage and (not number or one.blockage.number == number)
            ),
            None,
        )

    return begun.airflow.eventually(found, 90)


def test_claude_is_allowed_in_the_form_and_the_chain_ends(runs: Any, models: Models) -> None:
    steps = [run("touch allowed"), text("It is touched.")]
    with models.agent("claude", steps, prompt="Touch it.") as (agent, _server):
        begun = runs.up(
            [
                {"id": "agent", **agent},
                {"id": "after", "deps": ["agent"], "command": 'echo "$CIS_OUTPUT_AGENT"'},
            ]
        )
        forms = Forms(begun)
        form = forms.wait("agent", containing="touch allowed")
        assert begun.task("after")["state"] in (None, "scheduled"), "downstream waits"
        assert f"cis dag attach {begun.run_id} agent" in form["body"]
        assert forms.fill(form, "yes") == 200
        assert begun.ended(120) == "success"
        assert forms.open() == []
    result = begun.xcom("agent")
    assert (Path(result["workspace"]) / "allowed").exists()
    assert begun.xcom("after")["output"] == "It is touched."
    [answer] = result["answers"]
    assert (answer["kind"], answer["by"].partition(":")[0]) == ("permission", "ui")


def test_claude_is_denied_in_the_form_and_does_something_else(runs: Any, models: Models) -> None:
    steps = [run("touch denied"), text("Then I leave it.")]
    with models.agent("claude", steps, prompt="Touch it.") as (agent, server):
        begun = runs.up([{"id": "agent", **agent}])
        forms = Forms(begun)
        form = forms.wait("agent")
        assert forms.fill(form, "no (") == 200
        assert begun.ended(120) == "success"
        assert "tool_result" in json.dumps(server.calls[-1].body)
    result = begun.xcom("agent")
    assert result["output"] == "Then I leave it."
    assert not (Path(result["workspace"]) / "denied").exists()


def test_codex_is_answered_by_command(runs: Any, models: Models) -> None:
    steps = [run("touch allowed"), text("It is touched.")]
    with models.agent("codex", steps, prompt="Touch it.") as (agent, _server):
        begun = runs.up([{"id": "agent", **agent}])
        session = blocked(begun, "agent")
        assert session.blockage
        cis("dag", "answer", begun.run_id, "agent", session.blockage.options[0].label)
        assert begun.ended(120) == "success"
        assert Forms(begun).open() == []
    assert (Path(begun.xcom("agent")["workspace"]) / "allowed").exists()


def test_a_second_and_a_third_question_show_their_own_text_and_get_their_own_answers(
    runs: Any, models: Models
) -> None:
    steps = [run("touch one"), run("touch two"), run("touch three"), text("done")]
    with models.agent("claude", steps, prompt="Touch them.") as (agent, _server):
        begun = runs.up([{"id": "agent", **agent}])
        forms = Forms(begun)
        older: list[str] = []
        for word, choice in (("one", "yes"), ("two", "no ("), ("three", "yes")):
            form = forms.wait("agent", containing=f"touch {word}")
            if older:
                assert forms.send(form, older[:1], {}) == 400, "an answer to an older question"
            older = form["options"]
            assert forms.fill(form, choice) == 200
        assert begun.ended(120) == "success"
    result = begun.xcom("agent")
    made = sorted(file.name for file in Path(result["workspace"]).iterdir())
    assert made == ["one", "three"]
    assert [answer["number"] for answer in result["answers"]] == [1, 2, 3]


def test_each_of_three_blocked_agents_in_two_runs_gets_its_own_answer(runs: Any, models: Models) -> None:
    def steps(name: str) -> list[Any]:
        return [run(f"touch {name}"), text(f"{name} is touched.")]

    with (
        models.agent("claude", steps("a"), prompt="Touch a.") as (one, _a),
        models.agent("codex", steps("b"), prompt="Touch b.") as (two, _b),
        Models(models.folder / "other").agent("claude", steps("c"), prompt="Touch c.") as (three, _c),
    ):
        first = runs.up([{"id": "one", **one}, {"id": "two", **two}])
        second = runs.up([{"id": "three", **three}])
        waiting = [(first, "one", "a"), (first, "two", "b"), (second, "three", "c")]
        filled = [(Forms(begun), Forms(begun).wait(agent), name) for begun, agent, name in waiting]
        for forms, form, name in reversed(filled):
            assert f"touch {name}" in form["subject"] + form["body"]
            assert forms.fill(form, "yes" if name != "b" else form["options"][0]) == 200
        assert [begun.ended(120) for begun in (first, second)] == ["success", "success"]
    for begun, agent, name in waiting:
        assert (Path(begun.xcom(agent)["workspace"]) / name).exists()


def test_a_login_is_mended_and_the_conversation_goes_on(runs: Any, models: Models) -> None:
    steps = [run("echo half > half.txt"), status(401), text("The other half, too.")]
    fields = {"prompt": "Do both halves.", "permissions": "everything"}
    with models.agent("claude", steps, **fields) as (agent, server):
        begun = runs.up([{"id": "agent", **agent}])
        session = blocked(begun, "agent")
        assert session.blockage and session.blockage.kind == "login"
        forms = Forms(begun)
        form = forms.wait("agent")
        assert forms.fill(form, form["options"][0]) == 200
        assert begun.ended(120) == "success"
        assert "half.txt" in json.dumps(server.calls[-1].body)
    assert begun.xcom("agent")["output"] == "The other half, too."


def test_everything_is_killed_while_it_is_blocked_and_the_question_is_there_again(
    runs: Any, models: Models, embedded_airflow: Any
) -> None:
    asks = {"last_user_contains": "Touch it."}
    steps = [run("touch it", when=asks), run("touch it"), text("It is touched.")]
    with models.agent("claude", steps, prompt="Touch it.") as (agent, server):
        begun = runs.up([{"id": "agent", **agent}])
        forms = Forms(begun)
        old = forms.wait("agent")
        session = blocked(begun, "agent")
        with NodeClient("test") as node:
            there = node.status()
        for pid in (
            there.pid,
            *(worker.pid for worker in there.workers),
            session.pid,
            embedded_airflow.pid("triggerer"),
            embedded_airflow.pid("scheduler"),
            embedded_airflow.pid("api-server"),
        ):
            os.kill(pid, signal.SIGKILL)
        again = blocked(begun, "agent", number=2)
        assert again.session_id == session.session_id
        form = forms.wait("agent", containing="touch it", seconds=120)
        form = begun.airflow.eventually(
            lambda: next((one for one in forms.open() if one["options"] != old["options"]), None), 60
        )
        assert forms.send(form, old["options"][:1], {}) == 400
        assert forms.fill(form, "yes") == 200
        assert begun.ended(180) == "success"
        assert "Touch it." in json.dumps(server.calls[-1].body), "the conversation is the same"
    assert (Path(begun.xcom("agent")["workspace"]) / "it").exists()
    assert begun.tries("agent") == 1


@pytest.mark.more_agents
def test_opencode_asks_a_question_and_gets_a_free_text(runs: Any, models: Models) -> None:
    asked = {
        "questions": [
            {
                "question": "Which colour?",
                "header": "Colour",
                "options": [{"label": "red", "description": "r"}, {"label": "blue", "description": "b"}],
            }
        ]
    }
    steps = [tool("question", asked), text("So be it.")]
    with models.agent("opencode", steps, prompt="Ask me.") as (agent, server):
        begun = runs.up([{"id": "agent", **agent}])
        forms = Forms(begun)
        form = forms.wait("agent", containing="Which colour?")
        [words] = list(form["params"])
        assert forms.fill(form, "answer in words", **{words: "a warm green"}) == 200
        assert begun.ended(120) == "success"
        assert "a warm green" in json.dumps(server.calls[-1].body)


@pytest.mark.more_agents
def test_aider_is_answered_on_its_own_screen(runs: Any, models: Models) -> None:
    asks = "new.py\n```python\n<<<<<<< SEARCH\n=======\nprint(1)\n>>>>>>> REPLACE\n```\n"
    with models.agent("aider", [text(asks), text("done")], prompt="Make new.py.") as (agent, _server):
        agent["env"] |= {"AIDER_EDIT_FORMAT": "diff"}
        begun = runs.up([{"id": "agent", **agent}])
        assert "new.py" in Forms(begun).wait("agent", seconds=90)["body"]
        person = pexpect.spawn(
            str(CIS), ["dag", "attach", begun.run_id, "agent"], dimensions=(40, 120), timeout=30
        )
        try:
            person.expect_exact("(Y)es/(N)o")
            person.send("y\r")
            person.expect("Applied edit")
            person.send("\x1c")
            person.expect("it goes on|has ended")
            person.expect(pexpect.EOF)
        finally:
            person.close(force=True)
        assert begun.ended(120) == "success"
        assert Forms(begun).open() == []
    result = begun.xcom("agent")
    assert (Path(result["workspace"]) / "new.py").read_text() == "print(1)\n"
    [answer] = result["answers"]
    assert answer["by"].startswith("terminal:")
