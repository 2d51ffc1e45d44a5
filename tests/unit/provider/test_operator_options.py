"""Options on their way from an operator into a request."""

from __future__ import annotations

import json
from types import SimpleNamespace

import jinja2
import pytest

from cis_provider.context.store import StoredOutput
from cis_provider.errors import ConfigError, PermanentAgentError
from cis_provider.model.option_texts import filled
from cis_provider.model.options import AgentOptions, McpServer, Permissions
from cis_provider.model.placeholders import substitute
from cis_provider.operators.agent import AgentOperator
from cis_provider.operators.options import to_options
from cis_provider.operators.outputs import UpstreamOutputs
from cis_provider.operators.rendering import guarded
from cis_provider.operators.request import build_request


def context():
    return {
        "ti": SimpleNamespace(dag_id="d", run_id="r", task_id="a", map_index=-1, try_number=1, max_tries=0)
    }


def operator(**given):
    return AgentOperator(**{"task_id": "a", "agent_type": "claude", "prompt": "x", **given})


def test_options_can_be_a_record_and_are_kept_as_plain_values():
    task = operator(options=AgentOptions(model="m", permissions=Permissions(allow=("Read",))))
    json.dumps(task.options)
    assert to_options(task.options) == AgentOptions(model="m", permissions=Permissions(allow=("Read",)))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"modl": "m"}, "options: unknown key 'modl' (did you mean 'model'?)"),
        ({"permissions": {"alow": []}}, "options.permissions: unknown key 'alow' (did you mean 'allow'?)"),
        ({"mcp_servers": {"m": {"cmd": []}}}, "options.mcp_servers.m: unknown key 'cmd'"),
        ({"check_retries": "2"}, "options.check_retries: expected `int`, got `str`"),
        ({"permissions": {"policy": "all"}}, "options.permissions.policy: invalid enum value 'all'"),
        ("plan", "options: expected a mapping, got str"),
    ],
)
def test_a_mistake_in_the_options_names_its_place(options, words):
    with pytest.raises(PermanentAgentError) as raised:
        to_options(options)
    assert str(raised.value).startswith(words)


def test_options_go_into_the_request_and_what_they_name_into_its_secrets(monkeypatch, cis_home):
    for name in ("SERVER_KEY", "WEB_TOKEN", "DEEP"):
        monkeypatch.setenv(name, f"value of {name}")
    task = operator(
        options={
            "mcp_servers": {
                "a": {"command": ["x"], "env": {"K": "${SERVER_KEY}"}},
                "b": {"url": "http://u", "headers": {"H": "Bearer ${WEB_TOKEN}"}},
            },
            "config": {"some": [{"thing": "${DEEP}"}]},
            "check": 'test "${NOT_READ_HERE}"',
        }
    )
    request = build_request(task, context(), UpstreamOutputs("d", "r", []), ())
    assert request.secrets == {name: f"value of {name}" for name in ("SERVER_KEY", "WEB_TOKEN", "DEEP")}
    assert request.options.mcp_servers["a"] == McpServer(command=("x",), env={"K": "${SERVER_KEY}"})
    ready = filled(request.options, request.secrets)
    assert ready.mcp_servers["a"].env == {"K": "value of SERVER_KEY"}
    assert ready.mcp_servers["b"].headers == {"H": "Bearer value of WEB_TOKEN"}
    assert ready.config == {"some": [{"thing": "value of DEEP"}]}
    assert ready.check == 'test "${NOT_READ_HERE}"'
    with pytest.raises(ConfigError, match="not set: DEEP"):
        filled(request.options, {})


def test_a_template_fills_in_options_but_cannot_name_a_secret():
    task = operator(
        options={
            "model": "{{ params.m }}",
            "config": {"a": "${MINE} {{ params.m }}"},
            "check": "${x} {{ params.m }}",
        },
        env={},
    )
    inner = {"params": {"m": "${THEIRS}"}, "ti": context()["ti"], "task": task}
    task._do_render_template_fields(task, ("options",), inner, jinja2.Environment(autoescape=False), set())
    assert task.options == {
        "model": "${THEIRS}",
        "config": {"a": "${MINE} $${THEIRS}"},
        "check": "${x} ${THEIRS}",
    }
    assert filled(to_options(task.options), {"MINE": "m"}).config == {"a": "m ${THEIRS}"}


def test_what_others_said_is_text_in_a_prompt_and_names_no_variable(monkeypatch, cis_home):
    monkeypatch.setenv("MINE", "m")
    said = StoredOutput("b", "shell", "echo ${THEIRS} ${", is_error=False, subtype="success")
    upstream = SimpleNamespace(stored={"b": said})
    request = build_request(operator(prompt="Say ${MINE}."), context(), upstream, ())
    assert request.secrets == {"MINE": "m"}
    prompt = substitute(request.command, request.secrets.get)
    assert "echo ${THEIRS} ${" in prompt
    assert prompt.endswith("Say m.")


def test_a_prompt_that_another_task_wrote_names_no_variable(monkeypatch, cis_home):
    monkeypatch.setenv("THEIRS", "secret")
    task = operator(prompt="x", env={})
    jinja = jinja2.Environment(autoescape=False)
    task.prompt = object()  # what comes of another task, as long as it has not been looked up
    with guarded(task, jinja):
        task.prompt = "Say ${THEIRS}."
    request = build_request(task, context(), UpstreamOutputs("d", "r", []), ())
    assert request.secrets == {}
    assert substitute(request.command, request.secrets.get) == "Say ${THEIRS}."
