"""Ends that look well, and retries without an end: what a real node makes of them, with the real programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cis_provider.model.on_blocked import OnBlocked
from cis_provider.model.options import AgentOptions
from cis_provider.model.session import SessionRecord, WorkspaceRequest
from cis_provider.testing.model_server import ModelServer, environment, run, status, text
from tests.integration.conftest import Node, node  # noqa: F401  a fixture

pytestmark = pytest.mark.agents

PROGRAMS = (
    "claude",
    "codex",
    pytest.param("kimi", marks=pytest.mark.more_agents),
    pytest.param("opencode", marks=pytest.mark.more_agents),
    pytest.param("aider", marks=pytest.mark.more_agents),
)
#: Of those that have one, so that a few tries are enough here.
PATIENCE = {"kimi": 4.0, "opencode": 4.0, "aider": 4.0}
#: What an empty answer is; Kimi asks the model again and again for a better one.
EMPTY = {"kimi": "provider"}

FIRE = "The machines of the provider are on fire."


@pytest.fixture(params=PROGRAMS)
def agent_type(request: pytest.FixtureRequest) -> str:
    made: str = request.param
    return made


@pytest.fixture
def begin(
    node: Node,  # noqa: F811
    tmp_path: Path,
    server: ModelServer,
    agent_program: Callable[[str], Path],
    agent_type: str,
) -> Callable[..., SessionRecord]:
    """Give the agent to the node."""
    program = agent_program(agent_type)
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    env = environment(
        agent_type,
        server.url,
        tmp_path / "agent-home",
        workspace=workspace,
        retries=2 if agent_type == "codex" else None,
    )

    def submit(**options: Any) -> SessionRecord:
        config = {"retry_patience": PATIENCE[agent_type]} if agent_type in PATIENCE else {}
        return node.submit(
            "Do it.",
            agent_type=agent_type,
            workspace=WorkspaceRequest(kind="folder", path=str(workspace)),
            options=AgentOptions(program=(str(program),), config=config, **options),
            env={**env, "AIDER_EDIT_FORMAT": "diff"},  # else it runs no commands
        )

    return submit


def test_retries_are_seen_while_they_last_and_end_as_the_providers_failure(
    node: Node,  # noqa: F811
    server: ModelServer,
    begin: Callable[..., SessionRecord],
    agent_type: str,
) -> None:
    server.push(status(500, message=FIRE, repeat="forever"))
    begun = begin()
    seen = node.wait(begun.session_id, lambda record: "etrying" in record.last_line, timeout=90)
    assert not seen.has_ended
    ended = node.ended(begun.session_id, timeout=90)
    assert ended.result.subtype == "provider", ended.result
    # Codex has words of its own for it.
    assert FIRE in ended.result.error or (agent_type == "codex" and "temporary errors" in ended.result.error)


def test_an_end_without_a_word_is_no_success(
    node: Node,  # noqa: F811
    server: ModelServer,
    begin: Callable[..., SessionRecord],
    agent_type: str,
) -> None:
    server.push(text("", repeat="forever"))
    ended = node.ended(begin().session_id, timeout=90)
    assert ended.result.subtype == EMPTY.get(agent_type, "empty"), ended.result


def test_what_was_denied_is_in_the_result_though_the_program_ends_well(
    node: Node,  # noqa: F811
    tmp_path: Path,
    server: ModelServer,
    begin: Callable[..., SessionRecord],
    agent_type: str,
) -> None:
    words = "Run this:\n\n```bash\ntouch never\n```\n"
    server.push(text(words) if agent_type == "aider" else run("touch never"), text("I could not."))
    ended = node.ended(begin(on_blocked=OnBlocked(permission="deny")).session_id, timeout=90)
    assert len(ended.result.denied) == 1, ended.result
    assert agent_type == "aider" or "touch never" in ended.result.denied[0]
    assert not (tmp_path / "workspace" / "never").exists()
    # OpenCode ends its turn after that, without a word; others ask the model what to do now.
    wanted = "empty" if agent_type == "opencode" else "success"
    assert ended.result.subtype == wanted, ended.result
    assert agent_type == "aider" or ("touch never" in json.dumps(server.calls[-1].body)) == (
        wanted == "success"
    )
