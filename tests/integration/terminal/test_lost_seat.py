"""A worker is killed while a human goes on in an agent's own interface."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cis_provider.model.blockage import Answer
from cis_provider.model.options import AgentOptions
from cis_provider.node.client import NodeClient

pytestmark = pytest.mark.integration

#: A program with two faces, called as Kimi's is: the protocol, and the interface for humans.
PROGRAM = f"""#!/bin/sh
case "$*" in
  *acp*) exec {sys.executable} -m cis_provider.testing.fake_acp_agent ;;
  *) exec {sys.executable} -m cis_provider.testing.fake_tui ;;
esac
"""


@pytest.fixture
def two_faced(node: Any, tmp_path: Path) -> str:
    """Id of a session whose agent asks for leave."""
    program = tmp_path / "two-faced"
    program.write_text(PROGRAM)
    program.chmod(0o700)
    home = tmp_path / "acp"
    home.mkdir()
    record = node.submit(
        "steps run one | say finished",
        agent_type="kimi",
        options=AgentOptions(program=(str(program),)),
        env={"FAKE_ACP_HOME": str(home), "PYTHONPATH": str(Path.cwd())},
    )
    node.wait(record.session_id, lambda one: one.blockage is not None)
    return str(record.session_id)


def test_the_session_waits_for_a_decision_and_the_human_may_come_back(
    node: Any, two_faced: str, attach: Callable[..., Any]
) -> None:
    ada = attach(two_faced)
    ada.sees("ready")
    node.wait(two_faced, lambda record: record.attached == "ada")
    node.kill(node.worker_pid())
    record = node.wait(two_faced, lambda one: one.blockage is not None and one.resumed == 1)
    assert "while ada had the agent's terminal" in record.blockage.title
    assert [option.id for option in record.blockage.options] == ["go-on", "stop"]
    again = attach(two_faced)
    again.sees("ready")
    node.kill(node.worker_pid())
    record = node.wait(two_faced, lambda one: one.blockage is not None and one.resumed == 2)
    with NodeClient("test") as client:
        client.answer(two_faced, Answer(number=record.blockage.number, option="go-on", by="cli:test"))
    record = node.wait(two_faced, lambda one: one.blockage is not None and "one" in one.blockage.title)
    with NodeClient("test") as client:
        client.answer(two_faced, Answer(number=record.blockage.number, option="yes", by="cli:test"))
    ended = node.ended(two_faced)
    assert ended.result.subtype == "success", ended.result.error
    assert ended.result.output.strip().endswith("finished")
