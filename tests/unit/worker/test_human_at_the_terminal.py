"""A human takes the conversation, and hands it back."""

from __future__ import annotations

import asyncio

import pytest

from cis_provider.errors import AnswerRefused, StaleAnswer
from cis_provider.model.on_blocked import OnBlocked
from cis_provider.model.options import Budget
from cis_provider.runtimes.base import Launch
from cis_provider.runtimes.events import Output, TurnEnded, Unblocked
from cis_provider.testing.conversation import ScriptedConversation
from tests.kit.desk import DONE, LOGIN, USED, Desk, limit, outline, question, with_guests


async def test_a_human_takes_a_turn_that_runs_and_hands_it_back(desk: Desk) -> None:
    sitting, guests = with_guests(desk, [Output(text="working")], [DONE], timeout=0.5)
    await desk.until(lambda: b"working" in desk.work.output.tail)
    guests.come("root")
    async with asyncio.timeout(5):
        await guests.came.wait()
    assert guests.launches == [(Launch(["the-tui"]), 0)], "the program is gone before its interface begins"
    await asyncio.sleep(0.6)
    guests.leave.set()
    outcome = await sitting.ended()
    assert outcome.subtype == "success", "the human's time does not count"
    assert sitting.runtime.settings[1].resume == "conversation-1"
    assert "A human has worked with you" in sitting.runtime.prompts[1]


async def test_a_turn_that_a_human_leaves_behind_is_let_finish_within_the_time_limit(desk: Desk) -> None:
    for seconds, subtype in ((0.2, "success"), (30.0, "timeout")):
        sitting, guests = with_guests(desk, [Output(text="working")], [DONE], timeout=1.0)
        await desk.until(lambda: b"working" in desk.work.output.tail)
        guests.turn_left = seconds
        guests.come("root")
        async with asyncio.timeout(5):
            await guests.came.wait()
        await asyncio.sleep(1.1)
        guests.leave.set()
        assert (await sitting.ended()).subtype == subtype


async def test_a_question_is_settled_by_the_human_who_takes_the_terminal(desk: Desk) -> None:
    sitting, guests = with_guests(desk, [question()], [DONE])
    await sitting.asked()
    guests.come("root")
    async with asyncio.timeout(5):
        await guests.came.wait()
    assert sitting.drive.blockage is None
    with pytest.raises(StaleAnswer, match="terminal:root"):
        await sitting.answer(1, "allow")
    guests.leave.set()
    assert outline((await sitting.ended()).answers) == [(1, "", "terminal:root")]


@pytest.mark.parametrize("end", [LOGIN, limit(3600)])
async def test_a_human_may_come_while_no_program_runs(desk: Desk, end: TurnEnded) -> None:
    sitting, guests = with_guests(desk, [end], [DONE])
    await sitting.asked()
    guests.come("root")
    guests.leave.set()
    outcome = await sitting.ended()
    assert outcome.subtype == "success"
    assert outline(outcome.answers) == [(1, "", "terminal:root")]
    assert len(guests.launches) == 1


async def test_a_human_who_comes_while_its_budget_is_asked_about_leaves_the_limit_where_it_is(
    desk: Desk,
) -> None:
    sitting, guests = with_guests(
        desk, [USED], [DONE], rules=OnBlocked(budget="ask"), budget=Budget(max_tokens=100)
    )
    await sitting.asked()
    guests.come("root")
    guests.leave.set()
    assert "max_tokens of 100" in (await sitting.asked(2)).title
    await sitting.answer(2, "stop")
    assert (await sitting.ended()).subtype == "budget"


async def test_an_agent_that_ends_its_turn_is_not_done_while_a_human_wants_it(desk: Desk) -> None:
    sitting, guests = with_guests(desk, [DONE], [TurnEnded(text="Now it is.")], check="sleep 0.3")
    await desk.until(lambda: len(sitting.runtime.prompts) == 1)
    guests.come("root")
    guests.leave.set()
    outcome = await sitting.ended()
    assert outcome.text == "Now it is."
    assert len(guests.launches) == 1


async def test_who_wants_what_cannot_be_had_is_told_why_and_the_turn_goes_on(desk: Desk) -> None:
    sitting, guests = with_guests(desk, [question()], [DONE], launch=False)
    await sitting.asked()
    guests.come("root")
    async with asyncio.timeout(5):
        await guests.told.wait()
    assert "no terminal interface" in guests.refused[0]
    assert not guests.wanted.is_set()
    await sitting.answer(1, "allow")
    assert (await sitting.ended()).subtype == "success"
    assert len(sitting.runtime.settings) == 1


async def test_while_a_human_has_a_live_terminal_nobody_else_answers(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ScriptedConversation, "on_screen", True)
    sitting, guests = with_guests(
        desk, [question()], [DONE], [DONE], rules=OnBlocked(permission="deny"), timeout=0.3
    )
    guests.attached = "root"
    await sitting.asked()
    with pytest.raises(AnswerRefused, match="root has its terminal"):
        await sitting.answer(1, "allow")
    assert sitting.runtime.answers == []

    async def left() -> None:
        guests.wanted.clear()
        await guests.leave.wait()
        guests.attached = ""

    guests.left = left  # type: ignore[method-assign]
    dialogue = sitting.drive._place.dialogue
    assert dialogue is not None
    for event in (Unblocked(number=1, how="elsewhere"), DONE):
        dialogue.conversation._events.put_nowait(event)  # type: ignore[attr-defined]
    await asyncio.sleep(0.5)
    assert not sitting.running.done(), "an agent is not done before the human has left"
    guests.leave.set()
    outcome = await sitting.ended()
    assert outline(outcome.answers) == [(1, "", "terminal:root")]
    assert "A human has worked with you" in sitting.runtime.prompts[1]
