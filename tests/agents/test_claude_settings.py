"""What a CIS file says to Claude Code reaches the real program, and its model."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from cis_provider.errors import PermanentAgentError
from cis_provider.model.options import McpServer, Permissions
from cis_provider.runtimes.base import Launch, Setting
from cis_provider.testing.model_server import ModelServer, text, tool
from tests.agents.mcp_echo import HttpEcho
from tests.kit.by_hand import Terminal
from tests.kit.heard import whole
from tests.kit.place import Place

pytestmark = pytest.mark.agents

_CALL = tool("mcp__echo__echo", {"words": "hello"})
_ALLOWED = Permissions(allow=("mcp__echo__echo",))


async def test_the_system_prompt_reaches_the_model(claude: Place, server: ModelServer) -> None:
    talk = await claude.begin(server, system_prompt="Speak like a miller.")
    await talk.turn("Hello.")
    body = server.calls[0].body
    assert "Speak like a miller." in json.dumps(body["system"])
    assert "Bash" in {one["name"] for one in body["tools"]}


async def test_it_has_the_tools_that_are_named_and_not_denied(claude: Place, server: ModelServer) -> None:
    talk = await claude.begin(server, tools=("Read", "Bash"), denied_tools=("Bash",))
    await talk.turn("What have you?")
    names = {one["name"] for one in server.calls[-1].body["tools"]}
    assert "Read" in names and not names & {"Bash", "Write"}


async def test_model_and_effort_reach_the_model(claude: Place, server: ModelServer) -> None:
    talk = await claude.begin(server, model="claude-opus-4-5", effort="low")
    await talk.turn("Hello.")
    body = server.calls[0].body
    assert body["model"] == "claude-opus-4-5"
    assert body["output_config"]["effort"] == "low"


async def test_an_answer_by_a_schema_is_structured(claude: Place, server: ModelServer) -> None:
    schema = {"type": "object", "properties": {"fruit": {"type": "string"}}, "required": ["fruit"]}
    server.push(tool("StructuredOutput", {"fruit": "plum"}), text("Said."))
    talk = await claude.begin(server, output_schema=schema)
    ended = await talk.turn("Which?")
    assert json.loads(ended.structured) == {"fruit": "plum"}


async def test_a_server_of_tools_gets_its_secret_and_leaves_none_behind(
    claude: Place, server: ModelServer
) -> None:
    key = claude.workspace / "key"
    one = McpServer(command=("sh", "-c", f"echo $KEY > {key}; exec cat"), env={"KEY": "${TOKEN}"})
    with pytest.raises(PermanentAgentError, match="TOKEN"):
        await claude.begin(server, mcp_servers={"one": one})
    claude.env["TOKEN"] = "value-of-token"
    talk = await claude.begin(server, mcp_servers={"one": one})
    await talk.turn("Hello")
    assert key.read_text() == "value-of-token\n"
    assert "value-of-token" not in Path(f"/proc/{claude.pids[-1]}/cmdline").read_text()
    await talk.conversation.stop()
    assert talk.conversation.terminal() is not None
    files = [file.read_text() for file in claude.folder.rglob("*") if file.is_file() and file != key]
    assert not any("value-of-token" in text for text in files)


async def test_a_server_of_tools_over_http_gets_its_secret(claude: Place, server: ModelServer) -> None:
    claude.env["TOKEN"] = "value-of-token"
    with HttpEcho() as echo:
        made = {"echo": McpServer(url=echo.url, headers={"X-Token": "the ${TOKEN}"})}
        server.push(_CALL, text("Heard."))
        async with claude.talk(server, mcp_servers=made, permissions=_ALLOWED) as talk:
            assert (await talk.turn("Hello")).text == "Heard."
    assert "echo: hello, the value-of-token" in whole(server)


async def test_a_human_at_the_terminal_has_the_same_tools(claude: Place, server: ModelServer) -> None:
    server.push(text("One."), _CALL, text("Two."))
    with HttpEcho() as echo:
        made = {"echo": McpServer(url=echo.url, headers={"X-Token": "the ${TOKEN}"})}
        claude.env["TOKEN"] = "value-of-token"
        async with claude.talk(server, mcp_servers=made, permissions=_ALLOWED) as talk:
            await talk.turn("Hello")
        launch = talk.conversation.terminal()
        assert launch is not None
        await asyncio.to_thread(_one_turn, launch, claude.setting(server))
    assert "echo: hello, the value-of-token" in whole(server)


def _one_turn(launch: Launch, setting: Setting) -> None:
    terminal = Terminal(launch, setting)
    try:
        terminal.sees("One.")
        terminal.type("the second prompt")
        terminal.sees("the second prompt")
        terminal.type("\r")
        terminal.sees("Two.")
    finally:
        terminal.close()
