"""Rule files: what they may say, and what is said about their mistakes."""

from __future__ import annotations

from typing import Any

import pytest

from cis_provider.errors import ConfigError
from cis_provider.screens import keys
from cis_provider.screens.rule_files import FOLDER, load, programs, read, rule_book
from cis_provider.screens.rulebook import RuleBook
from cis_provider.screens.versions import within
from cis_provider.screens.watcher import ScreenWatcher


def rule(when: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "r", "state": "idle", "when": when} | more


def book(*rules: dict[str, Any], **more: Any) -> RuleBook:
    return read({"program": "p", "rules": list(rules)} | more, "p.yaml")


def holds(when: dict[str, Any], text: str, size: tuple[int, int] = (40, 10), **more: Any) -> bool:
    watcher = ScreenWatcher(book(rule(when), **more), size=size)
    watcher.feed(text.replace("\n", "\r\n").encode(), 0.0)
    return watcher.judge(0.0).state == "idle"


@pytest.mark.parametrize("program", programs())
def test_the_files_that_come_with_us_are_without_mistakes(program):
    assert rule_book(program).program == program
    assert rule_book(program).rules


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            rule({"macth": "x"}),
            r"rule 'r': when: unknown key 'macth' \(did you mean 'match'\?\); there are: in",
        ),
        (rule({"match": "("}), r"rule 'r': when: match: '\(' is no regular expression"),
        (rule({"match": "x*"}), "matches an empty line"),
        (rule({"in": "dialogue", "match": "x"}), "when: in: 'dialogue' is unknown.*prompt_box"),
        (rule({"match": "x", "cursor": "gone"}), "'gone' is unknown; there are: visible, hidden"),
        (rule({"match": 3}), "text is needed, not int '3'; put it in quotes"),
        (rule({"quiet_for": 30}), "something must look at text"),
        (rule({"cursor": "visible", "not": {"match": "x"}}), "something must look at text"),
        (rule({"any": [{"match": "x"}, {"bell": True}]}), "something must look at text"),
        (rule({"all": []}), "a list with something in it is needed"),
        (rule({"match": "x", "look": "shiny"}), "'shiny' is unknown.*dim"),
        (rule({"title": "x", "fg": "1"}), "look, fg and bg belong to match"),
        (rule({"match": "x"}, state="busy"), "state: 'busy' is unknown.*working"),
        (rule({"match": "x"}, state="blocked"), "kind: it belongs to state blocked, and only there"),
        (rule({"match": "x"}, kind="permission"), "kind: it belongs to state blocked, and only there"),
        (rule({"match": "x"}, state="blocked", kind="tired"), "kind: 'tired' is unknown.*stalled"),
        (rule({"match": "x"}, versions="2.x"), "versions: '2.x' is no part of a version range"),
        (rule({"match": "x"}, keys={"allow": "f99"}), "keys: allow: 'f99' is no key; there are: enter"),
        (rule({"match": "x"}, keys={True: "y"}), "keys: key True is no text; put it in quotes"),
        ({"state": "idle", "when": {"match": "x"}}, "rule number 1: key 'id' is missing"),
        ("rule", "rule number 1: a mapping is needed, not str 'rule'"),
    ],
)
def test_a_mistake_names_the_file_the_rule_the_key_and_what_there_is(spec, message):
    with pytest.raises(ConfigError, match="p.yaml: " + ".*" + message):
        book(spec)


def test_mistakes_of_a_whole_file_are_told():
    good = rule({"match": "x"})
    with pytest.raises(ConfigError, match="rule 'r': another rule has this id"):
        book(good, good)
    with pytest.raises(ConfigError, match="region 'screen': a name of its own"):
        book(good, regions={"screen": {"last": 1}})
    with pytest.raises(ConfigError, match="region 'a': of: 'b' is unknown"):
        book(good, regions={"a": {"of": "b"}})
    with pytest.raises(ConfigError, match="version_text: one group"):
        book(good, version_text="x")
    with pytest.raises(ConfigError, match=r"no screen rules for 'emacs'; there are some for: .*terminal"):
        rule_book("emacs")


def test_a_file_that_is_no_yaml_is_told(tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text("rules: [", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"rule file .*p\.yaml cannot be read: "):
        load(file)
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "missing.yaml")


def test_the_readmes_example_is_a_rule_file():
    import yaml

    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    example = text.partition("```yaml\n")[2].partition("```")[0]
    assert len(read(yaml.safe_load(example), "README.md").rules) == 3


def test_every_key_of_a_condition_must_hold():
    assert holds({"match": ["one", "two"]}, "one\ntwo")
    assert not holds({"match": ["one", "three"]}, "one\ntwo")
    assert not holds({"match": "one", "without": "two"}, "one\ntwo")
    assert holds({"all": [{"match": "one"}, {"not": {"match": "three"}}]}, "one\ntwo")
    assert holds({"any": [{"match": "three"}, {"match": "two"}]}, "one\ntwo")
    assert holds({"match": "^two$"}, "one\ntwo\nthree")
    assert holds({"match": "one", "cursor": "hidden"}, "one\x1b[?25l")
    assert not holds({"match": "one", "cursor": "hidden"}, "one")
    assert holds({"title": "^busy"}, "one\x1b]0;busy: x\x07")
    assert holds({"notified": "look"}, "\x1b]9;look\x07")
    assert holds({"match": "one", "bell": True}, "one\x07")
    assert not holds({"match": "one", "bell": True}, "one")
    assert holds({"match": "one", "alternate": True}, "\x1b[?1049hone")
    assert holds({"match": "a", "cursor_in": "cursor"}, "a")


