"""What the Codex runtime understands and says, without Codex."""

from __future__ import annotations

import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cis_provider.errors import InvalidAnswer, PermanentAgentError, StaleAnswer
from cis_provider.model.blockage import Answer, BlockageKind
from cis_provider.model.options import AgentOptions, McpServer, Permissions
from cis_provider.runtimes.base import Setting
from cis_provider.runtimes.codex import items, launch, requests
from cis_provider.runtimes.codex.permissions import Wish, decide, matches, mode, switched_off, terminal_mode
from cis_provider.runtimes.codex.trouble import judge, retry_time
from cis_provider.runtimes.codex.turn import Meter, Turn
from cis_provider.runtimes.codex.waiting import Waiting
from cis_provider.runtimes.events import Output, ToolCall, Usage

NOW = 1_800_000_000.0


def setting(env: dict[str, str] | None = None, **options: Any) -> Setting:
    return Setting(workspace=Path("/w"), folder=Path("/f"), env=env or {}, options=AgentOptions(**options))


# Errors.


@pytest.mark.parametrize(
    ("info", "message", "expected"),
    [
        ("usageLimitExceeded", "used up", "quota"),
        ("rateLimitExceeded", "slower", "rate_limit"),
        ("serverOverloaded", "at capacity", "transient"),
        ("contextWindowExceeded", "no room", "permanent"),
        ("unauthorized", "who", "login"),
        ({"httpConnectionFailed": {"httpStatusCode": 401}}, "unexpected status", "login"),
        ({"responseTooManyFailedAttempts": {"httpStatusCode": 429}}, "again and again", "rate_limit"),
        ({"httpConnectionFailed": {"httpStatusCode": 402}}, "pay", "quota"),
        ({"httpConnectionFailed": {"httpStatusCode": 422}}, "what", "permanent"),
        ({"responseStreamDisconnected": {"httpStatusCode": None}}, "gone", "transient"),
        ({"responseStreamConnectionFailed": {"httpStatusCode": 503}}, "busy", "transient"),
        ("other", "stream disconnected before completion: network error", "transient"),
        ("other", "Missing environment variable: `KEY`.", "login"),
        ("other", "The request is not valid.", "permanent"),
        (None, "something new", "permanent"),
    ],
)
def test_an_error_has_a_class(info: Any, message: str, expected: str) -> None:
    assert judge({"message": message, "codexErrorInfo": info}, None, NOW).error_class == expected


def test_the_providers_words_are_taken_out_of_its_json() -> None:
    error = {"message": '{"error": {"message": "The request is not valid."}}', "codexErrorInfo": "other"}
    assert judge(error, None, NOW).error == "The request is not valid."


def test_an_error_without_words_says_so() -> None:
    assert "does not say why" in judge(None, None, NOW).error


def test_a_limit_ends_when_the_last_window_that_is_used_up_does() -> None:
    limits = {
        "primary": {"usedPercent": 100, "resetsAt": NOW + 600},
        "secondary": {"usedPercent": 100, "resetsAt": NOW + 9000},
    }
    assert retry_time("try again at 1:00 PM", limits, NOW) == NOW + 9000
    limits["secondary"]["usedPercent"] = 40
    assert retry_time("try again at 1:00 PM", limits, NOW) == NOW + 600


def test_a_reset_that_is_over_is_no_reset() -> None:
    assert retry_time("", {"primary": {"usedPercent": 100, "resetsAt": NOW - 1}}, NOW) == 0.0


@given(st.integers(60, 86_000))
def test_a_time_of_day_is_the_next_such_minute(ahead: int) -> None:
    at = NOW + ahead
    said = time.strftime("%I:%M %p", time.localtime(at)).lstrip("0")
    assert at < retry_time(f"You've hit your usage limit ... or try again at {said}.", None, NOW) <= at + 60


def test_a_date_and_a_span_are_understood() -> None:
    at = time.mktime((2027, 2, 3, 14, 5, 0, 0, 0, -1))
    assert retry_time("try again at Feb 3rd, 2027 2:05 PM.", None, NOW) == at
    assert retry_time("Please try again in 1.5s.", None, NOW) == NOW + 1.5
    assert retry_time("try again in 2 hours 3 minutes.", None, NOW) == NOW + 7380


