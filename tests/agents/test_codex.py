"""The real Codex, driven by its runtime against a scripted model server."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pexpect
import pytest

from cis_provider.errors import InvalidAnswer, PermanentAgentError, StaleAnswer
from cis_provider.model.blockage import Answer, BlockageKind
from cis_provider.model.options import AgentOptions, McpServer, Permissions
from cis_provider.runtimes.base import Conversation, Launch, Setting
from cis_provider.runtimes.codex import CodexRuntime
from cis_provider.runtimes.events import Blocked, Ended, Event, Output, Started, ToolCall, TurnEnded, Usage
from cis_provider.screens.screen import Screen
from cis_provider.testing.model_server import (
    ModelServer,
    Recorded,
    environment,
    hang,
    run,
    slow,
    status,
    text,
    tool,
)

pytestmark = pytest.mark.agents

PATCH = "apply_patch <<'EOF'\n*** Begin Patch\n*** Add File: hello.txt\n+hi there\n*** End Patch\nEOF\n"
QUESTIONS: list[dict[str, Any]] = [
    {
        "id": "color",
        "header": "Color",
        "question": "Which color?",
        "options": [{"label": "red", "description": "warm"}, {"label": "blue", "description": "cold"}],
    },
    {
        "id": "size",
        "header": "Size",
        "question": "Which size?",
        "options": [{"label": "big", "description": "8"}, {"label": "small", "description": "1"}],
    },
]


class Talk:
    """A conversation, and all of its events so far."""

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self.seen: list[Event] = []
        self._events = conversation.events()

    async def until(self, *types: type[Event], seconds: float = 30) -> Any:
        """The next event of one of these types."""
        async with asyncio.timeout(seconds):
            async for event in self._events:
                self.seen.append(event)
                if isinstance(event, types):
                    return event
        raise AssertionError(f"no {types} came: {self.seen}")

    async def turn(self, prompt: str) -> TurnEnded:
        """A turn that nobody is asked in."""
        await self.conversation.send(prompt)
        end = await self.until(TurnEnded, Ended, Blocked)
        assert isinstance(end, TurnEnded), end
        return end

    def of(self, kind: type[Event]) -> list[Any]:
        """Events of a type so far."""
        return [event for event in self.seen if isinstance(event, kind)]


class Place:
    """A workspace and a home; conversations in it come and go."""

    def __init__(self, folder: Path, codex: Path) -> None:
        self.folder = folder
        self.codex = codex
        self.workspace = folder / "workspace"
        self.workspace.mkdir()
        self.pids: list[int] = []
        self.env: dict[str, str] = {}

    def setting(self, server: ModelServer, resume: str = "", **options: Any) -> Setting:
        """Where a conversation takes place."""
        made = environment("codex", server.url, self.folder / "home", workspace=self.workspace, retries=0)
        env = {**made, "PATH": "/usr/bin:/bin", "CIS_SESSION_ID": "a-test", **self.env}
        options.setdefault("program", (str(self.codex),))
        return Setting(
            workspace=self.workspace,
            folder=self.folder,
            env=env,
            options=AgentOptions(**options),
            resume=resume,
            on_process=self.pids.append,
        )

    @asynccontextmanager
    async def talk(self, server: ModelServer, resume: str = "", **options: Any) -> AsyncIterator[Talk]:
        """A started conversation, stopped at the end."""
        conversation = CodexRuntime().open(self.setting(server, resume, **options))
        try:
            async with asyncio.timeout(30):
                await conversation.start()
            talk = Talk(conversation)
            await talk.until(Started)
            yield talk
        finally:
            await conversation.stop()


@pytest.fixture
def place(tmp_path: Path, agent_program: Callable[[str], Path]) -> Place:
    return Place(tmp_path, agent_program("codex"))


def permissions(policy: Any, *allow: str) -> Permissions:
    return Permissions(policy=policy, allow=allow)


def said_to_model(request: Recorded) -> list[str]:
    """What a user has said, in order, as the model sees it."""
    parts = [
        part["text"]
        for item in request.body["input"]
        if item.get("type") == "message" and item["role"] == "user"
        for part in item["content"]
    ]
    return [part for part in parts if not part.startswith("<")]


class Terminal:
    """A program on a terminal, its screen, and a human at its keyboard."""

    def __init__(self, launch: Launch, setting: Setting) -> None:
        env = {**setting.env, **launch.env, "TERM": "xterm-256color"}
        self._screen = Screen(120, 40)
        self._child = pexpect.spawn(
            launch.argv[0], launch.argv[1:], env=env, cwd=str(setting.workspace), dimensions=(40, 120)
        )

    def sees(self, words: str, without: str = "\0", seconds: float = 30) -> None:
        """Wait until the screen shows these words, and not those."""
        deadline = time.monotonic() + seconds
        while words not in (screen := "\n".join(self._screen.frame().lines)) or without in screen:
            assert time.monotonic() < deadline, screen
            try:
                self._screen.feed(self._child.read_nonblocking(65536, timeout=0.2))
            except pexpect.TIMEOUT:
                continue

    def type(self, keys: str) -> None:
        self._child.send(keys)

    def leaves(self) -> None:
        """Wait for its end."""
        self._child.expect(pexpect.EOF, timeout=20)

    def close(self) -> None:
        self._child.close(force=True)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_turn_with_a_command_ends_with_its_final_text_and_its_usage(place: Place) -> None:
    steps = [run("echo hello > out.txt", say="I begin."), text("All is done.")]
    with ModelServer(steps) as server:
        async with place.talk(server, permissions=permissions("accept-edits")) as talk:
            started = talk.seen[0]
            end = await talk.turn("write it")
        ended = await talk.until(Ended)
    assert isinstance(started, Started)
    assert started.conversation_id == talk.conversation.conversation_id
    assert started.model == "scripted-model"
    assert started.version[0].isdigit()
    assert end == TurnEnded(text="All is done.")
    assert (place.workspace / "out.txt").read_text() == "hello\n"
    assert "I begin." in "".join(one.text for one in talk.of(Output) if not one.thought)
    calls = talk.of(ToolCall)
    assert [(one.kind, one.title, one.status) for one in calls] == [
        ("execute", "echo hello > out.txt", "in_progress"),
        ("execute", "echo hello > out.txt", "completed"),
    ]
    assert talk.of(Usage)[-1] == Usage(input_tokens=200, output_tokens=40)
    assert (ended.error, talk.seen[-1]) == ("", ended)
    assert len(place.pids) == 1
    assert not alive(place.pids[0])


@pytest.mark.parametrize("option", ["accept", "acceptForSession"])
async def test_a_command_that_is_allowed_runs(place: Place, option: str) -> None:
    with ModelServer([run("touch made"), text("Made.")]) as server:
        async with place.talk(server) as talk:
            await talk.conversation.send("make it")
            blocked = (await talk.until(Blocked)).blockage
            assert not (place.workspace / "made").exists()
            assert (blocked.kind, blocked.tool, blocked.title) == (
                BlockageKind.PERMISSION,
                "Bash",
                "run: touch made",
            )
            assert "touch made" in blocked.detail
            assert [one.kind for one in blocked.options] == [
                "allow_once",
                "allow_always",
                "reject_once",
                "reject_once",
            ]
            with pytest.raises(InvalidAnswer, match="no option 'yes'"):
                await talk.conversation.answer(Answer(number=blocked.number, option="yes"))
            await talk.conversation.answer(Answer(number=blocked.number, option=option))
            end = await talk.until(TurnEnded)
            with pytest.raises(StaleAnswer):
                await talk.conversation.answer(Answer(number=blocked.number, option=option))
    assert end == TurnEnded(text="Made.")
    assert (place.workspace / "made").exists()


async def test_a_command_allowed_for_the_conversation_is_not_asked_about_again(place: Place) -> None:
    with ModelServer([run("touch made"), run("touch made"), text("Made.")]) as server:
        async with place.talk(server) as talk:
            await talk.conversation.send("make it")
            blocked = (await talk.until(Blocked)).blockage
            await talk.conversation.answer(Answer(number=blocked.number, option="acceptForSession"))
            assert isinstance(await talk.until(TurnEnded, Blocked), TurnEnded)


async def test_a_denied_command_does_not_run_and_is_reported_though_all_seems_well(place: Place) -> None:
    with ModelServer([run("touch made"), text("I could not.")]) as server:
        async with place.talk(server) as talk:
            await talk.conversation.send("make it")
            blocked = (await talk.until(Blocked)).blockage
            answer = Answer(number=blocked.number, option="decline", text="use the other folder")
            await talk.conversation.answer(answer)
            end = await talk.until(TurnEnded)
            assert "use the other folder" in said_to_model((await asyncio.to_thread(server.wait_for, 2))[1])
    assert end == TurnEnded(text="I could not.", denied=("touch made",))
    assert not (place.workspace / "made").exists()
    assert talk.of(ToolCall)[-1].status == "failed"


async def test_cancel_denies_and_ends_the_turn(place: Place) -> None:
    with ModelServer([run("touch made"), text("never said")]) as server:
        async with place.talk(server) as talk:
            await talk.conversation.send("make it")
            blocked = (await talk.until(Blocked)).blockage
            await talk.conversation.answer(Answer(number=blocked.number, option="cancel"))
            end = await talk.until(TurnEnded)
        assert len(server.calls) == 1
    assert (end.stop_reason, end.denied) == ("cancelled", ("touch made",))


async def test_a_change_of_a_file_is_asked_about_with_its_diff(place: Place) -> None:
    with ModelServer([run(PATCH), text("Written.")]) as server:
        async with place.talk(server) as talk:
            await talk.conversation.send("write")
            blocked = (await talk.until(Blocked)).blockage
            await talk.conversation.answer(Answer(number=blocked.number, option="accept"))
            await talk.until(TurnEnded)
    assert blocked.tool == "Edit"
    assert "hello.txt" in blocked.title
    assert "hi there" in blocked.detail
    assert (place.workspace / "hello.txt").read_text() == "hi there\n"
    assert {one.kind for one in talk.of(ToolCall)} == {"edit"}


async def test_accept_edits_asks_for_what_leaves_the_sandbox_only(place: Place) -> None:
    outside = place.folder / "outside"
    escalated = {
        "cmd": f"touch {outside}",
        "sandbox_permissions": "require_escalated",
        "justification": "I need it",
    }
    with ModelServer([run(PATCH), tool("exec_command", escalated), text("Well.")]) as server:
        async with place.talk(server, permissions=permissions("accept-edits")) as talk:
            await talk.conversation.send("write")
            blocked = (await talk.until(Blocked)).blockage
            assert (place.workspace / "hello.txt").exists()
            await talk.conversation.answer(Answer(number=blocked.number, option="accept"))
            await talk.until(TurnEnded)
    assert "I need it" in blocked.detail
    assert outside.exists()


async def test_a_plan_changes_nothing_and_says_what_was_refused(place: Place) -> None:
    with ModelServer([run(PATCH), text("Here is the plan.")]) as server:
        async with place.talk(server, permissions=permissions("plan")) as talk:
            end = await talk.turn("write")
    assert end.text == "Here is the plan."
    assert len(end.denied) == 1
    assert "hello.txt" in end.denied[0]
    assert not (place.workspace / "hello.txt").exists()


async def test_an_allowed_pattern_is_not_asked_about_and_allows_no_more_than_it_says(place: Place) -> None:
    steps = [run("touch one"), run("touch two; touch three"), text("Made.")]
    with ModelServer(steps) as server:
        async with place.talk(server, permissions=permissions("ask", "Bash(touch *)")) as talk:
            await talk.conversation.send("make them")
            blocked = (await talk.until(Blocked)).blockage
            assert blocked.title == "run: touch two; touch three"
            assert (place.workspace / "one").exists()
            await talk.conversation.answer(Answer(number=blocked.number, option="decline"))
            await talk.until(TurnEnded)
    assert "allowed by 'Bash(touch *)'" in [one.detail for one in talk.of(ToolCall)]
    assert not (place.workspace / "two").exists()


async def test_everything_is_asked_nothing_and_reaches_outside_the_workspace(place: Place) -> None:
    outside = place.folder / "outside"
    with ModelServer([run(f"touch {outside}"), text("Made.")]) as server:
        async with place.talk(server, permissions=permissions("everything")) as talk:
            await talk.turn("make it")
    assert outside.exists()


async def test_questions_are_asked_one_after_the_other_and_answered_together(place: Place) -> None:
    with ModelServer([tool("request_user_input", {"questions": QUESTIONS}), text("So be it.")]) as server:
        async with place.talk(server) as talk:
            await talk.conversation.send("paint it")
            first = (await talk.until(Blocked)).blockage
            await talk.conversation.answer(Answer(number=first.number, option="blue"))
            second = (await talk.until(Blocked)).blockage
            await talk.conversation.answer(Answer(number=second.number, text="gigantic"))
            end = await talk.until(TurnEnded)
        result = [one for one in server.calls[1].body["input"] if one["type"] == "function_call_output"]
    assert (first.kind, first.title, first.free_text) == (BlockageKind.QUESTION, "Which color?", True)
    assert [one.id for one in first.options] == ["red", "blue"]
    assert second.number == first.number + 1
    assert end.text == "So be it."
    given = msgspec.json.decode(result[0]["output"])
    assert given == {"answers": {"color": {"answers": ["blue"]}, "size": {"answers": ["gigantic"]}}}


async def test_a_used_up_account_is_a_quota_that_ends_at_its_reset(place: Place) -> None:
    with ModelServer([status(429, error="usage_limit_reached", resets_in=3600)]) as server:
        async with place.talk(server) as talk:
            asked = time.time()
            end = await talk.turn("go")
    assert (end.stop_reason, end.error_class) == ("error", "quota")
    assert "usage limit" in end.error
    assert asked + 3590 < end.retry_at < asked + 3620


@pytest.mark.parametrize(
    ("failure", "error_class"),
    [
        (status(401), "login"),
        (status(429), "rate_limit"),
        (status(429, error="insufficient_quota"), "quota"),
        (status(500), "transient"),
        (status(529), "transient"),
        (status(400), "permanent"),
        (status(404), "permanent"),
        (status(400, error="context_length_exceeded", in_stream=True), "permanent"),
    ],
    ids=lambda value: (
        value if isinstance(value, str) else f"{value.failure.status}{value.failure.error or ''}"
    ),
)
async def test_errors_have_a_class(place: Place, failure: Any, error_class: str) -> None:
    # Twice: after a full context it asks for a summary first.
    with ModelServer([failure, text("Well again.", repeat=2)]) as server:
        async with place.talk(server) as talk:
            end = await talk.turn("go")
            # The program and its conversation are still good.
            again = await talk.turn("go on")
    assert (end.stop_reason, end.error_class) == ("error", error_class), end.error
    assert end.error
    assert again == TurnEnded(text="Well again.")


async def test_killed_in_a_turn_it_says_so_and_another_goes_on_in_the_conversation(place: Place) -> None:
    with ModelServer([text("First answer."), hang(), text("Third answer.")]) as server:
        async with place.talk(server) as talk:
            await talk.turn("first prompt")
            await talk.conversation.send("second prompt")
            await asyncio.to_thread(server.wait_for, 2)
            os.kill(place.pids[0], signal.SIGKILL)
            end = await talk.until(Ended, TurnEnded)
            assert isinstance(end, Ended)
            assert end.exit_code == 128 + signal.SIGKILL
            assert "signal 9" in end.error
        async with place.talk(server, resume=talk.conversation.conversation_id) as later:
            again = await later.turn("third prompt")
            assert later.conversation.conversation_id == talk.conversation.conversation_id
        prompts = said_to_model(server.calls[-1])
    assert again == TurnEnded(text="Third answer.")
    assert prompts == ["first prompt", "second prompt", "third prompt"]
    assert later.of(Usage)[-1] == Usage(input_tokens=100, output_tokens=20)


async def test_it_is_stopped_while_the_model_hangs(place: Place) -> None:
    with ModelServer([hang()]) as server:
        async with place.talk(server) as talk:
            await talk.conversation.send("go")
            await asyncio.to_thread(server.wait_for, 1)
            begun = time.monotonic()
            await talk.conversation.stop()
            took = time.monotonic() - begun
            await talk.conversation.stop()
            ended = await talk.until(Ended)
    assert took < 5
    assert ended.error == ""
    assert not alive(place.pids[0])


async def test_a_stopped_one_leaves_no_command_behind(place: Place) -> None:
    os.mkfifo(place.workspace / "pid")
    pipe = os.open(place.workspace / "pid", os.O_RDWR | os.O_NONBLOCK)
    written = asyncio.Event()
    asyncio.get_running_loop().add_reader(pipe, written.set)
    with ModelServer([run("echo $$ > pid; exec sleep 300")]) as server:
        async with place.talk(server, permissions=permissions("everything")) as talk:
            await talk.conversation.send("sleep")
            async with asyncio.timeout(20):
                await written.wait()
            asyncio.get_running_loop().remove_reader(pipe)
            handle = os.pidfd_open(int(os.read(pipe, 100)))
            await talk.conversation.stop()
        # It has a group of its own, and ends a moment after the program it belongs to.
        ended, _, _ = select.select([handle], [], [], 5)
    os.close(handle)
    os.close(pipe)
    assert ended


async def test_an_interrupted_turn_is_cancelled_and_the_next_one_runs(place: Place) -> None:
    with ModelServer([slow("word " * 200, every=0.2), text("Second answer.")]) as server:
        async with place.talk(server) as talk:
            await talk.conversation.send("talk")
            while (await talk.until(Output)).thought:
                pass
            await talk.conversation.interrupt()
            end = await talk.until(TurnEnded)
            await talk.conversation.interrupt()
            again = await talk.turn("now be short")
    assert end.stop_reason == "cancelled"
    assert again == TurnEnded(text="Second answer.")


async def test_an_interrupt_takes_an_open_question_away(place: Place) -> None:
    with ModelServer([run("touch made"), text("Second answer.")]) as server:
        async with place.talk(server) as talk:
            await talk.conversation.send("make it")
            blocked = (await talk.until(Blocked)).blockage
            await talk.conversation.interrupt()
            assert (await talk.until(TurnEnded)).stop_reason == "cancelled"
            with pytest.raises(StaleAnswer):
                await talk.conversation.answer(Answer(number=blocked.number, option="accept"))
            assert (await talk.turn("leave it")).text == "Second answer."


async def test_the_longest_prompt_arrives_whole_and_a_longer_one_is_refused_unsent(place: Place) -> None:
    limit = CodexRuntime.prompt_limit
    prompt = ("0123456789abcdef" * (limit // 16))[: limit - 3] + "END"
    with ModelServer([text("Read.")]) as server:
        async with place.talk(server) as talk:
            with pytest.raises(PermanentAgentError, match=str(limit)):
                await talk.conversation.send(prompt + "x")
            end = await talk.turn(prompt)
        assert said_to_model(server.calls[0]) == [prompt]
        assert len(server.calls) == 1
    assert end.text == "Read."


async def test_what_the_file_says_reaches_the_model(place: Place) -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
        "additionalProperties": False,
    }
    with ModelServer([text('{"n": 7}')]) as server:
        async with place.talk(
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


async def test_a_tool_of_an_mcp_server_is_there_and_its_secret_is_on_no_command_line(place: Place) -> None:
    place.env["REAL_TOKEN"] = "token-of-the-test"
    server_file = Path(__file__).parent / "mcp_echo.py"
    echo = McpServer(
        command=(sys.executable, str(server_file)), env={"TOKEN": "${REAL_TOKEN}", "PLAIN": "plain"}
    )
    with ModelServer([text("ok")]) as server:
        async with place.talk(server, mcp_servers={"echo": echo}) as talk:
            await talk.turn("hello")
            command_line = Path(f"/proc/{place.pids[0]}/cmdline").read_bytes()
        offered = str(server.calls[0].body["tools"])
    assert "token-of-the-test-plain" in offered
    assert b"token-of-the-test" not in command_line


async def test_nobody_logged_in_is_told_at_once_instead_of_waiting_for_the_network(place: Place) -> None:
    with ModelServer([]) as server:
        async with place.talk(server, config={"overrides": {"model_provider": "openai"}}) as talk:
            end = await talk.turn("go")
    assert (end.stop_reason, end.error_class) == ("error", "login")
    assert "codex login" in end.error


async def test_an_api_key_of_the_environment_is_used(place: Place) -> None:
    with ModelServer([text("Hello.")]) as server:
        place.env |= {"OPENAI_API_KEY": "test-key", "OPENAI_BASE_URL": f"{server.url}/v1"}
        async with place.talk(server, config={"overrides": {"model_provider": "openai"}}) as talk:
            assert (await talk.turn("go")).text == "Hello."


async def test_a_network_that_does_not_come_back_has_an_end(place: Place) -> None:
    overrides = {"model_providers.scripted.base_url": "http://name.invalid/v1"}
    with ModelServer([]) as server:
        async with place.talk(server, config={"overrides": overrides, "retry_patience": 2}) as talk:
            end = await talk.turn("go")
    assert (end.stop_reason, end.error_class) == ("error", "transient")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"program": ("no-such-codex",)}, "no-such-codex"),
        ({"tools": ("Bash",)}, "Bash"),
        ({"config": {"colour": 1}}, "colour"),
        ({"args": ("--no-such-flag",)}, "no-such-flag"),
    ],
)
async def test_what_cannot_be_started_says_why(place: Place, options: dict[str, Any], words: str) -> None:
    with ModelServer([]) as server:
        conversation = CodexRuntime().open(place.setting(server, **options))
        with pytest.raises(PermanentAgentError, match=words):
            await conversation.start()
        await conversation.stop()
    assert not any(alive(pid) for pid in place.pids)


async def test_a_conversation_that_is_not_there_cannot_be_gone_on_with(place: Place) -> None:
    with ModelServer([]) as server:
        setting = place.setting(server, resume="01a1fd7a-04e7-7400-8f72-a763a9c1bd0e")
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
        terminal.type("\x03")
        terminal.leaves()
    finally:
        terminal.close()


async def test_a_human_takes_over_in_the_terminal_and_hands_back(place: Place) -> None:
    with ModelServer([text("First answer."), text("Second answer."), text("Third answer.")]) as server:
        async with place.talk(server) as talk:
            await talk.turn("first prompt")
        launch = talk.conversation.terminal()
        assert launch is not None
        number = talk.conversation.conversation_id
        await asyncio.to_thread(in_the_terminal, launch, place.setting(server))
        async with place.talk(server, resume=number) as later:
            assert (await later.turn("third prompt")).text == "Third answer."
        assert said_to_model(server.calls[-1]) == ["first prompt", "second prompt", "third prompt"]
        assert len(server.calls) == 3
    assert later.of(Usage)[-1] == Usage(input_tokens=100, output_tokens=20)
