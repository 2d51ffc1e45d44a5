"""Every program that has screen rules has recordings that they were tried on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import cis_provider.screens

RULES = Path(cis_provider.screens.__file__).parent / "rules"
RECORDINGS = Path(__file__).parents[2] / "recordings"
#: Rules that are for any program.
ANY = {"terminal"}
PROGRAMS = sorted(file.stem for file in RULES.glob("*.yaml") if file.stem not in ANY)


def expected(program: str) -> list[dict[str, object]]:
    files = sorted((RECORDINGS / program).glob("*/*.expected.json"))
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_with_rules_has_recordings(program):
    assert expected(program), f"tests/recordings/{program} holds no recording: make some with tests/record"


@pytest.mark.parametrize("program", sorted({"claude", "codex"} & set(PROGRAMS)))
def test_recordings_show_every_state_that_matters(program):
    seen = {(one["state"], one["kind"]) for one in expected(program)}
    kinds = ("permission", "question", "login", "trust")
    wanted = {("idle", None), ("working", None), ("retrying", None), ("error", None)}
    assert wanted | {("blocked", kind) for kind in kinds} <= seen


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_recording_says_what_it_is(program):
    folder = RECORDINGS / program
    casts = {file.name.split(".cast")[0] for file in folder.glob("*/*.cast*")}
    assert casts == {file.name.removesuffix(".expected.json") for file in folder.glob("*/*.expected.json")}
    for one in expected(program):
        assert set(one) == {"state", "kind", "synthetic", "note"}
        assert isinstance(one["synthetic"], bool)
