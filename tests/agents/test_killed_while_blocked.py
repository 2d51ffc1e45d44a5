"""Real programs on a real node, killed with their worker and coordinator while they wait for a human."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cis_provider.model.blockage import Answer
from cis_provider.model.options import AgentOptions
from cis_provider.model.session import SessionRecord
from cis_provider.node.client import NodeClient
from cis_provider.testing.model_server import ModelServer, environment, run, status, text
from tests.integration.conftest import Node, node  # noqa: F401  a fixture

pytestmark = pytest.mark.agents

PROGRAMS = (
    "claude",
    "codex",
    pytest.param("kimi", marks=pytest.mark.more_agents),
    pytest.param("opencode", marks=pytest.mark.more_agents),
)


def submit(node: Node, agent_type: str, program: Path, env: dict[str, str], **more: Any) -> str:  # noqa: F811
    options = AgentOptions(program=(str(program),))
    record = node.submit("Do it.", agent_type=agent_type, options=options, env=env, **more)
    return record.session_id


def blocked(node: Node, session_id: str, number: int) -> SessionRecord:  # noqa: F811
    def waits(record: SessionRecord) -> bool:
        assert not record.has_ended, record.result
        return record.blockage is not None and record.blockage.number == number

    return node.wait(session_id, waits, timeout=90)


def answer(session_id: str, number: int, option: str, **more: Any) -> None:
    with NodeClient("test") as client:
        client.answer(session_id, Answer(number=number, option=option, by="cli:test", **more))


@pytest.mark.parametrize("agent_type", PROGRAMS)
def test_the_question_is_there_again_and_its_answer_reaches_the_resumed_conversation(
    node: Node,  # noqa: F811
    tmp_path: Path,
    agent_program: Callable[[str], Path],
    agent_type: str,
) -> None:
    program = agent_program(agent_type)
    wanted = run("echo allowed > made.txt")
    with ModelServer([wanted, wanted, text("I made it.")]) as server:
        env = environment(agent_type, server.url, tmp_path / "agent-home", retries=0)
        session_id = submit(node, agent_type, program, env)
        first = blocked(node, session_id, 1)
        worker, coordinator = node.worker_pid(), node.coordinator_pid()
        node.kill(coordinator)
        node.kill(worker)
        with NodeClient("cli") as client:
            client.sessions()
        again = blocked(node, session_id, 2)
        assert again.resumed == 1
        assert first.blockage and again.blockage and first.blockage.title == again.blockage.title
        assert not (Path(again.workspace) / "made.txt").exists()
        answer(session_id, 2, "allow")
        ended = node.ended(session_id, timeout=90)
    assert (ended.result.subtype, ended.result.output) == ("success", "I made it."), ended.result.error
    assert (Path(ended.workspace) / "made.txt").read_text() == "allowed\n"
    assert "Do it." in str(server.calls[-1].body), "it is the same conversation"
    assert [(one.number, one.by) for one in ended.result.answers] == [(1, ""), (2, "cli:test")]


@pytest.mark.parametrize("agent_type", ["claude", "codex"])
def test_a_login_is_mended_by_a_human_and_the_conversation_goes_on(
    node: Node,  # noqa: F811
    tmp_path: Path,
    agent_program: Callable[[str], Path],
    agent_type: str,
) -> None:
    program = agent_program(agent_type)
    with ModelServer([status(401), text("I am back.")]) as server:
        env = environment(agent_type, server.url, tmp_path / "agent-home", retries=0)
        session_id = submit(
            node, agent_type, program, {**env, "TOKEN": "${TOKEN}"}, secrets={"TOKEN": "old-value"}
        )
        waits = blocked(node, session_id, 1)
        assert waits.blockage and waits.blockage.kind == "login"
        answer(session_id, 1, "retry", secrets={"TOKEN": "a-new-value"})
        ended = node.ended(session_id, timeout=90)
    assert (ended.result.subtype, ended.result.output) == ("success", "I am back."), ended.result.error
    assert [(one.option, one.by) for one in ended.result.answers] == [
        ("I have mended it: try again", "cli:test")
    ]
