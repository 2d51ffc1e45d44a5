"""The real Claude Code, driven by its runtime against a scripted model server: turns, prompts, conversations."""

from __future__ import annotations

import asyncio
import json

import pytest

from cis_provider.errors import PermanentAgentError
from cis_provider.model.options import Permissions
from cis_provider.runtimes.base import Launch, Setting
from cis_provider.runtimes.claude import ClaudeRuntime
from cis_provider.runtimes.events import (
    Output,
    Started,
    ToolCall,
    Usage,
)
from cis_provider.testing.model_server import ModelServer, run, text
from cis_provider.testing.model_server import Usage as Used
from tests.kit.by_hand import Terminal
from tests.kit.heard import texts, whole
from tests.kit.place import Place

pytestmark = pytest.mark.agents


async def test_a_turn_tells_its_text_its_tools_and_what_it_used(claude: Place) -> None:
    steps = [run("echo made > made.txt", say="I will make it."), text("It is made.")]
    with ModelServer(steps) as server:
        async with claude.talk(server, permissions=Permissions(policy="everything")) as talk:
            end = await talk.turn("Make it.")
            assert (end.stop_reason, end.text) == ("end_turn", "It is made.")
            assert end.num_turns == 2
            statuses = [call.status for call in talk.of(ToolCall)]
            assert statuses == ["in_progress", "completed"]
            assert "echo made" in talk.of(ToolCall)[0].title
            assert "I will make it." in "".join(event.text for event in talk.of(Output))
            usage = talk.of(Usage)[-1]
            assert usage.input_tokens > 0 < usage.output_tokens
            assert usage.cost_usd > 0
    assert (claude.workspace / "made.txt").read_text() == "made\n"


async def test_the_program_has_the_agents_environment_and_nothing_of_the_workers(
    claude: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_WORKER", "leaked")
    claude.env["OF_THE_AGENT"] = "given"
    with ModelServer([run("env > seen.txt"), text("ok")]) as server:
        async with claude.talk(server, permissions=Permissions(policy="everything")) as talk:
            await talk.turn("Look.")
    seen = (claude.workspace / "seen.txt").read_text()
    assert "OF_THE_AGENT=given" in seen
    assert "CIS_SESSION_ID=a-test" in seen
    assert "OF_THE_WORKER" not in seen


async def test_a_conversation_goes_on_in_another_folder(claude: Place) -> None:
    with ModelServer([text("I know it: heron."), text("It was heron.")]) as server:
        async with claude.talk(server) as talk:
            await talk.turn("The word is heron.")
            conversation_id = talk.conversation.conversation_id
        claude.workspace = claude.folder / "another"
        claude.workspace.mkdir()
        async with claude.talk(server, conversation_id) as talk:
            assert (await talk.turn("Which word was it?")).text == "It was heron."
        assert "The word is heron." in whole(server)


async def test_a_conversation_that_is_not_there_is_an_error_that_says_so(claude: Place) -> None:
    with (
        ModelServer([text("ok")]) as server,
        pytest.raises(PermanentAgentError, match="No conversation found"),
    ):
        async with claude.talk(server, "0bd3b1ea-0000-4000-8000-000000000000"):
            pass


async def test_a_human_goes_on_in_the_same_conversation_at_a_terminal_and_hands_it_back(
    claude: Place,
) -> None:
    with ModelServer([text("From the protocol."), text("From the terminal."), text("From both.")]) as server:
        async with claude.talk(server) as talk:
            await talk.turn("The first prompt.")
            conversation_id = talk.conversation.conversation_id
        launch = talk.conversation.terminal()
        assert launch is not None
        await asyncio.to_thread(_at_the_terminal, launch, claude.setting(server))
        async with claude.talk(server, conversation_id) as talk:
            assert (await talk.turn("The third prompt.")).text == "From both."
        said = whole(server)
    for part in ("The first prompt.", "From the protocol.", "the second prompt", "From the terminal."):
        assert part in said


def _at_the_terminal(launch: Launch, setting: Setting) -> None:
    """One turn by a human, who then leaves."""
    terminal = Terminal(launch, setting)
    try:
        terminal.sees("From the protocol.")
        terminal.type("the second prompt")
        terminal.sees("the second prompt")
        terminal.type("\r")
        terminal.sees("From the terminal.", without="esc to interrupt")
        terminal.leaves()
    finally:
        terminal.close()


async def test_usage_is_a_total_of_the_process(claude: Place, server: ModelServer) -> None:
    used = Used(input=100, output=20)
    server.push(text("One.", usage=used), text("Two.", usage=used))
    talk = await claude.begin(server)
    await talk.turn("First")
    await talk.turn("Second")
    first, second = talk.of(Usage)
    assert (first.input_tokens, first.output_tokens) == (100, 20)
    assert (second.input_tokens, second.output_tokens) == (200, 40)
    assert second.cost_usd >= first.cost_usd > 0


async def test_its_home_keeps_what_the_user_wrote(claude: Place, server: ModelServer) -> None:
    server.push(text("Hello."))
    talk = await claude.begin(server)
    before = json.loads((claude.home / ".claude.json").read_text())
    await talk.turn("Hello")
    after = json.loads((claude.home / ".claude.json").read_text())
    assert {key: after[key] for key in before if key != "projects"} == {
        key: value for key, value in before.items() if key != "projects"
    }


async def test_a_long_prompt_that_begins_like_a_command_arrives_as_it_was_written(
    claude: Place, server: ModelServer
) -> None:
    prompt = "/nope @none begin\n" + "\n".join(f"line {n}" for n in range(100_000)) + "\nend"
    assert len(prompt) > 1_000_000
    server.push(text("Read."))
    talk = await claude.begin(server)
    assert (await talk.turn(prompt)).text == "Read."
    assert prompt in texts(server)


async def test_a_prompt_that_is_too_long_is_refused_before_it_is_sent(
    claude: Place, server: ModelServer
) -> None:
    server.push(text("Short."))
    talk = await claude.begin(server)
    with pytest.raises(PermanentAgentError, match="shorten"):
        await talk.conversation.send("x" * 10_000_001)
    assert (await talk.turn("Hello")).text == "Short."
    assert len(server.calls) == 1


async def test_a_prompt_that_the_program_finds_too_long_fails_for_good(
    claude: Place, server: ModelServer
) -> None:
    server.push(text("Never said."))
    talk = await claude.begin(server)
    ended = await talk.turn("x" * 3_330_000)
    assert (ended.stop_reason, ended.error_class) == ("error", "permanent"), ended
    assert server.calls == []


async def test_the_longest_prompt_that_the_runtime_promises_is_taken(
    claude: Place, server: ModelServer
) -> None:
    server.push(text("Read."))
    talk = await claude.begin(server)
    assert (await talk.turn("x" * ClaudeRuntime.prompt_limit)).text == "Read."


async def test_its_start_is_told_once_with_model_and_version(claude: Place, server: ModelServer) -> None:
    talk = await claude.begin(server)
    await talk.turn("One.")
    await talk.turn("Two.")
    (started,) = talk.of(Started)
    assert started.conversation_id == talk.conversation.conversation_id
    assert started.model and started.version[0].isdigit()
