"""The real Claude Code, driven by its runtime against a scripted model server."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pexpect
import psutil
import pytest

from cis_provider.errors import InvalidAnswer, PermanentAgentError, StaleAnswer
from cis_provider.model.blockage import Answer, BlockageKind
from cis_provider.model.options import AgentOptions, Permissions
from cis_provider.runtimes.base import Conversation, Setting
from cis_provider.runtimes.claude import ClaudeRuntime
from cis_provider.runtimes.events import Blocked, Ended, Event, Output, Started, ToolCall, TurnEnded, Usage
from cis_provider.testing.model_server import ModelServer, environment, hang, run, status, text, tool, tools

pytestmark = pytest.mark.agents

QUESTION = {
    "question": "Which color?",
    "header": "Color",
    "multiSelect": False,
    "options": [{"label": "Red", "description": "warm"}, {"label": "Blue", "description": "cold"}],
}


class Talk:
    """A conversation, and all of its events so far."""

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self.seen: list[Event] = []
        self._events = conversation.events()

    async def until(self, *types: type[Event], seconds: float = 30) -> Any:
        async with asyncio.timeout(seconds):
            async for event in self._events:
                self.seen.append(event)
                if isinstance(event, types):
                    return event
        raise AssertionError(f"no {types} came: {self.seen}")

    async def turn(self, prompt: str) -> TurnEnded:
        await self.conversation.send(prompt)
        end = await self.until(TurnEnded, Ended, Blocked)
        assert isinstance(end, TurnEnded), end
        return end

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.seen if isinstance(event, kind)]


class Place:
    """A workspace and a home; conversations in it come and go."""

    def __init__(self, folder: Path, claude: Path) -> None:
        self.folder = folder
        self.claude = claude
        self.workspace = folder / "workspace"
        self.workspace.mkdir()
        self.pids: list[int] = []
        self.env: dict[str, str] = {}

    def setting(self, server: ModelServer, resume: str = "", **options: Any) -> Setting:
        made = environment("claude", server.url, self.folder / "home", workspace=self.workspace)
        env = {**made, "PATH": "/usr/bin:/bin", "CIS_SESSION_ID": "a-test", **self.env}
        options.setdefault("program", (str(self.claude),))
        return Setting(
            workspace=self.workspace,
            folder=self.folder,
            env={name: value for name, value in env.items() if value},
            options=AgentOptions(**options),
            resume=resume,
            on_process=self.pids.append,
        )

    @asynccontextmanager
    async def talk(self, server: ModelServer, resume: str = "", **options: Any) -> AsyncIterator[Talk]:
        conversation = ClaudeRuntime().open(self.setting(server, resume, **options))
        try:
            await conversation.start()
            talk = Talk(conversation)
            await talk.until(Started)
            yield talk
        finally:
            await conversation.stop()


@pytest.fixture
def place(tmp_path: Path, agent_program: Callable[[str], Path]) -> Place:
    return Place(tmp_path, agent_program("claude"))


def asked_of_model(server: ModelServer, call: int = -1) -> str:
    return json.dumps(server.calls[call].body, ensure_ascii=False)


async def test_a_turn_tells_its_text_its_tools_and_what_it_used(place: Place) -> None:
    steps = [run("echo made > made.txt", say="I will make it."), text("It is made.")]
    with ModelServer(steps) as server:
        async with place.talk(server, permissions=Permissions(policy="everything")) as talk:
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
    assert (place.workspace / "made.txt").read_text() == "made\n"


async def test_the_program_has_the_agents_environment_and_nothing_of_the_workers(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_WORKER", "leaked")
    place.env["OF_THE_AGENT"] = "given"
    with ModelServer([run("env > seen.txt"), text("ok")]) as server:
        async with place.talk(server, permissions=Permissions(policy="everything")) as talk:
            await talk.turn("Look.")
    seen = (place.workspace / "seen.txt").read_text()
    assert "OF_THE_AGENT=given" in seen
    assert "CIS_SESSION_ID=a-test" in seen
    assert "OF_THE_WORKER" not in seen


async def test_a_permission_is_asked_for_and_allowed(place: Place) -> None:
    with ModelServer([run("touch allowed"), text("Done.")]) as server:
        async with place.talk(server) as talk:
            await talk.conversation.send("Touch it.")
            asked = (await talk.until(Blocked)).blockage
            assert (asked.kind, asked.tool, asked.detail) == (
                BlockageKind.PERMISSION,
                "Bash",
                "touch allowed",
            )
            assert not (place.workspace / "allowed").exists()
            with pytest.raises(InvalidAnswer):
                await talk.conversation.answer(Answer(number=asked.number, option="maybe"))
            await talk.conversation.answer(Answer(number=asked.number, option="allow"))
            assert (await talk.until(TurnEnded)).text == "Done."
            assert (place.workspace / "allowed").exists()
            with pytest.raises(StaleAnswer):
                await talk.conversation.answer(Answer(number=asked.number, option="allow"))


async def test_a_denied_tool_is_told_to_the_agent_and_named_at_the_end(place: Place) -> None:
    with ModelServer([run("touch denied"), text("I did something else.")]) as server:
        async with place.talk(server) as talk:
            await talk.conversation.send("Touch it.")
            asked = (await talk.until(Blocked)).blockage
            await talk.conversation.answer(Answer(number=asked.number, option="deny", text="use a list"))
            end = await talk.until(TurnEnded)
        assert "use a list" in asked_of_model(server)
    assert end.stop_reason == "end_turn"
    assert end.denied == ("Bash: touch denied",)
    assert not (place.workspace / "denied").exists()


async def test_two_tools_at_once_are_two_questions(place: Place) -> None:
    both = tools(("Bash", {"command": "touch one"}), ("Bash", {"command": "touch two"}))
    with ModelServer([both, text("Done.")]) as server:
        async with place.talk(server) as talk:
            await talk.conversation.send("Both.")
            for _ in range(2):
                asked = (await talk.until(Blocked)).blockage
                option = "allow" if "one" in asked.detail else "deny"
                await talk.conversation.answer(Answer(number=asked.number, option=option))
            await talk.until(TurnEnded)
    assert (place.workspace / "one").exists()
    assert not (place.workspace / "two").exists()


async def test_what_a_pattern_allows_is_not_asked(place: Place) -> None:
    with ModelServer([run("touch listed"), text("Done.")]) as server:
        allowed = Permissions(allow=("Bash(touch *)",))
        async with place.talk(server, permissions=allowed) as talk:
            await talk.turn("Touch it.")
            assert talk.of(Blocked) == []
    assert (place.workspace / "listed").exists()


async def test_an_edit_is_shown_as_a_diff_and_not_asked_where_edits_are_accepted(place: Place) -> None:
    file = place.workspace / "a.txt"
    write = tool("Write", {"file_path": str(file), "content": "new\n"})
    with ModelServer([write, text("Done.")]) as server:
        async with place.talk(server) as talk:
            await talk.conversation.send("Write.")
            asked = (await talk.until(Blocked)).blockage
            assert asked.tool == "Write"
            assert "new" in asked.detail
    with ModelServer([write, text("Done.")]) as server:
        async with place.talk(server, permissions=Permissions(policy="accept-edits")) as talk:
            await talk.turn("Write.")
    assert file.read_text() == "new\n"


@pytest.mark.parametrize("answer", ["Blue", "Green, please"])
async def test_a_question_takes_an_option_or_words(place: Place, answer: str) -> None:
    with ModelServer([tool("AskUserQuestion", {"questions": [QUESTION]}), text("Good.")]) as server:
        async with place.talk(server) as talk:
            await talk.conversation.send("Ask me.")
            asked = (await talk.until(Blocked)).blockage
            assert asked.kind is BlockageKind.QUESTION
            assert asked.title == "Which color?"
            assert [option.label for option in asked.options] == ["Red", "Blue"]
            given = {"option": answer} if answer == "Blue" else {"text": answer}
            await talk.conversation.answer(Answer(number=asked.number, **given))
            assert (await talk.until(TurnEnded)).text == "Good."
        assert answer in asked_of_model(server)


async def test_several_questions_take_a_line_each(place: Place) -> None:
    other = {**QUESTION, "question": "Which size?", "header": "Size"}
    with ModelServer([tool("AskUserQuestion", {"questions": [QUESTION, other]}), text("Good.")]) as server:
        async with place.talk(server) as talk:
            await talk.conversation.send("Ask me.")
            asked = (await talk.until(Blocked)).blockage
            with pytest.raises(InvalidAnswer):
                await talk.conversation.answer(Answer(number=asked.number, text="Red"))
            await talk.conversation.answer(Answer(number=asked.number, text="Red\nHuge"))
            await talk.until(TurnEnded)
        assert "Huge" in asked_of_model(server)


@pytest.mark.parametrize(
    ("step", "error_class"),
    [
        (status(401, repeat="forever"), "login"),
        (status(429, repeat="forever"), "rate_limit"),
        (status(529, repeat="forever"), "transient"),
        (status(500, repeat="forever"), "transient"),
        (status(400, message="prompt is wrong", repeat="forever"), "permanent"),
    ],
)
async def test_a_call_that_fails_is_no_success_and_has_a_class(
    place: Place, step: Any, error_class: str
) -> None:
    place.env["CLAUDE_CODE_MAX_RETRIES"] = "1"
    with ModelServer([step]) as server:
        async with place.talk(server) as talk:
            end = await talk.turn("Work.")
    assert (end.stop_reason, end.error_class) == ("error", error_class)
    assert end.error


async def test_a_failing_provider_is_not_retried_for_minutes(place: Place) -> None:
    with ModelServer([status(529, repeat="forever")]) as server:
        async with place.talk(server) as talk:
            began = time.monotonic()
            await talk.turn("Work.")
            assert time.monotonic() - began < 30
        assert len(server.calls) <= 5


async def test_a_subscriptions_limit_says_when_it_ends(place: Place) -> None:
    place.env |= {"ANTHROPIC_API_KEY": "", "CLAUDE_CODE_OAUTH_TOKEN": "test-token"}
    with ModelServer([status(429, resets_in=3600)]) as server:
        async with place.talk(server) as talk:
            end = await talk.turn("Work.")
    assert end.error_class == "quota"
    assert 3500 < end.retry_at - time.time() < 3700


async def test_a_killed_program_says_so_and_the_conversation_goes_on_in_a_new_one(place: Place) -> None:
    with ModelServer([text("I know it: heron."), hang()]) as server:
        async with place.talk(server) as talk:
            await talk.turn("The word is heron.")
            await talk.conversation.send("And now?")
            await asyncio.to_thread(server.wait_for, 2)
            os.kill(place.pids[-1], signal.SIGKILL)
            end = await talk.until(Ended)
            assert end.exit_code == 137
            conversation_id = talk.conversation.conversation_id
        server.push(text("It was heron."))
        async with place.talk(server, conversation_id) as talk:
            assert (await talk.turn("Which word was it?")).text == "It was heron."
            assert talk.conversation.conversation_id == conversation_id
        assert "The word is heron." in asked_of_model(server)
        assert "I know it: heron." in asked_of_model(server)


async def test_a_program_that_is_killed_in_its_first_turn_can_be_resumed(place: Place) -> None:
    with ModelServer([hang()]) as server:
        async with place.talk(server) as talk:
            await talk.conversation.send("The word is heron.")
            await asyncio.to_thread(server.wait_for, 1)
            await _stored(place, "The word is heron.")
            os.kill(place.pids[-1], signal.SIGKILL)
            await talk.until(Ended)
            conversation_id = talk.conversation.conversation_id
        server.push(text("Heron."))
        async with place.talk(server, conversation_id) as talk:
            await talk.turn("Go on.")
        assert "The word is heron." in asked_of_model(server)


async def _stored(place: Place, words: str) -> None:
    """Claude Code writes a prompt down 0.1 s after it has asked the model; before that it is lost."""
    async with asyncio.timeout(10):
        files = place.folder / "home"
        while not any(words in file.read_text() for file in files.rglob("projects/*/*.jsonl")):  # noqa: ASYNC110
            await asyncio.sleep(0.02)  # a file of another program: nothing tells when it grows


async def test_a_program_that_is_killed_before_it_wrote_anything_down_says_what_is_lost(place: Place) -> None:
    with ModelServer([]) as server:
        async with place.talk(server) as talk:
            os.kill(place.pids[-1], signal.SIGKILL)
            await talk.until(Ended)
            conversation_id = talk.conversation.conversation_id
        with pytest.raises(PermanentAgentError, match="No conversation found"):
            async with place.talk(server, conversation_id):
                pass


async def test_a_conversation_goes_on_in_another_folder(place: Place) -> None:
    with ModelServer([text("I know it: heron."), text("It was heron.")]) as server:
        async with place.talk(server) as talk:
            await talk.turn("The word is heron.")
            conversation_id = talk.conversation.conversation_id
        place.workspace = place.folder / "another"
        place.workspace.mkdir()
        async with place.talk(server, conversation_id) as talk:
            assert (await talk.turn("Which word was it?")).text == "It was heron."
        assert "The word is heron." in asked_of_model(server)


async def test_a_conversation_that_is_not_there_is_an_error_that_says_so(place: Place) -> None:
    with (
        ModelServer([text("ok")]) as server,
        pytest.raises(PermanentAgentError, match="No conversation found"),
    ):
        async with place.talk(server, "0bd3b1ea-0000-4000-8000-000000000000"):
            pass


async def test_a_hanging_turn_is_stopped_within_seconds_and_nothing_is_left(place: Place) -> None:
    with ModelServer([hang()]) as server:
        async with place.talk(server) as talk:
            await talk.conversation.send("Work.")
            await asyncio.to_thread(server.wait_for, 1)
            family = [
                psutil.Process(place.pids[-1]),
                *psutil.Process(place.pids[-1]).children(recursive=True),
            ]
            began = time.monotonic()
            await talk.conversation.stop()
            assert time.monotonic() - began < 5
    assert not [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


async def test_an_interrupted_turn_ends_and_the_next_one_works(place: Place) -> None:
    with ModelServer([hang(), text("The next one.")]) as server:
        async with place.talk(server) as talk:
            await talk.conversation.send("Work.")
            await asyncio.to_thread(server.wait_for, 1)
            await talk.conversation.interrupt()
            assert (await talk.until(TurnEnded)).stop_reason == "cancelled"
            assert (await talk.turn("Once more.")).text == "The next one."


async def test_a_prompt_of_a_megabyte_arrives_whole(place: Place) -> None:
    prompt = "\n".join(f"line {number} of a long prompt" for number in range(40_000))[:1_000_000]
    with ModelServer([text("Read.")]) as server:
        async with place.talk(server) as talk:
            await talk.turn(prompt)
        said = [
            part["text"]
            for message in server.calls[0].body["messages"]
            for part in message["content"]
            if isinstance(part, dict) and part.get("type") == "text"
        ]
    assert prompt in said


async def test_a_human_goes_on_in_the_same_conversation_at_a_terminal_and_hands_it_back(place: Place) -> None:
    with ModelServer([text("From the protocol."), text("From the terminal."), text("From both.")]) as server:
        async with place.talk(server) as talk:
            await talk.turn("The first prompt.")
            conversation_id = talk.conversation.conversation_id
            launch = talk.conversation.terminal()
        assert launch is not None
        await asyncio.to_thread(_at_the_terminal, launch, place, server)
        async with place.talk(server, conversation_id) as talk:
            assert (await talk.turn("The third prompt.")).text == "From both."
        said = asked_of_model(server)
    for part in ("The first prompt.", "From the protocol.", "the second prompt", "From the terminal."):
        assert part in said


def _at_the_terminal(launch: Any, place: Place, server: ModelServer) -> None:
    env = {**launch.env, "TERM": "xterm-256color"}
    child = pexpect.spawn(
        launch.argv[0],
        launch.argv[1:],
        cwd=str(place.workspace),
        env=env,
        dimensions=(40, 120),
        timeout=30,
        encoding="utf-8",
    )
    try:
        child.expect(r"From.{0,20}the.{0,20}protocol")
        child.expect(r"\?.{0,40}for.{0,40}shortcuts|>|❯")
        deadline = time.monotonic() + 30
        child.send("the second prompt")
        child.expect("second")
        child.send("\r")
        child.expect("From.{0,20}the.{0,20}terminal")
        assert time.monotonic() < deadline
        child.sendcontrol("c")
        child.sendcontrol("c")
        child.expect(pexpect.EOF, timeout=15)
    finally:
        child.close(force=True)
