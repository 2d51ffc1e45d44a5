"""What the next worker knows of a session whose worker was killed while it waited."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from cis_provider.model.blockage import Answer, Blockage, BlockageKind, Option
from cis_provider.model.on_blocked import OnBlocked
from cis_provider.model.options import AgentOptions, Budget
from cis_provider.runtimes.base import Launch
from cis_provider.runtimes.events import Blocked, Ended, Event, Output, ToolCall, TurnEnded, Usage
from cis_provider.testing.conversation import ScriptedRuntime
from cis_provider.worker import journal
from cis_provider.worker.context import Outcome
from cis_provider.worker.drive import Drive
from tests.kit.desk import DONE, Desk, Guests, limit

RULES = OnBlocked()
SPENT = Usage(input_tokens=60, output_tokens=50, cost_usd=0.5)


def asks(title: str, number: int = 1) -> Blocked:
    options = (Option("yes", "Allow", "allow_once"), Option("no", "Deny", "reject_once"))
    return Blocked(
        blockage=Blockage(number=number, kind=BlockageKind.PERMISSION, title=title, options=options)
    )


class Workers:
    """The workers of one session, one after the other."""

    def __init__(self, desk: Desk, *, timeout: float = 0.0, rules: OnBlocked = RULES, **options: Any) -> None:
        self.desk = desk
        self.timeout = timeout
        self.options = AgentOptions(on_blocked=rules, **options)
        self.kept = b""
        self.drive: Drive
        self.runtime: ScriptedRuntime
        self.guests: Guests
        self.running: asyncio.Future[Outcome]

    def start(self, *turns: list[Event]) -> None:
        """The first one, or the next one after a kill."""
        self.runtime = runtime = ScriptedRuntime(turns)
        runtime.launch = Launch(["the-tui"])
        self.desk.sit(self.runtime, self.options, self.timeout, "Build it.")
        self.desk.work.humans = self.guests = Guests(lambda: runtime.at_work)
        self.path.write_bytes(self.kept)
        self.desk.drive = self.drive = Drive(self.desk.work, self.runtime)
        self.running = asyncio.ensure_future(self.drive.run())

    @property
    def path(self) -> Path:
        return journal.journal_file(self.desk.work.folder)

    async def asked(self, title: str) -> int:
        """Wait until it asks this; the question's number."""
        await self.desk.until(lambda: self._title() == title or self.running.done())
        assert self.drive.blockage is not None, f"it ended: {self.running.result()}"
        return self.drive.blockage.number

    async def answer(self, title: str, option: str) -> None:
        number = await self.asked(title)
        await self.drive.answer(Answer(number=number, option=option, by="cli:root"))

    async def taken(self, name: str) -> None:
        """Somebody takes the conversation."""
        self.guests.come(name)
        async with asyncio.timeout(5):
            await self.guests.came.wait()

    async def killed(self) -> None:
        """What is on disk now is all that is left."""
        self.kept = self.path.read_bytes()
        self.running.cancel()
        await asyncio.wait({self.running})

    async def ended(self) -> Outcome:
        async with asyncio.timeout(10):
            return await self.running

    def _title(self) -> str:
        return self.drive.blockage.title if self.drive.blockage else ""


BUDGET_110 = "its budget is used up: max_tokens of 100 (110 used)"
BUDGET_220 = "its budget is used up: max_tokens of 200 (220 used)"


async def test_a_budget_that_a_human_has_raised_stays_raised_until_it_is_reached_again(desk: Desk) -> None:
    workers = Workers(desk, rules=OnBlocked(budget="ask"), budget=Budget(max_tokens=100))
    workers.start([SPENT], [asks("rm")])
    await workers.answer(BUDGET_110, "more")
    await workers.asked("rm")
    await workers.killed()
    workers.start([SPENT], [DONE])
    await workers.answer(BUDGET_220, "more")
    outcome = await workers.ended()
    assert (outcome.subtype, outcome.usage) == ("success", {"input_tokens": 120, "output_tokens": 100})
    assert outcome.cost_usd == 1.0


async def test_a_budget_that_was_asked_about_is_asked_about_again_before_any_prompt(desk: Desk) -> None:
    workers = Workers(desk, rules=OnBlocked(budget="ask"), budget=Budget(max_tokens=100))
    workers.start([SPENT])
    await workers.asked(BUDGET_110)
    await workers.killed()
    workers.start([DONE])
    assert await workers.asked(BUDGET_110) == 2
    assert workers.runtime.prompts == []
    await workers.answer(BUDGET_110, "more")
    assert (await workers.ended()).subtype == "success"
    assert workers.runtime.settings[0].resume == "conversation-1"
    (prompt,) = workers.runtime.prompts
    assert "as much again" in prompt and "has been started again" in prompt


