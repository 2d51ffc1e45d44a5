"""What the real Codex asks before it does something, and what it does with the answer."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from cis_provider.errors import InvalidAnswer, StaleAnswer
from cis_provider.model.blockage import Answer, BlockageKind
from cis_provider.model.options import Permissions
from cis_provider.runtimes.events import Blocked, ToolCall, TurnEnded
from cis_provider.testing.model_server import ModelServer, run, text, tool
from tests.kit.heard import prompts
from tests.kit.place import Place

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


@pytest.mark.parametrize("option", ["accept", "acceptForSession"])
async def test_a_command_that_is_allowed_runs(codex: Place, option: str) -> None:
    with ModelServer([run("touch made"), text("Made.")]) as server:
        async with codex.talk(server) as talk:
            await talk.conversation.send("make it")
            blocked = (await talk.until(Blocked)).blockage
            assert not (codex.workspace / "made").exists()
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
    assert (codex.workspace / "made").exists()


async def test_a_command_allowed_for_the_conversation_is_not_asked_about_again(codex: Place) -> None:
    with ModelServer([run("touch made"), run("touch made"), text("Made.")]) as server:
        async with codex.talk(server) as talk:
            await talk.conversation.send("make it")
            blocked = (await talk.until(Blocked)).blockage
            await talk.conversation.answer(Answer(number=blocked.number, option="acceptForSession"))
            assert isinstance(await talk.until(TurnEnded, Blocked), TurnEnded)


async def test_a_denied_command_does_not_run_and_is_reported_though_all_seems_well(codex: Place) -> None:
    with ModelServer([run("touch made"), text("I could not.")]) as server:
        async with codex.talk(server) as talk:
            await talk.conversation.send("make it")
            blocked = (await talk.until(Blocked)).blockage
            answer = Answer(number=blocked.number, option="decline", text="use the other folder")
            await talk.conversation.answer(answer)
            end = await talk.until(TurnEnded)
            assert "use the other folder" in prompts((await asyncio.to_thread(server.wait_for, 2, 30))[1])
    assert end == TurnEnded(text="I could not.", denied=("touch made",))
    assert not (codex.workspace / "made").exists()
    assert talk.of(ToolCall)[-1].status == "failed"


async def test_cancel_denies_and_ends_the_turn(codex: Place) -> None:
    with ModelServer([run("touch made"), text("never said")]) as server:
        async with codex.talk(server) as talk:
            await talk.conversation.send("make it")
            blocked = (await talk.until(Blocked)).blockage
            await talk.conversation.answer(Answer(number=blocked.number, option="cancel"))
            end = await talk.until(TurnEnded)
        assert len(server.calls) == 1
    assert (end.stop_reason, end.denied) == ("cancelled", ("touch made",))


async def test_a_change_of_a_file_is_asked_about_with_its_diff(codex: Place) -> None:
    with ModelServer([run(PATCH), text("Written.")]) as server:
        async with codex.talk(server) as talk:
            await talk.conversation.send("write")
            blocked = (await talk.until(Blocked)).blockage
            await talk.conversation.answer(Answer(number=blocked.number, option="accept"))
            await talk.until(TurnEnded)
    assert blocked.tool == "Edit"
    assert "hello.txt" in blocked.title
    assert "hi there" in blocked.detail
    assert (codex.workspace / "hello.txt").read_text() == "hi there\n"
    assert {one.kind for one in talk.of(ToolCall)} == {"edit"}


async def test_accept_edits_asks_for_what_leaves_the_sandbox_only(codex: Place) -> None:
    outside = codex.folder / "outside"
    escalated = {
        "cmd": f"touch {outside}",
        "sandbox_permissions": "require_escalated",
        "justification": "I need it",
    }
    with ModelServer([run(PATCH), tool("exec_command", escalated), text("Well.")]) as server:
        async with codex.talk(server, permissions=Permissions(policy="accept-edits")) as talk:
            await talk.conversation.send("write")
            blocked = (await talk.until(Blocked)).blockage
            assert (codex.workspace / "hello.txt").exists()
            await talk.conversation.answer(Answer(number=blocked.number, option="accept"))
            await talk.until(TurnEnded)
    assert "I need it" in blocked.detail
    assert outside.exists()


async def test_a_plan_changes_nothing_and_says_what_was_refused(codex: Place) -> None:
    with ModelServer([run(PATCH), text("Here is the plan.")]) as server:
        async with codex.talk(server, permissions=Permissions(policy="plan")) as talk:
            end = await talk.turn("write")
    assert end.text == "Here is the plan."
    assert len(end.denied) == 1
    assert "hello.txt" in end.denied[0]
    assert not (codex.workspace / "hello.txt").exists()


async def test_an_allowed_pattern_is_not_asked_about_and_allows_no_more_than_it_says(codex: Place) -> None:
    steps = [run("touch one"), run("touch two; touch three"), text("Made.")]
    with ModelServer(steps) as server:
        async with codex.talk(
            server, permissions=Permissions(policy="ask", allow=("Bash(touch *)",))
        ) as talk:
            await talk.conversation.send("make them")
            blocked = (await talk.until(Blocked)).blockage
            assert blocked.title == "run: touch two; touch three"
            assert (codex.workspace / "one").exists()
            await talk.conversation.answer(Answer(number=blocked.number, option="decline"))
            await talk.until(TurnEnded)
    assert "allowed by 'Bash(touch *)'" in [one.detail for one in talk.of(ToolCall)]
    assert not (codex.workspace / "two").exists()


async def test_everything_is_asked_nothing_and_reaches_outside_the_workspace(codex: Place) -> None:
    outside = codex.folder / "outside"
    with ModelServer([run(f"touch {outside}"), text("Made.")]) as server:
        async with codex.talk(server, permissions=Permissions(policy="everything")) as talk:
            await talk.turn("make it")
    assert outside.exists()


async def test_questions_are_asked_one_after_the_other_and_answered_together(codex: Place) -> None:
    with ModelServer([tool("request_user_input", {"questions": QUESTIONS}), text("So be it.")]) as server:
        async with codex.talk(server) as talk:
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


async def test_an_interrupt_takes_an_open_question_away(codex: Place) -> None:
    with ModelServer([run("touch made"), text("Second answer.")]) as server:
        async with codex.talk(server) as talk:
            await talk.conversation.send("make it")
            blocked = (await talk.until(Blocked)).blockage
            await talk.conversation.interrupt()
            assert (await talk.until(TurnEnded)).stop_reason == "cancelled"
            with pytest.raises(StaleAnswer):
                await talk.conversation.answer(Answer(number=blocked.number, option="accept"))
            assert (await talk.turn("leave it")).text == "Second answer."