def test_how_a_match_looks_decides():
    text = "\x1b[7mYes\x1b[0m  No \x1b[31mred\x1b[0m"
    assert holds({"match": "Yes", "look": "reverse"}, text)
    assert not holds({"match": "No", "look": "reverse"}, text)
    assert not holds({"match": "Yes +No", "look": "reverse"}, text)
    assert holds({"match": "Yes|No", "look": ["reverse"]}, "No \x1b[7mYes")
    assert holds({"match": "red", "fg": "1"}, text)
    assert not holds({"match": "No", "fg": "1"}, text)


@pytest.mark.parametrize(
    ("cut", "left"),
    [
        ({"from_last": "^-"}, ["--", "d"]),
        ({"after_last": "^-"}, ["d"]),
        ({"from_first": "^-"}, ["--", "b", "", "c", "--", "d"]),
        ({"after_first": "^-"}, ["b", "", "c", "--", "d"]),
        ({"until": "^-"}, ["a"]),
        ({"through": "^-"}, ["a", "--"]),
        ({"before_last": "^-"}, ["a", "--", "b", "", "c"]),
        ({"after_first": "^-", "until": "^-"}, ["b", "", "c"]),
        ({"last": 2}, ["--", "d"]),
        ({"first": 1}, ["a"]),
        ({"after_first": "^-", "nonblank": True, "first": 2}, ["b", "c"]),
        ({"after_last": "nowhere"}, []),
        ({"of": "above_cursor", "last": 1}, ["d"]),
    ],
)
def test_a_region_is_cut_out_of_the_screen(cut, left):
    rules = book(rule({"match": "x"}), regions={"part": cut})
    watcher = ScreenWatcher(rules, size=(20, 12))
    watcher.feed(b"a\r\n--\r\nb\r\n\r\nc\r\n--\r\nd\r\n", 0.0)
    assert [line.text for line in watcher.regions(0.0).named("part")] == left


@pytest.mark.parametrize(
    ("screen", "box", "above", "below"),
    [
        ("said\n╭────╮\n│ ❯  │\n╰────╯\nhint", [" ❯"], ["said"], ["hint"]),
        ("said\n────────────\n❯ hi\n────────────\n  hint", ["❯ hi"], ["said"], ["  hint"]),
        ("╭──╮\n│ 1│\n╰──╯\n╭─ title ─╮\n│ a     │ │\n╰─────────╯", [" a     │"], None, []),
        ("╭──╮\n│ 1│\n╰──╯\n╭ shell ─╮\n│ $      │\n╰────────╯", [" $"], None, []),
        ("╭──╮\n│ 1│\n╰──╯\n────────────\nb\n──────── x ───", ["b"], None, []),
        ("no box", [], [], []),
    ],
)
def test_the_lowest_box_is_the_prompts(screen, box, above, below):
    watcher = ScreenWatcher(book(rule({"match": "x"})), size=(20, 12))
    watcher.feed(screen.replace("\n", "\r\n").encode(), 0.0)
    regions = watcher.regions(0.0)
    assert [line.text for line in regions.named("prompt_box")] == box
    assert [line.text for line in regions.named("below_box")] == below
    if above is not None:
        assert [line.text for line in regions.named("above_box")] == above


def test_a_sentence_is_found_however_the_screen_breaks_it():
    when = {"in": "prompt_box", "flat": "Do you want to proceed with it"}
    assert holds(when, "╭────────────╮\n│ Do you want│\n│ to proceed │\n│ with it?   │\n╰────────────╯")
    assert holds({"flat": "Do you want to proceed"}, "Do you want to proceed", size=(10, 5))
    assert not holds({"match": "Do you want to proceed"}, "Do you want to proceed", size=(10, 5))


def test_versions_are_compared_by_number():
    assert within("2.10.1", ">=2.9,<3")
    assert not within("2.10.1", "<2.9")
    assert within("v2.1.0", "==2.1")
    assert within("", ">=99")
    assert within("1.0", "")
    assert not within("1.2", "!=1.2")


def test_keys_become_what_a_terminal_sends():
    assert keys.encode("enter") == b"\r"
    assert keys.encode("ctrl+c") == b"\x03"
    assert keys.encode("é") == "é".encode()
    assert keys.encode("up") == b"\x1b[A"
    assert keys.encode("up", application_cursor=True) == b"\x1bOA"
    assert keys.encode("page_up", application_cursor=True) == b"\x1b[5~"
    with pytest.raises(ValueError, match="'f99' is no key"):
        keys.encode("f99")
