"""What an agent waits for: answered by humans and rules, once each."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from cis_provider.errors import InvalidAnswer, StaleAnswer
from cis_provider.model.blockage import Blockage
from cis_provider.model.on_blocked import OnBlocked
from cis_provider.runtimes.events import Ended, Unblocked
from cis_provider.testing.conversation import ScriptedRuntime
from tests.kit.desk import DONE, Desk, outline, question, sit


async def test_the_same_answer_twice_is_delivered_once_and_both_are_told_that_it_was(desk: Desk) -> None:
    sitting = sit(desk, [question()], [question(2)], [DONE])
    await sitting.asked()
    both = [sitting.answer(1, "yes", id="x"), sitting.answer(1, "yes", id="x")]
    await asyncio.gather(*both)
    await sitting.asked(2)
    await sitting.answer(1, "yes", id="x")
    assert [answer.number for answer in sitting.runtime.answers] == [1]
    await sitting.answer(2, "no", id="y")
    outcome = await sitting.ended()
    assert outline(outcome.answers) == [(1, "Allow", "cli:root"), (2, "Deny", "cli:root")]


async def test_of_two_answers_at_once_the_later_is_told_who_was_first(desk: Desk) -> None:
    sitting = sit(desk, [question()], [])
    await sitting.asked()
    one, two = await asyncio.gather(
        sitting.answer(1, "allow", by="ui:admin", id="a"),
        sitting.answer(1, "deny", by="cli:root", id="b"),
        return_exceptions=True,
    )
    assert one is None
    assert isinstance(two, StaleAnswer)
    assert "question 1 was answered by ui:admin (Allow) at" in str(two)
    sitting.running.cancel()
    await asyncio.wait({sitting.running})


async def test_a_late_answer_is_told_what_waits_now(desk: Desk) -> None:
    sitting = sit(desk, [question()], [question(2)], [DONE])
    await sitting.asked()
    await sitting.answer(1, "allow", by="ui:admin")
    await sitting.asked(2)
    with pytest.raises(
        StaleAnswer, match=r"answered by ui:admin \(Allow\).*question 2 now: rm -r build.*yes"
    ):
        await sitting.answer(1, "deny")
    with pytest.raises(InvalidAnswer, match=r"yes \(Allow\), no \(Deny\), words of one's own"):
        await sitting.answer(2, "maybe")
    with pytest.raises(InvalidAnswer, match="no login"):
        await sitting.answer(2, "allow", secrets={"KEY": "x"})
    await sitting.answer(2, text="use the other folder")
    assert (await sitting.ended()).answers[1].text == "use the other folder"


async def test_a_question_that_its_program_takes_back_is_settled_by_itself(desk: Desk) -> None:
    sitting = sit(desk, [question(), Unblocked(number=1, how="by_itself"), DONE])
    outcome = await sitting.ended()
    assert outline(outcome.answers) == [(1, "", "")]


async def test_numbers_go_on_over_a_crash_of_the_program(desk: Desk) -> None:
    sitting = sit(desk, [question(), Ended(exit_code=137)], [question()], [DONE])
    await sitting.asked(2)
    await sitting.answer(2, "allow")
    assert outline((await sitting.ended()).answers) == [(1, "", ""), (2, "Allow", "cli:root")]


async def test_an_answer_that_the_program_refuses_leaves_the_question_open(desk: Desk) -> None:
    runtime = ScriptedRuntime([[question()], [DONE]])
    runtime.refuse_answer = InvalidAnswer("two lines are wanted")
    sitting = sit(desk, runtime=runtime)
    await sitting.asked()
    with pytest.raises(InvalidAnswer, match="two lines"):
        await sitting.answer(1, text="one", id="a")
    assert sitting.drive.blockage is not None
    runtime.refuse_answer = None
    await sitting.answer(1, text="one\ntwo", id="a")
    assert (await sitting.ended()).subtype == "success"


async def test_time_spent_blocked_is_no_time_at_work(desk: Desk) -> None:
    sitting = sit(desk, [question()], [DONE], timeout=0.3)
    await sitting.asked()
    await asyncio.sleep(0.5)
    await sitting.answer(1, "allow")
    assert (await sitting.ended()).subtype == "success"


async def test_after_an_answer_the_rest_of_the_time_still_counts(desk: Desk) -> None:
    sitting = sit(desk, [question()], [], [DONE], timeout=0.3)
    await sitting.asked()
    await asyncio.sleep(0.5)
    before = time.monotonic()
    await sitting.answer(1, "allow")
    assert (await sitting.ended()).subtype == "timeout"
    assert time.monotonic() - before < 5


async def test_a_rule_decides_before_anybody_is_asked(desk: Desk) -> None:
    shown: list[Blockage] = []
    sitting = sit(desk, [question()], [DONE], rules=OnBlocked(permission="deny"))
    tell = desk._tell

    def note() -> None:
        shown.extend([sitting.drive.blockage] if sitting.drive.blockage else [])
        tell()

    desk._tell = note  # type: ignore[method-assign]
    desk.work.on_change = note
    outcome = await sitting.ended()
    assert outline(outcome.answers) == [(1, "Deny", "rule:permission: deny")]
    assert shown == []
    assert "[decided by a rule: permission] rm -r build" in (desk.work.folder / "output.log").read_text()


async def test_a_rule_that_the_agent_does_not_take_leaves_it_to_a_human(desk: Desk) -> None:
    runtime = ScriptedRuntime([[question()], [DONE]])
    runtime.refuse_answer = InvalidAnswer("not that one")
    sitting = sit(desk, runtime=runtime, rules=OnBlocked(permission="deny"))
    await sitting.asked()
    runtime.refuse_answer = None
    await sitting.answer(1, "allow")
    assert outline((await sitting.ended()).answers) == [(1, "Allow", "cli:root")]


async def test_nobody_in_time_is_a_no_where_that_is_the_rule(desk: Desk) -> None:
    rules = OnBlocked(answer_timeout=0.2, after_timeout="deny")
    sitting = sit(desk, [question()], [DONE], rules=rules)
    await sitting.asked()
    outcome = await sitting.ended()
    assert outline(outcome.answers) == [(1, "Deny", "rule:answer_timeout: deny")]


async def test_a_question_that_cannot_be_written_down_ends_the_session(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any, **more: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cis_provider.worker.journal.Journal.asked", full)
    outcome = await sit(desk, [question()]).ended()
    assert outcome.subtype == "not_started"
    assert "No space left" in outcome.error
