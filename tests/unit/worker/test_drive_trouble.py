"""What must not be lost, leaked or waited for without an end when an agent's work goes wrong."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from cis_provider import paths
from cis_provider.errors import PermanentAgentError, TransientAgentError
from cis_provider.model.blockage import Answer, Blockage, BlockageKind
from cis_provider.model.options import AgentOptions
from cis_provider.model.session import SessionKey, SessionRequest
from cis_provider.runtimes import registry
from cis_provider.runtimes.base import Conversation, Setting
from cis_provider.runtimes.events import Blocked, Ended, Output, TurnEnded, Usage
from cis_provider.testing.conversation import ScriptedConversation, ScriptedRuntime
from cis_provider.worker.check import run_check
from cis_provider.worker.conversations import own_name
from cis_provider.worker.names import Names
from cis_provider.worker.session import Session
from tests.kit.desk import DONE, OPTIONS, Desk, limit
from tests.unit.worker.test_drive import SCHEMA

SECRET = "hunter2-hunter2"


class _Broken(ScriptedRuntime):
    def open(self, setting: Setting) -> Conversation:  # type: ignore[override]
        raise PermanentAgentError("not installed")


async def test_after_a_fallback_that_cannot_start_the_first_agent_goes_on_at_the_reset(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "load", lambda name: _Broken([]))
    outcome, runtime = await desk.run([[limit(0.1)], [DONE]], fallback=("broken",))
    assert (outcome.subtype, outcome.agent_type) == ("success", "scripted")
    assert runtime.settings[1].resume == "conversation-1"


async def test_a_fallback_is_told_the_form_of_the_answer(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    other = ScriptedRuntime([[TurnEnded(text='{"version": "1"}')]])
    monkeypatch.setattr(registry, "load", lambda name: other)
    await desk.run([[limit(3600)]], fallback=("other",), output_schema=SCHEMA)
    assert '"version"' in other.prompts[0]


async def test_a_fallback_gets_nothing_that_only_the_first_understands(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, other = ScriptedRuntime([[DONE]], limit=10), ScriptedRuntime([[DONE]])
    monkeypatch.setattr(registry, "load", {"small": small, "other": other}.__getitem__)
    outcome, _ = await desk.run(
        [[limit(3600)]],
        fallback=("small", "other"),
        model="opus",
        program=("claude",),
        args=("--x",),
        config={"a": 1},
        denied_tools=("Web",),
    )
    assert (outcome.subtype, outcome.agent_type) == ("success", "other")
    assert small.settings == [], "its program cannot take a prompt of that size"
    options = other.settings[0].options
    assert (options.model, options.program, options.args, options.config) == ("", (), (), {})
    assert options.denied_tools == ("Web",)


async def test_a_conversation_that_cannot_be_had_just_now_is_not_given_up(desk: Desk) -> None:
    await desk.run([[DONE]], session="release")
    busy = ScriptedRuntime([[DONE]], refuse_resume=TransientAgentError("no memory"))
    outcome, _ = await desk.run(busy, session="release")
    assert outcome.subtype == "not_started"
    _, runtime = await desk.run([[DONE]], session="release")
    assert runtime.settings[0].resume == "conversation-1"


async def test_two_questions_side_by_side_are_both_seen_and_answered(desk: Desk) -> None:
    both = [
        Blocked(blockage=Blockage(number=n, kind=BlockageKind.PERMISSION, title=f"tool {n}", options=OPTIONS))
        for n in (4, 5)
    ]
    runtime = ScriptedRuntime([both, [], [DONE]])
    drive = desk.sit(runtime, AgentOptions(), 0.0, "Build it.")
    running = asyncio.ensure_future(drive.run())
    await desk.until(lambda: b"tool 5" in desk.work.output.tail)
    await drive.answer(Answer(number=2, option="allow"))
    await desk.until(lambda: drive.blockage is not None and drive.blockage.number == 1)
    assert drive.blockage is not None and drive.blockage.title == "tool 4"
    running.cancel()
    await asyncio.wait({running})


async def test_a_program_that_left_between_two_turns_gets_the_prompt_and_has_not_crashed(desk: Desk) -> None:
    gone = [DONE, Ended(exit_code=0)]
    outcome, runtime = await desk.run(
        [gone] * 5, check="echo red >> tries; test $(wc -l < tries) -ge 5", check_retries=4
    )
    assert outcome.subtype == "success"
    assert all("You said that you are done" in prompt for prompt in runtime.prompts[1:])


async def test_half_a_surrogate_pair_breaks_nothing(desk: Desk) -> None:
    outcome, runtime = await desk.run([[Output(text="a\ud83d"), TurnEnded(text="done \ud83d")]])
    assert (outcome.subtype, outcome.text) == ("success", "done ?")
    assert len(runtime.settings) == 1
    msgspec.json.encode(outcome)


async def test_no_secret_gets_into_what_is_kept_or_told(desk: Desk) -> None:
    end = TurnEnded(
        stop_reason="error", error_class="transient", error=f"bad key {SECRET}", denied=(f"curl {SECRET}",)
    )
    outcome, _ = await desk.run([[end]])
    assert SECRET not in repr(outcome)
    for file in paths.conversations_dir().iterdir():
        assert SECRET not in file.read_text()
    asked = Blocked(
        blockage=Blockage(number=1, kind=BlockageKind.PERMISSION, title=f"curl {SECRET}", detail=SECRET)
    )
    drive = desk.sit(ScriptedRuntime([[asked]]), AgentOptions(), 0.0, "Build it.")
    running = asyncio.ensure_future(drive.run())
    await desk.until(lambda: drive.blockage is not None)
    assert SECRET not in repr(drive.blockage)
    running.cancel()
    await asyncio.wait({running})


async def test_no_secret_gets_into_a_structured_answer(desk: Desk) -> None:
    good = TurnEnded(text=f'{{"version": "{SECRET}"}}', structured=f'{{"version": "{SECRET}"}}')
    outcome, _ = await desk.run([[good]], output_schema=SCHEMA)
    assert SECRET not in repr(outcome.structured)


async def test_trouble_nobody_thought_of_is_an_outcome_with_what_was_used(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cis_provider.worker.judging.bad_end", lambda end: 1 / 0)
    outcome, _ = await desk.run([[Usage(input_tokens=3), DONE]])
    assert (outcome.subtype, outcome.usage) == ("interrupted", {"input_tokens": 3})


async def test_a_check_may_leave_a_daemon_that_holds_its_output(desk: Desk) -> None:
    desk.sit(ScriptedRuntime([]), AgentOptions(check="setsid sleep 12 & echo green"), 0.0, "x")
    async with asyncio.timeout(5):
        report = await run_check(desk.work)
    assert (report.passed, report.output) == (True, "green")


async def test_a_check_that_is_over_its_limit_ends_though_a_daemon_holds_its_output(desk: Desk) -> None:
    desk.sit(ScriptedRuntime([]), AgentOptions(check="setsid sleep 12 & sleep 12"), 0.0, "x")
    async with asyncio.timeout(5):
        report = await run_check(desk.work, limit=0.3)
    assert (report.passed, report.exit_code) == (False, None)


async def test_a_check_in_a_folder_that_the_agent_removed_has_failed(desk: Desk) -> None:
    desk.sit(ScriptedRuntime([]), AgentOptions(check="true"), 0.0, "x")
    desk.work.workspace.rmdir()
    report = await run_check(desk.work)
    assert not report.passed
    assert "could not be started" in report.error


class _Late(ScriptedRuntime):
    def open(self, setting: Setting) -> ScriptedConversation:
        return _LateConversation(self, setting)


class _LateConversation(ScriptedConversation):
    """A program that reports an interrupt a moment after it was asked, as over a pipe."""

    async def interrupt(self) -> None:
        event = TurnEnded(stop_reason="cancelled")
        asyncio.get_running_loop().call_later(0.05, self._events.put_nowait, event)

    async def send(self, prompt: str) -> None:
        first = not self._runtime.prompts
        self._runtime.prompts.append(prompt)
        asyncio.get_running_loop().call_later(0 if first else 0.3, self._next_turn)


async def test_an_interrupt_between_two_turns_does_not_end_the_last_word(desk: Desk) -> None:
    runtime = _Late([[DONE], [TurnEnded(text="Left.")]])
    outcome, _ = await desk.run(runtime, check="sleep 5", timeout=0.3)
    assert (outcome.subtype, outcome.text) == ("timeout", "Left.")


def _session(
    names: Names,
    options: AgentOptions,
    changed: asyncio.Event,
    *,
    session_id: str = "s1",
    task_id: str = "build",
    timeout: float = 0.0,
) -> Session:
    request = SessionRequest(
        key=SessionKey("shop", "r1", task_id),
        timeout=timeout,
        try_number=1,
        max_tries=0,
        agent_id="build",
        agent_type="scripted",
        command="Build it.",
        options=options,
    )
    return Session(session_id, request, worker="w", node_id="n", names=names, on_change=changed.set)


async def test_a_session_never_raises(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: object, workspace: Path) -> None:
        raise ValueError("nobody thought of it")

    monkeypatch.setattr(registry, "load", lambda name: ScriptedRuntime([[DONE]]))
    monkeypatch.setattr(Session, "_context", broken)
    finished = await _session(Names(), AgentOptions(), asyncio.Event()).run()
    assert finished.result.subtype == "interrupted"
    assert "nobody thought of it" in finished.result.error


async def test_a_session_that_is_cancelled_while_it_waits_leaves_the_name_to_others(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "load", lambda name: ScriptedRuntime([[DONE]]))
    names = Names()
    changed = asyncio.Event()
    session = _session(names, AgentOptions(session="release"), changed)
    name = own_name(session.request)
    nothing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    assert await names.take(name, nothing, 1)
    running = asyncio.ensure_future(session.run())
    async with asyncio.timeout(5):
        await changed.wait()
        assert session.progress.waiting_for == "the conversation 'release'"
        running.cancel()
        await asyncio.wait({running})
        names.let_go(name)
        assert len(names) == 0, "what nobody has or waits for is forgotten"
        assert await names.take(name, nothing, 1)


async def test_a_conversation_that_is_never_free_is_not_waited_for_without_an_end(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "load", lambda name: ScriptedRuntime([[DONE]]))
    names = Names()
    session = _session(names, AgentOptions(session="release"), asyncio.Event(), timeout=0.2)
    nothing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    assert await names.take(own_name(session.request), nothing, 1)
    finished = await session.run()
    assert finished.result.subtype == "not_started"
    assert "another agent has had the conversation 'release'" in finished.result.error


async def test_two_agents_that_go_on_in_one_conversation_take_turns(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream = SessionKey("shop", "r1", "plan")
    await desk.run([[DONE]], key=upstream)
    runtime = ScriptedRuntime([[Output(text="...")], [DONE]])
    monkeypatch.setattr(registry, "load", lambda name: runtime)
    names, changed = Names(), asyncio.Event()
    options = AgentOptions(session_from="plan")
    first = _session(names, options, changed, session_id="s1", task_id="build")
    second = _session(names, options, changed, session_id="s2", task_id="test")
    running = [asyncio.ensure_future(one.run()) for one in (first, second)]
    async with asyncio.timeout(5):
        while not (first.progress.waiting_for or second.progress.waiting_for) or not runtime.prompts:
            changed.clear()
            await changed.wait()
    assert runtime.at_work == 1
    waits = second if second.progress.waiting_for else first
    assert waits.progress.waiting_for == "that of 'plan'"
    (first if waits is second else second).stop("enough")
    results = await asyncio.gather(*running)
    assert sorted(one.result.subtype for one in results) == ["killed", "success"]
    assert {setting.resume for setting in runtime.settings} == {"conversation-1"}
    assert len(names) == 0


@pytest.mark.parametrize("broken", ["cis_provider.worker.session.write_atomic", "os.fsync"])
async def test_a_result_that_no_disk_takes_is_told_all_the_same(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    monkeypatch.setattr(registry, "load", lambda name: ScriptedRuntime([[DONE]]))
    session = _session(Names(), AgentOptions(), asyncio.Event())
    result = session._result

    async def then_full() -> object:
        came = await result()
        monkeypatch.setattr(broken, full)
        return came

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(session, "_result", then_full)
    finished = await session.run()
    monkeypatch.undo()
    assert finished.result.output == "All done."
    assert finished.result.is_error is (broken == "os.fsync")
