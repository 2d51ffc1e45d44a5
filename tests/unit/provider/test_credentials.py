"""Keys of agents: from an Airflow connection to variables of the agent's process."""

from __future__ import annotations

import importlib
import json
from types import SimpleNamespace
from typing import Any

import pytest

from cis_provider.errors import PermanentAgentError, StoreError
from cis_provider.get_provider_info import get_provider_info
from cis_provider.model.credentials import Credentials, variables_for
from cis_provider.operators.agent import AgentOperator
from cis_provider.operators.credentials import from_connection, login_for
from cis_provider.operators.outputs import UpstreamOutputs
from cis_provider.operators.request import build_request

KEY, URL = "test-key-of-connection", "http://localhost:1/v1"


def connection(extra: Any = None, **given: Any) -> Any:
    values = {"conn_type": "cis_agent", "password": KEY, "host": "", "port": None, "schema": None, **given}
    return SimpleNamespace(**values, extra=extra if isinstance(extra, str | None) else json.dumps(extra))


def given(**fields: Any) -> Credentials:
    return Credentials(**{"conn_id": "c", "key": KEY, **fields})


@pytest.mark.parametrize(
    ("agent_type", "fields", "model", "secret", "plain"),
    [
        ("claude", {}, "", {"ANTHROPIC_API_KEY": KEY}, {}),
        ("claude", {"base_url": URL}, "", {"ANTHROPIC_API_KEY": KEY}, {"ANTHROPIC_BASE_URL": URL}),
        ("claude", {"kind": "oauth-token"}, "", {"CLAUDE_CODE_OAUTH_TOKEN": KEY}, {}),
        ("claude", {"kind": "bearer-token"}, "", {"ANTHROPIC_AUTH_TOKEN": KEY}, {}),
        ("codex", {}, "", {"OPENAI_API_KEY": KEY, "CODEX_API_KEY": KEY}, {}),
        (
            "kimi",
            {"base_url": URL},
            "kimi-k2",
            {"KIMI_MODEL_API_KEY": KEY},
            {"KIMI_MODEL_BASE_URL": URL, "KIMI_MODEL_NAME": "kimi-k2"},
        ),
        ("opencode", {}, "zhipuai/glm-4.6", {"ZHIPU_API_KEY": KEY}, {}),
        (
            "opencode",
            {"provider": "openai", "base_url": URL},
            "",
            {"OPENAI_API_KEY": KEY},
            {"OPENCODE_CONFIG_CONTENT": json.dumps({"provider": {"openai": {"options": {"baseURL": URL}}}})},
        ),
        ("aider", {"base_url": URL}, "gpt-5", {"OPENAI_API_KEY": KEY}, {"OPENAI_API_BASE": URL}),
        ("aider", {}, "claude-sonnet-4", {"ANTHROPIC_API_KEY": KEY}, {}),
        ("aider", {}, "deepseek/deepseek-chat", {"DEEPSEEK_API_KEY": KEY}, {}),
        ("acp", {"runtime": "claude"}, "", {"ANTHROPIC_API_KEY": KEY}, {}),
        ("terminal", {"key": "", "env": {"MY_KEY": "x"}}, "", {"MY_KEY": "x"}, {}),
        ("claude", {"key": "", "env": {"AWS_TOKEN": "x"}}, "", {"AWS_TOKEN": "x"}, {}),
        ("claude", {"key": "", "base_url": ""}, "", {}, {}),
    ],
)
def test_each_program_gets_the_key_by_its_own_variable(agent_type, fields, model, secret, plain):
    found = variables_for(agent_type, given(**fields), model=model)
    assert (found.secret, found.plain) == (secret, plain)


def test_a_key_of_another_type_or_of_nobody_is_refused():
    with pytest.raises(PermanentAgentError, match="'c' is for agents of type 'claude', not 'codex'"):
        variables_for("codex", given(runtime="claude"))
    for agent_type in ("opencode", "acp", "terminal"):
        with pytest.raises(
            PermanentAgentError, match="nothing says whose key it is; set its field 'provider'"
        ):
            variables_for(agent_type, given())


def test_no_record_shows_the_key():
    login = variables_for("claude", given())
    assert KEY not in repr(given()) + repr(login) + str(login)


