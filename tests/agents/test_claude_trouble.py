"""The real Claude Code when its provider fails, when it is killed, and when it is stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import Any

import psutil
import pytest

from cis_provider.errors import PermanentAgentError
from cis_provider.model.options import Permissions
from cis_provider.runtimes.events import (
    Ended,
    TurnEnded,
)
from cis_provider.testing.model_server import ModelServer, cut, hang, nonsense, run, status, text
from cis_provider.testing.model_server.steps import NonsenseKind
from tests.kit.heard import whole
from tests.kit.place import Place, runs

pytestmark = pytest.mark.agents


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
    claude: Place, step: Any, error_class: str
) -> None:
    claude.env["CLAUDE_CODE_MAX_RETRIES"] = "1"
    with ModelServer([step]) as server:
        async with claude.talk(server) as talk:
            end = await talk.turn("Work.")
    assert (end.stop_reason, end.error_class) == ("error", error_class)
    assert end.error


async def test_a_failing_provider_is_not_retried_for_minutes(claude: Place) -> None:
    with ModelServer([status(529, repeat="forever")]) as server:
        async with claude.talk(server) as talk:
            began = time.monotonic()
            await talk.turn("Work.")
            assert time.monotonic() - began < 30
        assert len(server.calls) <= 5


async def test_a_subscriptions_limit_says_when_it_ends(claude: Place) -> None:
    claude.env |= {"ANTHROPIC_API_KEY": "", "CLAUDE_CODE_OAUTH_TOKEN": "test-token"}
    with ModelServer([status(429, resets_in=3600)]) as server:
        async with claude.talk(server) as talk:
            end = await talk.turn("Work.")
    assert end.error_class == "quota"
    assert 3500 < end.retry_at - time.time() < 3700


async def test_a_killed_program_says_so_and_the_conversation_goes_on_in_a_new_one(claude: Place) -> None:
    with ModelServer([text("I know it: heron."), hang()]) as server:
        async with claude.talk(server) as talk:
            await talk.turn("The word is heron.")
            await talk.conversation.send("And now?")
            await asyncio.to_thread(server.wait_for, 2, 30)
            os.kill(claude.pids[-1], signal.SIGKILL)
            end = await talk.until(Ended)
            assert end.exit_code == 137
            conversation_id = talk.conversation.conversation_id
        server.push(text("It was heron."))
        async with claude.talk(server, conversation_id) as talk:
            assert (await talk.turn("Which word was it?")).text == "It was heron."
            assert talk.conversation.conversation_id == conversation_id
        assert "The word is heron." in whole(server)
        assert "I know it: heron." in whole(server)


async def test_a_program_that_is_killed_in_its_first_turn_can_be_resumed(claude: Place) -> None:
    with ModelServer([hang()]) as server:
        async with claude.talk(server) as talk:
            await talk.conversation.send("The word is heron.")
            await asyncio.to_thread(server.wait_for, 1, 30)
            await claude.written("projects/*/*.jsonl", "The word is heron.")
            os.kill(claude.pids[-1], signal.SIGKILL)
            await talk.until(Ended)
            conversation_id = talk.conversation.conversation_id
        server.push(text("Heron."))
        async with claude.talk(server, conversation_id) as talk:
            await talk.turn("Go on.")
        assert "The word is heron." in whole(server)


async def test_a_program_that_is_killed_before_it_wrote_anything_down_says_what_is_lost(
    claude: Place,
) -> None:
    with ModelServer([]) as server:
        async with claude.talk(server) as talk:
            os.kill(claude.pids[-1], signal.SIGKILL)
            await talk.until(Ended)
            conversation_id = talk.conversation.conversation_id
        with pytest.raises(PermanentAgentError, match="No conversation found"):
            async with claude.talk(server, conversation_id):
                pass


async def test_a_hanging_turn_is_stopped_within_seconds_and_nothing_is_left(claude: Place) -> None:
    with ModelServer([hang()]) as server:
        async with claude.talk(server) as talk:
            await talk.conversation.send("Work.")
            await asyncio.to_thread(server.wait_for, 1, 30)
            family = [
                psutil.Process(claude.pids[-1]),
                *psutil.Process(claude.pids[-1]).children(recursive=True),
            ]
            began = time.monotonic()
            await talk.conversation.stop()
            assert time.monotonic() - began < 5
    assert not [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


async def test_an_interrupted_turn_ends_and_the_next_one_works(claude: Place) -> None:
    with ModelServer([hang(), text("The next one.")]) as server:
        async with claude.talk(server) as talk:
            await talk.conversation.send("Work.")
            await asyncio.to_thread(server.wait_for, 1, 30)
            await talk.conversation.interrupt()
            assert (await talk.until(TurnEnded)).stop_reason == "cancelled"
            assert (await talk.turn("Once more.")).text == "The next one."


async def test_stop_ends_what_a_tool_started(claude: Place, server: ModelServer) -> None:
    server.push(run("echo $$ > pid; sleep 300"))
    talk = await claude.begin(server, permissions=Permissions(allow=("Bash",)))
    await talk.conversation.send("Sleep.")
    file = claude.workspace / "pid"
    async with asyncio.timeout(30):
        while not (file.exists() and file.read_text().strip()):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    pid = int(file.read_text())
    await talk.conversation.stop()
    async with asyncio.timeout(20):
        while runs(pid):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_a_model_that_says_nothing_gives_an_empty_text_and_not_that_of_the_turn_before(
    claude: Place, server: ModelServer
) -> None:
    server.push(text("First answer."), text("", repeat="forever"))
    talk = await claude.begin(server)
    await talk.turn("First.")
    assert (await talk.turn("Second.")).text == ""


async def test_a_wrong_key_is_not_tried_again_and_again(claude: Place, server: ModelServer) -> None:
    server.push(status(401, repeat="forever"))
    talk = await claude.begin(server)
    assert (await talk.turn("Work.")).error_class == "login"
    assert len(server.calls) <= 4


async def test_a_piece_of_a_failed_try_is_no_part_of_the_answer(claude: Place, server: ModelServer) -> None:
    server.push(cut("Half a sentence that", after=3), text("All is well."))
    talk = await claude.begin(server)
    assert (await talk.turn("Work.")).text == "All is well."


@pytest.mark.parametrize("kind", ["html", "json"])
async def test_answers_that_are_none_are_no_success(
    claude: Place, server: ModelServer, kind: NonsenseKind
) -> None:
    server.push(nonsense(kind, repeat="forever"))
    talk = await claude.begin(server)
    end = await talk.turn("Work.")
    assert (end.stop_reason, end.error_class, end.text) == ("error", "transient", ""), end
