"""A program's own tries of a failed call: what is told, when it is enough, and what its records say of them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cis_provider.runtimes.acp.kimi_records import KimiJournal
from cis_provider.runtimes.acp.opencode_records import OpenCodeJournal
from cis_provider.runtimes.acp.retries import LONG_WAIT, PATIENCE, Retries
from cis_provider.runtimes.acp.trouble import Trouble
from cis_provider.runtimes.acp.turn import Turn
from cis_provider.runtimes.events import ErrorClass

NOW = 1000.0


def waiting(tries: int, after: float, wait: float, kind: ErrorClass = "transient") -> Trouble:
    """:param after: Seconds that it has tried for by now."""
    return Trouble(
        error="529 busy",
        error_class=kind,
        retry_at=NOW + wait,
        waiting=True,
        tries=tries,
        since=NOW - after,
    )


def test_each_try_is_told_once_in_one_line() -> None:
    retries = Retries()
    first = waiting(2, 1, 4)
    assert retries.take(first, NOW) == (
        "[retrying] try 2 failed, the next one follows in 4 s: 529 busy",
        None,
    )
    assert retries.take(first, NOW + 2) == ("", None)
    assert retries.take(waiting(3, 5, 0.1), NOW)[0].startswith(
        "[retrying] try 3 failed, the next one follows: "
    )


@given(
    st.lists(st.floats(0.1, 50), min_size=1, max_size=12),
    st.sampled_from(["transient", "rate_limit"]),
)
def test_it_is_ended_when_the_next_try_would_be_too_late_and_not_before(
    pauses: list[float], kind: ErrorClass
) -> None:
    retries, now = Retries(), NOW
    for tries, pause in enumerate(pauses, start=1):
        trouble = Trouble(
            error="busy", error_class=kind, retry_at=now + pause, waiting=True, tries=tries, since=NOW
        )
        _, ended = retries.take(trouble, now)
        assert (ended is not None) == (now + pause - NOW > PATIENCE)
        if ended is not None:
            assert ended.retry_at == 0.0, "its own pause is not the end of a limit"
            return
        now += pause


@pytest.mark.parametrize(
    ("trouble", "ended", "retry_at"),
    [
        (waiting(1, 0, LONG_WAIT, "rate_limit"), True, NOW + LONG_WAIT),
        (waiting(1, 0, 2, "quota"), True, 0.0),
        (waiting(9, 300, -1), False, 0.0),  # the next try runs already, and may go well
        (Trouble(error="none", error_class="transient", waiting=True, tries=9), False, 0.0),
        (Trouble(error="none", error_class="transient", waiting=True, tries=10), True, 0.0),
    ],
)
def test_what_is_waited_for_decides(trouble: Trouble, ended: bool, retry_at: float) -> None:
    _, found = Retries().take(trouble, NOW)
    assert (found is not None) == ended
    assert found is None or found.retry_at == retry_at


def test_a_line_of_ours_is_a_line_of_its_own_and_no_part_of_the_answer() -> None:
    turn = Turn()
    turn.take({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "Half a"}})
    assert [turn.note("told").text, turn.note("again").text] == ["\ntold\n", "again\n"]
    assert turn.text == "Half a"
    turn.corrected = ""
    assert turn.ended("end_turn").text == ""


def test_kimis_records_tell_its_tries_and_forget_what_a_failed_one_said(tmp_path: Path) -> None:
    file = tmp_path / "sessions" / "w" / "s1" / "agents" / "main" / "wire.jsonl"
    file.parent.mkdir(parents=True)
    journal = KimiJournal({"KIMI_CODE_HOME": str(tmp_path)}, "s1")
    journal.begin()

    def step(failed: int, at: float, words: str) -> None:
        loop = "context.append_loop_event"
        end = {"type": "step.end", "finishReason": "error" if failed else "end_turn"}
        records: list[dict[str, Any]] = [
            {"type": loop, "event": {"type": "step.begin"}},
            {"type": loop, "event": {"type": "content.part", "part": {"type": "text", "text": words}}},
            {"type": loop, "event": end},
        ]
        if failed:
            retry = {"failedAttempt": failed, "delayMs": 2000, "errorMessage": "cut", "time": at * 1000}
            records.append({"type": "turn.step.retrying", **retry})
        with file.open("a") as out:
            out.writelines(f"{json.dumps(one)}\n" for one in records)

    step(1, 100, "Half")
    step(2, 103, "Half a")
    look = journal.look(final=False)
    assert look.trouble == Trouble(
        error="cut", error_class="transient", retry_at=105, waiting=True, tries=2, since=100
    )
    assert look.text == ""
    step(0, 106, "All of it.")
    step(1, 200, "Half")
    step(0, 203, "And more.")
    look = journal.look(final=False)
    assert look.trouble and (look.trouble.tries, look.trouble.since) == (1, 200), "others than those before"
    assert look.text == "And more."
    journal.begin()
    assert journal.look(final=False).text is None, "nothing was tried again"


class Server:
    """Answers as OpenCode's does."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.status: dict[str, Any] = {}

    def get(self, path: str) -> Any:
        return {"s1": self.status} if path == "/session/status" else self.messages

    def say(self, *parts: str, finish: str | None = "stop", output: int = 0) -> None:
        now = time.time() * 1000 + 5000
        info = {"id": str(len(self.messages)), "role": "assistant", "finish": finish}
        info |= {"time": {"created": now, "completed": now}, "tokens": {"output": output}}
        made = [{"type": "text", "text": one[1:]} if one.startswith("=") else {"type": one} for one in parts]
        self.messages.append({"info": info, "parts": made})


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def journal(server: Server) -> OpenCodeJournal:
    made = OpenCodeJournal(server, "s1")  # type: ignore[arg-type]
    made.begin()
    return made


def test_opencodes_tries_begin_anew_after_one_that_went_well(
    server: Server, journal: OpenCodeJournal
) -> None:
    def since(attempt: int, following: float) -> float:
        server.status = {"type": "retry", "attempt": attempt, "message": "busy", "next": following * 1000}
        trouble = journal.look(final=False).trouble
        assert trouble and (trouble.tries, trouble.retry_at) == (attempt, following)
        return trouble.since

    first = since(1, 10)
    assert [since(1, 10), since(2, 20), since(4, 80)] == [first] * 3
    second = since(1, 90)
    assert second > first and since(2, 95) == second
    server.say("step-start", "=Something.", output=5)
    assert since(3, 99) > second, "a call went well meanwhile"


def test_opencodes_last_try_is_the_answer(server: Server, journal: OpenCodeJournal) -> None:
    server.say("step-start", "=All of it.")
    assert journal.look(final=True).text is None
    server.say("step-start", "=Half", "step-start", "=All ", "=of it.")
    assert journal.look(final=True).text == "All of it."


def test_answers_of_opencodes_model_that_have_no_end_are_a_loop(
    server: Server, journal: OpenCodeJournal
) -> None:
    server.say("step-start", finish="unknown")
    server.say("tool", finish="tool-calls")  # that is how it works
    server.say("step-start", finish="unknown")
    server.say("step-start", finish="unknown")
    assert journal.look(final=False).trouble is None
    server.say("step-start", finish="unknown")
    trouble = journal.look(final=False).trouble
    assert trouble and trouble.waiting and (trouble.tries, trouble.retry_at) == (3, 0.0)
    server.say("=Well.", finish="stop")
    assert journal.look(final=False).trouble is None