def test_every_field_of_the_connections_form_is_read():
    extra = {
        "runtime": "claude",
        "provider": "anthropic",
        "kind": "oauth-token",
        "account": "work",
        "env": {"A": "b", "N": 1},
    }
    (form,) = [
        one for one in get_provider_info()["connection-types"] if one["connection-type"] == "cis_agent"
    ]
    assert form["conn-fields"].keys() == extra.keys()
    assert from_connection("c", connection(extra, host="http://h:1/v1")) == Credentials(
        conn_id="c",
        key=KEY,
        base_url="http://h:1/v1",
        runtime="claude",
        provider="anthropic",
        kind="oauth-token",
        account="work",
        env={"A": "b", "N": "1"},
    )


def test_the_hook_is_what_the_provider_info_says():
    (form,) = get_provider_info()["connection-types"]
    module, _, name = form["hook-class-name"].rpartition(".")
    hook = getattr(importlib.import_module(module), name)
    assert (hook.conn_type, hook.hook_name) == (form["connection-type"], form["hook-name"])
    assert hook.get_ui_field_behaviour().keys() == {"hidden_fields", "relabeling", "placeholders"}


def test_an_empty_form_and_other_ways_to_write_it_are_understood():
    assert from_connection("c", connection({"env": None, "kind": ""}, conn_type="cis-agent")) == given()
    assert from_connection("c", connection(host="h", port=8080, schema="http")).base_url == "http://h:8080"
    assert from_connection("c", connection({"env": '{"A": "b"}'})).env == {"A": "b"}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (connection(conn_type="http"), "has type 'http'"),
        (connection("[1]"), "its extra is no JSON object"),
        (connection({"env": "secret-text"}), "field 'env' is no JSON object"),
        (connection({"env": {"CIS_OUTPUT": "secret-text"}}), "'CIS_OUTPUT' is no variable"),
        (connection({"kind": "magic"}), "'magic' is none of api-key"),
    ],
)
def test_a_connection_of_no_use_is_refused_without_a_value_of_it(wrong, words):
    with pytest.raises(PermanentAgentError) as raised:
        from_connection("c", wrong)
    assert (
        words in str(raised.value) and "secret-text" not in str(raised.value) and KEY not in str(raised.value)
    )


@pytest.fixture
def found(monkeypatch):
    """What Airflow answers."""
    answers: dict[str, Any] = {}

    def find(conn_id):
        if isinstance(answers.get(conn_id), Exception):
            raise answers[conn_id]
        return answers.get(conn_id)

    monkeypatch.setattr("cis_provider.context.hooks.find_connection", find)
    return answers


def test_only_an_answer_of_airflow_says_that_there_is_none(found):
    with pytest.raises(PermanentAgentError, match="there is no Airflow connection 'c'"):
        login_for("c", "claude")
    found["c"] = StoreError("the API server failed")
    with pytest.raises(StoreError):
        login_for("c", "claude")


def request(**fields: Any) -> Any:
    ti = SimpleNamespace(dag_id="d", run_id="r", task_id="a", map_index=-1, try_number=1, max_tries=0)
    task = AgentOperator(
        **{"task_id": "a", "agent_type": "claude", "prompt": "x", "agent_conn_id": "c", **fields}
    )
    return build_request(task, {"ti": ti}, UpstreamOutputs("d", "r", []), ())


def test_a_request_names_the_key_and_has_its_value_among_the_secrets(found, cis_home, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "test-key-of-node")
    found["c"] = connection({"account": "work"}, host=URL)
    made = request(env={"NODES_OWN": "${ANTHROPIC_API_KEY}"})
    assert made.env == {
        "ANTHROPIC_BASE_URL": URL,
        "ANTHROPIC_API_KEY": "${CIS_CONNECTION_ANTHROPIC_API_KEY}",
        "NODES_OWN": "${ANTHROPIC_API_KEY}",
    }
    assert made.secrets == {"CIS_CONNECTION_ANTHROPIC_API_KEY": KEY, "ANTHROPIC_API_KEY": "test-key-of-node"}
    assert made.account == "work"


def test_what_the_agent_says_itself_counts_for_more(found, cis_home):
    found["c"] = connection({"account": "work"}, host=URL)
    made = request(env={"ANTHROPIC_BASE_URL": "http://other"}, account="mine")
    assert (made.env["ANTHROPIC_BASE_URL"], made.account) == ("http://other", "mine")


def test_without_a_connection_airflow_is_not_asked(found, cis_home):
    found[""] = StoreError("asked")
    assert request(agent_conn_id="").secrets == {}
