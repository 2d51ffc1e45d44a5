"""The oldest Claude Code that we drive, 2.1.197: the same conversation as with the newest."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from cis_provider.model.blockage import BlockageKind
from cis_provider.model.options import McpServer, Permissions
from cis_provider.runtimes.claude import ClaudeRuntime
from cis_provider.runtimes.events import Ended, Started
from cis_provider.testing.model_server import ModelServer, hang, run, status, text, tool
from tests.agents.mcp_echo import HttpEcho
from tests.kit.heard import texts, whole
from tests.kit.place import Place

# `make test` installs each program's newest version only.
pytestmark = [pytest.mark.agents, pytest.mark.more_agents]

QUESTION = {
    "question": "Which color?",
    "header": "Color",
    "multiSelect": False,
    "options": [{"label": "Red", "description": "warm"}, {"label": "Blue", "description": "cold"}],
}


@pytest.fixture
async def older(tmp_path: Path, agent_program: Callable[[str], Path]) -> AsyncIterator[Place]:
    place = Place(tmp_path, "claude", agent_program("claude@2.1.197"), ClaudeRuntime())
    yield place
    await place.close()


async def test_permissions_and_questions(older: Place, server: ModelServer) -> None:
    server.push(run("touch made"), run("touch denied"), tool("AskUserQuestion", {"questions": [QUESTION]}))
    server.push(text("Blue it is."))
    talk = await older.begin(server)
    await talk.conversation.send("Make it.")
    await talk.choose("allow")
    await talk.choose("deny")
    assert (await talk.choose("Blue")).kind is BlockageKind.QUESTION
    end = await talk.end_of_turn()
    assert (end.text, end.denied) == ("Blue it is.", ("Bash: touch denied",))
    assert (older.workspace / "made").exists() and not (older.workspace / "denied").exists()


async def test_a_plan_changes_nothing(older: Place, server: ModelServer) -> None:
    server.push(run("touch made"), tool("ExitPlanMode", {"plan": "1. Make."}), text("The plan: make."))
    talk = await older.begin(server, permissions=Permissions(policy="plan"))
    end = await talk.turn("Make it.")
    assert (end.text, end.denied) == ("The plan: make.", ("Bash: touch made",))
    assert not (older.workspace / "made").exists()


async def test_what_the_file_says(older: Place, server: ModelServer) -> None:
    older.env["TOKEN"] = "value-of-token"
    with HttpEcho() as echo:
        server.push(tool("mcp__echo__echo", {"words": "hello"}), text("Heard."))
        talk = await older.begin(
            server,
            effort="low",
            system_prompt="Speak like a miller.",
            permissions=Permissions(allow=("mcp__echo__echo",)),
            mcp_servers={"echo": McpServer(url=echo.url, headers={"X-Token": "${TOKEN}"})},
        )
        assert (await talk.turn("Hello.")).text == "Heard."
    body = server.calls[0].body
    assert "Speak like a miller." in str(body["system"])
    assert body["output_config"]["effort"] == "low"
    assert "echo: hello, value-of-token" in whole(server)


async def test_killed_it_goes_on_in_the_same_conversation(older: Place, server: ModelServer) -> None:
    server.push(text("I know it: heron."), hang())
    talk = await older.begin(server)
    await talk.turn("The word is heron.")
    await talk.conversation.send("And now?")
    await asyncio.to_thread(server.wait_for, 2, 30)
    await older.written("projects/*/*.jsonl", "And now?")
    os.kill(older.pids[-1], signal.SIGKILL)
    assert (await talk.until(Ended)).exit_code == 137
    server.push(text("It was heron."))
    later = await older.begin(server, talk.conversation.conversation_id)
    assert (await later.turn("Which word was it?")).text == "It was heron."
    assert "The word is heron." in whole(server)
    assert len(later.of(Started)) == 1


async def test_a_failed_call_is_no_success(older: Place, server: ModelServer) -> None:
    older.env["CLAUDE_CODE_MAX_RETRIES"] = "1"
    server.push(status(401, repeat="forever"))
    talk = await older.begin(server)
    end = await talk.turn("Work.")
    assert (end.stop_reason, end.error_class) == ("error", "login")


async def test_a_long_prompt_that_looks_like_a_command_arrives(older: Place, server: ModelServer) -> None:
    prompt = "/nope begin\n" + "word " * 200_000 + "end"
    talk = await older.begin(server)
    await talk.turn(prompt)
    assert f"Task:\n{prompt}" in texts(server)
