"""Text to plain data and places."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dag_factory.document import parse

_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)


def _complaints(text: str, **options: bool) -> list[str]:
    return [str(diagnostic) for diagnostic in parse(text, "f", **options)[1]]


@given(st.dictionaries(_TEXT, _JSON, max_size=4))
def test_json_comes_back_as_it_was_written(data: dict[str, object]) -> None:
    for ascii_only in (True, False):
        document, found = parse(json.dumps(data, ensure_ascii=ascii_only, indent=1), "f.json", is_json=True)
        assert not found
        assert document is not None
        assert document.data == data


@given(st.dictionaries(_TEXT, st.lists(_TEXT, max_size=3), max_size=4), st.sampled_from(["'", '"', "|", ">"]))
def test_yaml_comes_back_as_it_was_written(data: dict[str, object], style: str) -> None:
    document, found = parse(yaml.safe_dump(data, default_style=style), "f.yaml")
    assert not found
    assert document is not None
    assert document.data == data


@given(st.text(max_size=200))
def test_any_text_is_parsed_or_refused_with_a_place(text: str) -> None:
    for is_json in (False, True):
        document, found = parse(text, "f", is_json=is_json)
        assert document is not None or found
        assert all(d.line >= 1 and d.col >= 1 for d in found)


def test_only_what_json_knows_is_no_text() -> None:
    document, found = parse("[yes, on, 2024-01-01, 1:30, 0o17, 0x1f, 08, .5, 1e3, true, ~, .inf, '5']", "f")
    assert not found
    assert document is not None
    assert document.data == [
        "yes",
        "on",
        "2024-01-01",
        "1:30",
        15,
        31,
        8,
        0.5,
        1000.0,
        True,
        None,
        ".inf",
        "5",
    ]


def test_a_key_twice_is_an_error_that_names_both_lines() -> None:
    assert _complaints("a: 1\nb: 2\na: 3\n") == ['f:3:1: F003 key "a" is on line 1 already']
    assert _complaints('{"a": 1,\n "a": 2}', is_json=True) == ['f:2:2: F003 key "a" is on line 1 already']


def test_a_tag_makes_no_object() -> None:
    document, found = parse("a: !!python/object/apply:os.system [echo]\nb: !secret x", "f")
    assert [str(d) for d in found] == [
        "f:1:4: F004 the tag !!python/object/apply:os.system is not allowed",
        "f:2:4: F004 the tag !secret is not allowed",
    ]
    assert document is not None
    assert document.data == {"a": ["echo"], "b": "x"}


def test_anchors_and_merges_work_and_know_their_places() -> None:
    document, found = parse("base: &b {k: 1, j: 2}\nx:\n  <<: *b\n  j: 3\n", "f")
    assert not found
    assert document is not None
    assert document.data["x"] == {"k": 1, "j": 3}
    assert document.place(("x", "j")) == (4, 6)
    assert document.place(("x", "k")) == (1, 14)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[" * 100_000, "f:1:1: F004 nested deeper than 100 levels"),
        ("- " * 100_000, "f:1:1: F004 nested deeper than 100 levels"),
        ("a: &x [*x]", "f:1:4: F004 more than 100 levels"),
        ("a:\n\t- b", "YAML is indented by spaces, not by tabs"),
        ("a: b: c", 'quote a text that holds ": "'),
        ("a: 1\n---\nb: 1", "one file is one DAG"),
        ("a: 1e999", "f:1:4: F004"),
        ('a: "x\\0"', "f:1:4: F103 a text may not hold a null character"),
        ("", "f:1:1: F005 the file is empty"),
        ("[1]: 2", "f:1:1: F004 a key must be text"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(text: str, complaint: str) -> None:
    assert complaint in "\n".join(_complaints(text))


def test_a_few_aliases_that_stand_for_billions_of_values_are_refused() -> None:
    lines = ["a0: &a0 [1,1,1,1,1,1,1,1,1]"]
    lines += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    assert "F004 more than 200000 values" in _complaints("\n".join(lines))[0]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"a": 1,}', "f:1:9: F002 no JSON: expecting property name"),
        ('{"a": NaN}', "F002 no JSON: NaN is no JSON value"),
        ("a: 1", "f:1:1: F002 no JSON: expecting value"),
        ('{"a": "\\ud83d"}', "f:1:8: F002 no JSON: half of a surrogate pair"),
    ],
)
def test_json_mistakes_are_json_mistakes(text: str, complaint: str) -> None:
    assert complaint in _complaints(text, is_json=True)[0]


def test_emoji_and_tabs_in_json_keep_their_places() -> None:
    document, found = parse('{\n\t"a": "\\ud83d\\ude00",\t"b": 1}', "f", is_json=True)
    assert not found
    assert document is not None
    assert document.data == {"a": "\N{GRINNING FACE}", "b": 1}
    assert document.place(("b",), key=True) == (2, 23)


def test_keys_that_only_json_can_hold_are_not_taken_for_each_other() -> None:
    text = '{"\\ud83d\\ude00": 1, "\\ud83d\\ude01": 2, "\x7f": 3, "\u2028": 4, "x": 5}'
    document, found = parse(text, "f", is_json=True)
    assert not found
    assert document is not None
    assert document.place(("x",)) == (1, 61)


def test_columns_count_characters_not_bytes() -> None:
    document, _ = parse('a: ["分析", x]', "f")
    assert document is not None
    assert document.place(("a", 1)) == (1, 11)


def test_the_place_of_a_character_in_a_block_is_exact() -> None:
    document, _ = parse("a:\n  p: |\n    one\n      two\n", "f")
    assert document is not None
    assert document.place_in_text(("a", "p"), len("one\n  t")) == (4, 8)
