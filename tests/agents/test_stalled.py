"""Real programs whose model says nothing any more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cis_provider.model.on_blocked import OnBlocked
from cis_provider.model.options import AgentOptions
from cis_provider.testing.model_server import ModelServer, environment, hang, text
from tests.integration.conftest import Node, node  # noqa: F401  a fixture

pytestmark = pytest.mark.agents


@pytest.mark.parametrize("agent_type", ["claude", "codex"])
def test_a_turn_that_hangs_is_nudged_and_the_conversation_goes_on(
    node: Node,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    agent_program: Callable[[str], Path],
    agent_type: str,
) -> None:
    monkeypatch.setenv("CIS_WORKER_STALLED_AFTER", "4")
    program = agent_program(agent_type)
    with ModelServer([hang(), text("I am awake.")]) as server:
        record = node.submit(
            "Do it.",
            agent_type=agent_type,
            options=AgentOptions(program=(str(program),), on_blocked=OnBlocked(stalled="nudge")),
            env=environment(agent_type, server.url, tmp_path / "agent-home", retries=0),
        )
        ended = node.ended(record.session_id, timeout=90)
    assert (ended.result.subtype, ended.result.output) == ("success", "I am awake."), ended.result.error
    assert [(one.kind, one.by) for one in ended.result.answers] == [("stalled", "rule:stalled: nudge")]
    assert "Do it." in str(server.calls[-1].body), "it is the same conversation"
