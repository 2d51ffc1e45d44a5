"""The real Codex, driven by its runtime against a scripted model server: turns, settings, a human's turn."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from cis_provider.errors import PermanentAgentError
from cis_provider.model.options import McpServer, Permissions
from cis_provider.runtimes.base import Launch, Setting
from cis_provider.runtimes.codex import CodexRuntime
from cis_provider.runtimes.events import Ended, Output, Started, ToolCall, TurnEnded, Usage
from cis_provider.testing.model_server import ModelServer, run, text
from tests.kit.by_hand import Terminal
from tests.kit.heard import prompts
from tests.kit.place import Place, runs

pytestmark = pytest.mark.agents


async def test_a_turn_with_a_command_ends_with_its_final_text_and_its_usage(codex: Place) -> None:
    steps = [run("echo hello > out.txt", say="I begin."), text("All is done.")]
    with ModelServer(steps) as server:
        async with codex.talk(server, permissions=Permissions(policy="accept-edits")) as talk:
            started = talk.seen[0]
            end = await talk.turn("write it")
        ended = await talk.until(Ended)
    assert isinstance(started, Started)
    assert started.conversation_id == talk.conversation.conversation_id
    assert started.model == "scripted-model"
    assert started.version[0].isdigit()
    assert end == TurnEnded(text="All is done.")
    assert (codex.workspace / "out.txt").read_text() == "hello\n"
    assert "I begin." in "".join(one.text for one in talk.of(Output) if not one.thought)
    calls = talk.of(ToolCall)
    assert [(one.kind, one.title, one.status) for one in calls] == [
        ("execute", "echo hello > out.txt", "in_progress"),
        ("execute", "echo hello > out.txt", "completed"),
    ]
    assert talk.of(Usage)[-1] == Usage(input_tokens=200, output_tokens=40)
    assert (ended.error, talk.seen[-1]) == ("", ended)
    assert len(codex.pids) == 1
    assert not runs(codex.pids[0])


async def test_the_longest_prompt_arrives_whole_and_a_longer_one_is_refused_unsent(codex: Place) -> None:
    limit = CodexRuntime.prompt_limit
    prompt = ("0123456789abcdef" * (limit // 16))[: limit - 3] + "END"
    with ModelServer([text("Read.")]) as server:
        async with codex.talk(server) as talk:
            with pytest.raises(PermanentAgentError, match=str(limit)):
                await talk.conversation.send(prompt + "x")
            end = await talk.turn(prompt)
        assert prompts(server.calls[0]) == [prompt]
        assert len(server.calls) == 1
    assert end.text == "Read."


async def test_what_the_file_says_reaches_the_model(codex: Place) -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
        "additionalProperties": False,
    }
    with ModelServer([text('{"n": 7}')]) as server:
        async with codex.talk(
            server,
            model="another-model",
            effort="high",
            system_prompt="Always be brief.",
            output_schema=schema,
        ) as talk:
            end = await talk.turn("count")
        body = server.calls[0].body
    assert end.structured == '{"n": 7}'
    assert body["model"] == "another-model"
    assert body["reasoning"]["effort"] == "high"
    assert "Always be brief." in str(body["input"]) + str(body.get("instructions"))
    assert body["text"]["format"]["schema"] == schema


async def test_a_tool_of_an_mcp_server_is_there_and_its_secret_is_on_no_command_line(codex: Place) -> None:
    codex.env["REAL_TOKEN"] = "token-of-the-test"
    server_file = Path(__file__).parent / "mcp_echo.py"
    echo = McpServer(
        command=(sys.executable, str(server_file)), env={"TOKEN": "${REAL_TOKEN}", "PLAIN": "plain"}
    )
    with ModelServer([text("ok")]) as server:
        async with codex.talk(server, mcp_servers={"echo": echo}) as talk:
            await talk.turn("hello")
            command_line = Path(f"/proc/{codex.pids[0]}/cmdline").read_bytes()
        offered = str(server.calls[0].body["tools"])
    assert "token-of-the-test-plain" in offered
    assert b"token-of-the-test" not in command_line


async def test_an_api_key_of_the_environment_is_used(codex: Place) -> None:
    with ModelServer([text("Hello.")]) as server:
        codex.env |= {"OPENAI_API_KEY": "test-key", "OPENAI_BASE_URL": f"{server.url}/v1"}
        async with codex.talk(server, config={"overrides": {"model_provider": "openai"}}) as talk:
            assert (await talk.turn("go")).text == "Hello."


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"program": ("no-such-codex",)}, "no-such-codex"),
        ({"tools": ("Bash",)}, "Bash"),
        ({"config": {"colour": 1}}, "colour"),
        ({"args": ("--no-such-flag",)}, "no-such-flag"),
    ],
)
async def test_what_cannot_be_started_says_why(codex: Place, options: dict[str, Any], words: str) -> None:
    with ModelServer([]) as server:
        conversation = CodexRuntime().open(codex.setting(server, **options))
        with pytest.raises(PermanentAgentError, match=words):
            await conversation.start()
        await conversation.stop()
    assert not any(runs(pid) for pid in codex.pids)


async def test_a_conversation_that_is_not_there_cannot_be_gone_on_with(codex: Place) -> None:
    with ModelServer([]) as server:
        setting = codex.setting(server, resume="01a1fd7a-04e7-7400-8f72-a763a9c1bd0e")
        conversation = CodexRuntime().open(setting)
        with pytest.raises(PermanentAgentError, match="01a1fd7a"):
            await conversation.start()


def in_the_terminal(launch: Launch, setting: Setting) -> None:
    """One turn by a human, who then leaves."""
    terminal = Terminal(launch, setting)
    try:
        terminal.sees("First answer.")
        terminal.type("second prompt")
        terminal.sees("› second prompt")
        terminal.type("\r")
        terminal.sees("Second answer.", without="esc to interrupt")
        terminal.leaves()
    finally:
        terminal.close()


async def test_a_human_takes_over_in_the_terminal_and_hands_back(codex: Place) -> None:
    with ModelServer([text("First answer."), text("Second answer."), text("Third answer.")]) as server:
        async with codex.talk(server) as talk:
            await talk.turn("first prompt")
        launch = talk.conversation.terminal()
        assert launch is not None
        number = talk.conversation.conversation_id
        await asyncio.to_thread(in_the_terminal, launch, codex.setting(server))
        async with codex.talk(server, resume=number) as later:
            assert (await later.turn("third prompt")).text == "Third answer."
        assert prompts(server.calls[-1]) == ["first prompt", "second prompt", "third prompt"]
        assert len(server.calls) == 3
    assert later.of(Usage)[-1] == Usage(input_tokens=100, output_tokens=20)
