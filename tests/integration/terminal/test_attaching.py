"""People attach to an agent's terminal: they see it at once, type into it, leave, and the agent goes on."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cis_provider import paths
from cis_provider.errors import CisError
from cis_provider.node.terminals import look, socket_of

pytestmark = pytest.mark.integration

Tui = Callable[..., Any]


def test_a_human_answers_what_the_program_asks_and_the_agent_goes_on(tui: Tui, attach: Any) -> None:
    agent = tui("ask make")
    agent.record(lambda record: record.blockage is not None)
    ada = attach(agent.id)
    assert ada.part.writer
    ada.sees("Run make?")
    agent.record(lambda record: record.attached == "ada")
    ada.type("1")
    ada.sees("It ran.")
    ada.leave()
    result = agent.ended().result
    assert result.subtype == "success"
    assert "It ran." in result.output


def test_the_screen_is_there_at_once_as_the_program_drew_it(tui: Tui, attach: Any) -> None:
    agent = tui("ask make")
    agent.record(lambda record: record.blockage is not None)
    ada = attach(agent.id)
    ada.until(lambda: ada.received > 0)
    seen = agent.look()
    assert ada.text() == seen.text
    assert (seen.source, seen.state, seen.kind, seen.rule) == (
        "screen",
        "blocked",
        "permission",
        "permission",
    )
    assert "Run make?" in seen.evidence
    assert seen.writer == "ada"
    assert 2004 in ada.screen.modes


def test_the_socket_is_the_owners_alone(tui: Tui) -> None:
    agent = tui("work 30")
    path = socket_of(agent.id)
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600
    assert len(os.fsencode(path)) < 108


def test_what_was_shown_is_recorded_and_what_was_typed_is_not(tui: Tui, attach: Any, node: Any) -> None:
    agent = tui("ask make", env={"PYTHONPATH": str(Path.cwd()), "TOKEN": "${T}"}, secrets={"T": "hush-hush"})
    agent.record(lambda record: record.blockage is not None)
    ada = attach(agent.id, (100, 30))
    ada.sees("Run make?")
    ada.type("1")
    ada.leave()
    agent.ended()
    lines = [json.loads(line) for line in paths.recording_file(agent.id).read_text().splitlines()]
    assert lines[0]["version"] == 3
    assert lines[0]["term"] == {"cols": 120, "rows": 40, "type": "xterm-256color"}
    assert {line[1] for line in lines[1:]} <= {"o", "r", "m"}
    assert [line[2] for line in lines[1:] if line[1] == "r"] == ["100x30", "120x40"]
    assert "It ran." in "".join(line[2] for line in lines[1:] if line[1] == "o")


def test_a_session_that_has_ended_says_where_its_recording_is(tui: Tui) -> None:
    agent = tui("hello")
    agent.ended()
    with pytest.raises(CisError, match="recording"):
        look(agent.id)
