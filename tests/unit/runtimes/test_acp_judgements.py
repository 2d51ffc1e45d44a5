"""What the ACP runtime concludes: from errors, patterns, reports and options. No process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cis_provider.errors import PermanentAgentError
from cis_provider.model.blockage import Option
from cis_provider.model.options import AgentOptions, Permissions
from cis_provider.runtimes.acp import settings
from cis_provider.runtimes.acp.kimi_records import KimiJournal
from cis_provider.runtimes.acp.permissions import choose, decide, inside, matches
from cis_provider.runtimes.acp.tools import Tool
from cis_provider.runtimes.acp.trouble import error_class, of_error, retry_time, status_in
from cis_provider.runtimes.acp.turn import Turn
from cis_provider.runtimes.base import Setting
from cis_provider.runtimes.events import Output, ToolCall, Usage
from cis_provider.runtimes.kimi import KimiRuntime
from cis_provider.runtimes.opencode import OpenCodeRuntime, permissions


def _command(text: str) -> Tool:
    return Tool(id="1", name="bash", kind="execute", input={"command": text})


@pytest.mark.parametrize(
    ("message", "status", "kind"),
    [
        ("scripted", 401, "login"),
        ("You exceeded your current quota", 429, "quota"),
        ("You exceeded your current quota", 403, "quota"),
        ("slow down", 429, "rate_limit"),
        ("overloaded", 529, "transient"),
        ("bad", 400, "permanent"),
        ("429 slow down", 0, "rate_limit"),
        ("HTTP 503", 0, "transient"),
        ("Internal error: status code 401", 0, "login"),
        ("Invalid API key", 0, "login"),
        ("model 'x-401' does not exist", 0, "permanent"),
        ("line 429 of the file", 0, "transient"),
        ("fetch failed", 0, "transient"),
    ],
)
def test_an_error_has_the_class_of_its_status_and_words(message: str, status: int, kind: str) -> None:
    assert error_class(message, status) == kind


def test_the_protocols_own_code_for_a_login_counts_but_a_quota_is_no_login() -> None:
    assert of_error(-32000, "Authentication required", 0.0).error_class == "login"
    assert (
        of_error(-32000, "Authentication required: You exceeded your current quota", 0.0).error_class
        == "quota"
    )
    assert of_error(-32603, "Internal error", 0.0, {"details": "429 wait"}).error_class == "rate_limit"


@pytest.mark.parametrize(
    ("message", "headers", "at"),
    [
        ("", {"Retry-After": "30"}, 130.0),
        ("Please try again in 20s", {}, 120.0),
        ("resets in 2 hours", {}, 7300.0),
        ("retry after 500ms", {}, 100.5),
        ("", {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, 0.0),
        ("later", {}, 0.0),
    ],
)
def test_the_end_of_a_limit_is_read(message: str, headers: dict[str, str], at: float) -> None:
    assert retry_time(message, headers, 100.0) == pytest.approx(at)


@given(st.text(max_size=200))
def test_no_words_make_the_judgement_of_an_error_fail(words: str) -> None:
    assert (
        error_class(words) and retry_time(words, {}, 5.0) >= 0 and status_in(words) in {0, *range(400, 600)}
    )


@pytest.mark.parametrize(
    ("pattern", "tool", "same"),
    [
        ("Bash(git *)", _command("git status"), True),
        ("bash(git *)", _command("git status"), True),
        ("Bash(git:*)", _command("git status"), True),
        ("Bash(git *)", _command("git status; rm x"), False),
        ("Bash(git *)", _command("git log $(rm x)"), False),
        ("Bash(git *)", _command("git log\nrm x"), False),
        ("Bash(git *)", _command("git log > x"), False),
        ("Bash(git *)", _command("sudo git log"), False),
        ("Bash(a | b)", _command("a | b"), True),
        ("Bash(*)", _command("a; b"), True),
        ("Bash", _command("a; b"), True),
        ("Bash(git *)", Tool(id="1", name="bash", kind="execute"), False),
        ("Read", Tool(id="1", name="notes.txt", kind="read"), True),
        ("Read", _command("cat x"), False),
        ("mcp__one__*", Tool(id="1", name="mcp__one__find", kind="other"), True),
        ("*", _command("ls"), True),
        ("Edit(src/*)", Tool(id="1", name="edit", kind="edit", input={"filePath": "src/a.py"}), True),
        ("not a pattern (", _command("ls"), False),
    ],
)
def test_a_pattern_means_the_calls_it_names(pattern: str, tool: Tool, same: bool) -> None:
    assert matches(pattern, tool) is same


@given(st.text(max_size=30), st.sampled_from(";|&<>`$\n(){}\\"), st.text(max_size=30))
def test_a_command_of_several_parts_is_never_allowed_by_its_beginning(one: str, mark: str, two: str) -> None:
    assert not matches("Bash(git *)", _command(f"git {one}{mark}{two}"))


def test_policies_decide(tmp_path: Path) -> None:
    edit = Tool(id="1", name="edit", kind="edit", input={"path": "a.py"})
    outside = Tool(id="1", name="edit", kind="edit", input={"path": "/etc/hosts"}, locations=("a.py",))
    assert decide(Permissions(), edit, tmp_path) == "ask"
    assert decide(Permissions(policy="accept-edits"), edit, tmp_path) == "allow"
    assert decide(Permissions(policy="accept-edits"), outside, tmp_path) == "ask"
    assert decide(Permissions(policy="accept-edits"), _command("ls"), tmp_path) == "ask"
    assert decide(Permissions(policy="plan"), edit, tmp_path) == "reject"
    assert decide(Permissions(policy="plan"), Tool(id="1", kind="read"), tmp_path) == "allow"
    assert decide(Permissions(policy="plan", allow=("Bash(ls)",)), _command("ls"), tmp_path) == "allow"
    assert decide(Permissions(policy="everything"), _command("ls"), tmp_path) == "allow"
    assert not inside(Tool(id="1", kind="edit"), tmp_path)


def test_an_option_is_taken_for_once_and_the_last_way_out() -> None:
    options = (
        Option("a", "A", "allow_always"),
        Option("b", "B", "allow_once"),
        Option("c", "Revise", "reject_once"),
        Option("d", "Reject and exit", "reject_once"),
    )
    assert choose("allow", options) == options[1]
    assert choose("reject", options) == options[3]
    assert choose("allow", options[2:]) is None and choose("ask", options) is None


def test_a_calls_arguments_that_grow_are_told_once_and_understood() -> None:
    turn = Turn()
    text = json.dumps({"command": "make all", "description": "build"})
    told = [turn.take(_call("tool_call", title="Bash", kind="execute", text=""))]
    told += [
        turn.take(_call("tool_call_update", status="in_progress", text=text[:n]))
        for n in range(1, len(text) + 1)
    ]
    assert [one.status for one in told if isinstance(one, ToolCall)] == ["pending", "in_progress"]
    assert turn.tools["t"].subject == "make all"


def test_the_final_text_is_what_came_after_the_last_tool_call() -> None:
    turn = Turn(is_notice=lambda text: text == "housekeeping")
    turn.take(_chunk("I will look. "))
    turn.take(_call("tool_call", title="Bash"))
    turn.take(_chunk("housekeeping"))
    turn.take(_chunk("It is "))
    turn.take(_call("tool_call_update", status="completed"))
    assert turn.take(_chunk("done.")) == Output(text="done.")
    assert turn.ended("end_turn").text == "It is done."
    turn.cancelled = True
    assert turn.ended("end_turn").stop_reason == "cancelled"
    assert turn.ended("odd").stop_reason == "cancelled"


@given(
    st.recursive(st.none() | st.text(max_size=5) | st.integers(), lambda inner: st.lists(inner, max_size=3))
)
def test_reports_of_any_content_are_taken(content: Any) -> None:
    turn = Turn()
    turn.take({"sessionUpdate": "tool_call", "toolCallId": "t", "content": content, "rawInput": content})
    turn.take({"sessionUpdate": "agent_message_chunk", "content": content})
    turn.take({"sessionUpdate": "something_new", "content": content})


def test_a_model_is_found_by_id_name_or_without_its_provider() -> None:
    option = {
        "options": [
            {"value": "zai/glm-5", "name": "GLM"},
            {"name": "more", "options": [{"value": "b", "name": "B"}]},
        ]
    }
    assert [settings.value_for(option, one, "model") for one in ("zai/glm-5", "GLM", "glm-5", "b")] == [
        "zai/glm-5",
        "zai/glm-5",
        "zai/glm-5",
        "b",
    ]
    with pytest.raises(PermanentAgentError, match="zai/glm-5, b"):
        settings.value_for(option, "glm-9", "model")


def test_opencode_asks_unless_told_otherwise_and_never_what_nobody_sees() -> None:
    ask = permissions(AgentOptions(denied_tools=("WebFetch",)), attended=False)
    assert (ask["*"], ask["glob"], ask["question"], ask["task"], ask["webfetch"]) == (
        "ask", "allow", "allow", "deny", "deny",
    )  # fmt: skip
    assert ask["read"]["*.env"] == "ask"
    everything = permissions(AgentOptions(permissions=Permissions(policy="everything")), attended=False)
    assert everything == {"*": "allow", "question": "deny"}
    own = AgentOptions(config={"permission": {"bash": {"git *": "allow"}, "task": "allow"}})
    assert permissions(own, attended=False)["bash"] == {"git *": "allow"}
    assert permissions(own, attended=False)["task"] == "deny"
    some = permissions(AgentOptions(tools=("Write", "Bash")), attended=True)
    assert some == {"*": "deny", "edit": "ask", "bash": "ask"}


def test_opencode_gets_a_password_and_keeps_the_configuration_it_has(tmp_path: Path) -> None:
    env = {
        "PATH": "/bin",
        "OPENCODE_CONFIG_CONTENT": '{"model": "a/b"}',
    }
    options = AgentOptions(system_prompt="Be brief.")
    setting = OpenCodeRuntime().prepare(
        Setting(workspace=tmp_path, folder=tmp_path, env=env, options=options)
    )
    assert len(setting.env["OPENCODE_SERVER_PASSWORD"]) > 20
    assert setting.env["OPENCODE_ENABLE_QUESTION_TOOL"] == "1" and "OPENCODE_ENABLE_QUESTION_TOOL" not in env
    config = json.loads(setting.env["OPENCODE_CONFIG_CONTENT"])
    assert config["model"] == "a/b" and Path(config["instructions"][0]).read_text() == "Be brief."
    with pytest.raises(PermanentAgentError, match="no JSON"):
        OpenCodeRuntime().prepare(
            Setting(
                workspace=tmp_path, folder=tmp_path, env={"OPENCODE_CONFIG_CONTENT": "{"}, options=options
            )
        )


def test_kimi_records_tell_what_the_protocol_does_not(tmp_path: Path) -> None:
    file = tmp_path / "sessions" / "w" / "s1" / "agents" / "main" / "wire.jsonl"
    file.parent.mkdir(parents=True)
    used = {"type": "usage.record", "usage": {"inputOther": 5, "inputCacheRead": 3, "output": 2}}
    _append(file, used, {"type": "turn.ended", "reason": "completed"})
    journal = KimiJournal({"KIMI_CODE_HOME": str(tmp_path)}, "s1")
    journal.begin()
    assert journal.look(final=False).usage is None  # an earlier process's
    retry = {
        "type": "turn.step.retrying",
        "statusCode": 429,
        "errorMessage": "429",
        "time": 4e12,
        "delayMs": 9e5,
    }
    _append(file, used, retry)
    file.open("a").write('{"type": "turn.en')  # not all of it is there yet
    look = journal.look(final=False)
    assert look.usage == Usage(input_tokens=8, output_tokens=2, cached_tokens=3) and look.calls == 1
    assert look.trouble and look.trouble.waiting and look.trouble.retry_at == 4e9 + 900
    error = {"code": "provider.api_error", "message": "400 bad", "details": {"statusCode": 400}}
    file.open("a").write(f'ded", "reason": "failed", "error": {json.dumps(error)}}}\n')
    trouble = journal.look(final=True).trouble
    assert trouble and trouble.error_class == "permanent" and not trouble.waiting
    journal.begin()
    assert journal.look(final=False).trouble is None


def test_kimis_questions_are_no_permissions() -> None:
    assert KimiRuntime().is_question({"options": [{"optionId": "q0_opt_0"}, {"optionId": "q0_skip"}]})
    assert not KimiRuntime().is_question({"options": [{"optionId": "approve_once"}]})
    assert not KimiRuntime().is_question({})


def _append(file: Path, *records: dict[str, Any]) -> None:
    with file.open("a") as out:
        out.writelines(json.dumps(record) + "\n" for record in records)


def _call(what: str, text: str | None = None, **fields: Any) -> dict[str, Any]:
    content = [] if text is None else [{"type": "content", "content": {"type": "text", "text": text}}]
    return {"sessionUpdate": what, "toolCallId": "t", "content": content, **fields}


def _chunk(text: str) -> dict[str, Any]:
    return {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}}
