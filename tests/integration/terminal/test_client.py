"""The client at a person's real terminal: whatever happens, that terminal is afterwards as it was."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.integration

Tui = Callable[..., Any]


def test_a_person_answers_leaves_by_the_key_and_has_their_terminal_back(tui: Tui, person: Any) -> None:
    agent = tui("ask make")
    agent.record(lambda record: record.blockage is not None)
    ada = person(agent.id)
    ada.sees("Run make?")
    assert 2004 in ada.screen.modes
    ada.type(b"1")
    ada.sees("It ran.")
    ada.type(b"\x1c")
    assert ada.left() == 0
    assert "left agent; it goes on" in ada.text()
    assert ada.restored
    assert agent.ended().result.subtype == "success"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_the_client_leaves_the_terminal_as_it_was(
    tui: Tui, person: Any, number: signal.Signals
) -> None:
    agent = tui("ask make")
    ada = person(agent.id)
    ada.sees("Run make?")
    ada.process.send_signal(number)
    assert ada.left() == 128 + number
    assert ada.restored
    assert agent.record(lambda record: not record.attached).state == "running"


def test_a_killed_client_is_one_that_has_left(tui: Tui, person: Any) -> None:
    agent = tui("ask make")
    ada = person(agent.id)
    ada.sees("Run make?")
    agent.record(lambda record: record.attached != "")
    ada.process.kill()
    assert agent.record(lambda record: not record.attached).state == "running"


def test_the_program_gets_the_size_of_the_persons_terminal(tui: Tui, person: Any) -> None:
    agent = tui("ask make")
    ada = person(agent.id, size=(90, 25))
    ada.sees("Run make?")
    assert (agent.look().columns, agent.look().rows) == (90, 25)
    ada.resize(100, 30)
    ada.until(lambda: (agent.look().columns, agent.look().rows) == (100, 30))
    ada.sees("Run make?")
    ada.type(b"\x1c")
    ada.left()
    agent.record(lambda record: not record.attached)
    assert (agent.look().columns, agent.look().rows) == (120, 40)


def test_who_watches_is_told_so_and_types_nothing(tui: Tui, person: Any) -> None:
    agent = tui("ask make")
    ada, bob = person(agent.id), None
    ada.sees("Run make?")
    agent.record(lambda record: record.attached != "")
    bob = person(agent.id)
    bob.sees("has had the terminal since")
    bob.type(b"1")
    bob.until(lambda: "has had the terminal since" not in bob.text())
    assert "Run make?" in agent.look().text
    ada.type(b"1")
    bob.sees("It ran.")


def test_who_takes_it_over_types_and_the_first_is_told(tui: Tui, person: Any) -> None:
    agent = tui("ask make")
    ada = person(agent.id)
    ada.sees("Run make?")
    agent.record(lambda record: record.attached != "")
    bob = person(agent.id, "--take")
    ada.sees("has taken the terminal over; you watch")
    bob.sees("Run make?")
    bob.type(b"1")
    bob.sees("It ran.")
    ada.sees("It ran.")


def test_the_end_of_the_agent_ends_the_clients(tui: Tui, person: Any) -> None:
    agent = tui("work 2")
    ada = person(agent.id, "-r")
    ada.sees("Working")
    assert ada.left(30) == 0
    assert "the agent has ended" in ada.text()
    assert ada.restored


def test_a_worker_that_is_killed_gives_the_terminal_back_and_says_so(
    tui: Tui, person: Any, node: Any
) -> None:
    agent = tui("ask make")
    ada = person(agent.id)
    ada.sees("Run make?")
    node.kill(node.worker_pid())
    assert ada.left() == 3
    assert "was lost" in ada.text()
    assert ada.restored
