"""Every rule of a CIS file: what is said, and where."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dag_factory
from dag_factory.diagnostics import CODES, InvalidSpec
from dag_factory.plan import make_plan
from dag_factory.spec import AgentSpec, DagSpec, FromWorkspace, RepoWorkspace
from dag_factory.validate import Checked, check_spec, check_text

EXAMPLE = Path(__file__).parents[3] / "dags/examples/refactor-project.yaml"

Complaints = Callable[..., list[str]]

KEYS = [
    *DagSpec.model_fields,
    *AgentSpec.model_fields,
    "command",
    "dag_id",
    "repo",
    "from",
    "path",
    "ref",
    "shared",
]

#: A file with one good agent; tests put a line before it.
ONE = "agents: [{id: a, type: shell, prompt: x}]\n"


def test_the_example_passes_as_it_stands() -> None:
    assert dag_factory.lint_paths([EXAMPLE]) == []


def test_a_bare_list_of_agents_is_a_file(check: Callable[..., Checked]) -> None:
    spec = check("- {id: a, type: shell, command: x}\n- {id: b, type: claude, prompt: y, deps: [a]}").need()
    assert spec.name == "f"
    assert [agent.prompt for agent in spec.agents] == ["x", "y"]


def test_places_in_a_bare_list_are_right(complaints: Complaints) -> None:
    assert complaints("- id: a\n  type: shell\n  promt: x\n  command: '{{'")[:1] == [
        'f.yaml:3:3: F101 agent "a": unknown key "promt" (did you mean "prompt"?)'
    ]


def test_all_mistakes_of_a_file_are_found_at_once(complaints: Complaints) -> None:
    found = complaints("""
        name: my dag
        schedul: "@daily"
        schedule: 61 * * * *
        timezone: Europe/Berln
        max_workers: 0
        defaults:
          timout: 5m
        agents:
          - id: a
            type: cluade
            prompt: |
              one {{ x
              two
            deps: [b]
          - id: b
            type: shell
            command: echo "{{ outputs['a'] }}"
            deps: [a, tset]
            retries: true
            timeout: 5x
            priority: p9
          - id: test
            type: shell
            prompt: x
            workspace: {repoo: x}
          - id: test
            type: shell
        """)
    assert found == [
        'f.yaml:1:7: F106 "my dag" is no valid id: letters, digits, "_", "-" and "."; the first no "-" or "."',
        'f.yaml:2:1: F101 unknown key "schedul" (did you mean "schedule"?)',
        'f.yaml:3:11: F105 "61 * * * *" is no cron expression',
        'f.yaml:4:11: F108 "Europe/Berln" is no time zone (did you mean "Europe/Berlin"?)',
        'f.yaml:5:14: F103 "max_workers" must be at least 1',
        'f.yaml:7:3: F101 unknown key "timout" (did you mean "timeout"?)',
        'f.yaml:10:11: F107 agent "a": unknown type "cluade" (did you mean "claude"?)',
        "f.yaml:13:7: F301 agent \"a\": Jinja: expected token 'end of print statement', got 'two' "
        "(for a plain {{ write {{ '{{' }})",
        "f.yaml:14:12: F203 dependencies form a cycle: a -> b -> a",
        'f.yaml:17:14: F302 agent "b": a shell agent has no "outputs": bash would run what is pasted into a command '
        '(write "$CIS_OUTPUT_A", or read the file "$CIS_INPUTS/a.md")',
        'f.yaml:18:15: F202 agent "b": dependency "tset" does not exist (did you mean "test"?)',
        'f.yaml:19:14: F103 agent "b": "retries" must be a whole number, not true',
        'f.yaml:20:14: F104 agent "b": "timeout" \'5x\' is no duration; write seconds (300) or units, largest '
        "first (5m, 1h30m, 2d)",
        'f.yaml:21:15: F103 agent "b": "priority" must be one of p0, p1, p2, p3, not \'p9\'',
        'f.yaml:25:16: F103 agent "test": "workspace" must be a folder, {path: ...}, {repo: ...} or {from: AGENT}',
        'f.yaml:26:5: F102 agent "test": "prompt" (or "command") is missing',
        'f.yaml:26:9: F201 there is an agent "test" on line 22 already',
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: 1", "F005 no CIS file: there is no agents:"),
        ("just text", "F005 no CIS file, but 'just text'"),
        ("agents: []", 'f.yaml:1:9: F103 "agents" must not be empty'),
        ("agents: {a: {type: shell}}", '"agents" must be a list, not a mapping'),
        ("agents: [x]", "f.yaml:1:10: F103 agent 1: must be a mapping, not 'x'"),
        ("agents: [{id: a, prompt: x}]", 'f.yaml:1:10: F102 agent "a": "type" is missing'),
        ("agents: [{id: 7, type: shell, prompt: x}]", '"id" must be text, not 7 (quote it)'),
        (
            "agents: [{id: a/b, type: shell, prompt: x}]",
            'F106 agent "a/b": "a/b" is no valid id',
        ),
        ("agents: [{id: ../x, type: shell, prompt: x}]", "F106"),
        ("agents: [{id: run-outcome, type: shell, prompt: x}]", "F106"),
        (f"agents: [{{id: {'分' * 70}, type: shell, prompt: x}}]", "too long for an id: 200 bytes at most"),
        (
            "agents: [{id: a, type: shell, prompt: x, deps: b}]",
            "\"deps\" must be a list, not 'b' (write [b])",
        ),
        ("agents: [{id: a, type: shell, prompt: x, deps: [a]}]", "F203 dependencies form a cycle: a -> a"),
        ("agents: [{id: a, type: shell, prompt: x, when: failure}]", "F206"),
        (
            "agents: [{id: a, type: shell, prompt: x, command: y}]",
            'F110 "prompt" and "command" are the same key',
        ),
        ("name: a\ndag_id: b\n" + ONE, 'f.yaml:2:1: F110 "name" and "dag_id" are the same key'),
        ("catchup: yes\n" + ONE, "\"catchup\" must be true or false, not 'yes' (write true)"),
        ("catchup: true\nschedule: '@daily'\n" + ONE, 'f.yaml:1:1: F102 "catchup" needs "start_date"'),
        ("schedule: '@dayly'\n" + ONE, 'F105 unknown preset "@dayly" (did you mean "@daily"?)'),
        ("schedule: none\n" + ONE, "leave schedule out for none"),
        ("schedule: '@continuous'\nmax_active_runs: 2\n" + ONE, "F103"),
        ("start_date: tomorrow\n" + ONE, 'F108 "tomorrow" is no date'),
        ("tags: [a, '']\n" + ONE, 'f.yaml:1:11: F103 "tags[1]" must not be empty'),
        ("env: {A-B: x}\n" + ONE, 'F106 "A-B" is no name of a variable'),
        ("env: {CIS_OUTPUT: x}\n" + ONE, 'F106 "CIS_OUTPUT" is set for every agent'),
        ("env: {A: }\n" + ONE, 'f.yaml:1:10: F103 "A" must be text, not nothing'),
        ("env: {A: '${a b}'}\n" + ONE, "f.yaml:1:11: F007"),
        ("defaults: {prompt: x}\n" + ONE, 'F101 unknown key "prompt"'),
        ("defaults: {type: shel}\n" + ONE, 'f.yaml:1:18: F107 unknown type "shel" (did you mean "shell"?)'),
        ("params: {a: {type: strin}}\n" + ONE, 'f.yaml:1:20: F109 param "a": no JSON schema'),
        ("params: {a: {type: integer, default: x}}\n" + ONE, "f.yaml:1:38: F109"),
        ("params: {a: {type: string}}\nschedule: '@daily'\n" + ONE, 'F109 param "a": has no default'),
        ("params: {a: {$ref: 'http://127.0.0.1:1/x', default: 1}}\n" + ONE, "F109"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_the_way_out(
    complaints: Complaints, text: str, complaint: str
) -> None:
    assert complaint in "\n".join(complaints(text))


@pytest.mark.parametrize("value", ["300", "5m", "1h30m", "'90'"])
def test_durations_are_seconds_or_units(check: Callable[..., Checked], value: str) -> None:
    spec = check(f"agents: [{{id: a, type: shell, prompt: x, timeout: {value}}}]").need()
    assert spec.agents[0].timeout == {"300": 300, "5m": 300, "1h30m": 5400, "'90'": 90}[value]


def test_variables_are_text_as_it_was_written(check: Callable[..., Checked]) -> None:
    spec = check("env: {A: 08, B: 1.10, C: true, D: '${SECRET}'}\n" + ONE).need()
    assert spec.env == {"A": "08", "B": "1.10", "C": "true", "D": "${SECRET}"}


def test_placeholders_are_settled_in_what_shapes_the_dag(check: Callable[..., Checked]) -> None:
    spec = check(
        """
        name: ${TEAM}-nightly
        schedule: "${WHEN:-0 3 * * *}"
        max_workers: ${N}
        catchup: ${NO}
        tags: ["$${plain}"]
        agents:
          - {id: a, type: shell, prompt: "${BASH#x}", workspace: "/tmp/${TEAM}", env: {T: "${TOKEN}"}}
          - {id: b, type: claude, prompt: "${TOKEN}", deps: ["${FIRST}"]}
        """,
        env={"TEAM": "core", "N": "2", "NO": "false", "FIRST": "a"},
    ).need()
    assert (spec.name, spec.schedule, spec.max_workers, spec.catchup) == (
        "core-nightly",
        "0 3 * * *",
        2,
        False,
    )
    assert spec.tags == ("${plain}",)
    assert (spec.agents[0].workspace, spec.agents[0].prompt) == ("/tmp/core", "${BASH#x}")
    assert (spec.agents[0].env, spec.agents[1].prompt) == ({"T": "${TOKEN}"}, "${TOKEN}")
    assert spec.agents[1].deps == ("a",)


def test_an_unset_placeholder_is_said_once_and_never_left_as_text(complaints: Complaints) -> None:
    found = complaints(
        "max_workers: ${N}\nagents: [{id: a, type: shell, prompt: x, workspace: '/x/${Y}/${Z}'}]"
    )
    assert [line[:45] for line in found] == [
        "f.yaml:1:14: F006 ${N} is not set (set it whe",
        "f.yaml:2:57: F006 ${Y} is not set (set it whe",
        "f.yaml:2:62: F006 ${Z} is not set (set it whe",
    ]


def test_a_prompt_with_no_placeholder_in_dollar_braces_is_a_mistake_but_not_in_bash(
    complaints: Complaints,
) -> None:
    assert complaints("agents: [{id: a, type: shell, prompt: 'echo ${#x[@]} ${x%%.*}'}]") == []
    assert (
        "f.yaml:1:45: F007 '${x[@]}'"
        in complaints("agents: [{id: a, type: claude, prompt: 'see ${x[@]}'}]")[0]
    )


def test_jinja_comments_are_off_in_bash_and_on_elsewhere(complaints: Complaints) -> None:
    assert complaints("agents: [{id: a, type: shell, prompt: 'echo ${#x} {{ ds }}'}]") == []
    assert "F301" in complaints("agents: [{id: a, type: claude, prompt: 'x {# y'}]")[0]


@pytest.mark.parametrize(
    ("prompt", "code"),
    [
        ("{{ outputs['b'] }}", ""),
        ("{{ outputs.b }}", ""),
        ("{{ outputs.items() | list }}", ""),
        ("{{ outputs['c'] }}", "F303"),
        ("{{ outputs['typo'] }}", "F303"),
        ("{{ ds | ds_nodash }}", ""),
        ("{{ ds | ds_nodsh }}", "F304"),
        ("{{ 1 if ds is strng }}", "F304"),
        ("{% do x %}{{ nobody_knows_this_name }}", ""),
        ("{% if %}", "F301"),
    ],
)
def test_jinja_in_prompts_is_judged(complaints: Complaints, prompt: str, code: str) -> None:
    found = complaints(f"""
        agents:
          - {{id: c, type: shell, prompt: x}}
          - {{id: b, type: shell, prompt: x, deps: [c]}}
          - {{id: a, type: claude, deps: [b], prompt: "{prompt}"}}
        """)
    assert [line.split()[1] for line in found] == ([code] if code else [])


@pytest.mark.parametrize(
    "command", ["{{ outputs['a-b'] }}", "{{ outputs[x] }}", "{% for k in outputs %}{% endfor %}"]
)
def test_an_output_in_a_shell_command_is_a_mistake_that_names_the_variable(
    complaints: Complaints, command: str
) -> None:
    found = complaints(f"""
        agents:
          - {{id: a-b, type: shell, prompt: x}}
          - {{id: b, type: shell, deps: [a-b], command: "{command}"}}
        """)
    assert len(found) == 1
    assert "F302" in found[0]
    assert ("CIS_OUTPUT_A_B" if "a-b" in command else "CIS_OUTPUT_<ID>") in found[0]


@pytest.mark.parametrize(
    ("first", "second", "deps", "wrong"),
    [
        ("/x", "/x", "", True),
        ("/x", "/x/../x/", "", True),
        ("/x", "/y", "", False),
        ("/x", "/x", "a", False),
        ("/x", "/x", "m", False),
        ("{path: /x, shared: true}", "{path: /x, shared: true}", "", False),
        ("{path: /x}", "/x", "", True),
        ("'/x/{{ task.task_id }}'", "'/x/{{ task.task_id }}'", "", False),
        ("'/x/{{ run_id }}'", "'/x/{{ run_id }}'", "", True),
        ("{repo: /x}", "{repo: /x}", "", False),
    ],
)
def test_two_agents_may_not_be_in_one_folder_at_a_time(
    complaints: Complaints, first: str, second: str, deps: str, wrong: bool
) -> None:
    found = complaints(f"""
        agents:
          - {{id: a, type: shell, prompt: x, workspace: {first}}}
          - {{id: m, type: shell, prompt: x, deps: [a]}}
          - {{id: b, type: shell, prompt: x, workspace: {second}, deps: [{deps}]}}
        """)
    assert [line.split()[1] for line in found] == (["F204"] if wrong else [])


def test_one_folder_for_all_by_default_is_a_mistake_for_agents_side_by_side(complaints: Complaints) -> None:
    found = complaints("""
        defaults: {type: shell, workspace: /x}
        agents: [{id: a, prompt: x}, {id: b, prompt: x}]
        """)
    assert [line[:18] for line in found] == ["f.yaml:1:36: F204 "]


def test_two_outputs_with_one_variable_are_a_mistake_for_bash_only(complaints: Complaints) -> None:
    text = """
        agents:
          - {id: a-b, type: shell, prompt: x}
          - {id: a_b, type: shell, prompt: x}
          - {id: c, type: %s, prompt: x, deps: [a-b, a_b]}
        """
    assert "F205" in complaints(text % "shell")[0]
    assert "CIS_OUTPUT_A_B" in complaints(text % "shell")[0]
    assert complaints(text % "claude") == []


def test_a_workspace_comes_only_from_an_agent_that_ran_before(
    check: Callable[..., Checked], complaints: Complaints
) -> None:
    text = """
        agents:
          - {id: a, type: shell, prompt: x, workspace: {repo: ., ref: main}}
          - {id: m, type: shell, prompt: x, deps: [a]}
          - {id: b, type: shell, prompt: x, deps: [%s], workspace: {from: a}}
        """
    agents = check(text % "m").need().agents
    assert agents[0].workspace == RepoWorkspace(repo=".", ref="main")
    assert agents[2].workspace == FromWorkspace(from_="a")
    assert complaints(text % "") == [
        'f.yaml:4:65: F206 agent "b": "a" does not run before it (add it to deps: [a])'
    ]


def test_a_mistake_in_the_defaults_is_said_once(complaints: Complaints) -> None:
    found = complaints("""
        defaults: {type: shell, timeout: never}
        agents: [{id: a, prompt: x}, {id: b, prompt: x}]
        """)
    assert [line[:18] for line in found] == ["f.yaml:1:34: F104 "]


def test_a_spec_made_in_python_is_judged_by_the_same_rules() -> None:
    with pytest.raises(InvalidSpec) as caught:
        check_spec({"agents": [{"id": "a", "type": "shell", "promt": "x"}]}, name="mine").need()
    assert str(caught.value).splitlines() == [
        'mine: F101 agent "a": unknown key "promt" (did you mean "prompt"?)',
        'mine: F102 agent "a": "prompt" (or "command") is missing',
    ]


def test_a_type_of_another_package_is_known(complaints: Complaints, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dag_factory.checks.known_types", lambda: ["shell", "mine"])
    assert complaints("agents: [{id: a, type: mine, prompt: x}]") == []


def test_every_code_that_is_used_is_described() -> None:
    root = Path(dag_factory.__file__).parent
    used = {code for file in root.glob("*.py") for code in re.findall(r'"([FW]\d{3})"', file.read_text())}
    assert used == set(CODES)


def test_outputs_are_not_for_the_variables_of_a_shell_agent_either(complaints: Complaints) -> None:
    text = """
        agents:
          - {id: a, type: shell, prompt: x}
          - {id: b, type: %s, prompt: x, deps: [a], env: {A: "{{ outputs['a'] }}"}}
        """
    assert "F302" in complaints(text % "shell")[0]
    assert complaints(text % "claude") == []


_WORDS = st.sampled_from(
    [
        "a",
        "b",
        "shell",
        "claude",
        "/x",
        "${X}",
        "{{ outputs['a'] }}",
        "{% if",
        "{#",
        "5m",
        "@daily",
        "p0",
        "failure",
        "",
    ]
)
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 10**20)
    | st.floats(allow_nan=False)
    | _WORDS
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(_WORDS | st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=8,
)
_ODD_AGENTS = st.dictionaries(st.sampled_from(KEYS), _VALUES, max_size=6) | _VALUES
_ODD_FILES = st.dictionaries(st.sampled_from(KEYS), _VALUES, max_size=5)


@given(_ODD_FILES, st.lists(_ODD_AGENTS, max_size=4))
def test_whatever_a_file_holds_it_is_judged(data: dict[str, object], agents: list[object]) -> None:
    for content in (data, {**data, "agents": agents}, agents):
        checked = check_text(json.dumps(content), "f.json", name="f", is_json=True, lookup={}.get)
        assert (checked.spec is None) == bool(checked.diagnostics)
        if checked.spec is not None:
            make_plan(checked)
