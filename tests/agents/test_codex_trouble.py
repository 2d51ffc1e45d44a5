"""The real Codex when its provider fails, when it is killed, and when it is stopped."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import time
from typing import Any

import pytest

from cis_provider.model.options import Permissions
from cis_provider.runtimes.events import Ended, Output, TurnEnded, Usage
from cis_provider.testing.model_server import ModelServer, cut, hang, nonsense, run, slow, status, text
from cis_provider.testing.model_server.steps import NonsenseKind
from tests.kit.heard import prompts
from tests.kit.place import Place, runs

pytestmark = pytest.mark.agents


async def test_a_used_up_account_is_a_quota_that_ends_at_its_reset(codex: Place) -> None:
    with ModelServer([status(429, error="usage_limit_reached", resets_in=3600)]) as server:
        async with codex.talk(server) as talk:
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
async def test_errors_have_a_class(codex: Place, failure: Any, error_class: str) -> None:
    # Twice: after a full context it asks for a summary first.
    with ModelServer([failure, text("Well again.", repeat=2)]) as server:
        async with codex.talk(server) as talk:
            end = await talk.turn("go")
            # The program and its conversation are still good.
            again = await talk.turn("go on")
    assert (end.stop_reason, end.error_class) == ("error", error_class), end.error
    assert end.error
    assert again == TurnEnded(text="Well again.")


async def test_nobody_logged_in_is_told_at_once_instead_of_waiting_for_the_network(codex: Place) -> None:
    with ModelServer([]) as server:
        async with codex.talk(server, config={"overrides": {"model_provider": "openai"}}) as talk:
            end = await talk.turn("go")
    assert (end.stop_reason, end.error_class) == ("error", "login")
    assert "codex login" in end.error


async def test_a_network_that_does_not_come_back_has_an_end(codex: Place) -> None:
    overrides = {"model_providers.scripted.base_url": "http://name.invalid/v1"}
    with ModelServer([]) as server:
        async with codex.talk(server, config={"overrides": overrides, "retry_patience": 2}) as talk:
            end = await talk.turn("go")
    assert (end.stop_reason, end.error_class) == ("error", "transient")


async def test_killed_in_a_turn_it_says_so_and_another_goes_on_in_the_conversation(codex: Place) -> None:
    with ModelServer([text("First answer."), hang(), text("Third answer.")]) as server:
        async with codex.talk(server) as talk:
            await talk.turn("first prompt")
            await talk.conversation.send("second prompt")
            await asyncio.to_thread(server.wait_for, 2, 30)
            os.kill(codex.pids[0], signal.SIGKILL)
            end = await talk.until(Ended, TurnEnded)
            assert isinstance(end, Ended)
            assert end.exit_code == 128 + signal.SIGKILL
            assert "signal 9" in end.error
        async with codex.talk(server, resume=talk.conversation.conversation_id) as later:
            again = await later.turn("third prompt")
            assert later.conversation.conversation_id == talk.conversation.conversation_id
        said = prompts(server.calls[-1])
    assert again == TurnEnded(text="Third answer.")
    assert said == ["first prompt", "second prompt", "third prompt"]
    assert later.of(Usage)[-1] == Usage(input_tokens=100, output_tokens=20)


async def test_it_is_stopped_while_the_model_hangs(codex: Place) -> None:
    with ModelServer([hang()]) as server:
        async with codex.talk(server) as talk:
            await talk.conversation.send("go")
            await asyncio.to_thread(server.wait_for, 1, 30)
            begun = time.monotonic()
            await talk.conversation.stop()
            took = time.monotonic() - begun
            await talk.conversation.stop()
            ended = await talk.until(Ended)
    assert took < 5
    assert ended.error == ""
    assert not runs(codex.pids[0])


async def test_a_stopped_one_leaves_no_command_behind(codex: Place) -> None:
    os.mkfifo(codex.workspace / "pid")
    pipe = os.open(codex.workspace / "pid", os.O_RDWR | os.O_NONBLOCK)
    written = asyncio.Event()
    asyncio.get_running_loop().add_reader(pipe, written.set)
    with ModelServer([run("echo $$ > pid; exec sleep 300")]) as server:
        async with codex.talk(server, permissions=Permissions(policy="everything")) as talk:
            await talk.conversation.send("sleep")
            async with asyncio.timeout(60):
                await written.wait()
            asyncio.get_running_loop().remove_reader(pipe)
            handle = os.pidfd_open(int(os.read(pipe, 100)))
            await talk.conversation.stop()
        # It has a group of its own, and ends a moment after the program it belongs to.
        ended, _, _ = select.select([handle], [], [], 20)
    os.close(handle)
    os.close(pipe)
    assert ended


async def test_an_interrupted_turn_is_cancelled_and_the_next_one_runs(codex: Place) -> None:
    with ModelServer([slow("word " * 200, every=0.2), text("Second answer.")]) as server:
        async with codex.talk(server) as talk:
            await talk.conversation.send("talk")
            while (await talk.until(Output)).thought:
                pass
            await talk.conversation.interrupt()
            end = await talk.until(TurnEnded)
            await talk.conversation.interrupt()
            again = await talk.turn("now be short")
    assert end.stop_reason == "cancelled"
    assert again == TurnEnded(text="Second answer.")


async def test_a_model_that_says_nothing_gives_an_empty_text_and_not_that_of_the_turn_before(
    codex: Place, server: ModelServer
) -> None:
    server.push(text("First answer."), text("", repeat="forever"))
    talk = await codex.begin(server)
    await talk.turn("First.")
    assert await talk.turn("Second.") == TurnEnded()


async def test_its_own_tries_are_in_the_log_and_no_part_of_the_answer(
    codex: Place, server: ModelServer
) -> None:
    server.push(cut("Half a sentence that", after=3), text("All is well."))
    codex.retries = 2
    talk = await codex.begin(server)
    assert await talk.turn("go") == TurnEnded(text="All is well.")
    told = "".join(one.text for one in talk.of(Output) if not one.thought)
    assert "\n[retrying] Reconnecting" in told


@pytest.mark.parametrize("kind", ["html", "json"])
async def test_answers_that_are_none_are_no_success(
    codex: Place, server: ModelServer, kind: NonsenseKind
) -> None:
    server.push(nonsense(kind, repeat="forever"))
    talk = await codex.begin(server)
    end = await talk.turn("go")
    assert (end.stop_reason, end.error_class, end.text) == ("error", "transient", ""), end
