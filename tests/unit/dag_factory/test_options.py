"""Keys that say how an agent's program is driven."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from cis_provider.model.options import AgentOptions, Budget, McpServer, Permissions
from cis_provider.operators.options import to_options
from dag_factory.option_keys import OptionKeys
from dag_factory.plan import make_plan
from dag_factory.validate import check_spec

#: One of each key, as a file has it.
EVERYTHING: dict[str, Any] = {
    "model": "m-1",
    "effort": "high",
    "system_prompt": "Be short.",
    "tools": ["Read", "Bash"],
    "denied_tools": ["WebFetch"],
    "permissions": {"policy": "accept-edits", "allow": ["Bash(git *)"]},
    "mcp_servers": {
        "files": {"command": "npx files --root '/a b'", "env": {"KEY": "${FILES_KEY}"}},
        "web": {"url": "http://localhost:1/mcp", "headers": {"Authorization": "Bearer ${WEB_TOKEN}"}},
    },
    "program": "my-claude --debug",
    "args": ["--verbose"],
    "config": {"depth": {"of": ["${DEPTH}"]}},
    "connection": "my_conn",
    "check": "make test",
    "check_retries": 1,
    "max_turns": 5,
    "max_cost_usd": 1.5,
    "max_tokens": 1000,
    "output_schema": {"type": "object", "required": ["ok"]},
    "session": "talk",
    "fallback": ["kimi", "opencode"],
}


def _arguments(*agents: dict[str, Any], **keys: Any) -> list[dict[str, Any]]:
    checked = check_spec(
        {"name": "d", "agents": [{"type": "claude", "prompt": "x", **a} for a in agents], **keys}
    )
    return [task.arguments for task in make_plan(checked).tasks if not task.group]


def test_every_key_reaches_the_operator_and_makes_the_options_of_a_request() -> None:
    assert EVERYTHING.keys() == OptionKeys.model_fields.keys()
    (arguments,) = _arguments({"id": "a", **EVERYTHING})
    assert arguments["agent_conn_id"] == "my_conn"
    assert msgspec.json.decode(msgspec.json.encode(arguments["options"])) == arguments["options"]
    assert to_options(arguments["options"]) == AgentOptions(
        model="m-1",
        effort="high",
        system_prompt="Be short.",
        tools=("Read", "Bash"),
        denied_tools=("WebFetch",),
        permissions=Permissions(policy="accept-edits", allow=("Bash(git *)",)),
        mcp_servers={
            "files": McpServer(command=("npx", "files", "--root", "/a b"), env={"KEY": "${FILES_KEY}"}),
            "web": McpServer(url="http://localhost:1/mcp", headers={"Authorization": "Bearer ${WEB_TOKEN}"}),
        },
        program=("my-claude", "--debug"),
        args=("--verbose",),
        config={"depth": {"of": ["${DEPTH}"]}},
        check="make test",
        check_retries=1,
        budget=Budget(max_turns=5, max_cost_usd=1.5, max_tokens=1000),
        output_schema={"type": "object", "required": ["ok"]},
        session="talk",
        fallback=("kimi", "opencode"),
    )


def test_an_agent_without_such_keys_has_no_options() -> None:
    (arguments,) = _arguments({"id": "a"})
    assert "options" not in arguments and "agent_conn_id" not in arguments


@pytest.mark.parametrize("word", ["ask", "accept-edits", "plan", "everything"])
def test_a_word_is_a_policy(word: str) -> None:
    (arguments,) = _arguments({"id": "a", "permissions": word})
    assert to_options(arguments["options"]).permissions == Permissions(policy=word)


def test_patterns_alone_leave_the_policy_at_ask() -> None:
    (arguments,) = _arguments({"id": "a", "permissions": {"allow": ["Read"]}})
    assert to_options(arguments["options"]).permissions == Permissions(policy="ask", allow=("Read",))


def test_an_agent_goes_on_in_the_conversation_of_a_dependency() -> None:
    arguments = _arguments({"id": "a"}, {"id": "b", "deps": ["a"], "session": {"from": "a"}})
    assert to_options(arguments[1]["options"]).session_from == "a"


def test_defaults_for_programs_are_not_given_to_scripts_but_a_check_is() -> None:
    script, agent = _arguments(
        {"id": "s", "type": "shell"}, {"id": "a"}, defaults={"model": "m", "connection": "c", "check": "true"}
    )
    assert script["options"] == {"check": "true"} and "agent_conn_id" not in script
    assert agent["options"] == {"check": "true", "model": "m"} and agent["agent_conn_id"] == "c"


def test_what_is_read_on_the_node_stays_and_the_rest_is_settled_at_load(check) -> None:
    text = """
        agents:
          - id: a
            type: acp
            prompt: x
            program: ["${BIN}", --acp]
            model: ${MODEL:-small}
            check: 'test -n "${UNSET_IN_BASH}"'
            mcp_servers:
              prompt: {command: "${BIN} mcp", env: {A: "${SECRET}"}}
              web: {url: "${URL}", headers: {B: "x ${SECRET}"}}
    """
    spec = check(text, env={"BIN": "/opt/agent", "URL": "http://u"}).need()
    options = to_options(
        make_plan(check(text, env={"BIN": "/opt/agent", "URL": "http://u"})).tasks[0].arguments["options"]
    )
    assert spec.agents[0].program == ("/opt/agent", "--acp")
    assert (options.model, options.check) == ("small", 'test -n "${UNSET_IN_BASH}"')
    assert options.mcp_servers == {
        "prompt": McpServer(command=("/opt/agent", "mcp"), env={"A": "${SECRET}"}),
        "web": McpServer(url="http://u", headers={"B": "x ${SECRET}"}),
    }


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ("type: acp", '4:3: F102 agent "a": "program" is missing: type acp runs the program that it names '
         "(such as program: [my-agent, --acp])"),
        ("type: terminal\n  program: ''", '7:12: F103 agent "a": "program" must name a program'),
        ("type: claude\n  program: 'a \"b'", '7:12: F103 agent "a": "program" cannot be split into words: '
         "no closing quotation"),
        ("type: claude\n  fallback: [claude]", '7:14: F103 agent "a": "fallback" names claude, which is the '
         "agent's own type"),
        ("type: claude\n  fallback: [kimi, kimi]", '7:20: F103 agent "a": "fallback" names kimi twice'),
        ("type: claude\n  fallback: [kini]", '7:14: F107 agent "a": unknown type "kini" in "fallback" (did you mean '
         '"kimi"?)'),
        ("type: claude\n  fallback: kimi", '7:13: F103 agent "a": "fallback" must be a list, not \'kimi\' '
         "(write [kimi])"),
        ("type: claude\n  session: {from: b}", '7:19: F206 agent "a": "session: from" names "b", which is not in its '
         "deps (add it to deps: [b])"),
        ("type: claude\n  session: {form: b}", '7:13: F101 agent "a": unknown key "form" (did you mean "from"?)'),
        ("type: shell\n  model: m", '7:3: F112 agent "a": "model" makes no sense for a shell agent: it runs a script, '
         "no program (remove it, or choose another type)"),
        ("type: claude\n  permissions: everthing", '7:16: F103 agent "a": "permissions" must be one of ask, '
         "accept-edits, plan, everything, not 'everthing' (did you mean \"everything\"?)"),
        ("type: claude\n  permissions: {alow: [x]}", '7:17: F101 agent "a": unknown key "alow" (did you mean '
         '"allow"?)'),
        ("type: claude\n  permissions: 3", '7:16: F103 agent "a": "permissions" must be ask, accept-edits, plan, '
         "everything or {policy: ..., allow: [...]}"),
        ("type: claude\n  mcp_servers: {m: {env: {A: b}}}", '7:20: F103 agent "a": "m" needs one of command and url'),
        ("type: claude\n  mcp_servers: {m: {comand: x, url: y}}", '7:21: F101 agent "a": unknown key "comand" (did you '
         'mean "command"?)'),
        ("type: claude\n  max_cost_usd: much", '7:17: F103 agent "a": "max_cost_usd" must be a number, not \'much\''),
        ("type: claude\n  max_cost_usd: -1", '7:17: F103 agent "a": "max_cost_usd" must be at least 0'),
        ("type: claude\n  output_schema: {type: objet}", '7:18: F103 agent "a": "output_schema" is no JSON schema'),
        ("type: kimi\n  config: {mod: fast}", '7:12: F113 agent "a": config: unknown key "mod" (there are mode, '
         "auth_method, retry_patience)"),
        ("type: kimi\n  config: {mode: 3}", "7:18: F113 agent \"a\": config: \"mode\": 3 is not of type 'string'"),
        ("type: claude\n  config: {a: '${b c}'}", "7:16: F007 '${b' is no placeholder (write ${NAME}, "
         "${NAME:-default}, or $${ for a plain ${)"),
        ("type: claude\n  check: echo {{ outputs['b'] }}", "7:10: F302"),
    ],
)  # fmt: skip
def test_contradictions_are_found(complaints, keys: str, complaint: str) -> None:
    text = f"agents:\n- {{id: b, type: claude, prompt: x}}\n-\n  id: a\n  prompt: x\n  {keys}\n"
    found = complaints(text)[-1]
    assert found.removeprefix("f.yaml:").startswith(complaint)


def test_a_wrong_default_is_shown_where_it_stands(complaints) -> None:
    found = complaints("""
        defaults: {type: kimi, fallback: [kimi]}
        agents:
          - {id: a, prompt: x}
    """)
    assert found == ['f.yaml:1:35: F103 agent "a": "fallback" names kimi, which is the agent\'s own type']
