"""What becomes of an agent's turns: limits, checks, rests, crashes, and what is kept of its conversation."""

from __future__ import annotations

import asyncio
import time

import pytest

from cis_provider.errors import PermanentAgentError
from cis_provider.model.blockage import Answer, BlockageKind
from cis_provider.model.on_blocked import OnBlocked
from cis_provider.model.options import AgentOptions, Budget
from cis_provider.model.session import SessionKey
from cis_provider.runtimes import registry
from cis_provider.runtimes.events import Ended, Event, Output, ToolCall, TurnEnded, Usage
from cis_provider.testing.conversation import ScriptedRuntime
from cis_provider.worker.context import StopOrder
from cis_provider.worker.environment import output_file
from tests.kit.desk import DONE, Desk, limit, question


async def test_the_final_text_is_the_result_and_all_that_was_said_is_in_the_log(desk: Desk) -> None:
    call = ToolCall(id="1", title="npm test", kind="execute", status="in_progress")
    outcome, runtime = await desk.run(
        [[Output(text="Let me see."), call, Usage(input_tokens=5, output_tokens=7, cost_usd=0.5), DONE]]
    )
    assert (outcome.subtype, outcome.text) == ("success", "All done.")
    assert (outcome.usage, outcome.cost_usd) == ({"input_tokens": 5, "output_tokens": 7}, 0.5)
    assert runtime.prompts == ["Build it."]
    log = (desk.work.folder / "output.log").read_text()
    assert "Let me see.\n[execute] npm test\n" in log


async def test_an_empty_final_text_is_a_failure_unless_the_agent_wrote_its_output(desk: Desk) -> None:
    outcome, _ = await desk.run([[TurnEnded(text=" \n", denied=("Bash(rm)",))]])
    assert outcome.subtype == "empty"
    assert "Bash(rm)" in outcome.error

    drive = desk.sit(ScriptedRuntime([[TurnEnded()]]), AgentOptions(), 0, "Build it.")
    output_file(desk.work.folder).write_text("the report")
    assert (await drive.run()).subtype == "success"


@pytest.mark.parametrize(
    ("end", "subtype"),
    [
        (TurnEnded(stop_reason="error", error_class="permanent", error="no such model"), "agent_error"),
        (TurnEnded(stop_reason="error", error_class="transient", error="overloaded"), "provider"),
        (TurnEnded(stop_reason="error"), "provider"),
        (TurnEnded(stop_reason="refusal", text="I will not."), "refused"),
        (TurnEnded(stop_reason="max_tokens"), "budget"),
        (TurnEnded(stop_reason="max_turn_requests"), "budget"),
    ],
)
async def test_a_turn_that_ends_badly_is_a_failure_of_its_class(
    desk: Desk, end: TurnEnded, subtype: str
) -> None:
    outcome, _ = await desk.run([[end]])
    assert outcome.subtype == subtype
    assert outcome.error


async def test_usage_is_told_of_a_failure_too(desk: Desk) -> None:
    outcome, _ = await desk.run(
        [[Usage(input_tokens=9), TurnEnded(stop_reason="error", error_class="transient")]]
    )
    assert outcome.usage == {"input_tokens": 9}


async def test_a_failed_check_goes_back_until_it_passes(desk: Desk) -> None:
    runtime = ScriptedRuntime([[DONE], [DONE]])
    outcome, _ = await desk.run(
        runtime, check="test -e ready || { echo missing: ready; touch ready; exit 3; }"
    )
    assert outcome.subtype == "success"
    assert "missing: ready" in runtime.prompts[1]
    assert "exit code 3" in runtime.prompts[1]
    assert (outcome.checked["passed"], outcome.checked["attempt"]) == (True, 2)


async def test_a_check_that_never_passes_fails_the_agent_after_its_retries(desk: Desk) -> None:
    outcome, runtime = await desk.run([[DONE]] * 5, check="echo bad $TOKEN; false", check_retries=2)
    assert outcome.subtype == "check_failed"
    assert len(runtime.prompts) == 3
    assert outcome.checked["attempt"] == 3
    assert "hunter2" not in outcome.error
    assert outcome.text == "All done."


SCHEMA = {"type": "object", "properties": {"version": {"type": "string"}}, "required": ["version"]}


async def test_an_answer_in_the_wrong_form_goes_back_once(desk: Desk) -> None:
    good = TurnEnded(text='Here it is:\n```json\n{"version": "1.2"}\n```')
    outcome, runtime = await desk.run([[TurnEnded(text='{"version": 1}')], [good]], output_schema=SCHEMA)
    assert (outcome.subtype, outcome.structured) == ("success", {"version": "1.2"})
    assert "1 is not of type 'string'" in runtime.prompts[1]
    assert '"version"' in runtime.prompts[0]


