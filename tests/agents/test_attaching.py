"""A human takes over a conversation with a real agent in its own interface, and hands it back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cis_provider.model.blockage import Answer
from cis_provider.model.options import AgentOptions
from cis_provider.model.session import WorkspaceRequest
from cis_provider.node.client import NodeClient
from cis_provider.node.terminals import look
from cis_provider.testing.model_server import ModelServer, environment, run, slow, text
from tests.integration.conftest import Node, node  # noqa: F401
from tests.integration.terminal.conftest import Viewer

pytestmark = pytest.mark.agents


class Desk:
    """One agent of a real node, and who attaches to it."""

    def __init__(self, own: Node, name: str, program: Path, folder: Path, server: ModelServer) -> None:
        self.node, self.name = own, name
        workspace = folder / "workspace"
        workspace.mkdir()
        self.id = own.submit(
            "Make it.",
            agent_type=name,
            workspace=WorkspaceRequest(kind="folder", path=str(workspace)),
            options=AgentOptions(program=(str(program),)),
            env=environment(name, server.url, folder / "agent-home", workspace=workspace)
            | {"AIDER_EDIT_FORMAT": "diff"},
        ).session_id

    def record(self, until: Callable[[Any], bool]) -> Any:
        return self.node.wait(self.id, until, 60)

    def attach(self, **more: Any) -> Viewer:
        return Viewer(self.id, **more)


@pytest.fixture(
    params=[
        "claude",
        "codex",
        pytest.param("opencode", marks=pytest.mark.more_agents),
        pytest.param("kimi", marks=pytest.mark.more_agents),
    ]
)
def desk(
    node: Node,  # noqa: F811
    tmp_path: Path,
    agent_program: Callable[[str], Path],
    server: ModelServer,
    request: pytest.FixtureRequest,
) -> Desk:
    server.push(run("touch never"))
    return Desk(node, request.param, agent_program(request.param), tmp_path, server)


def test_what_a_human_said_in_its_interface_is_part_of_the_conversation_that_goes_on(
    desk: Desk, server: ModelServer
) -> None:
    desk.record(lambda record: record.blockage is not None)
    server.push(text("From the terminal."), text("All is done."))
    ada = desk.attach()
    assert ada.part.writer
    ada.sees("Make it.", 60)
    ada.until(lambda: look(desk.id).state == "idle", 60)
    seen = look(desk.id)
    assert (seen.source, seen.program, seen.writer) == ("human", desk.name, "ada")
    assert desk.record(lambda record: record.attached == "ada").blockage is None
    ada.type("do something else")
    ada.sees("do something else")
    time.sleep(1)  # Kimi takes a key that comes too soon after others for a part of a paste
    ada.type("\r")
    ada.sees("From the terminal.", 60)
    ada.until(lambda: look(desk.id).state == "idle", 60)
    ada.drop()
    ended = desk.record(lambda record: record.state == "ended")
    assert ended.result.subtype == "success"
    assert ended.result.output == "All is done."
    said = json.dumps(server.calls[-1].body)
    assert "do something else" in said
    assert "From the terminal." in said


def test_a_turn_that_a_human_leaves_at_work_in_its_interface_is_let_finish(
    desk: Desk, server: ModelServer
) -> None:
    desk.record(lambda record: record.blockage is not None)
    words = "These words take their time to arrive."
    server.push(slow(words, every=1.0), text("All is done."))
    ada = desk.attach()
    ada.sees("Make it.", 60)
    ada.until(lambda: look(desk.id).state == "idle", 60)
    ada.type("do something else")
    ada.sees("do something else")
    time.sleep(1)  # Kimi takes a key that comes too soon after others for a part of a paste
    ada.type("\r")
    ada.until(lambda: look(desk.id).state == "working", 60)
    ada.drop()
    ended = desk.record(lambda record: record.state == "ended")
    assert (ended.result.subtype, ended.result.output) == ("success", "All is done.")
    assert words in json.dumps(server.calls[-1].body)


def test_where_the_worker_is_killed_under_a_human_the_conversation_goes_on_when_somebody_says_so(
    desk: Desk, server: ModelServer
) -> None:
    desk.record(lambda record: record.blockage is not None)
    server.push(text("From the terminal."), text("All is done."))
    ada = desk.attach()
    ada.sees("Make it.", 60)
    ada.until(lambda: look(desk.id).state == "idle", 60)
    ada.type("do something else")
    ada.sees("do something else")
    time.sleep(1)  # Kimi takes a key that comes too soon after others for a part of a paste
    ada.type("\r")
    ada.sees("From the terminal.", 60)
    ada.until(lambda: look(desk.id).state == "idle", 60)
    time.sleep(2)  # programs write a conversation down a moment after they have shown it
    desk.node.kill(desk.node.worker_pid())
    asked = desk.record(lambda record: record.resumed == 1 and record.blockage is not None).blockage
    assert "while ada had the agent's terminal" in asked.title
    with NodeClient("test") as client:
        client.answer(desk.id, Answer(number=asked.number, option="go-on", by="cli:test"))
    ended = desk.record(lambda record: record.state == "ended")
    assert (ended.result.subtype, ended.result.output) == ("success", "All is done.")
    assert "From the terminal." in json.dumps(server.calls[-1].body)


def test_who_only_watches_sees_what_it_says_and_takes_nothing_over(desk: Desk, server: ModelServer) -> None:
    desk.record(lambda record: record.blockage is not None)
    bob = desk.attach(read_only=True, who="bob")
    bob.sees("touch never", 30)
    assert look(desk.id).source == "output"
    assert not desk.record(lambda record: True).attached
    assert desk.record(lambda record: True).blockage is not None
    bob.drop()


@pytest.mark.more_agents
def test_aider_is_answered_on_the_terminal_on_which_it_asks(
    node: Node,  # noqa: F811
    tmp_path: Path,
    agent_program: Callable[[str], Path],
    server: ModelServer,
) -> None:
    server.push(text("Run this:\n\n```bash\necho hi > made.txt\n```\n"), text("All is done."))
    desk = Desk(node, "aider", agent_program("aider"), tmp_path, server)
    desk.record(lambda record: record.blockage is not None)
    ada = desk.attach()
    ada.sees("Run shell command?")
    assert look(desk.id).source == "screen"
    ada.type("y\r")
    ada.until(lambda: (tmp_path / "workspace" / "made.txt").exists(), 30)
    ada.leave()
    ended = desk.record(lambda record: record.state == "ended")
    assert ended.result.subtype == "success"
