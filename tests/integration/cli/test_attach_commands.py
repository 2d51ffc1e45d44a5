"""``cis dag attach`` and ``cis session play``, by name, against an Airflow that answers from memory."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cis_provider.model.options import AgentOptions
from cis_provider.model.session import SessionKey, SessionRequest
from cis_provider.node.client import NodeClient
from cis_provider.testing import fake_tui
from tests.integration.terminal.person import Person

pytestmark = pytest.mark.integration

RUN = "refactor-project__20260102T030405.678Z"
PROGRAM = "from cis_provider.cli.main import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture
def refactor(airflow: Any) -> Any:
    """A run: its first agent is done, the second at work, the third has not begun."""
    airflow.add_dag("refactor-project", "find", "analyze-deps", "report")
    airflow.add_run("refactor-project", RUN, find="success", analyze_deps="deferred", report=None)
    return airflow


@pytest.fixture
def agent(refactor: Any, cis_home: Path) -> Iterator[str]:
    """The session of ``analyze-deps``, which asks something."""
    rules = str(Path(fake_tui.__file__).with_suffix(".yaml"))
    program = (sys.executable, "-m", "cis_provider.testing.fake_tui")
    request = SessionRequest(
        key=SessionKey("refactor-project", RUN, "analyze-deps"),
        try_number=1,
        max_tries=0,
        agent_id="analyze-deps",
        agent_type="terminal",
        command="ask make",
        env={"PYTHONPATH": str(Path.cwd())},
        options=AgentOptions(program=program, config={"rules": rules}),
    )
    with NodeClient("test") as node:
        session_id = node.submit(request).record.session_id
    with NodeClient("test") as watching:
        for record in watching.watch(session_id, timeout=30):
            if record.blockage:
                break
    yield session_id
    with NodeClient("test") as node:
        node.stop(workers=True)


@pytest.fixture
def person(cis: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Person]]:
    there: list[Person] = []

    def come(*words: str) -> Person:
        for name, value in cis.environment.items():
            monkeypatch.setenv(name, value)
        there.append(Person(*words, program=PROGRAM))
        return there[-1]

    yield come
    for one in there:
        one.close()


@pytest.mark.parametrize(
    "words",
    [
        ("dag", "attach", "refactor-project", "analyze-deps"),
        ("attach", "refactor-project"),
        ("attach", "refactor-project-002"),
        ("dag", "attach", RUN, "2"),
    ],
)
def test_an_agent_is_attached_to_by_name(agent: str, person: Any, words: tuple[str, ...]) -> None:
    ada = person(*words)
    ada.sees("Run make?")
    ada.type(b"\x1c")
    assert ada.left() == 0
    assert "left analyze-deps; it goes on" in ada.text()
    assert ada.restored


def test_what_cannot_be_attached_to_says_why(agent: str, person: Any, cis: Any) -> None:
    no_terminal = cis("dag", "attach", "refactor-project", "analyze-deps")
    assert (no_terminal.returncode, "attach needs a terminal" in no_terminal.stderr) == (2, True)
    for word, why in (("report", "it has no terminal yet"), ("nobody", "has no agent 'nobody'")):
        ada = person("dag", "attach", "refactor-project", word)
        assert ada.left(20) == 2
        assert why in ada.text()
        assert ada.restored


def test_a_recording_is_played_by_name_after_the_end(agent: str, person: Any) -> None:
    ada = person("attach", "refactor-project", "analyze-deps")
    ada.sees("Run make?")
    ada.type(b"1")
    ada.sees("It ran.")
    ada.type(b"\x1c")
    ada.left()
    with NodeClient("test") as node:
        assert [one.state for one in node.watch(agent, timeout=30)][-1] == "ended"
    ada = person("session", "play", "refactor-project", "analyze-deps", "--idle-limit", "0.1", "--speed", "9")
    assert ada.left(30) == 0
    assert b"Run make?" in ada.raw
    assert b"It ran." in ada.raw
    assert ada.restored


def test_with_via_the_same_words_are_given_to_ssh(
    person: Any, refactor: Any, cis: Any, tmp_path: Path
) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/sh\nfor word; do echo "[$word]"; done\n')
    ssh.chmod(0o755)
    cis.environment |= {"CIS_VIA_SSH": str(ssh)}
    ada = person("dag", "attach", "refactor project", "a'b; rm", "--via", "anna@build-1", "--take")
    assert ada.left() == 0
    assert "[-t]" in ada.text()
    assert "[anna@build-1]" in ada.text()
    assert """[cis dag attach 'refactor project' 'a'"'"'b; rm' --take]""" in ada.text()