async def test_an_answer_in_the_wrong_form_twice_is_a_failure(desk: Desk) -> None:
    outcome, runtime = await desk.run([[DONE], [DONE]], output_schema=SCHEMA)
    assert outcome.subtype == "invalid_output"
    assert len(runtime.prompts) == 2


async def test_a_usage_limit_stops_the_program_and_the_same_conversation_goes_on_at_the_reset(
    desk: Desk,
) -> None:
    runtime = ScriptedRuntime([[limit(0.3)], [DONE]])
    drive = desk.sit(runtime, AgentOptions(), 0.0, "Build it.")
    running = asyncio.ensure_future(drive.run())
    await desk.until(lambda: drive.resting)
    assert runtime.at_work == 0
    assert drive.blockage is not None
    assert drive.blockage.kind is BlockageKind.RATE_LIMIT
    assert drive.blockage.until > time.time()
    outcome = await running
    assert outcome.subtype == "success"
    assert runtime.settings[1].resume == "conversation-1"
    assert runtime.prompts[1] != runtime.prompts[0]
    assert not drive.resting


async def test_resting_does_not_count_towards_the_time_limit(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome, _ = await desk.run([[limit(0.5)], [DONE]], timeout=0.4)
    assert outcome.subtype == "success"


async def test_a_limit_that_does_not_say_when_it_ends_is_tried_with_growing_pauses(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cis_provider.worker.judging.PAUSES", (0.01, 0.02))
    outcome, runtime = await desk.run([[limit()], [limit()], [limit()], [DONE]])
    assert outcome.subtype == "success"
    assert len(runtime.settings) == 4


async def test_another_agent_takes_over_at_a_limit_with_what_was_said(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = ScriptedRuntime([[DONE]])

    def load(agent_type: str) -> ScriptedRuntime:
        if agent_type == "missing":
            raise PermanentAgentError("missing is not installed")
        return other

    monkeypatch.setattr(registry, "load", load)
    outcome, _ = await desk.run(
        [[Output(text="Half of it is done."), limit(3600)]], fallback=("missing", "other")
    )
    assert (outcome.subtype, outcome.agent_type) == ("success", "other")
    assert "Half of it is done." in other.prompts[0]
    assert "Build it." in other.prompts[0]


@pytest.mark.parametrize(
    ("budget", "events"),
    [
        (Budget(max_tokens=100), [Usage(input_tokens=60, output_tokens=40)]),
        (Budget(max_cost_usd=0.5), [Usage(cost_usd=0.6)]),
        (Budget(max_turns=2), [ToolCall(id=str(n), title="ls") for n in range(2)]),
    ],
)
async def test_at_a_budget_the_agent_is_asked_to_wrap_up_then_ends(
    desk: Desk, budget: Budget, events: list[Event]
) -> None:
    outcome, runtime = await desk.run([events, [TurnEnded(text="Half is left.")]], budget=budget)
    assert (outcome.subtype, outcome.text) == ("budget", "Half is left.")
    assert "limit" in runtime.prompts[1]
    assert "max_" in outcome.error


async def test_at_its_time_limit_the_agent_is_asked_to_wrap_up(desk: Desk) -> None:
    outcome, runtime = await desk.run([[Output(text="...")], [DONE]], timeout=0.2)
    assert (outcome.subtype, outcome.text) == ("timeout", "All done.")
    assert len(runtime.prompts) == 2


async def test_a_program_that_ignores_everything_is_ended_at_its_time_limit(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cis_provider.worker.wrapping.INTERRUPT", 0.1)
    runtime = ScriptedRuntime([[]])
    runtime.deaf = True
    outcome, _ = await desk.run(runtime, timeout=0.1)
    assert outcome.subtype == "timeout"
    assert runtime.prompts == ["Build it."]


#: A human has a moment.
IMPATIENT = OnBlocked(answer_timeout=0.3, after_timeout="fail")


async def test_a_blockage_is_seen_and_ends_as_blocked_too_long_never_as_approved(desk: Desk) -> None:
    runtime = ScriptedRuntime([[question()]])
    drive = desk.sit(runtime, AgentOptions(on_blocked=IMPATIENT), 0.0, "Build it.")
    running = asyncio.ensure_future(drive.run())
    await desk.until(lambda: drive.blockage is not None)
    outcome = await running
    assert outcome.subtype == "blocked"
    assert "rm -r build" in outcome.error
    assert runtime.answers == []
    assert "[waits for a human: permission] rm -r build" in (desk.work.folder / "output.log").read_text()


async def test_an_answer_reaches_the_question_it_names(desk: Desk) -> None:
    runtime = ScriptedRuntime([[question(7)], [question(9)], [DONE]])
    drive = desk.sit(runtime, AgentOptions(), 0.0, "Build it.")
    running = asyncio.ensure_future(drive.run())
    for number in (1, 2):
        await desk.until(lambda number=number: drive.blockage is not None and drive.blockage.number == number)
        await drive.answer(Answer(number=number, option="allow"))
    assert (await running).subtype == "success"
    assert [answer.number for answer in runtime.answers] == [7, 9]


async def test_a_login_that_fails_waits_for_a_human_with_no_program_at_work(desk: Desk) -> None:
    end = TurnEnded(stop_reason="error", error_class="login", error="401 invalid key")
    runtime = ScriptedRuntime([[end]])
    drive = desk.sit(runtime, AgentOptions(on_blocked=IMPATIENT), 0.0, "Build it.")
    running = asyncio.ensure_future(drive.run())
    await desk.until(lambda: drive.blockage is not None and runtime.at_work == 0)
    outcome = await running
    assert outcome.subtype == "blocked"
    assert "login: 401 invalid key" in outcome.error


async def test_a_program_that_dies_is_started_again_in_the_same_conversation(desk: Desk) -> None:
    outcome, runtime = await desk.run([[Ended(exit_code=137)], [DONE]])
    assert outcome.subtype == "success"
    assert runtime.settings[1].resume == "conversation-1"
    assert "interrupted" in runtime.prompts[1]


async def test_a_conversation_that_died_before_it_was_kept_begins_anew_with_the_prompt(desk: Desk) -> None:
    runtime = ScriptedRuntime(
        [[Ended(exit_code=137)], [DONE]], refuse_resume=PermanentAgentError("not found")
    )
    outcome, _ = await desk.run(runtime)
    assert outcome.subtype == "success"
    assert runtime.prompts == ["Build it.", "Build it."]
    assert outcome.conversation_id == "conversation-3"


async def test_a_program_that_always_dies_fails_the_agent(desk: Desk) -> None:
    outcome, runtime = await desk.run([[Ended(exit_code=139, error="segfault")]] * 9)
    assert outcome.subtype == "interrupted"
    assert "segfault" in outcome.error
    assert len(runtime.settings) == 3


async def test_a_later_try_goes_on_in_the_conversation_of_a_failed_one(desk: Desk) -> None:
    failed = TurnEnded(stop_reason="error", error_class="transient", error="529 overloaded")
    await desk.run([[failed]])
    outcome, runtime = await desk.run([[DONE]])
    assert runtime.settings[0].resume == "conversation-1"
    assert "529 overloaded" in runtime.prompts[0]
    assert outcome.subtype == "success"
    _, again = await desk.run([[DONE]])
    assert again.settings[0].resume == "", "a task that succeeded is done anew when it runs again"


async def test_a_conversation_that_is_lost_begins_anew_with_the_whole_prompt(desk: Desk) -> None:
    await desk.run([[TurnEnded(stop_reason="error", error_class="transient")]])
    runtime = ScriptedRuntime([[DONE]], refuse_resume=PermanentAgentError("no such conversation"))
    outcome, _ = await desk.run(runtime)
    assert outcome.subtype == "success"
    assert runtime.prompts == ["Build it."]


async def test_a_named_conversation_goes_on_after_success_with_the_next_prompt(desk: Desk) -> None:
    await desk.run([[DONE]], session="release")
    _, runtime = await desk.run([[DONE]], session="release", prompt="Now the notes.")
    assert runtime.settings[0].resume == "conversation-1"
    assert runtime.prompts == ["Now the notes."]


async def test_an_agent_goes_on_in_the_named_conversation_of_another_at_its_newest(desk: Desk) -> None:
    plan, notes = SessionKey("shop", "r1", "plan"), SessionKey("shop", "r1", "notes")
    await desk.run([[DONE]], session="release", key=plan)
    lost = ScriptedRuntime([[DONE]], refuse_resume=PermanentAgentError("no such conversation"))
    await desk.run(lost, session="release", key=notes)
    _, runtime = await desk.run([[DONE]], session_from="plan")
    assert runtime.settings[0].resume == "conversation-2", "another has begun it anew under that name"


async def test_a_prompt_that_the_program_cannot_take_is_refused_before_it_starts(desk: Desk) -> None:
    runtime = ScriptedRuntime([[DONE]], limit=100)
    outcome, _ = await desk.run(runtime, prompt="x" * 101)
    assert outcome.subtype == "unsupported"
    assert "101 bytes" in outcome.error
    assert runtime.settings == []


async def test_a_stop_ends_the_work_at_any_time(desk: Desk) -> None:
    runtime = ScriptedRuntime([[Output(text="...")]])
    drive = desk.sit(runtime, AgentOptions(), 0.0, "Build it.")
    running = asyncio.ensure_future(drive.run())
    await desk.until(lambda: desk.work.output.size > 0)
    desk.work.order(StopOrder("killed", "its task was cleared"))
    outcome = await running
    assert (outcome.subtype, outcome.error) == ("killed", "its task was cleared")
    assert runtime.at_work == 0
