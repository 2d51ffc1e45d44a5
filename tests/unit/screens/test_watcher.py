"""What a program does, judged by its screen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cis_provider.model.blockage import BlockageKind
from cis_provider.screens.rule_files import programs, read
from cis_provider.screens.watcher import ScreenWatcher

BOOK = read(
    {
        "program": "p",
        "version_text": r"Program v(\d+\.\d+)",
        "regions": {"dialog": {"after_last": "^─{10,}$"}},
        "rules": [
            {"id": "ready", "state": "idle", "when": {"in": "prompt_box", "match": "^❯"}},
            {"id": "works", "state": "working", "when": {"match": "esc to interrupt"}},
            {"id": "repeats", "state": "retrying", "when": {"match": "Retrying in"}},
            {"id": "old", "state": "error", "versions": "<2", "when": {"match": "Oops"}},
            {
                "id": "asks",
                "state": "blocked",
                "kind": "permission",
                "when": {"in": "dialog", "match": r"^Proceed\?"},
                "keys": {"allow": "1", "deny": "esc", "answer": ["{text}", "enter"]},
            },
        ],
    },
    "p.yaml",
)
LINE = "─" * 20


def watching(text: str, at: float = 0.0, version: str = "") -> ScreenWatcher:
    watcher = ScreenWatcher(BOOK, version, (40, 10))
    watcher.feed(text.replace("\n", "\r\n").encode(), at)
    return watcher


def test_blocked_goes_before_all_else_and_brings_its_keys():
    judgement = watching(f"esc to interrupt\n{LINE}\nProceed? (y/n)").judge(0.0)
    assert (judgement.state, judgement.kind, judgement.rule) == ("blocked", BlockageKind.PERMISSION, "asks")
    assert judgement.evidence == "Proceed?"
    assert judgement.keys["answer"] == ("{text}", "enter")


def test_words_that_are_only_quoted_above_the_prompt_do_not_block():
    judgement = watching(f"Proceed?\n{LINE}\n❯ \n{LINE}").judge(0.0)
    assert (judgement.state, judgement.kind) == ("idle", None)


def test_what_no_rule_knows_is_unknown_and_shows_the_last_line():
    judgement = watching("hello\n  there  ").judge(0.0)
    assert (judgement.state, judgement.rule, judgement.evidence) == ("unknown", "", "there")
    assert watching("").judge(0.0).state == "unknown"


def test_a_turn_without_a_byte_for_five_minutes_is_stalled():
    watcher = watching("esc to interrupt", at=10.0)
    assert watcher.judge(309.0).state == "working"
    stalled = watcher.judge(310.0)
    assert (stalled.state, stalled.kind, stalled.rule) == ("blocked", BlockageKind.STALLED, "stalled")
    assert "no byte for 300 s" in stalled.evidence
    watcher.feed(b".", 311.0)
    assert watcher.judge(312.0).state == "working"
    assert watching("Retrying in 3 s").judge(1000.0).kind == "stalled"


@pytest.mark.parametrize("text", [f"{LINE}\n❯ \n{LINE}", "who knows"])
def test_time_alone_means_nothing(text):
    watcher = watching(text)
    assert watcher.judge(1e6) == watcher.judge(0.0)


def test_an_exit_outranks_the_screen():
    watcher = watching("esc to interrupt")
    watcher.exited(3)
    assert watcher.judge(1e6).state == "exited"
    assert "status 3" in watcher.judge(0.0).evidence
    watcher.exited(None)
    assert watcher.judge(0.0).evidence == "the program exited"


def test_rules_of_other_versions_are_not_asked():
    assert watching("Oops", version="1.9").judge(0.0).state == "error"
    assert watching("Oops", version="2.0").judge(0.0).state == "unknown"
    assert watching("Oops").judge(0.0).state == "error", "not known: all are asked"
    assert watching("Program v2.3\nOops").judge(0.0).state == "unknown"


def test_the_version_is_found_though_it_scrolled_away():
    watcher = watching("Program v2.3\n" + "more\n" * 50 + "Oops")
    assert watcher.version == "2.3"


def test_every_rule_explains_what_it_saw():
    traces = watching(f"esc to interrupt\n{LINE}\nProceed?").explain(0.0)
    assert [trace.rule.id for trace in traces] == ["asks", "ready", "works", "repeats", "old"]
    assert [trace.found for trace in traces] == ["Proceed?", None, "esc to interrupt", None, None]


@given(
    st.sampled_from(programs()),
    st.lists(st.one_of(st.binary(max_size=60), st.text(max_size=30).map(str.encode)), max_size=10),
    st.integers(1, 60),
    st.integers(1, 20),
)
def test_no_bytes_make_any_program_s_rules_fail(program, chunks, columns, rows):
    watcher = ScreenWatcher(program, size=(columns, rows))
    for chunk in chunks:
        watcher.feed(chunk, 0.0)
    assert watcher.judge(1.0) == watcher.judge(1.0)


@given(
    st.sampled_from([f"{LINE}\nProceed? (y/n)", f"\x1b[31mProceed?\n{LINE}\n❯ \n{LINE}"]), st.integers(1, 9)
)
def test_it_is_judged_the_same_in_any_pieces(text, size):
    data = text.replace("\n", "\r\n").encode()
    whole, pieces = ScreenWatcher(BOOK), ScreenWatcher(BOOK)
    whole.feed(data, 0.0)
    for start in range(0, len(data), size):
        pieces.feed(data[start : start + size], 0.0)
    assert whole.judge(0.0) == pieces.judge(0.0)
