"""Recordings, and ``cis session classify``."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cis_provider.cli.main import main
from cis_provider.errors import UsageError
from cis_provider.screens.classify import watched
from cis_provider.screens.recording import Recording, parse_size
from cis_provider.screens.rule_files import read

V2 = {"version": 2, "width": 30, "height": 5}
V3 = {"version": 3, "term": {"cols": 30, "rows": 5}}
BOOK = read(
    {
        "program": "p",
        "rules": [
            {"id": "works", "state": "working", "versions": ">=2", "when": {"match": "work"}},
            {"id": "old", "state": "error", "versions": "<2", "when": {"match": "work"}},
        ],
    },
    "p.yaml",
)


@pytest.fixture
def cast(tmp_path: Path) -> Any:
    def write(*lines: Any, end: str = "\n") -> Path:
        file = tmp_path / "a.cast"
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        file.write_text("\n".join(texts) + end, encoding="utf-8")
        return file

    return write


def judged(file: Path, size: tuple[int, int] | None = None) -> tuple[str, str | None]:
    watcher, end = watched(BOOK, file, size)
    judgement = watcher.judge(end)
    return judgement.state, judgement.kind and judgement.kind.value


def test_seconds_are_from_the_start_in_version_two_and_from_the_event_before_in_three(cast):
    events = [[1, "o", "a"], [200, "o", "work"], [201, "m", "end"]]
    assert watched(BOOK, cast(V2, *events))[1] == 201
    assert judged(cast(V2, *events)) == ("working", None)
    assert watched(BOOK, cast(V3, *events))[1] == 402
    assert judged(cast(V3, *events)) == ("working", None)


@pytest.mark.parametrize("last", [[400, "m", ""], [400, "o", ""], [400, "i", "x"], [400, "r", "30x5"]])
def test_a_long_silence_before_an_event_that_is_no_output_counts(cast, last):
    assert judged(cast(V2, [1, "o", "work"], last)) == ("blocked", "stalled")
    assert judged(cast(V3, [1, "o", "work"], last)) == ("blocked", "stalled")


def test_a_duration_in_the_header_counts_as_the_end(cast):
    assert judged(cast({**V2, "duration": 500.5}, [1, "o", "work"])) == ("blocked", "stalled")


def test_an_exit_ends_it(cast):
    watcher, end = watched(BOOK, cast(V3, [1, "o", "work"], [400, "x", "3"]))
    assert watcher.judge(end).state == "exited"
    assert "3" in watcher.judge(end).evidence


def test_the_window_has_the_recordings_size_changes_and_the_callers(cast):
    file = cast(V3, [0, "o", "x"])
    assert watched(BOOK, file)[0].screen.columns == 30
    assert watched(BOOK, file, (50, 9))[0].screen.columns == 50
    resized = cast(V2, [0, "o", "x"], [1, "r", "33x7"])
    assert (watched(BOOK, resized)[0].screen.columns, watched(BOOK, resized)[0].screen.rows) == (33, 7)


def test_a_version_in_the_title_or_the_command_chooses_the_rules(cast):
    assert judged(cast({**V3, "title": "p 1.4: x"}, [0, "o", "work"])) == ("error", None)
    assert judged(cast({**V3, "command": "p@2.0.1"}, [0, "o", "work"])) == ("working", None)


def test_a_recording_that_was_cut_is_read_as_far_as_it_goes(cast):
    assert judged(cast(V3, [0, "o", "work"], '[1.5, "o", "mo', end="")) == ("working", None)
    assert judged(cast(V3, [0, "o", "work"], '[1.5, "o", "mo')) == ("working", None)
    assert judged(cast(V3)) == ("unknown", None)


def test_what_a_newer_recorder_writes_is_passed_over(cast):
    assert judged(cast(V3, "# a comment", [0, "o", "work"], "", [1, "z", {"new": 1}])) == ("working", None)


def test_a_line_in_the_middle_that_is_no_event_is_told(cast):
    with pytest.raises(UsageError, match=r'line 2: no event, which is \[seconds, "code", "data"\]'):
        judged(cast(V3, "[1, 2]", [0, "o", "work"]))
    with pytest.raises(UsageError, match="line 2"):
        judged(cast(V3, [-1, "o", "x"], [0, "o", "work"]))


def test_a_gzipped_one_is_read_and_a_broken_one_is_told(cast, tmp_path):
    plain = cast(V3, [1, "o", "work"])
    zipped = tmp_path / "b.cast.gz"
    zipped.write_bytes(gzip.compress(plain.read_bytes()))
    assert judged(zipped) == ("working", None)
    zipped.write_bytes(zipped.read_bytes()[:-12])
    with pytest.raises(UsageError, match="cannot be read"):
        judged(zipped)


def test_other_versions_and_files_that_are_not_there_are_told(cast, tmp_path):
    with pytest.raises(UsageError, match="asciicast version 1; 2 and 3 can be read"):
        Recording(cast({"version": 1}))
    with pytest.raises(UsageError, match=r"missing\.cast cannot be read: No such file"):
        Recording(tmp_path / "missing.cast")
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        Recording(tmp_path)


def test_anything_else_is_a_terminals_bytes(tmp_path):
    file = tmp_path / "raw"
    file.write_bytes(b'{"a": 1}\r\nwork\xff')
    assert Recording(file).raw
    assert judged(file) == ("working", None)


@pytest.mark.parametrize("text", ["120", "120x", "0x40", "120x40x2", "ax3", "120 x 40"])
def test_a_size_that_is_none_is_told(text):
    with pytest.raises(UsageError, match="write COLUMNSxROWS"):
        parse_size(text)


def test_half_a_character_at_the_end_of_an_event_is_whole_with_the_next(cast):
    file = cast(V3, '[0, "o", "wo\\ud83d"]', [0, "o", "rk work"])
    assert judged(file) == ("working", None)


def test_the_command_prints_one_json_object(cast, capsys):
    file = cast(V3, [0, "o", "Go on? [Y/n] "])
    assert main(["session", "classify", "--runtime", "terminal", str(file)]) == 0
    out = capsys.readouterr().out
    assert json.loads(out) == {
        "state": "blocked",
        "kind": "question",
        "rule": "yes-or-no",
        "evidence": "[Y/n]",
    }


def test_the_command_says_null_where_there_is_nothing(cast, capsys):
    assert main(["session", "classify", "--runtime", "terminal", "--size", "80x24", str(cast(V3))]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "state": "unknown",
        "kind": None,
        "rule": None,
        "evidence": "",
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--runtime", "emacs", "FILE"], "no screen rules for 'emacs'"),
        (["--runtime", "terminal", "missing"], "missing cannot be read"),
        (["--runtime", "terminal", "--size", "9", "FILE"], "size '9'"),
        (["FILE"], "--runtime"),
    ],
)
def test_mistakes_go_to_stderr_with_exit_code_two(cast, capsys, words, message):
    file = str(cast(V3, [0, "o", "x"]))
    assert main(["session", "classify", *(file if word == "FILE" else word for word in words)]) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert said.out == ""


def test_explain_shows_the_screen_and_each_rule_on_stderr(cast, capsys):
    main(["session", "classify", "--runtime", "terminal", "--explain", str(cast(V3, [0, "o", "Go? (y/n)"]))])
    said = capsys.readouterr()
    assert "0>Go? (y/n)" in said.err
    assert "yes: '(y/n)'" in said.err
    assert json.loads(said.out)["state"] == "blocked"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.sampled_from([b"", b'{"version": 2}\n', b'{"version": 3, "term": 1}\n']))
def test_any_file_is_judged_or_refused_in_words(tmp_path, data, header):
    file = tmp_path / "any"
    file.write_bytes(header + data)
    try:
        judged(file)
    except UsageError as error:
        assert str(file) in str(error) or "size" in str(error)
