"""Which scope an agent is in, and why."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cis_provider.errors import ConfigError
from cis_provider.model.scope import TaskScope
from dag_factory.scope_settings import read_rules, user_name
from dag_factory.scopes import Claims, Said, ScopeRules, decide
from dag_factory.validate import Checked

Check = Callable[..., Checked]
Complaints = Callable[..., list[str]]

RULES = ScopeRules(
    isolation="global",
    prefixes=(("project", "proj-"), ("user", "user-"), ("type", "type-")),
    suffixes=("-nightly", "-hourly", "-daily", "-weekly", "-manual"),
    slots=4,
)

AGENTS = "agents: [{id: a, type: shell, prompt: x}, {id: b, type: shell, prompt: x}]\n"


def _decisions(checked: Checked) -> dict[str, tuple[str, str]]:
    assert [str(mistake) for mistake in checked.diagnostics] == []
    return {name: (one.scope, one.rule) for name, one in checked.scopes.decisions.items()}


def test_every_rule_is_there_and_the_first_that_matches_wins(check: Check) -> None:
    lines = [
        "name: proj-mine-nightly",
        "scope: type:file",
        "env: {PROJECT_ID: of-file, USER_ID: me}",
        "defaults: {scope: 'type:defaults'}",
        "agents:",
        "  - {id: a, type: shell, prompt: x, scope: 'type:agent'}",
        "  - {id: b, type: shell, prompt: x}",
    ]

    def scope_of_b(*gone: str) -> tuple[str, str]:
        text = "\n".join(line for line in lines if line.partition(":")[0] not in gone)
        decisions = _decisions(check(text))
        assert decisions["a"][0] == "type:agent"
        return decisions["b"]

    assert scope_of_b() == ("type:defaults", "scope: of defaults (line 4)")
    assert scope_of_b("defaults") == ("type:file", "scope: of the file (line 2)")
    assert scope_of_b("defaults", "scope") == ("project:of-file", "env PROJECT_ID of the file (line 2)")
    assert scope_of_b("defaults", "scope", "env") == (
        "project:mine",
        'DAG id proj-mine-nightly, after "proj-", less "-nightly"',
    )
    assert scope_of_b("defaults", "scope", "env", "name") == (
        "global",
        "nothing names another, and worker.scope_isolation is global",
    )


def test_the_env_of_one_agent_names_the_scope_of_all_that_say_nothing(check: Check) -> None:
    decisions = _decisions(
        check("""
        agents:
          - {id: plan, type: shell, prompt: x}
          - {id: own, type: shell, prompt: x, scope: global, env: {PROJECT_ID: other}}
          - id: build
            type: shell
            prompt: x
            env:
              PROJECT_ID: app
        """)
    )
    assert decisions == {
        "plan": ("project:app", "env PROJECT_ID of agent build (line 8)"),
        "own": ("global", "scope: of agent own (line 3)"),
        "build": ("project:app", "env PROJECT_ID of agent build (line 8)"),
    }


@pytest.mark.parametrize(
    ("env", "scope"),
    [
        ("{PROJECT_ID: p, USER_ID: u}", "project:p"),
        ("{USER_ID: 0123}", "user:0123"),
        ("{USER_ID: u, PROJECT_ID: ''}", "user:u"),
        ("{PROJECT_ID: '${TEAM}-x'}", "project:core-x"),
        ("{PROJECT_ID: '${NONE:-y}'}", "project:y"),
        ("{PROJECT_ID: '${NONE:-}', USER_ID: u}", "user:u"),
        ("{PROJECT_ID: '{{ params.p }}'}", "project:{{ params.p }}"),
        ("{PROJECT_ID: '${TEAM}-{{ params.p }}'}", "project:core-{{ params.p }}"),
        ("{OTHER: '${UNSET}'}", "global"),
    ],
)
def test_variables_are_read_at_load_and_stay_as_they_are_for_the_agent(
    check: Check, env: str, scope: str
) -> None:
    checked = check(f"env: {env}\n" + AGENTS, env={"TEAM": "core"})
    assert {found for found, _ in _decisions(checked).values()} == {scope}
    for value in checked.need().env.values():
        assert value in env


def test_a_variable_without_value_is_a_mistake_unless_a_scope_is_said(
    check: Check, complaints: Complaints
) -> None:
    text = "env: {PROJECT_ID: '${UNSET}'}\n" + AGENTS
    assert complaints(text) == [
        "f.yaml:1:20: F006 ${UNSET} is not set (set it where Airflow's dag processor runs, or write "
        '${UNSET:-default}; PROJECT_ID decides the scope; or write "scope:")'
    ]
    assert _decisions(check("scope: user:me\n" + text))["a"][0] == "user:me"


@pytest.mark.parametrize(
    ("dag_id", "scope"),
    [
        ("proj-my-app-nightly", "project:my-app"),
        ("proj-my-app", "project:my-app"),
        ("user-anna-manual", "user:anna"),
        ("type-backup-weekly", "type:backup"),
        ("proj-a-nightly-daily", "project:a-nightly"),
        ("proj-nightly", "project:nightly"),
        ("my-proj-a", "global"),
        ("project-a", "global"),
        ("a-nightly", "global"),
    ],
)
def test_the_dag_id_names_the_scope_after_a_prefix_and_less_one_last_suffix(
    check: Check, dag_id: str, scope: str
) -> None:
    assert _decisions(check(f"name: {dag_id}\n" + AGENTS))["a"][0] == scope


@pytest.mark.parametrize(
    ("isolation", "scope", "rule"),
    [
        ("global", "global", "nothing names another, and worker.scope_isolation is global"),
        ("project", "project:f", 'worker.scope_isolation is project: DAG id f-daily, less "-daily"'),
        ("dag_type", "type:f", 'worker.scope_isolation is dag_type: DAG id f-daily, less "-daily"'),
        ("user", f"user:{user_name()}", "worker.scope_isolation is user: the file's owner"),
    ],
)
def test_where_nothing_names_a_scope_the_node_s_settings_do(
    check: Check, monkeypatch: pytest.MonkeyPatch, isolation: str, scope: str, rule: str
) -> None:
    monkeypatch.setenv("CIS_WORKER_SCOPE_ISOLATION", isolation)
    assert _decisions(check("name: f-daily\n" + AGENTS))["a"] == (scope, rule)


def test_prefixes_and_suffixes_are_the_node_s_to_choose(check: Check, no_settings: Path) -> None:
    no_settings.parent.mkdir()
    no_settings.write_text('[worker]\nscope_prefixes = ["type=job_"]\nscope_suffixes = ["_eu", "_x_eu"]\n')
    assert _decisions(check("name: job_copy_x_eu\n" + AGENTS))["a"][0] == "type:copy"
    assert _decisions(check("name: proj-a-nightly\n" + AGENTS))["a"][0] == "global"


def test_the_owner_of_a_file_is_who_has_it_not_who_reads_it() -> None:
    asked: list[str] = []

    def owner() -> str:
        asked.append("owner")
        return "anna"

    claims = [Claims("a")]
    isolated = ScopeRules("user", (), (), 4)
    assert decide(claims, dag_id="d", rules=RULES, owner=owner)[0]["a"].scope == "global"
    assert asked == []
    assert decide(claims, dag_id="d", rules=isolated, owner=owner)[0]["a"].scope == "user:anna"
    assert user_name(4_000_000_001) == "4000000001"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "scope: projct:a\n",
            "f.yaml:1:8: F111 'projct:a' is no scope; write project:ID, user:ID, type:ID or global "
            '(did you mean "project:a"?)',
        ),
        ("scope: globl\n", '(did you mean "global"?)'),
        ("scope: 'project:'\n", "f.yaml:1:8: F111 scope project:'': an id is up to 64 letters"),
        ("scope: project:a/b\n", "f.yaml:1:8: F111 scope project:'a/b': an id is up to 64 letters"),
        ("scope: project:../b\n", "F111"),
        ("scope: {project: a}\n", 'f.yaml:1:8: F103 "scope" must be text, not a mapping'),
        ("scope:\n", 'F103 "scope" must be text, not nothing'),
        ("scope: 'projct:{{ params.p }}'\n", "F111 'projct:x' is no scope"),
        ("scope: 'project:{{ params.p'\n", "f.yaml:1:8: F301"),
        ("scope: 'project:{{ ds | nodsh }}'\n", "F304"),
        (
            "scope: 'project:{{ ti.task_id }}'\n",
            'f.yaml:1:8: F111 "ti" belongs to one agent, and a scope is settled once, for the whole run '
            "(such as project:{{ params.project }})",
        ),
        ("env: {PROJECT_ID: '{{ task.task_id }}'}\n", 'f.yaml:1:19: F111 "task" belongs to one agent'),
        (
            "env: {PROJECT_ID: a b}\n",
            "f.yaml:1:19: F111 env PROJECT_ID of the file (line 1) gives no scope: scope project:'a b': an id",
        ),
        (f"name: proj-{'x' * 65}\n", 'f.yaml:1:7: F111 DAG id proj-xxx'),
        ("name: proj-..\n", "gives no scope: scope project:'..'"),
        ("defaults: {scope: 'project:${NO}'}\n", "F006 ${NO} is not set"),
        (
            "exclusive: runs\n",
            "f.yaml:1:12: F103 \"exclusive\" must be one of run, agent, no, not 'runs' (did you mean \"run\"?)",
        ),
        ("exclusive: false\n", "not false (write no)"),
        ("exclusiv: run\n", 'F101 unknown key "exclusiv" (did you mean "exclusive"?)'),
        ("node: a b\n", 'f.yaml:1:7: F106 "a b" is no valid id'),
        ("node: '{{ params.n }}'\n", "F106"),
        ("defaults: {account: '{{ params.a }}'}\n", 'f.yaml:1:21: F106 "{{ params.a }}" is no name of an account'),
        ("account: x\n", 'F101 unknown key "account"'),
    ],
)  # fmt: skip
def test_what_is_no_scope_node_or_account_is_said_with_its_place(
    complaints: Complaints, text: str, complaint: str
) -> None:
    found = complaints(text + AGENTS)
    assert complaint in "\n".join(found)
    assert len(found) == 1


def test_two_projects_in_two_agents_and_no_scope_are_a_contradiction(
    check: Check, complaints: Complaints
) -> None:
    text = """
        env: {%s: one}
        agents:
          - {id: a, type: shell, prompt: x}
          - {id: b, type: shell, prompt: x, env: {%s: two}%s}
          - {id: c, type: shell, prompt: x, env: {%s: two}}
        """
    assert complaints(text % ("PROJECT_ID", "PROJECT_ID", "", "PROJECT_ID")) == [
        'f.yaml:4:55: F208 agents "a" and "b" name two projects, and nothing says their scopes: PROJECT_ID is one '
        "in the file (line 1), two in agent b (line 4) "
        '(write scope: "project:one" in "a", scope: "project:two" in "b")'
    ]
    assert "name two users" in complaints(text % ("USER_ID", "USER_ID", "", "USER_ID"))[0]
    both = textwrap.dedent(text % ("PROJECT_ID", "PROJECT_ID", "", "PROJECT_ID"))
    assert {scope for scope, _ in _decisions(check("scope: user:me\n" + both)).values()} == {"user:me"}
    # One that says its scope takes no part.
    apart = (text % ("USER_ID", "USER_ID", ", scope: 'user:two'", "OTHER")).replace("OTHER: two", "OTHER: x")
    assert [scope for scope, _ in _decisions(check(apart)).values()] == ["user:one", "user:two", "user:one"]


def test_a_project_and_a_user_do_not_contradict_each_other(check: Check) -> None:
    decisions = _decisions(
        check("""
        agents:
          - {id: a, type: shell, prompt: x, env: {USER_ID: anna, PROJECT_ID: app}}
          - {id: b, type: shell, prompt: x, env: {USER_ID: bert}}
        """)
    )
    assert {scope for scope, _ in decisions.values()} == {"project:app"}


@pytest.mark.parametrize(
    ("scope", "first", "second", "wrong"),
    [
        ("project:a", "node: one", "node: two", True),
        ("project:a", "node: one", "node: one", False),
        ("project:a", "node: one", "", True),
        ("'{{ params.s }}'", "node: one", "node: two", True),
        ("global", "node: one", "node: two", False),
        ("project:a", "node: one, scope: 'project:b'", "node: two", False),
    ],
)
def test_one_scope_on_two_nodes_is_a_contradiction(
    complaints: Complaints, scope: str, first: str, second: str, wrong: bool
) -> None:
    found = complaints(f"""
        scope: {scope}
        agents:
          - {{id: a, type: shell, prompt: x, {first}}}
          - {{id: b, type: shell, prompt: x, {second}}}
        """)
    assert [line.split()[1] for line in found] == (["F209"] if wrong else [])


def test_a_contradiction_of_nodes_names_both_agents_both_nodes_and_the_place(complaints: Complaints) -> None:
    assert complaints("""
        name: proj-x-daily
        defaults: {type: shell, node: one}
        agents: [{id: a, prompt: x}, {id: b, prompt: x, node: two}, {id: c, prompt: x, node: two}]
        """) == [
        'f.yaml:3:55: F209 agents "a" and "b" are in one scope, project:x, on two nodes: one and two '
        "(a scope has one worker: give them one node:, or two scopes)"
    ]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ("worker = 1", "[worker] must be a table"),
        ("[worker]\nscope_isolation = 'team'", "'team' is none of project, user, dag_type, global"),
        ("[worker]\nscope_prefixes = ['team=x-']", "worker.scope_prefixes: 'team=x-' is no KIND=PREFIX"),
        ("[worker]\nscope_prefixes = ['global=x-']", "is no KIND=PREFIX"),
        ("[worker]\nscope_prefixes = ['project=']", "is no KIND=PREFIX"),
        ("[worker]\nmax_concurrent_tasks = 0", "must be above zero"),
        ("[worker", "no TOML"),
    ],
)
def test_settings_of_no_use_are_a_mistake_of_the_file_not_an_exception(
    complaints: Complaints, no_settings: Path, settings: str, problem: str
) -> None:
    no_settings.parent.mkdir()
    no_settings.write_text(settings + "\n")
    (found,) = complaints(AGENTS)
    assert found.startswith(f"f.yaml:1:1: F008 the node's settings cannot be used: {no_settings}")
    assert problem in found


_IDS = st.text(st.sampled_from("ab-._/ 项\u0301{") | st.characters(codec="utf-8"), max_size=70)
_ENVS = st.dictionaries(st.sampled_from(["PROJECT_ID", "USER_ID"]), _IDS, max_size=2)


@given(
    st.lists(_ENVS, min_size=1, max_size=4),
    st.sampled_from(["proj-", "user-", "", "x-"]),
    _IDS,
    st.sampled_from(["global", "project", "user", "dag_type"]),
    _IDS,
)
def test_each_agent_has_a_scope_or_the_file_a_mistake(
    envs: list[Mapping[str, str]], prefix: str, name: str, isolation: str, owner: str
) -> None:
    def said(agent: int, variable: str, value: str) -> Said:
        return Said(value, f"agent {agent}", ("agents", agent, "env", variable))

    claims = [
        Claims(str(i), env={name: said(i, name, value) for name, value in env.items()})
        for i, env in enumerate(envs)
    ]
    rules = ScopeRules(isolation, RULES.prefixes, RULES.suffixes, 4)
    decisions, mistakes = decide(claims, dag_id=prefix + name, rules=rules, owner=lambda: owner)
    assert bool(mistakes) or decisions.keys() == {claim.agent for claim in claims}
    for decision in decisions.values():
        if "{{" not in decision.scope and "{%" not in decision.scope:
            assert str(TaskScope.parse(decision.scope)) == decision.scope
    for mistake in mistakes:
        assert mistake.code in ("F111", "F208")
        assert mistake.hint.startswith("write scope:")


def test_the_settings_are_read_as_they_stand() -> None:
    assert read_rules() == RULES


def test_the_model_refuses_what_the_rules_would_not_make() -> None:
    with pytest.raises(ConfigError):
        TaskScope.parse("project:{{ params.p }}")


def _write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_the_owner_is_read_from_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dag_factory.folder import check_file

    monkeypatch.setenv("CIS_WORKER_SCOPE_ISOLATION", "user")
    path = _write(tmp_path, "a.yaml", AGENTS)
    checked: Any = check_file(path)
    assert checked.scopes.decisions["a"].scope == f"user:{user_name(path.stat().st_uid)}"