@given(st.text())
def test_no_words_break_the_search_for_a_time(words: str) -> None:
    assert retry_time(f"try again at {words}", None, NOW) >= 0
    assert retry_time(f"try again in {words}", None, NOW) >= 0


@pytest.mark.parametrize("at", ["99:99 PM", "Foo 3rd, 2027 2:05 PM", "Feb 31st, 2027 2:05 PM"])
def test_a_time_that_is_none_is_none(at: str) -> None:
    assert retry_time(f"try again at {at}", None, NOW) == 0.0


# Permissions.


def command(line: str) -> Wish:
    return Wish(("bash", "shell"), (line,), is_command=True)


@pytest.mark.parametrize(
    ("pattern", "line", "expected"),
    [
        ("Bash", "anything; at all", True),
        ("Bash(*)", "anything; at all", True),
        ("Bash(git *)", "git log -1", True),
        ("Bash(git:*)", "git log", True),
        ("Bash(git *)", "git log; rm -r x", False),
        ("Bash(git *)", "git log $(rm x)", False),
        ("Bash(git *)", "git log\nrm x", False),
        ("Bash(a; b)", "a; b", True),
        ("Bash(git *)", "rm git ", False),
        ("Edit", "git log", False),
        ("mcp__*", "git log", False),
        ("(((", "git log", False),
    ],
)
def test_patterns(pattern: str, line: str, expected: bool) -> None:
    assert matches(pattern, command(line)) is expected


def test_a_pattern_for_files_must_fit_all_of_them() -> None:
    wish = Wish(("edit",), ("/w/src/a.py", "/w/src/b.py"))
    assert matches("Edit(/w/src/*)", wish)
    assert not matches("Edit(*/a.py)", wish)
    assert not matches("Edit(/w/*)", Wish(("edit",)))


def test_a_policy_decides_where_no_pattern_does() -> None:
    wish = command("git log")
    assert decide(Permissions(policy="ask"), wish)[0] == "ask"
    assert decide(Permissions(policy="accept-edits"), wish)[0] == "ask"
    assert decide(Permissions(policy="plan"), wish)[0] == "reject"
    assert decide(Permissions(policy="everything"), wish)[0] == "allow"
    assert decide(Permissions(policy="plan", allow=("Bash(git *)",)), wish)[0] == "allow"


def test_only_the_explicit_word_lifts_the_sandbox() -> None:
    assert mode(Permissions(policy="ask")) == ("untrusted", "workspace-write")
    assert mode(Permissions(policy="accept-edits")) == ("on-request", "workspace-write")
    assert mode(Permissions(policy="plan"))[1] == "read-only"
    assert mode(Permissions(policy="everything")) == ("never", "danger-full-access")
    assert terminal_mode(Permissions(policy="ask")) == ("on-request", "read-only")


def test_tools_that_can_be_switched_off_are_and_others_are_refused() -> None:
    servers = {"db": McpServer(command=("db",))}
    options = AgentOptions(denied_tools=("WebSearch", "mcp__db__drop"), mcp_servers=servers)
    assert switched_off(options) == {"web_search": "disabled", "mcp_servers.db.disabled_tools": ["drop"]}
    for name in ("Bash", "mcp__other__drop", "mcp__db"):
        with pytest.raises(PermanentAgentError, match=name):
            switched_off(AgentOptions(denied_tools=(name,), mcp_servers=servers))


# How it is started.

