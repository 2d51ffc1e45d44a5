"""A turn in which nothing happens any more."""

from __future__ import annotations

import asyncio

import pytest

from cis_provider.model.blockage import BlockageKind
from cis_provider.model.on_blocked import OnBlocked
from cis_provider.runtimes.events import Output, ToolCall
from tests.kit.desk import DONE, Desk, outline, question, sit


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIS_WORKER_STALLED_AFTER", "0.2")


@pytest.mark.usefixtures("quick")
async def test_a_silent_turn_is_a_blockage_and_goes_on_when_it_is_nudged(desk: Desk) -> None:
    sitting = sit(desk, [Output(text="Hm.")], [DONE])
    blockage = await sitting.asked()
    assert blockage.kind is BlockageKind.STALLED
    assert [option.id for option in blockage.options] == ["nudge", "wait", "stop"]
    await sitting.answer(1, "nudge")
    assert (await sitting.ended()).subtype == "success"
    assert "interrupted" in sitting.runtime.prompts[1]
    assert len(sitting.runtime.settings) == 1


@pytest.mark.usefixtures("quick")
async def test_a_silent_turn_is_nudged_once_by_rule_then_a_human_is_asked(desk: Desk) -> None:
    sitting = sit(desk, [], [], [DONE], rules=OnBlocked(stalled="nudge"))
    await sitting.asked(2)
    assert outline(sitting.drive.settled) == [(1, "interrupt it and ask it to go on", "rule:stalled: nudge")]
    await sitting.answer(2, "wait")
    await sitting.asked(3)
    await sitting.answer(3, "stop")
    assert (await sitting.ended()).subtype == "blocked"


@pytest.mark.usefixtures("quick")
async def test_a_silent_turn_fails_where_that_is_the_rule(desk: Desk) -> None:
    outcome = await sit(desk, [], rules=OnBlocked(stalled="fail")).ended()
    assert outcome.subtype == "provider"
    assert "no sign of life" in outcome.error


@pytest.mark.usefixtures("quick")
async def test_a_silent_turn_that_says_something_again_is_asked_about_no_more(desk: Desk) -> None:
    sitting = sit(desk, [])
    await sitting.asked()
    dialogue = sitting.drive._place.dialogue
    assert dialogue is not None
    dialogue.conversation._events.put_nowait(Output(text="there"))  # type: ignore[attr-defined]
    dialogue.conversation._events.put_nowait(DONE)  # type: ignore[attr-defined]
    assert outline((await sitting.ended()).answers) == [(1, "", "")]


@pytest.mark.usefixtures("quick")
async def test_a_tool_may_work_in_silence_for_longer(desk: Desk) -> None:
    sitting = sit(desk, [ToolCall(id="1", title="npm test", status="in_progress")])
    await asyncio.sleep(0.5)
    assert sitting.drive.blockage is None
    await sitting.asked()
    sitting.running.cancel()
    await asyncio.wait({sitting.running})


@pytest.mark.usefixtures("quick")
async def test_what_waits_for_a_human_has_not_stalled(desk: Desk) -> None:
    sitting = sit(desk, [question()])
    await sitting.asked()
    await asyncio.sleep(0.5)
    assert sitting.drive.blockage is not None and sitting.drive.blockage.number == 1
    sitting.running.cancel()
    await asyncio.wait({sitting.running})
