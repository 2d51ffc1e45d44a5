"""What a CIS file says to Claude Code, and what it does not say: the real program against scripted models."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cis_provider.errors import InvalidAnswer, PermanentAgentError, StaleAnswer
from cis_provider.model.blockage import Answer, BlockageKind
from cis_provider.model.options import AgentOptions, McpServer, Permissions
from cis_provider.runtimes.base import Setting
from cis_provider.runtimes.claude import ClaudeRuntime
from cis_provider.runtimes.events import Blocked, Event, TurnEnded, Unblocked, Usage
from cis_provider.testing.model_server import ModelServer, Step, environment, text, tool
from cis_provider.testing.model_server import Usage as Used

pytestmark = pytest.mark.agents

_DEADLINE = 30.0


class Talk:
    """A conversation and what came of it."""

    def __init__(self, setting: Setting) -> None:
        self.conversation = ClaudeRuntime().open(setting)
        self.seen: list[Event] = []
        self._events = self.conversation.events()

    async def until(self, kind: type[Event]) -> Any:
        async with asyncio.timeout(_DEADLINE):
            async for event in self._events:
                self.seen.append(event)
                if isinstance(event, kind):
                    return event
        raise AssertionError(f"no {kind.__name__} came: {self.seen}")

    async def turn(self, prompt: str) -> TurnEnded:
        await self.conversation.send(prompt)
        ended: TurnEnded = await self.until(TurnEnded)
        return ended

    def all(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.seen if isinstance(event, kind)]


class Stage:
    """A model server, a home, a workspace, and conversations on them."""

    def __init__(self, folder: Path, program: Path, server: ModelServer) -> None:
        self.home, self.workspace, self.own = folder / "home", folder / "work", folder / "session"
        self.workspace.mkdir()
        self.own.mkdir()
        self.program, self.server = program, server
        self.pids: list[int] = []
        self.talks: list[Talk] = []

    async def open(
        self, *steps: Step, options: AgentOptions | None = None, env: dict[str, str] | None = None
    ) -> Talk:
        self.server.push(*steps)
        variables = environment("claude", self.server.url, self.home, workspace=self.workspace)
        setting = Setting(
            workspace=self.workspace,
            folder=self.own,
            env={"PATH": os.environ["PATH"], **variables, **(env or {})},
            options=msgspec.structs.replace(options or AgentOptions(), program=(str(self.program),)),
            on_process=self.pids.append,
        )
        talk = Talk(setting)
        self.talks.append(talk)
        async with asyncio.timeout(_DEADLINE):
            await talk.conversation.start()
        return talk

    def asked(self) -> str:
        """What the last model call was told last, as JSON."""
        return json.dumps(self.server.calls[-1].body["messages"][-1])


@pytest.fixture
async def stage(tmp_path: Path, agent_program: Callable[[str], Path]) -> AsyncIterator[Stage]:
    with ModelServer([]) as server:
        made = Stage(tmp_path, agent_program("claude"), server)
        yield made
        for talk in made.talks:
            await talk.conversation.stop()


async def test_a_change_of_a_file_is_shown_as_a_diff_and_always_is_kept_for_the_conversation(
    stage: Stage,
) -> None:
    file = stage.workspace / "note.txt"
    file.write_text("one\ntwo\n")
    read = tool("Read", {"file_path": str(file)})
    first = tool("Edit", {"file_path": str(file), "old_string": "two", "new_string": "2"})
    second = tool("Edit", {"file_path": str(file), "old_string": "one", "new_string": "1"})
    talk = await stage.open(read, first, second, text("Done."))
    await talk.conversation.send("Change it.")
    blockage = (await talk.until(Blocked)).blockage
    assert "-two" in blockage.detail and "+2" in blockage.detail
    assert "always" in {option.id for option in blockage.options}
    await talk.conversation.answer(Answer(number=blockage.number, option="always"))
    ended = await talk.until(TurnEnded)
    assert ended.text == "Done." and file.read_text() == "1\n2\n"
    assert len(talk.all(Blocked)) == 1
    assert not list(stage.workspace.rglob("settings*.json"))


_COLOUR = {
    "question": "Which colour?",
    "header": "Colour",
    "multiSelect": False,
    "options": [{"label": "Red", "description": "warm"}, {"label": "Blue", "description": "cold"}],
}
_SIZE = {
    "question": "Which size?",
    "header": "Size",
    "multiSelect": False,
    "options": [{"label": "Small", "description": "s"}, {"label": "Large", "description": "l"}],
}


async def test_a_question_is_answered_with_an_option(stage: Stage) -> None:
    talk = await stage.open(tool("AskUserQuestion", {"questions": [_COLOUR]}), text("Blue it is."))
    await talk.conversation.send("Paint.")
    blockage = (await talk.until(Blocked)).blockage
    assert blockage.kind == BlockageKind.QUESTION and blockage.free_text
    assert [option.id for option in blockage.options] == ["Red", "Blue"]
    with pytest.raises(InvalidAnswer):
        await talk.conversation.answer(Answer(number=blockage.number, option="Green"))
    await talk.conversation.answer(Answer(number=blockage.number, option="Blue"))
    ended = await talk.until(TurnEnded)
    assert ended.text == "Blue it is." and ended.denied == ()
    assert '\\"Which colour?\\"=\\"Blue\\"' in stage.asked()


async def test_several_questions_are_answered_line_by_line_in_words_of_ones_own(stage: Stage) -> None:
    talk = await stage.open(tool("AskUserQuestion", {"questions": [_COLOUR, _SIZE]}), text("Good."))
    await talk.conversation.send("Paint.")
    blockage = (await talk.until(Blocked)).blockage
    with pytest.raises(InvalidAnswer, match="one line for each"):
        await talk.conversation.answer(Answer(number=blockage.number, text="Mauve"))
    await talk.conversation.answer(Answer(number=blockage.number, text="Mauve\nLarge"))
    await talk.until(TurnEnded)
    assert "Mauve" in stage.asked() and "Large" in stage.asked()


async def test_stop_ends_what_a_tool_started(stage: Stage) -> None:
    talk = await stage.open(
        tool("Bash", {"command": "echo $$ > pid; sleep 300"}),
        options=AgentOptions(permissions=Permissions(allow=("Bash",))),
    )
    await talk.conversation.send("Sleep.")
    file = stage.workspace / "pid"
    async with asyncio.timeout(_DEADLINE):
        while not (file.exists() and file.read_text().strip()):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    pid = int(file.read_text())
    await talk.conversation.stop()
    async with asyncio.timeout(5):
        while _runs(pid):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_a_long_prompt_that_begins_like_a_command_arrives_as_it_was_written(stage: Stage) -> None:
    prompt = "/nope @none begin\n" + "\n".join(f"line {n}" for n in range(100_000)) + "\nend"
    assert len(prompt) > 1_000_000
    talk = await stage.open(text("Read."))
    assert (await talk.turn(prompt)).text == "Read."
    blocks = [
        block["text"]
        for message in stage.server.calls[-1].body["messages"]
        for block in message["content"]
        if isinstance(block, dict) and block.get("type") == "text"
    ]
    assert prompt in blocks


async def test_a_prompt_that_is_too_long_is_refused_before_it_is_sent(stage: Stage) -> None:
    talk = await stage.open(text("Short."))
    with pytest.raises(PermanentAgentError, match="shorten"):
        await talk.conversation.send("x" * 10_000_001)
    assert (await talk.turn("Hello")).text == "Short."
    assert len(stage.server.calls) == 1


async def test_an_interrupt_takes_a_permission_back(stage: Stage) -> None:
    talk = await stage.open(tool("Bash", {"command": "touch made.txt"}), text("Here."))
    await talk.conversation.send("Do it.")
    blockage = (await talk.until(Blocked)).blockage
    await talk.conversation.interrupt()
    assert (await talk.until(TurnEnded)).stop_reason == "cancelled"
    assert Unblocked(number=blockage.number, how="by_itself") in talk.seen
    with pytest.raises(StaleAnswer):
        await talk.conversation.answer(Answer(number=blockage.number, option="allow"))
    assert (await talk.turn("Still there?")).text == "Here."


async def test_policies_and_tools(stage: Stage) -> None:
    write = tool("Write", {"file_path": str(stage.workspace / "a.txt"), "content": "a"})
    talk = await stage.open(
        write,
        text("Done."),
        options=AgentOptions(
            permissions=Permissions(policy="accept-edits"), system_prompt="Speak like a miller."
        ),
    )
    assert (await talk.turn("Write.")).denied == ()
    assert (stage.workspace / "a.txt").read_text() == "a"
    assert not talk.all(Blocked)
    body = stage.server.calls[0].body
    assert "Speak like a miller." in json.dumps(body["system"])
    assert "Bash" in {one["name"] for one in body["tools"]}
    talk = await stage.open(
        text("Only that."), options=AgentOptions(tools=("Read", "Bash"), denied_tools=("Bash",))
    )
    await talk.turn("What have you?")
    names = {one["name"] for one in stage.server.calls[-1].body["tools"]}
    assert "Read" in names and not names & {"Bash", "Write"}


async def test_everything_is_allowed_by_the_explicit_word_only(stage: Stage) -> None:
    talk = await stage.open(
        tool("Bash", {"command": "touch made.txt"}),
        text("Done."),
        options=AgentOptions(permissions=Permissions(policy="everything")),
    )
    assert (await talk.turn("Do it.")).text == "Done."
    assert (stage.workspace / "made.txt").exists() and not talk.all(Blocked)


async def test_an_answer_by_a_schema_is_structured(stage: Stage) -> None:
    schema = {"type": "object", "properties": {"fruit": {"type": "string"}}, "required": ["fruit"]}
    talk = await stage.open(
        tool("StructuredOutput", {"fruit": "plum"}), text("Said."), options=AgentOptions(output_schema=schema)
    )
    ended = await talk.turn("Which?")
    assert json.loads(ended.structured) == {"fruit": "plum"}


async def test_a_server_of_tools_gets_its_secret_and_leaves_none_behind(stage: Stage) -> None:
    server = McpServer(
        command=("sh", "-c", f"echo $KEY > {stage.workspace}/key; exec cat"), env={"KEY": "${TOKEN}"}
    )
    options = AgentOptions(mcp_servers={"one": server})
    with pytest.raises(PermanentAgentError, match="TOKEN"):
        await stage.open(options=options)
    talk = await stage.open(text("Hello."), options=options, env={"TOKEN": "value-of-token"})
    await talk.turn("Hello")
    assert (stage.workspace / "key").read_text() == "value-of-token\n"
    assert "value-of-token" not in Path(f"/proc/{stage.pids[-1]}/cmdline").read_text()
    await talk.conversation.stop()
    assert not (stage.own / "mcp.json").exists()


async def test_usage_is_a_total_of_the_process(stage: Stage) -> None:
    used = Used(input=100, output=20)
    talk = await stage.open(text("One.", usage=used), text("Two.", usage=used))
    await talk.turn("First")
    await talk.turn("Second")
    first, second = talk.all(Usage)
    assert (first.input_tokens, first.output_tokens) == (100, 20)
    assert (second.input_tokens, second.output_tokens) == (200, 40)
    assert second.cost_usd >= first.cost_usd > 0


async def test_its_home_keeps_what_the_user_wrote(stage: Stage) -> None:
    talk = await stage.open(text("Hello."))
    before = json.loads((stage.home / ".claude.json").read_text())
    await talk.turn("Hello")
    after = json.loads((stage.home / ".claude.json").read_text())
    assert {key: after[key] for key in before if key != "projects"} == {
        key: value for key, value in before.items() if key != "projects"
    }


async def test_a_prompt_that_the_program_finds_too_long_fails_for_good(stage: Stage) -> None:
    talk = await stage.open(text("Never said."))
    ended = await talk.turn("x" * 3_330_000)
    assert (ended.stop_reason, ended.error_class) == ("error", "permanent"), ended
    assert stage.server.calls == []


async def test_the_longest_prompt_that_the_runtime_promises_is_taken(stage: Stage) -> None:
    talk = await stage.open(text("Read."))
    assert (await talk.turn("x" * ClaudeRuntime.prompt_limit)).text == "Read."
