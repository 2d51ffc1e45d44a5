"""Real agent programs in a real Airflow, against a scripted model server: from the file to what can be believed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cis_provider.testing.model_server import run, status, text
from tests.kit.models import Models

pytestmark = [pytest.mark.system, pytest.mark.agents]


@pytest.fixture
def models(tmp_path: Path) -> Models:
    return Models(tmp_path)


@pytest.mark.parametrize("agent_type", ["claude", "codex"])
def test_an_agent_works_in_its_folder_and_hands_its_final_text_on(
    runs: Any, models: Models, agent_type: str
) -> None:
    steps = [run("echo made by the agent > made.txt"), text("I made a file.")]
    fields = {"prompt": "Make a file.", "permissions": "everything"}
    with models.agent(agent_type, steps, **fields) as (agent, server):
        ended = runs.up(
            [
                {"id": "first", "command": "echo the first has found 42"},
                {"id": "agent", "deps": ["first"], **agent},
                {
                    "id": "after",
                    "deps": ["agent"],
                    "command": 'cat "$CIS_WORKSPACE_AGENT/made.txt"; echo "$CIS_OUTPUT_AGENT"',
                },
            ]
        )
        assert ended.ended(120) == "success"
    assert "the first has found 42" in json.dumps(server.calls[0].body)
    result = ended.xcom("agent")
    assert (result["subtype"], result["output"], result["agent_type"]) == (
        "success",
        "I made a file.",
        agent_type,
    )
    assert result["usage"]["output_tokens"] > 0
    assert result["conversation_id"]
    assert ended.xcom("after")["output"] == "made by the agent\nI made a file."


def test_a_blocked_agent_is_shown_and_ends_as_blocked_never_as_allowed(
    runs: Any, models: Models, embedded_airflow: Any
) -> None:
    steps = [run("touch never"), text("done")]
    fields = {"answer_timeout": "8s", "on_answer_timeout": "fail"}
    with models.agent("claude", steps, prompt="Touch it.", retries=1, **fields) as (agent, _server):
        begun = runs.up([{"id": "agent", **agent}])
        session = embedded_airflow.eventually(
            lambda: next((one for one in begun.sessions("agent") if one.blockage), None), 60
        )
        assert session.blockage.kind == "permission"
        assert "touch never" in session.blockage.title + session.blockage.detail
        begun.reaches("agent", "deferred")
        assert begun.ended(90) == "failed"
    result = begun.xcom("agent")
    assert result["subtype"] == "blocked"
    assert not (Path(result["workspace"]) / "never").exists()
    assert begun.tries("agent") == 1, "nobody will answer the next time, either"


def test_a_usage_limit_is_waited_for_without_a_program_and_without_a_retry(
    runs: Any, models: Models, embedded_airflow: Any
) -> None:
    steps = [status(429, resets_in=6), text("Done after the limit.")]
    with models.agent("claude", steps, prompt="Work.") as (agent, server):
        # A subscription's login: only there does the provider say when the limit ends.
        del agent["env"]["ANTHROPIC_API_KEY"]
        agent["env"]["CLAUDE_CODE_OAUTH_TOKEN"] = "test-token"
        begun = runs.up([{"id": "agent", **agent}])
        session = embedded_airflow.eventually(
            lambda: next((one for one in begun.sessions("agent") if one.resting), None), 60
        )
        assert session.blockage.until > session.blockage.since
        assert begun.ended(120) == "success"
    assert begun.xcom("agent")["output"] == "Done after the limit."
    assert begun.tries("agent") == 1
    assert len(server.calls) >= 2


def test_a_check_that_fails_goes_back_and_the_result_says_what_was_checked(runs: Any, models: Models) -> None:
    steps = [text("I am done."), run("touch ready"), text("Now it is.")]
    fields = {"prompt": "Make it ready.", "permissions": "everything", "check": "test -e ready"}
    with models.agent("claude", steps, **fields) as (agent, server):
        begun = runs.up([{"id": "agent", **agent}])
        assert begun.ended(120) == "success"
    result = begun.xcom("agent")
    assert result["output"] == "Now it is."
    assert (result["checked"]["passed"], result["checked"]["attempt"]) == (True, 2)
    assert "test -e ready" in json.dumps(server.calls[1].body)


def test_another_try_goes_on_in_the_same_conversation(runs: Any, models: Models) -> None:
    steps = [run("echo half > half.txt"), status(529), text("The other half, too.")]
    fields = {"prompt": "Do both halves.", "permissions": "everything", "retries": 1, "retry_delay": 1}
    with models.agent("claude", steps, **fields) as (agent, server):
        begun = runs.up([{"id": "agent", **agent}])
        assert begun.ended(120) == "success"
        said = json.dumps(server.calls[-1].body)
    assert "Do both halves." in said
    assert "half.txt" in said
    assert begun.tries("agent") == 2
