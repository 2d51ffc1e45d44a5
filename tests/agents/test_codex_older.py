"""The oldest Codex that we drive, 0.150.0: the same conversation as with the newest."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from cis_provider.model.options import McpServer, Permissions
from cis_provider.runtimes.codex import CodexRuntime
from cis_provider.runtimes.events import Ended
from cis_provider.testing.model_server import ModelServer, hang, run, status, text
from tests.kit.heard import prompts
from tests.kit.place import Place

# `make test` installs each program's newest version only.
pytestmark = [pytest.mark.agents, pytest.mark.more_agents]


@pytest.fixture
async def older(tmp_path: Path, agent_program: Callable[[str], Path]) -> AsyncIterator[Place]:
    place = Place(tmp_path, "codex", agent_program("codex@0.150.0"), CodexRuntime(), retries=0)
    yield place
    await place.close()


async def test_permissions(older: Place, server: ModelServer) -> None:
    server.push(run("touch made"), run("touch denied"), text("So be it."))
    talk = await older.begin(server)
    await talk.conversation.send("make it")
    await talk.choose("accept")
    await talk.choose("decline")
    end = await talk.end_of_turn()
    assert (end.text, end.denied) == ("So be it.", ("touch denied",))
    assert (older.workspace / "made").exists() and not (older.workspace / "denied").exists()


async def test_a_plan_changes_nothing(older: Place, server: ModelServer) -> None:
    server.push(run("touch made"), text("The plan."))
    talk = await older.begin(server, permissions=Permissions(policy="plan"))
    assert (await talk.turn("make it")).text == "The plan."
    assert not (older.workspace / "made").exists()


async def test_what_the_file_says(older: Place, server: ModelServer) -> None:
    file = Path(__file__).parent / "mcp_echo.py"
    echo = McpServer(command=(sys.executable, str(file)), env={"TOKEN": "value-of-token", "PLAIN": "plain"})
    talk = await older.begin(server, effort="high", system_prompt="Be brief.", mcp_servers={"echo": echo})
    await talk.turn("hello")
    body = server.calls[0].body
    assert body["reasoning"]["effort"] == "high"
    assert "Be brief." in str(body["input"]) + str(body.get("instructions"))
    assert "value-of-token-plain" in str(body["tools"])
    assert b"value-of-token" not in Path(f"/proc/{older.pids[0]}/cmdline").read_bytes()


async def test_killed_it_goes_on_in_the_same_conversation(older: Place, server: ModelServer) -> None:
    server.push(text("First answer."), hang())
    talk = await older.begin(server)
    await talk.turn("first prompt")
    await talk.conversation.send("second prompt")
    await asyncio.to_thread(server.wait_for, 2, 30)
    os.kill(older.pids[0], signal.SIGKILL)
    assert (await talk.until(Ended)).exit_code == 137
    server.push(text("Third answer."))
    later = await older.begin(server, talk.conversation.conversation_id)
    assert (await later.turn("third prompt")).text == "Third answer."
    assert prompts(server.calls[-1])[0] == "first prompt"


async def test_failed_calls_have_a_class(older: Place, server: ModelServer) -> None:
    server.push(status(401), status(500), text("Well again."))
    talk = await older.begin(server)
    assert (await talk.turn("go")).error_class == "login"
    assert (await talk.turn("go")).error_class == "transient"
    assert (await talk.turn("go")).text == "Well again."
