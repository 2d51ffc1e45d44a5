"""A recording is played in a terminal as it was, and leaves that terminal as it found it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.terminal.person import Person

pytestmark = pytest.mark.integration


def recording(path: Path, *events: tuple[float, str, str]) -> Path:
    header = {"version": 3, "term": {"cols": 80, "rows": 24}}
    path.write_text("".join(json.dumps(line) + "\n" for line in [header, *events]))
    return path


def player(path: Path, *words: str) -> Person:
    return Person(
        str(path),
        *words,
        program="from cis_provider.cli.main import main; main(['session', 'play', *sys.argv[1:]])",
    )


@pytest.fixture
def shown(tmp_path: Path) -> Any:
    there: list[Person] = []

    def begin(*events: tuple[float, str, str], words: tuple[str, ...] = ()) -> Person:
        there.append(player(recording(tmp_path / "one.cast", *events), *words))
        return there[-1]

    yield begin
    for one in there:
        one.close()


def test_it_ends_by_itself_and_undoes_what_the_recording_did(shown: Any) -> None:
    person = shown(
        (0.0, "o", "\x1b[?1049h\x1b[?2004h\x1b[?1002h\x1b[Hin the alternate screen"), (0.5, "o", "\x1b[c")
    )
    person.sees("in the alternate screen")
    assert person.left() == 0
    assert "the end of" in person.text()
    assert person.restored


def test_one_that_is_ended_by_a_signal_undoes_it_too(shown: Any) -> None:
    person = shown(
        (0.0, "o", "\x1b[?1049h\x1b[?1002h\x1b[Hit begins"), (60.0, "o", "x"), words=("--idle-limit", "60")
    )
    person.sees("it begins")
    person.process.terminate()
    person.left()
    assert person.restored


def test_nobody_waits_longer_than_they_said(shown: Any) -> None:
    began = time.monotonic()
    person = shown(
        (0.0, "o", "first "), (3600.0, "o", "second"), words=("--idle-limit", "0.1", "--speed", "2")
    )
    assert person.left(20) == 0
    assert b"first second" in person.raw
    assert time.monotonic() - began < 20


def test_a_space_stops_it_a_dot_shows_one_more_and_q_leaves(shown: Any) -> None:
    person = shown((0.0, "o", "one "), (1.5, "o", "two "), (1.5, "o", "three "), (60.0, "o", "four"))
    person.sees("one")
    person.type(b" ")
    person.type(b".")
    person.sees("two")
    assert "three" not in person.text()
    person.type(b"q")
    assert person.left() == 0
    assert "three" not in person.text()
    assert person.restored


def test_without_a_terminal_all_of_it_is_written_at_once(tmp_path: Path) -> None:
    path = recording(tmp_path / "one.cast", (0.0, "o", "first "), (3600.0, "o", "second\n"))
    done = subprocess.run(
        [sys.executable, "-m", "cis_provider.cli.main", "session", "play", str(path)],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout == "first second\n"
