"""What an agent waits for: answered by humans and rules, once each, and gone on from."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cis_provider.errors import AnswerRefused, InvalidAnswer, PermanentAgentError, StaleAnswer
from cis_provider.model.blockage import Answer, Blockage, BlockageKind, Settled
from cis_provider.model.on_blocked import OnBlocked
from cis_provider.model.options import AgentOptions, Budget
from cis_provider.runtimes.base import Launch
from cis_provider.runtimes.events import Ended, Event, Output, ToolCall, TurnEnded, Unblocked, Usage
from cis_provider.testing.conversation import ScriptedConversation, ScriptedRuntime
from cis_provider.worker.context import Outcome
from cis_provider.worker.drive import Drive
from cis_provider.worker.takeover import Humans
from tests.unit.worker.test_drive import DONE, Desk, limit, question

LOGIN = TurnEnded(stop_reason="error", error_class="login", error="401 invalid key")
NEW_SECRET = "correct-horse-battery"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("CIS_HOME", str(tmp_path / "home"))
    return Desk(tmp_path)


class Sitting:
    """A drive at work, as a test sees it."""

    def __init__(self, desk: Desk, runtime: ScriptedRuntime, timeout: float, options: AgentOptions) -> None:
        self.desk = desk
        self.runtime = runtime
        self.drive: Drive = desk.sit(runtime, options, timeout, "Build it.")
        self.humans: Humans = desk.work.humans
        self.running = asyncio.ensure_future(self.drive.run())

    async def asked(self, number: int = 1) -> Blockage:
        await self.desk.until(
            lambda: (
                (self.drive.blockage is not None and self.drive.blockage.number == number)
                or self.running.done()
            )
        )
        assert self.drive.blockage is not None, f"it ended: {self.running.result()}"
        return self.drive.blockage

    async def answer(self, number: int, option: str = "", **more: Any) -> None:
        await self.drive.answer(Answer(number=number, option=option, **{"by": "cli:root", **more}))

    async def ended(self) -> Outcome:
        async with asyncio.timeout(10):
            return await self.running


def sit(desk: Desk, *turns: list[Event], timeout: float = 0.0, **options: Any) -> Sitting:
    rules = options.pop("rules", OnBlocked())
    runtime = options.pop("runtime", None) or ScriptedRuntime(turns)
    return Sitting(desk, runtime, timeout, AgentOptions(on_blocked=rules, **options))


def outline(settled: tuple[Settled, ...]) -> list[tuple[int, str, str]]:
    return [(one.number, one.option or one.text, one.by) for one in settled]


# --- answers ---------------------------------------------------------------------------------------


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


# --- rules -----------------------------------------------------------------------------------------


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


# --- logins, limits, budgets -------------------------------------------------------------------------


async def test_a_mended_login_goes_on_in_the_same_conversation_with_the_new_secret(desk: Desk) -> None:
    sitting = sit(desk, [LOGIN], [Output(text=f"key {NEW_SECRET}"), DONE])
    desk.work.request = desk.work.request.__class__(
        **{name: getattr(desk.work.request, name) for name in desk.work.request.__struct_fields__}
        | {"secrets": {"KEY": "old-old-old"}, "env": {"API_KEY": "${KEY}"}}
    )
    desk.work.renewed = lambda request: {"API_KEY": request.secrets["KEY"]}
    blockage = await sitting.asked()
    assert [option.id for option in blockage.options] == ["retry", "stop"]
    assert sitting.runtime.at_work == 0
    await sitting.answer(1, "retry", secrets={"KEY": NEW_SECRET})
    outcome = await sitting.ended()
    assert outcome.subtype == "success"
    again = sitting.runtime.settings[1]
    assert (again.resume, again.env) == ("conversation-1", {"API_KEY": NEW_SECRET})
    written = b"".join(file.read_bytes() for file in desk.work.folder.iterdir() if file.is_file())
    assert NEW_SECRET.encode() not in written


async def test_a_login_that_nobody_mends_may_be_given_up(desk: Desk) -> None:
    sitting = sit(desk, [LOGIN])
    await sitting.asked()
    await sitting.answer(1, "stop", by="ui:admin")
    outcome = await sitting.ended()
    assert (outcome.subtype, outcome.error) == ("blocked", "stopped by ui:admin: login: 401 invalid key")


async def test_a_login_fails_at_once_where_that_is_the_rule(desk: Desk) -> None:
    outcome = await sit(desk, [LOGIN], rules=OnBlocked(login="fail")).ended()
    assert outcome.subtype == "blocked"
    assert outline(outcome.answers) == [(1, "stop the agent", "rule:login: fail")]


async def test_a_limit_need_not_be_waited_out(desk: Desk) -> None:
    sitting = sit(desk, [limit(3600)], [DONE])
    assert [option.id for option in (await sitting.asked()).options] == ["now"]
    await sitting.answer(1, "now")
    outcome = await sitting.ended()
    assert outcome.subtype == "success"
    assert sitting.runtime.settings[1].resume == "conversation-1"


USED = Usage(input_tokens=60, output_tokens=40)


async def test_a_budget_that_asks_is_raised_by_as_much_again(desk: Desk) -> None:
    sitting = sit(
        desk,
        [USED],
        [Usage(input_tokens=100, output_tokens=99), Output(text="more")],
        rules=OnBlocked(budget="ask"),
        budget=Budget(max_tokens=100),
    )
    blockage = await sitting.asked()
    assert [option.id for option in blockage.options] == ["more", "stop"]
    assert "max_tokens of 100" in blockage.title
    await sitting.answer(1, "more")
    await desk.until(lambda: b"more" in desk.work.output.tail)
    assert sitting.drive.blockage is None
    assert "as much again" in sitting.runtime.prompts[1]
    sitting.running.cancel()
    await asyncio.wait({sitting.running})


async def test_a_budget_that_is_not_raised_ends_the_agent_with_a_last_word(desk: Desk) -> None:
    sitting = sit(
        desk,
        [USED],
        [TurnEnded(text="Half is left.")],
        rules=OnBlocked(budget="ask"),
        budget=Budget(max_tokens=100),
    )
    await sitting.asked()
    await sitting.answer(1, "stop")
    outcome = await sitting.ended()
    assert (outcome.subtype, outcome.text) == ("budget", "Half is left.")


# --- stalled turns -----------------------------------------------------------------------------------


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


# --- a human at the terminal ---------------------------------------------------------------------------


class Guests(Humans):
    """A human who comes when told, and stays until told."""

    name = ""  # type: ignore[assignment]
    attached = ""  # type: ignore[assignment]

    def __init__(self, at_work: Any) -> None:
        super().__init__()
        self.launches: list[tuple[Launch, int]] = []
        self.refused: list[str] = []
        #: Seconds for which a turn is at work when they have left.
        self.turn_left = 0.0
        self.leave = asyncio.Event()
        self.came = asyncio.Event()
        self.told = asyncio.Event()
        self._at_work = at_work

    def come(self, name: str) -> None:
        self.name = name
        self.wanted.set()

    async def host(self, launch: Launch, on_alone: Callable[[bool], None] = lambda alone: None) -> None:
        self.wanted.clear()
        self.attached = self.name
        self.launches.append((launch, self._at_work()))
        self.came.set()
        await self.leave.wait()
        self.attached = ""
        if self.turn_left:
            on_alone(True)
            try:
                await asyncio.sleep(self.turn_left)
            finally:
                on_alone(False)

    def refuse(self, reason: str) -> None:
        super().refuse(reason)
        self.refused.append(reason)
        self.told.set()


def with_guests(desk: Desk, *turns: list[Event], launch: bool = True, **more: Any) -> tuple[Sitting, Guests]:
    runtime = ScriptedRuntime(turns)
    runtime.launch = Launch(["the-tui"]) if launch else None
    guests = Guests(lambda: runtime.at_work)
    make = desk.sit

    def seated(*args: Any) -> Drive:
        make(*args)
        desk.work.humans = guests
        desk.drive = Drive(desk.work, runtime)
        return desk.drive

    desk.sit = seated  # type: ignore[method-assign]
    return sit(desk, runtime=runtime, **more), guests


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


# --- a worker that was lost ------------------------------------------------------------------------------


async def lost(desk: Desk, *turns: list[Event]) -> tuple[Path, ScriptedRuntime]:
    """A session whose worker is killed while it waits; its folder."""
    sitting = sit(desk, *turns)
    await sitting.asked()
    folder = desk.work.folder
    kept = (folder / "blockages.jsonl").read_bytes()
    sitting.running.cancel()
    await asyncio.wait({sitting.running})
    (folder / "blockages.jsonl").write_bytes(kept)
    return folder, sitting.runtime


async def go_on(desk: Desk, folder: Path, runtime: ScriptedRuntime) -> Drive:
    desk.sit(runtime, AgentOptions(), 0.0, "Build it.")
    (desk.work.folder / "blockages.jsonl").write_bytes((folder / "blockages.jsonl").read_bytes())
    desk.drive = Drive(desk.work, runtime)
    return desk.drive


async def test_the_next_worker_goes_on_in_the_conversation_and_asks_under_the_next_number(desk: Desk) -> None:
    folder, _ = await lost(desk, [Usage(input_tokens=5), question()])
    runtime = ScriptedRuntime([[Usage(input_tokens=2), question()], [DONE]])
    drive = await go_on(desk, folder, runtime)
    running = asyncio.ensure_future(drive.run())
    await desk.until(lambda: drive.blockage is not None)
    assert drive.blockage is not None and drive.blockage.number == 2
    assert runtime.settings[0].resume == "conversation-1"
    assert "has been started again" in runtime.prompts[0]
    await drive.answer(Answer(number=2, option="yes", by="cli:root"))
    outcome = await running
    assert [(one.number, one.by) for one in outcome.answers] == [(1, ""), (2, "cli:root")]
    assert outcome.usage == {"input_tokens": 7}, "what was used before counts, too"


async def test_the_next_worker_rests_on_until_a_limit_ends(desk: Desk) -> None:
    folder, _ = await lost(desk, [limit(0.8)])
    runtime = ScriptedRuntime([[DONE]])
    drive = await go_on(desk, folder, runtime)
    running = asyncio.ensure_future(drive.run())
    await desk.until(lambda: drive.resting)
    assert runtime.settings == []
    assert (await running).subtype == "success"
    assert runtime.settings[0].resume == "conversation-1"


async def test_a_journal_that_was_cut_in_the_middle_of_a_line_is_read_as_far_as_it_goes(desk: Desk) -> None:
    folder, _ = await lost(desk, [question()])
    with (folder / "blockages.jsonl").open("ab") as file:
        file.write(b'\n{"step":"settled","number":1,"settl')
    drive = await go_on(desk, folder, ScriptedRuntime([[question()], [DONE]]))
    running = asyncio.ensure_future(drive.run())
    await desk.until(lambda: drive.blockage is not None)
    assert drive.blockage is not None and drive.blockage.number == 2
    running.cancel()
    await asyncio.wait({running})


async def test_a_question_that_cannot_be_written_down_ends_the_session(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any, **more: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cis_provider.worker.journal.Journal.asked", full)
    outcome = await sit(desk, [question()]).ended()
    assert outcome.subtype == "not_started"
    assert "No space left" in outcome.error


async def test_a_program_that_is_gone_for_good_in_a_question_is_no_endless_wait(desk: Desk) -> None:
    runtime = ScriptedRuntime([[LOGIN]])
    sitting = sit(desk, runtime=runtime)
    await sitting.asked()
    runtime.refuse_resume = PermanentAgentError("not found")
    runtime.turns.append([DONE])
    await sitting.answer(1, "retry")
    assert (await sitting.ended()).subtype == "success"
    assert runtime.prompts == ["Build it.", "Build it."]
