"""What Aider's own files and its screen say of a turn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cis_provider.runtimes.aider_log import AiderLog
from cis_provider.runtimes.events import Usage

STARTING = ("message_send_starting", {})
SENT = ("message_send", {"prompt_tokens": 100, "completion_tokens": 20, "cost": 0.01})


@pytest.fixture
def log(tmp_path: Path) -> AiderLog:
    return AiderLog(tmp_path / "events", tmp_path / "messages")


def wrote(log: AiderLog, *events: tuple[str, dict[str, Any]], answers: tuple[str, ...] = ()) -> None:
    lines = [json.dumps({"event": name, "properties": properties}) for name, properties in events]
    log.events.write_text("\n".join(lines) + "\n", encoding="utf-8")
    parts = []
    for answer in answers:
        said = "\n".join(f"ASSISTANT {line}".rstrip() for line in answer.split("\n"))
        parts.append(
            f"TO LLM 2026-01-01T00:00:00\nUSER LLM RESPONSE\nLLM RESPONSE 2026-01-01T00:00:01\n{said}\n"
        )
    log.messages.write_text("".join(parts), encoding="utf-8")


def test_the_last_answer_is_the_text_and_tokens_are_added_up(log):
    wrote(log, STARTING, SENT, STARTING, SENT, answers=("first", "> second\n\nof two lines"))
    end = log.ended(0, "whatever")
    assert (end.stop_reason, end.text, end.num_turns) == ("end_turn", "> second\n\nof two lines", 2)
    assert log.usage == Usage(input_tokens=200, output_tokens=40, cost_usd=0.02)
    log.begin()
    wrote(log, STARTING, SENT)
    log.ended(0, "")
    assert log.usage == Usage(input_tokens=300, output_tokens=60, cost_usd=0.03)


def test_the_messages_do_not_stay_on_disk(log):
    wrote(log, STARTING, SENT, answers=("secret",))
    log.ended(0, "")
    assert not log.messages.exists()


@pytest.mark.parametrize(
    ("said", "error", "error_class"),
    [
        ("litellm.AuthenticationError: no such key\nCheck your API key.", "no such key", "login"),
        ("litellm.RateLimitError: slow down", "slow down", "rate_limit"),
        ("litellm.RateLimitError: You exceeded your current quota", "current quota", "quota"),
        ("litellm.BadRequestError: no such model", "no such model", "permanent"),
        ("litellm.exceptions.InternalServerError: overloaded", "overloaded", "transient"),
        ("litellm.RateLimitError: one\n\nlitellm.AuthenticationError: two", "two", "login"),
        (
            "Your estimated chat context of 9 tokens exceeds the 8 token limit",
            "no model answered",
            "permanent",
        ),
        ("nothing", "no model answered", "transient"),
    ],
)
def test_a_call_without_an_answer_is_an_error_though_the_exit_code_is_zero(log, said, error, error_class):
    wrote(log, STARTING, SENT, STARTING)
    end = log.ended(0, said)
    assert end.stop_reason == "error"
    assert error in end.error
    assert end.error_class == error_class
    assert log.usage is not None, "what was used is known also when it failed"


def test_an_answer_that_quotes_an_error_is_no_error(log):
    wrote(log, STARTING, SENT, answers=("the log says litellm.AuthenticationError: no",))
    assert log.ended(0, "litellm.AuthenticationError: no").stop_reason == "end_turn"


def test_an_exception_of_aiders_own_is_an_error(log):
    wrote(log, STARTING, ("message_send_exception", {"exception": "boom"}), SENT)
    assert (log.ended(0, "").stop_reason, log.ended(0, "").error) == ("error", "boom")


def test_an_exit_code_is_an_error_with_the_last_lines(log):
    wrote(log, STARTING, SENT)
    end = log.ended(2, "usage: aider\nunknown flag")
    assert "exit code 2" in end.error and "unknown flag" in end.error


def test_a_turn_in_which_no_model_was_asked_is_an_error(log):
    assert log.ended(0, "Message file not found").stop_reason == "error"
    wrote(log)
    assert log.ended(0, "").stop_reason == "error"


def test_what_was_denied_is_told(log):
    wrote(log, STARTING, SENT)
    said = "new.py\nCreate new file? (Y)es/(N)o [Yes]: n\nRun shell command? (Y)es/(N)o/(D)on't ask again [Yes]: y"
    assert log.ended(0, said).denied == ("Create new file?",)


def test_files_that_were_cut_are_read_as_far_as_they_go(log):
    wrote(log, STARTING, SENT)
    with log.events.open("a") as file:
        file.write('{"event": "message_se')
    log.messages.write_bytes(b"TO LLM x\nUSER \xff\nLLM RESPO")
    assert log.ended(0, "").text == ""
