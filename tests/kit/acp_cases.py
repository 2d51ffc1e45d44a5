"""What every program that is driven by ACP must do, with the real program and a scripted model server."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import msgspec
import pytest

from cis_provider.model.blockage import BlockageKind
from cis_provider.model.options import McpServer, Permissions
from cis_provider.runtimes.events import Blocked, Output, ToolCall, Usage
from cis_provider.testing.model_server import ModelServer
from cis_provider.testing.model_server import steps as say
from tests.kit.acp_talks import AcpTalks, Talks, said
from tests.kit.by_hand import Terminal


class AcpCases(AcpTalks):
    """To be inherited: see :class:`AcpTalks`."""

    async def test_a_turn_with_its_tokens(self, server: ModelServer, talks: Talks) -> None:
        server.push(say.text("all is well"))
        talk = talks()
        started = await talk.start()
        assert started.conversation_id and started.version and started.model
        end = await talk.turn("how is it?")
        assert (end.stop_reason, end.text, end.num_turns) == ("end_turn", "all is well", 1)
        assert [one for one in talk.seen if isinstance(one, Usage)] == [
            Usage(input_tokens=100, output_tokens=20)
        ]

    async def test_a_command_that_is_allowed_runs(
        self, server: ModelServer, talks: Talks, tmp_path: Path
    ) -> None:
        server.push(say.run("echo made > made.txt", say="let me see"), say.text("it is made"))
        talk = talks()
        await talk.start()
        await talk.conversation.send("make it")
        blockage = await talk.blocked()
        assert blockage.kind == BlockageKind.PERMISSION and "echo made > made.txt" in blockage.title
        assert not (tmp_path / "workspace" / "made.txt").exists()
        once = next(one.id for one in blockage.options if one.kind == "allow_once")
        await talk.answer(blockage, once)
        end = await talk.end_of_turn()
        assert (tmp_path / "workspace" / "made.txt").read_text() == "made\n"
        assert (end.text, end.denied, end.num_turns) == ("it is made", (), 2)
        assert "completed" in [one.status for one in talk.seen if isinstance(one, ToolCall)]
        assert talk.seen[-2] == Usage(input_tokens=200, output_tokens=40)

    async def test_a_command_that_is_denied_does_not_run(
        self, server: ModelServer, talks: Talks, tmp_path: Path
    ) -> None:
        server.push(say.run("echo made > made.txt"))
        talk = talks()
        await talk.start()
        await talk.conversation.send("make it")
        blockage = await talk.blocked()
        no = next(one.id for one in blockage.options if one.kind == "reject_once")
        await talk.answer(blockage, no)
        end = await talk.end_of_turn()
        assert not (tmp_path / "workspace" / "made.txt").exists()
        assert len(end.denied) == 1 and "echo made > made.txt" in end.denied[0]

    async def test_patterns_allow_one_command_and_not_two(self, server: ModelServer, talks: Talks) -> None:
        server.push(say.run("echo one"), say.run("echo two; rm -r gone"), say.text("done"))
        talk = talks(permissions=Permissions(allow=("Bash(echo *)",)))
        await talk.start()
        await talk.conversation.send("go")
        blockage = await talk.blocked()
        assert "echo two; rm -r gone" in blockage.title
        assert [one.blockage.number for one in talk.seen if isinstance(one, Blocked)] == [1]

    @pytest.mark.parametrize(
        ("answer", "kind"),
        [
            (say.status(401), "login"),
            (say.status(400), "permanent"),
            (say.status(429, error="insufficient_quota", message="You exceeded your current quota"), "quota"),
        ],
    )
    async def test_an_error_of_the_provider(
        self, server: ModelServer, talks: Talks, answer: say.Step, kind: str
    ) -> None:
        server.push(_for_ever(answer))
        talk = talks()
        await talk.start()
        end = await talk.turn("go")
        assert (end.stop_reason, end.error_class, end.text) == ("error", kind, "") and end.error

    async def test_a_limit_of_an_hour_is_not_waited_for(self, server: ModelServer, talks: Talks) -> None:
        server.push(_for_ever(say.status(429, retry_after=3600)))
        talk = talks()
        await talk.start()
        began = time.time()
        end = await talk.turn("go")
        assert time.time() - began < 60
        assert (end.stop_reason, end.error_class) == ("error", "rate_limit")
        assert 3500 < end.retry_at - began < 3700

    async def test_a_limit_that_stays_ends_the_turn(self, server: ModelServer, talks: Talks) -> None:
        server.push(_for_ever(say.status(429, retry_after=0.1)))
        talk = talks()
        await talk.start()
        end = await talk.turn("go")
        assert (end.stop_reason, end.error_class, end.text) == ("error", "rate_limit", "")

    async def test_after_kill_9_a_new_conversation_sees_the_turns(
        self, server: ModelServer, talks: Talks
    ) -> None:
        server.push(say.text("first answer"), say.hang())
        first = talks()
        await first.start()
        await first.turn("first question")
        await first.conversation.send("second question")
        await asyncio.to_thread(server.wait_for, 2, 60)
        os.kill(first.pids[0], signal.SIGKILL)  # type: ignore[attr-defined]
        ended = await first.end()
        assert ended.exit_code == 137
        server.push(say.text("third answer"))
        second = talks(resume=first.conversation.conversation_id)
        await second.start()
        assert (await second.turn("third question")).text == "third answer"
        # Whether the question that was cut off stands in a message of its own is up to the program.
        words = "\n".join(said(server.calls[-1])).splitlines()
        assert {"first question", "first answer", "third question"} <= set(words)
        assert not any("first" in one.text for one in second.seen if isinstance(one, Output))
        assert second.conversation.conversation_id == first.conversation.conversation_id

    async def test_an_interrupted_turn_then_another(self, server: ModelServer, talks: Talks) -> None:
        server.push(say.hang())
        talk = talks()
        await talk.start()
        await talk.conversation.send("hang")
        await asyncio.to_thread(server.wait_for, 1, 60)
        await talk.conversation.interrupt()
        assert (await talk.end_of_turn()).stop_reason == "cancelled"
        server.push(say.text("on we go"))
        end = await talk.turn("go on")
        assert (end.stop_reason, end.text) == ("end_turn", "on we go")

    async def test_a_hanging_model_is_stopped_within_5_seconds(
        self, server: ModelServer, talks: Talks
    ) -> None:
        server.push(say.hang("never said", at="middle"))
        talk = talks()
        await talk.start()
        await talk.conversation.send("hang")
        await asyncio.to_thread(server.wait_for, 1, 60)
        began = time.monotonic()
        await talk.conversation.stop()
        assert time.monotonic() - began < 5
        assert not (await talk.end()).error

    async def test_a_prompt_of_one_megabyte_arrives_whole(self, server: ModelServer, talks: Talks) -> None:
        server.push(say.text("read"))
        talk = talks(env={**talks.env, "KIMI_MODEL_MAX_CONTEXT_SIZE": "1000000"})  # type: ignore[attr-defined]
        await talk.start()
        prompt = say.filler(1_000_000)
        assert (await talk.turn(prompt)).text == "read"
        assert prompt in said(server.calls[0])

    async def test_a_prompt_that_looks_like_a_command_reaches_the_model(
        self, server: ModelServer, talks: Talks
    ) -> None:
        server.push(say.text("cleaned"))
        talk = talks()
        await talk.start()
        assert (await talk.turn("/scratch is full, clean it")).text == "cleaned"
        assert any("/scratch is full, clean it" in one for one in said(server.calls[0]))

    async def test_the_system_prompt_reaches_the_model(self, server: ModelServer, talks: Talks) -> None:
        talk = talks(system_prompt="Speak like a pirate.")
        await talk.start()
        await talk.turn("go")
        assert any("Speak like a pirate." in str(one) for one in server.calls[0].body["messages"])

    async def test_a_tool_of_an_mcp_server_is_offered(self, server: ModelServer, talks: Talks) -> None:
        file = Path(__file__).parents[1] / "agents" / "mcp_echo.py"
        echo = McpServer(command=(sys.executable, str(file)), env={"TOKEN": "${REAL}", "PLAIN": "plain"})
        env = {**talks.env, "REAL": "of-the-test"}  # type: ignore[attr-defined]
        talk = talks(env=env, mcp_servers={"echo": echo})
        await talk.start()
        await talk.turn("go")
        assert "of-the-test-plain" in str(server.calls[0].body["tools"])

    async def test_a_human_goes_on_in_the_terminal_and_the_conversation_comes_back(
        self, server: ModelServer, talks: Talks, tmp_path: Path
    ) -> None:
        server.push(say.text("the number is four"), say.text("the colour is green"))
        first = talks()
        await first.start()
        await first.turn("a number, please")
        await first.conversation.stop()
        launch = first.conversation.terminal()
        assert launch is not None
        await asyncio.to_thread(_by_hand, Terminal(launch, first.setting))
        server.push(say.text("and back"))
        second = talks(resume=first.conversation.conversation_id)
        await second.start()
        assert (await second.turn("again by machine")).text == "and back"
        words = " / ".join(said(server.calls[-1]))
        for part in ("a number, please", "the number is four", "typed by hand", "the colour is green"):
            assert part in words


def _by_hand(terminal: Terminal) -> None:
    """Type a prompt into the program's own interface, when it shows the conversation so far."""
    try:
        terminal.sees("number is four", seconds=60)
        terminal.rests()
        terminal.type("typed by hand")
        terminal.sees("typed by hand")
        terminal.rests()
        terminal.type("\r")
        terminal.sees("colour is green")
        terminal.rests()
    finally:
        terminal.close()


def _for_ever(step: say.Step) -> say.Step:
    return msgspec.structs.replace(step, repeat=say.FOREVER)
