"""What Claude Code says and asks, without the program."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cis_provider.errors import InvalidAnswer, PermanentAgentError
from cis_provider.model.blockage import Answer
from cis_provider.model.options import AgentOptions, McpServer, Permissions
from cis_provider.runtimes.base import Setting
from cis_provider.runtimes.claude import program
from cis_provider.runtimes.claude.requests import blockage_of, response_to
from cis_provider.runtimes.events import Event, TurnEnded

pytest.importorskip("claude_agent_sdk")

from claude_agent_sdk._internal.message_parser import parse_message

from cis_provider.runtimes.claude.messages import Reader, classify, reset_in

_NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC).timestamp()


def read(*messages: dict[str, Any]) -> list[Event]:
    reader = Reader()
    reader.begin_turn()
    parsed = [parse_message(message) for message in messages]
    return [event for one in parsed if one is not None for event in reader.read(one, now=_NOON)]


def result(**more: Any) -> dict[str, Any]:
    made = {
        "type": "result",
        "subtype": "success",
        "duration_ms": 1,
        "duration_api_ms": 1,
        "is_error": False,
        "num_turns": 1,
        "session_id": "s",
        "result": "",
    }
    return made | more


def end(*messages: dict[str, Any]) -> TurnEnded:
    event = read(*messages)[-1]
    assert isinstance(event, TurnEnded)
    return event


def test_success_with_is_error_is_an_error():
    ended = end(result(is_error=True, result="API Error: 529 overloaded", api_error_status=529))
    assert (ended.stop_reason, ended.error_class) == ("error", "transient")
    assert ended.text == ""


def test_a_reached_number_of_turns_is_no_error():
    ended = end(result(subtype="error_max_turns", is_error=True, errors=["Reached maximum"]))
    assert (ended.stop_reason, ended.error) == ("max_turn_requests", "Reached maximum")


def test_a_limit_that_was_announced_ends_when_the_announcement_says():
    limit = {
        "type": "rate_limit_event",
        "rate_limit_info": {"status": "rejected", "resetsAt": 1_800_000_000},
        "uuid": "u",
        "session_id": "s",
    }
    ended = end(limit, result(is_error=True, result="You've hit your limit", api_error_status=429))
    assert (ended.error_class, ended.retry_at) == ("quota", 1_800_000_000)


def test_a_limit_that_is_only_near_says_nothing_of_a_later_error():
    warning = {
        "type": "rate_limit_event",
        "rate_limit_info": {"status": "allowed_warning", "resetsAt": 1_800_000_000},
        "uuid": "u",
        "session_id": "s",
    }
    assert end(warning, result(is_error=True, result="Slow down", api_error_status=429)).retry_at == 0


@pytest.mark.parametrize(
    ("code", "said", "words", "expected"),
    [
        (401, "", "", "login"),
        (403, "", "", "login"),
        (0, "authentication_failed", "", "login"),
        (0, "", "Not logged in · Please run /login", "login"),
        (429, "rate_limit", "", "rate_limit"),
        (429, "", "You've hit your session limit · resets 3pm", "quota"),
        (400, "", "Your credit balance is too low", "quota"),
        (0, "billing_error", "", "quota"),
        (400, "invalid_request", "", "permanent"),
        (404, "", "", "permanent"),
        (413, "", "", "permanent"),
        (0, "", "Prompt is too long", "permanent"),
        (408, "", "", "transient"),
        (500, "server_error", "", "transient"),
        (529, "", "", "transient"),
        (0, "", "Unable to connect", "transient"),
    ],
)
def test_the_class_of_an_error(code, said, words, expected):
    assert classify(code, said, words) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("resets 3pm (UTC)", datetime(2026, 3, 4, 15, 0, tzinfo=UTC)),
        ("resets 3:30pm (UTC)", datetime(2026, 3, 4, 15, 30, tzinfo=UTC)),
        ("resets 12am (UTC)", datetime(2026, 3, 5, 0, 0, tzinfo=UTC)),
        ("resets 11am (UTC)", datetime(2026, 3, 5, 11, 0, tzinfo=UTC)),
        ("resets Mar 6, 9am (UTC)", datetime(2026, 3, 6, 9, 0, tzinfo=UTC)),
        ("resets Jan 2 at 9am (UTC)", datetime(2027, 1, 2, 9, 0, tzinfo=UTC)),
        ("resets 3pm (America/New_York)", datetime(2026, 3, 4, 20, 0, tzinfo=UTC)),
    ],
)
def test_the_end_of_a_limit_in_words(words, expected):
    assert reset_in(f"You've hit your limit · {words}", _NOON) == expected.timestamp()


@given(st.text() | st.from_regex(r"resets ([A-Z][a-z]{2} \d{1,2},? )?\d{1,2}(:\d\d)?(am|pm)( \(\S+\))?"))
def test_no_words_break_it_and_no_limit_ended_long_ago(words):
    found = reset_in(words, _NOON)
    assert found == 0 or found > _NOON - 86_400 * 2


def _request(**more: Any) -> dict[str, Any]:
    return {"tool_name": "Edit", "input": {"file_path": "a", "old_string": "x", "new_string": "y"}, **more}


def test_always_is_offered_only_where_something_lasts_and_lasts_for_the_conversation():
    assert "always" not in {option.id for option in blockage_of(_request(), 1, 0).options}
    with pytest.raises(InvalidAnswer):
        response_to(_request(), Answer(number=1, option="always"))
    rule = {"type": "addRules", "rules": [{"toolName": "Edit"}], "destination": "userSettings"}
    wide = {"type": "setMode", "mode": "bypassPermissions", "destination": "session"}
    request = _request(permission_suggestions=[rule, wide])
    assert "always" in {option.id for option in blockage_of(request, 1, 0).options}
    lasting = response_to(request, Answer(number=1, option="always"))["updatedPermissions"]
    assert lasting == [{**rule, "destination": "session"}]


def _setting(folder: Path, options: AgentOptions, **env: str) -> Setting:
    return Setting(workspace=folder, folder=folder, env={"PATH": "/usr/bin:/bin", **env}, options=options)


def test_no_secret_is_on_the_command_line_or_in_a_file(tmp_path):
    servers = {"one": McpServer(url="https://mcp.example", headers={"Authorization": "Bearer ${TOKEN}"})}
    options = AgentOptions(program=("/bin/true",), mcp_servers=servers, system_prompt="Be brief.")
    setting = _setting(tmp_path, options, TOKEN="value-of-token")
    argv = " ".join(program.headless(setting, "an-id"))
    assert "value-of-token" not in argv and "Be brief." not in argv
    file = tmp_path / "mcp.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert "value-of-token" not in file.read_text()
    named = json.loads(file.read_text())["mcpServers"]["one"]["headers"]["Authorization"]
    assert program.environment(setting)[named.strip("${}")] == "Bearer value-of-token"


def test_what_looks_like_a_variable_in_a_command_is_left_to_the_command(tmp_path):
    servers = {"one": McpServer(command=("sh", "-c", "echo ${HOME}"))}
    setting = _setting(tmp_path, AgentOptions(program=("/bin/true",), mcp_servers=servers))
    program.headless(setting, "an-id")
    _, word = json.loads((tmp_path / "mcp.json").read_text())["mcpServers"]["one"]["args"]
    assert program.environment(setting)[word.strip("${}")] == "echo ${HOME}"


def test_an_unset_name_is_told_with_its_server(tmp_path):
    options = AgentOptions(
        program=("/bin/true",), mcp_servers={"one": McpServer(command=("x",), env={"A": "${NOT_SET}"})}
    )
    with pytest.raises(PermanentAgentError, match=r"'one'.*NOT_SET"):
        program.headless(_setting(tmp_path, options), "an-id")


def test_the_sandbox_is_claimed_by_the_explicit_word_only(tmp_path, monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 0)
    for policy in ("ask", "accept-edits", "plan"):
        options = AgentOptions(permissions=Permissions(policy=policy))
        assert "IS_SANDBOX" not in program.environment(_setting(tmp_path, options))
    options = AgentOptions(permissions=Permissions(policy="everything"))
    assert program.environment(_setting(tmp_path, options))["IS_SANDBOX"] == "1"


def test_loading_the_runtime_does_not_load_the_sdk():
    code = "import sys, cis_provider.runtimes.claude; print('claude_agent_sdk' in sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert said.stdout.strip() == "False"
