"""Recordings of the real programs: each is judged at its end, and what was expected stands beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cis_provider.model.blockage import BlockageKind
from cis_provider.screens.classify import watched
from cis_provider.screens.recording import Recording
from cis_provider.screens.rulebook import STATES

RECORDINGS = Path(__file__).parents[2] / "recordings"
EXPECTED = sorted(RECORDINGS.glob("*/*/*.expected.json"))


def name(file: Path) -> str:
    return str(file.relative_to(RECORDINGS)).removesuffix(".expected.json")


def recording(file: Path) -> Path:
    stem = file.name.removesuffix(".expected.json")
    found = [path for end in (".cast", ".cast.gz") if (path := file.with_name(stem + end)).exists()]
    assert len(found) == 1, f"{name(file)} has {len(found)} recordings"
    return found[0]


@pytest.mark.parametrize("file", EXPECTED, ids=name)
def test_a_recording_ends_in_what_was_expected(file):
    program, version = file.parts[-3:-1]
    expected = json.loads(file.read_text(encoding="utf-8"))
    assert expected["state"] in STATES
    assert (expected["kind"] in set(BlockageKind)) == (expected["state"] == "blocked")
    watcher, end = watched(program, recording(file))
    judged = watcher.judge(end)
    assert (judged.state, judged.kind) == (expected["state"], expected["kind"]), judged
    assert watcher.version in ("", version)


EXITS = [file for file in EXPECTED if '"exited"' in file.read_text(encoding="utf-8")]


@pytest.mark.parametrize("file", EXITS, ids=name)
def test_the_bytes_of_a_terminal_alone_show_that_its_program_has_ended(file, tmp_path):
    events = list(Recording(recording(file)).events())
    bytes_alone = tmp_path / "bytes"
    bytes_alone.write_bytes(b"".join(event.data for event in events if event.code == "o"))
    watcher, end = watched(file.parts[-3], bytes_alone, Recording(recording(file)).header.size)
    assert watcher.judge(end).state == "exited"
