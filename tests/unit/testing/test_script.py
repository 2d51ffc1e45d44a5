"""Scripts: what is in them, what is wrong with them, and which step answers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cis_provider.errors import SpecError
from cis_provider.testing.model_server import (
    Call,
    Step,
    Usage,
    When,
    cut,
    hang,
    huge,
    nonsense,
    run,
    slow,
    status,
    text,
    tool,
    tools,
)
from cis_provider.testing.model_server.asked import Asked
from cis_provider.testing.model_server.play import Play
from cis_provider.testing.model_server.script import parse

PAGE = Path(__file__).resolve().parents[3] / "docs" / "model-server.md"


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ("text: Hello", text("Hello")),
        ("{text: Hello, repeat: forever}", text("Hello", repeat="forever")),
        ("{text: Hello, usage: {input: 9, cached: 3}}", text("Hello", usage=Usage(input=9, cached=3))),
        ("{text: Hi, when: {model: 'a*', api: chat}}", text("Hi", when={"model": "a*", "api": "chat"})),
        ("tool: {name: Bash, arguments: {command: ls}}", tool("Bash", {"command": "ls"})),
        ("{tool: {name: Bash}, say: I look.}", tool("Bash", {}, say="I look.")),
        ("tools: [{name: A}, {name: B, arguments: {x: 1}}]", tools(Call("A"), ("B", {"x": 1}))),
        ("run: ls", run("ls")),
        ("{status: 429, retry_after: 2, resets_in: 60}", status(429, retry_after=2, resets_in=60)),
        ("{status: 529, in_stream: true}", status(529, in_stream=True)),
        ("{status: 429, error: insufficient_quota}", status(429, error="insufficient_quota")),
        ("hang: true", hang()),
        ("{hang: middle, say: a b}", hang("a b", at="middle")),
        ("{slow: a b c, every: 0.1}", slow("a b c", every=0.1)),
        ("{cut: a b c, after: 2}", cut("a b c", after=2)),
        ("nonsense: html", nonsense("html")),
        ("empty: true", text("")),
        ("huge: 100", huge(100)),
    ],
)
def test_a_step_in_yaml_is_the_step_in_python(line, step):
    assert parse(f"- {line}").steps == (step,)


def test_a_script_may_name_a_default_and_models():
    script = parse("steps: []\ndefault: Enough.\nmodels: [a, b]")
    assert (script.steps, script.default, script.models) == ((), "Enough.", ("a", "b"))


@pytest.mark.parametrize(
    ("line", "column", "message"),
    [
        ("speak: Hello", 5, "exactly one of text, tool, .*; this has none"),
        ("{text: a, tool: b}", 5, "this has text and tool"),
        ("just words", 5, "'just words' is no step"),
        ("{text: a, wenn: b}", 15, "unknown key 'wenn'; beside 'text' allowed: repeat, usage, when"),
        ("{text: a, every: 1}", 15, "unknown key 'every'"),
        ("text: 3", 5, "text is 3; allowed: a text"),
        ("status: 200", 5, "status is 200; allowed: a whole number from 400 to 599"),
        ("{status: 429, resets_in: soon}", 19, "resets_in is 'soon'; allowed: seconds"),
        ("{slow: a, every: -1}", 15, "every is -1; allowed: seconds, 0 or more"),
        ("{text: a, repeat: 0}", 15, "repeat .*is 0; allowed: a whole number from 1"),
        ("{text: a, repeat: always}", 15, "repeat .*forever.* is 'always'"),
        ("{text: a, when: {modell: b}}", 15, "`modell`; allowed: a mapping of last_user_contains, "),
        ("{text: a, usage: {input: many}}", 15, "allowed: a mapping of input, output, cached"),
        ("tool: Bash", 5, "'Bash' is no call; allowed: a mapping with name and arguments"),
        ("tool: {name: Bash, arguments: ls}", 24, "arguments is 'ls'; allowed: a mapping"),
        ("tools: []", 5, r"tools is \[\]; allowed: a list of calls"),
        ("tools: [{name: A}, {nam: B}]", 24, "is no call"),
        ("hang: later", 5, "hang is 'later'; allowed: before, middle, true"),
        ("nonsense: xml", 5, "nonsense is 'xml'; allowed: json, sse, html"),
        ("empty: false", 5, "empty is False; allowed: true"),
        ("huge: 0", 5, "huge is 0; allowed: a whole number from 1"),
    ],
)
def test_a_mistake_names_its_place_and_what_is_allowed(line, column, message):
    with pytest.raises(SpecError, match=message) as caught:
        parse(f"steps:\n  - text: fine\n  - {line}", "a.yaml")
    assert str(caught.value).startswith(f"a.yaml:3:{column}: step 2: ")


def test_all_mistakes_are_told_at_once():
    with pytest.raises(SpecError) as caught:
        parse("steps:\n- text: 1\n- fine: 2\ndefault: 3\nmodel: x", "a.yaml")
    places = [re.match(r"a\.yaml:(\d+):", line)[1] for line in str(caught.value).splitlines()]
    assert sorted(places) == ["2", "3", "4", "5"]


@pytest.mark.parametrize(
    "source", ["", "3", "step: []", "steps: 3", "a: [", "- !!python/object:x {}", "\0", "&a [*a]"]
)
def test_what_is_no_script_is_refused(source):
    with pytest.raises(SpecError, match=r"^a\.yaml"):
        parse(source, "a.yaml")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["text", "tool", "tools", "status", "hang", "slow", "when", "repeat", "name", "every"]
                ),
                inner,
                max_size=3,
            )
        ),
        max_leaves=8,
    )
)
def test_any_data_is_a_script_or_a_clear_error(data):
    import json

    try:
        script = parse(json.dumps({"steps": [data]}), "a.yaml")
    except SpecError as error:
        assert str(error).startswith("a.yaml:1:")
    else:
        assert len(script.steps) == 1


def test_the_scripts_of_the_page_can_be_played():
    blocks = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert sum(len(parse(block, "page").steps) for block in blocks) >= 12


def test_a_huge_text_has_exactly_its_size():
    for size in (1, 19, 1000, 300_001):
        assert len(huge(size).text) == size


def call(**fields: str) -> Asked:
    """A main call."""
    return Asked(api="chat", **{"model": "m", **fields})


def test_steps_are_played_in_order_and_then_the_default():
    play = Play([text("one"), text("two")], text("done"))
    assert [play.next(call())[1].text for _ in range(4)] == ["one", "two", "done", "done"]


def test_a_step_waits_for_its_condition():
    play = Play([text("later", when={"last_user_contains": "blue"}), text("first")], text("done"))
    assert play.unused() == [0, 1]
    assert play.next(call(last_user="red"))[0] == 1
    assert play.next(call(last_user="red"))[0] is None
    assert play.next(call(last_user="so blue"))[0] == 0
    assert play.unused() == []


def test_repeats_are_counted():
    play = Play([text("twice", repeat=2), text("always", repeat="forever")], text("done"))
    assert play.unused() == [0, 1]
    assert [play.next(call())[1].text for _ in range(4)] == ["twice", "twice", "always", "always"]
    assert play.unused() == []


def test_steps_can_be_added_while_it_plays():
    play = Play([], text("done"))
    assert play.next(call())[0] is None
    play.push(text("more"))
    assert play.next(call()) == (0, text("more"))


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        (When(), True),
        (When(any_contains="system"), True),
        (When(any_contains="nothing"), False),
        (When(tool_result_contains="file"), True),
        (When(tool_result_contains="folder"), False),
        (When(model="big-*"), True),
        (When(model="small-*"), False),
        (When(api="chat"), True),
        (When(api="anthropic"), False),
        (When(last_user_contains="hello", model="small-*"), False),
    ],
)
def test_all_conditions_must_hold(when, holds):
    asked = call(model="big-1", last_user="hello", tool_results="a file", everything="the system, hello")
    number, _ = Play([Step(text="x", when=when)], text("done")).next(asked)
    assert (number == 0) is holds