_VALUES = st.recursive(
    st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(_VALUES)
def test_a_setting_is_read_back_from_its_toml(value: Any) -> None:
    line = launch.toml(value)
    assert "\n" not in line
    assert tomllib.loads(f"it = {line}")["it"] == value


def test_what_toml_cannot_say_is_refused() -> None:
    with pytest.raises(PermanentAgentError, match="None"):
        launch.toml(None)


def test_secrets_of_mcp_servers_go_by_variables() -> None:
    servers = {
        "a": McpServer(command=("tool", "-x"), env={"TOKEN": "t-${KEY}", "PLAIN": "p"}),
        "b": McpServer(url="http://there", headers={"Authorization": "Bearer ${KEY}", "X": "y"}),
    }
    made = launch.plan(setting({"KEY": "value of key"}, mcp_servers=servers))
    line = " ".join(launch.as_arguments(made.overrides))
    # Also where nothing tells that it was filled in: "p" may be a secret by now.
    assert sorted(made.env.values()) == ["Bearer value of key", "p", "t-value of key", "y"]
    assert not [one for one in ("value of key", '"p"', '"y"') if one in line]
    variable = made.overrides["mcp_servers.a.env_vars"][0]
    assert made.overrides["mcp_servers.a.args"][-2:] == ["tool", "-x"]
    assert f'TOKEN="${variable}"' in made.overrides["mcp_servers.a.args"][1]
    assert made.env[made.overrides["mcp_servers.b.env_http_headers"]["Authorization"]].startswith("Bearer")


def test_a_variable_that_is_not_set_is_named() -> None:
    servers = {"a": McpServer(command=("tool",), env={"TOKEN": "${KEY}"})}
    with pytest.raises(PermanentAgentError, match="KEY"):
        launch.plan(setting(mcp_servers=servers))


def test_a_config_that_is_not_known_is_refused() -> None:
    with pytest.raises(PermanentAgentError, match="colour"):
        launch.plan(setting(config={"colour": "red"}))


def test_a_system_prompt_stands_on_no_command_line() -> None:
    made = setting(system_prompt="Be brief.")
    plan = launch.plan(made)
    assert "Be brief." not in " ".join(launch.server_argv(["codex"], plan, made.options))
    assert launch.thread_parameters(made, plan, {})["developerInstructions"] == "Be brief."


def test_an_api_key_of_the_environment_is_named_not_shown() -> None:
    provider = launch.key_provider({"OPENAI_API_KEY": "test-key"})
    assert provider[f"model_providers.{launch.KEY_PROVIDER}.env_key"] == "OPENAI_API_KEY"
    assert "test-key" not in str(provider)
    assert launch.key_provider({"OPENAI_API_KEY": ""}) == {}


# Requests.


def test_a_command_is_shown_as_the_model_wrote_it() -> None:
    request = requests.read(
        "item/commandExecution/requestApproval", {"command": "/bin/bash -lc 'git log; ls'", "cwd": "/w"}, {}
    )
    assert request is not None
    assert request.asks()[0].title == "run: git log; ls"
    assert request.wish() == Wish(("bash", "shell", "exec_command"), ("git log; ls",), is_command=True)


def test_rights_are_given_as_they_were_wanted_or_not_at_all() -> None:
    params = {"permissions": {"network": {"enabled": True}, "fileSystem": None}}
    request = requests.read("item/permissions/requestApproval", params, {})
    assert request is not None
    given_ = request.response([Answer(number=1, option="acceptForSession")])
    assert given_ == {"permissions": {"network": {"enabled": True}}, "scope": "session"}
    assert request.response([Answer(number=1, option="decline")]) == {"permissions": {}, "scope": "turn"}


def test_a_call_of_an_mcp_tool_is_a_permission_and_a_form_is_a_question() -> None:
    empty: dict[str, Any] = {
        "serverName": "db",
        "message": "Allow?",
        "requestedSchema": {"properties": {}},
        "_meta": None,
    }
    call = requests.read("mcpServer/elicitation/request", {**empty, "_meta": {"tool_name": "drop"}}, {})
    assert call is not None
    assert (call.asks()[0].kind, call.asks()[0].tool) == (BlockageKind.PERMISSION, "mcp__db__drop")
    wish = call.wish()
    assert wish is not None
    assert matches("mcp__db__drop", wish)
    assert matches("mcp__db", wish)
    assert call.denied == "mcp__db__drop"
    running = {
        "id": "7",
        "type": "mcpToolCall",
        "server": "db",
        "status": "inProgress",
        "arguments": {"a": 1},
    }
    about = requests.read("mcpServer/elicitation/request", empty, {"7": running})
    assert about is not None
    assert about.item_id == "7"
    assert '{"a":1}' in about.asks()[0].detail
    form = requests.read(
        "mcpServer/elicitation/request", {**empty, "requestedSchema": {"properties": {"n": {}}}}, {}
    )
    assert form is not None
    assert form.asks()[0].kind is BlockageKind.QUESTION
    assert form.response([Answer(number=1, text='{"n": 1}')])["content"] == {"n": 1}
    for wrong in ("no json", "[1]"):
        with pytest.raises(InvalidAnswer):
            form.response([Answer(number=1, text=wrong)])


def test_what_is_not_known_is_no_request() -> None:
    assert requests.read("attestation/generate", {}, {}) is None
    assert requests.read("item/tool/requestUserInput", {"questions": []}, {}) is None


def test_words_are_taken_only_where_they_go_somewhere() -> None:
    ask = requests.Ask(
        kind=BlockageKind.PERMISSION, title="run: x", options=(requests.ACCEPT, requests.DECLINE)
    )
    ask.check(Answer(number=1, option="decline", text="because"))
    for wrong in (
        Answer(number=1, option="accept", text="because"),
        Answer(number=1, text="because"),
        Answer(number=1),
        Answer(number=1, option="other"),
    ):
        with pytest.raises(InvalidAnswer):
            ask.check(wrong)


def test_a_request_that_was_resolved_elsewhere_waits_no_more() -> None:
    waiting = Waiting()
    request = requests.read("item/fileChange/requestApproval", {}, {})
    assert request is not None
    blockage = waiting.add(7, request, NOW)
    assert waiting.resolved(8) == 0
    assert waiting.resolved(7) == blockage.number == 1
    with pytest.raises(StaleAnswer):
        waiting.get(1)
    assert waiting.add(9, request, NOW).number == 2


# Turns.


def message(number: str, text: str) -> dict[str, Any]:
    return {"type": "agentMessage", "id": number, "text": text}


def run(number: str, **values: Any) -> dict[str, Any]:
    return {"type": "commandExecution", "id": number, "command": "ls", "status": "completed", **values}


def test_the_final_text_is_what_is_said_after_the_last_call() -> None:
    turn = Turn()
    turn.item(message("1", "Let me see."), ended=True)
    turn.item(run("2"), ended=True)
    turn.item(message("3", "It is"), ended=True)
    turn.item(message("4", "good."), ended=True)
    assert turn.end({"status": "completed"}, None, NOW).text == "It is\n\ngood."


def test_a_message_that_did_not_come_in_pieces_is_shown_whole() -> None:
    assert Turn().item(message("1", "Whole."), ended=True) == [Output(text="Whole.\n")]


def test_a_declined_call_is_denied_once() -> None:
    turn = Turn()
    turn.deny("ls")
    events = turn.item(run("1", status="declined"), ended=True)
    assert [event.status for event in events if isinstance(event, ToolCall)] == ["failed"]
    assert turn.end({"status": "completed"}, None, NOW).denied == ("ls",)


def test_a_machine_without_a_sandbox_is_named() -> None:
    turn = Turn()
    said = "bwrap: No permissions to create new namespace"
    turn.item(run("1", status="failed", exitCode=1, aggregatedOutput=said), ended=True)
    (denied,) = turn.end({"status": "completed"}, None, NOW).denied
    assert "no sandbox on this machine" in denied
    assert "bwrap: No permissions" in denied


def test_an_answer_that_is_no_json_is_not_structured() -> None:
    turn = Turn(structured=True)
    turn.item(message("1", "no json"), ended=True)
    assert turn.end({"status": "completed"}, None, NOW).structured == ""


def total(tokens: int, last: int) -> dict[str, Any]:
    return {"total": {"inputTokens": tokens}, "last": {"inputTokens": last}}


def test_tokens_of_before_are_not_counted() -> None:
    told, not_told = Meter(), Meter()
    assert told.take("t", total(500, 100), running=False) is None
    assert told.take("t", total(620, 120), running=True) == Usage(input_tokens=120)
    assert told.take("t", total(720, 100), running=True) == Usage(input_tokens=220)
    assert not_told.take("t", total(620, 120), running=True) == Usage(input_tokens=120)
    assert not_told.take("helper", total(30, 30), running=True) == Usage(input_tokens=150)


@given(st.dictionaries(st.sampled_from(["type", "id", "status", "command", "tool", "changes"]), st.text()))
def test_no_item_breaks_the_listener(item: dict[str, Any]) -> None:
    turn = Turn()
    turn.item(item, ended=False)
    turn.item(item, ended=True)
    items.title(item)
