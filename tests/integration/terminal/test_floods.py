"""Floods, slow clients, lost clients, several of them: the agent and the others never notice."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cis_provider.model.options import AgentOptions
from cis_provider.node.terminals import look, socket_of
from cis_provider.wire.terminal import Attach, encode

pytestmark = pytest.mark.integration

Tui = Callable[..., Any]

#: Waits for a key, writes 10 MB of lines and a last one, and waits for another key.
FLOOD = """
import os, sys, termios, tty
tty.setraw(0)
os.write(1, b"ready\\r\\n")
os.read(0, 1)
words = b"\\x1b[3%dm%07d some words of a flood, in colours, as they may be\\x1b[0m\\r\\n"
line = b"".join(words % (n % 8, n) for n in range(1000))
for _ in range(10_000_000 // len(line)):
    view = memoryview(line)
    while view:
        view = view[os.write(1, view):]
os.write(1, b"\\x1b[?1002h\\x1b[2J\\x1b[HTHE END")
os.read(0, 1)
"""


@pytest.fixture
def flood(node: Any) -> Any:
    """An agent that floods its terminal when a key is pressed."""
    record = node.submit(
        "unused", agent_type="terminal", options=AgentOptions(program=(sys.executable, "-c", FLOOD))
    )
    node.wait(record.session_id, lambda one: one.pid > 0)
    return record


def test_a_flood_costs_a_client_few_bytes_and_ends_with_the_right_screen(
    flood: Any, attach: Any, node: Any
) -> None:
    ada = attach(flood.session_id)
    ada.sees("ready")
    before = ada.received
    ada.type("x")
    ada.sees("THE END", 60)
    assert ada.received - before < 3_000_000
    assert ada.text() == look(flood.session_id).text == "THE END"
    assert 1002 in ada.screen.modes
    ada.type("x")
    assert node.ended(flood.session_id, 30).result.subtype == "success"


def test_who_does_not_read_holds_nobody_up_and_gets_one_picture_afterwards(flood: Any, attach: Any) -> None:
    ada, lazy = attach(flood.session_id), attach(flood.session_id, read_only=True, who="lazy")
    ada.sees("ready")
    lazy.sees("ready")
    ada.type("x")
    ada.sees("THE END", 60)
    before = lazy.received
    lazy.sees("THE END")
    assert lazy.received - before < 400_000
    assert lazy.text() == "THE END"


def test_a_client_whose_terminal_stands_still_can_still_be_left(flood: Any, person: Any, attach: Any) -> None:
    ada = person(flood.session_id)
    ada.sees("ready")
    ada.type(b"x")
    bob = attach(flood.session_id, read_only=True, who="bob")
    bob.sees("THE END", 60)  # nobody has read ada's terminal meanwhile: it takes nothing any more
    ada.type(b"\x1c")
    bob.until(lambda: look(flood.session_id).writer == "", 20)
    assert ada.left() == 0
    assert ada.restored


def test_fifty_clients_that_are_lost_without_a_word_are_forgotten(tui: Tui, attach: Any) -> None:
    agent = tui("ask make")
    ada = attach(agent.id)
    ada.sees("Run make?")
    path = socket_of(agent.id)
    for _ in range(50):
        with socket.socket(socket.AF_UNIX) as lost:
            lost.connect(path)
            lost.sendall(encode(Attach(session_id=agent.id, columns=80, rows=24, read_only=True)))
    ada.until(lambda: agent.look().watchers == 0)
    ada.type("1")
    ada.sees("It ran.")


@pytest.mark.parametrize("words", [b"", b"\0\0\0\1\xc0", b"\xff\xff\xff\xff", b"\0\0\0\x40half"])
def test_nonsense_on_the_socket_disturbs_nobody(tui: Tui, attach: Any, words: bytes) -> None:
    agent = tui("ask make")
    ada = attach(agent.id)
    ada.sees("Run make?")
    with socket.socket(socket.AF_UNIX) as lost:
        lost.connect(socket_of(agent.id))
        lost.sendall(words)
    ada.type("1")
    ada.sees("It ran.")


@pytest.mark.parametrize("size", [(0, 0), (1, 1), (65535, 65535), (-1, -5)])
def test_a_size_that_no_terminal_has_is_ignored(tui: Tui, attach: Any, size: tuple[int, int]) -> None:
    agent = tui("ask make")
    ada = attach(agent.id)
    ada.sees("Run make?")
    from cis_provider.wire.terminal import Resized

    ada.link.send(Resized(*size))
    time.sleep(0.2)  # nothing is to happen: nothing tells when
    assert (agent.look().columns, agent.look().rows) == (120, 40)


def test_who_watches_on_a_smaller_terminal_sees_the_part_with_the_cursor(tui: Tui, attach: Any) -> None:
    agent = tui("ask make")
    ada = attach(agent.id)
    ada.sees("Run make?")
    bob = attach(agent.id, (50, 12), read_only=True, who="bob")
    bob.sees("1. Yes")
    ada.type("1")
    bob.sees("It ran.")
    assert (agent.look().columns, agent.look().rows) == (120, 40)


def test_a_worker_that_leaves_tells_those_who_are_attached(tui: Tui, attach: Any, node: Any) -> None:
    agent = tui("work 60")
    ada = attach(agent.id)
    ada.sees("Working")
    from cis_provider.node.client import NodeClient

    with NodeClient("test") as client:
        client.end(agent.id, "the test is over")
    ada.until(lambda: ada.gone != "")
    assert ada.gone == "the agent has ended"


def test_a_shell_agents_output_is_watched_as_it_comes_and_takes_no_input(
    node: Any, attach: Any, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    record = node.submit(f"echo first; until [ -e {gate} ]; do sleep 0.1; done; echo second")
    node.wait(record.session_id, lambda one: "first" in one.last_line)
    ada = attach(record.session_id)
    assert not ada.part.writer
    assert "takes no input" in ada.part.note
    ada.sees("first")
    gate.touch()
    ada.sees("second")
    ada.until(lambda: ada.gone != "")