async def test_a_budget_that_is_not_raised_after_a_loss_ends_the_agent(desk: Desk) -> None:
    workers = Workers(desk, rules=OnBlocked(budget="ask"), budget=Budget(max_tokens=100))
    workers.start([SPENT])
    await workers.asked(BUDGET_110)
    await workers.killed()
    workers.start([TurnEnded(text="Half is left.")])
    await workers.answer(BUDGET_110, "stop")
    outcome = await workers.ended()
    assert (outcome.subtype, outcome.text) == ("budget", "Half is left.")
    assert outcome.conversation_id == "conversation-1"


async def test_what_was_denied_stands_in_the_result(desk: Desk) -> None:
    workers = Workers(desk, check="test -f again", check_retries=1)
    workers.start([TurnEnded(text="Done.", denied=("curl",))], [asks("wget")], [asks("rm", 2)])
    await workers.answer("wget", "no")
    await workers.asked("rm")
    await workers.killed()
    (desk.work.workspace / "again").touch()
    workers.start([TurnEnded(text="Done.", denied=("rm",))])
    assert (await workers.ended()).denied == ("curl", "wget", "rm")


async def test_a_denial_beside_an_open_question_stands_in_the_result(desk: Desk) -> None:
    workers = Workers(desk)
    workers.start([asks("rm", 2), asks("wget")])
    await workers.asked("rm")
    await desk.until(lambda: b"wget" in desk.work.output.tail)
    await workers.drive.answer(Answer(number=2, option="no", by="cli:root"))
    await workers.killed()
    workers.start([DONE])
    assert (await workers.ended()).denied == ("wget",)


async def test_the_end_of_a_turn_says_what_was_denied_in_the_program_s_own_words(desk: Desk) -> None:
    workers = Workers(desk)
    workers.start([asks("Remove the folder?")], [TurnEnded(text="Done.", denied=("shell: rm -r",))])
    await workers.answer("Remove the folder?", "no")
    assert (await workers.ended()).denied == ("shell: rm -r",)


async def test_a_denial_before_its_program_died_stands_in_the_result(desk: Desk) -> None:
    workers = Workers(desk)
    workers.start([asks("rm")], [Ended(exit_code=137)], [DONE])
    await workers.answer("rm", "no")
    assert (await workers.ended()).denied == ("rm",)


async def test_check_retries_that_were_used_up_stay_used_up(desk: Desk) -> None:
    workers = Workers(desk, check="false", check_retries=2)
    workers.start([DONE], [DONE], [asks("rm")])
    await workers.asked("rm")
    await workers.killed()
    workers.start([DONE], [DONE])
    outcome = await workers.ended()
    assert (outcome.subtype, outcome.checked["attempt"]) == ("check_failed", 3)
    assert len(workers.runtime.prompts) == 1


async def test_a_check_from_before_the_loss_stands_in_the_result(desk: Desk) -> None:
    workers = Workers(desk, check="echo no tests; false", check_retries=1)
    workers.start([DONE], [asks("rm")])
    await workers.asked("rm")
    await workers.killed()
    workers.start([TurnEnded(stop_reason="refusal", text="I will not.")])
    outcome = await workers.ended()
    assert (outcome.subtype, outcome.checked["output"]) == ("refused", "no tests")


async def test_an_answer_in_the_wrong_form_goes_back_no_second_time(desk: Desk) -> None:
    workers = Workers(desk, output_schema={"type": "object"})
    workers.start([DONE], [asks("rm")])
    await workers.asked("rm")
    await workers.killed()
    workers.start([DONE], [DONE])
    assert (await workers.ended()).subtype == "invalid_output"
    assert len(workers.runtime.prompts) == 1


async def test_model_calls_before_the_loss_count(desk: Desk) -> None:
    workers = Workers(desk)
    workers.start([ToolCall(id="1", title="ls"), ToolCall(id="2", title="cat"), asks("rm")])
    await workers.asked("rm")
    await workers.killed()
    workers.start([DONE])
    assert (await workers.ended()).num_turns == 4


async def test_time_at_work_before_the_loss_counts(desk: Desk) -> None:
    workers = Workers(desk, timeout=1.0)
    workers.start([], [])
    await asyncio.sleep(0.6)
    assert workers.drive._place.dialogue is not None
    workers.drive._place.dialogue.conversation._events.put_nowait(asks("rm"))  # type: ignore[attr-defined]
    await workers.asked("rm")
    await asyncio.sleep(0.3)
    await workers.killed()
    spent = journal.read(workers.path).asker.worked
    assert 0.5 < spent < 0.8, "time spent blocked is no work"
    workers.start([], [DONE])
    began = asyncio.get_running_loop().time()
    assert (await workers.ended()).subtype == "timeout"
    assert asyncio.get_running_loop().time() - began < 0.9


async def test_rests_in_a_row_go_on_growing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cis_provider.worker.judging.PAUSES", (0.05, 0.1, 0.2, 60.0))
    workers = Workers(desk)
    workers.start([limit()], [limit()], [limit()])
    await desk.until(lambda: len(workers.runtime.prompts) == 3 and workers.drive.resting)
    await workers.killed()
    workers.start([limit()])
    await desk.until(lambda: len(workers.runtime.prompts) == 1 and workers.drive.resting)
    assert workers.drive.blockage is not None
    assert workers.drive.blockage.until - workers.drive.blockage.since > 30
    await workers.killed()


ADA_HAD_IT = "the worker died while ada had the agent's terminal; is the agent to go on?"


async def lost_at_the_terminal(desk: Desk, **options: Any) -> Workers:
    """A session whose worker is killed while ada goes on in its conversation."""
    workers = Workers(desk, **options)
    workers.start([Usage(input_tokens=5), asks("rm")])
    await workers.asked("rm")
    await workers.taken("ada")
    await workers.killed()
    assert journal.read(workers.path).only_waited
    return workers


async def test_an_agent_does_not_go_on_blindly_where_a_human_was_cut_off(desk: Desk) -> None:
    rules = OnBlocked(question="answer", answer="the agent goes on by itself")
    workers = await lost_at_the_terminal(desk, rules=rules)
    workers.start([DONE])
    assert await workers.asked(ADA_HAD_IT) == 2
    assert workers.runtime.settings[0].resume == "conversation-1"
    await asyncio.sleep(0.1)
    assert workers.runtime.prompts == [], "no rule of the agent's own questions decides this one"
    await workers.answer(ADA_HAD_IT, "go-on")
    outcome = await workers.ended()
    assert (outcome.subtype, outcome.usage) == ("success", {"input_tokens": 5})
    assert "A human has worked with you" in workers.runtime.prompts[0]
    assert [one.by for one in outcome.answers] == ["terminal:ada", "cli:root"]


async def test_where_a_human_was_cut_off_the_agent_may_be_stopped(desk: Desk) -> None:
    workers = await lost_at_the_terminal(desk)
    workers.start()
    await workers.answer(ADA_HAD_IT, "stop")
    outcome = await workers.ended()
    assert outcome.subtype == "blocked"
    assert outcome.error == "stopped by cli:root: the worker died while ada had the agent's terminal"


async def test_a_human_who_was_cut_off_may_come_back(desk: Desk) -> None:
    workers = await lost_at_the_terminal(desk)
    workers.start([DONE])
    await workers.asked(ADA_HAD_IT)
    workers.guests.leave.set()
    await workers.taken("ada")
    outcome = await workers.ended()
    assert [one.by for one in outcome.answers] == ["terminal:ada", "terminal:ada"]
    assert "A human has worked with you" in workers.runtime.prompts[0]


async def test_who_was_cut_off_is_remembered_over_any_number_of_losses(desk: Desk) -> None:
    workers = await lost_at_the_terminal(desk)
    for number in (2, 3):
        workers.start([DONE])
        assert await workers.asked(ADA_HAD_IT) == number
        await workers.killed()
    workers.start([DONE])
    await workers.answer(ADA_HAD_IT, "go-on")
    assert (await workers.ended()).subtype == "success"


@pytest.mark.parametrize("decided", ["they left", "it was decided"])
async def test_a_conversation_that_was_handed_back_is_the_agent_s_again(desk: Desk, decided: str) -> None:
    if decided == "they left":
        workers = Workers(desk)
        workers.start([Output(text="on")], [asks("rm")])
        await desk.until(lambda: b"on" in desk.work.output.tail)
        workers.guests.leave.set()
        await workers.taken("ada")
    else:
        workers = await lost_at_the_terminal(desk)
        workers.start([asks("rm")])
        await workers.answer(ADA_HAD_IT, "go-on")
    await workers.asked("rm")
    await workers.killed()
    workers.start([DONE])
    assert (await workers.ended()).subtype == "success"


async def test_a_worker_that_dies_after_they_left_has_an_agent_at_work(desk: Desk) -> None:
    workers = Workers(desk)
    workers.start([Output(text="on")], [Output(text="again")])
    await desk.until(lambda: b"on" in desk.work.output.tail)
    workers.guests.leave.set()
    await workers.taken("ada")
    await desk.until(lambda: b"again" in desk.work.output.tail)
    assert not journal.read(workers.path).only_waited
    await workers.killed()
