"""Agents on terminals, and people who attach to them: their terminals are our own model of one."""

from __future__ import annotations

import select
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cis_provider.model.options import AgentOptions
from cis_provider.node.terminals import look, socket_of
from cis_provider.screens.screen import Screen
from cis_provider.testing import fake_tui
from cis_provider.wire.terminal import Attach, Attached, Detach, Drawn, Gone, Resized, Typed
from cis_provider.worker.attach_client import TerminalLink
from tests.integration.terminal.person import Person

RULES = str(Path(fake_tui.__file__).with_suffix(".yaml"))


class Viewer:
    """Somebody at a terminal, attached to a session."""

    def __init__(self, session_id: str, size: tuple[int, int] = (120, 40), **more: Any) -> None:
        self.session_id = session_id
        self.screen = Screen(*size)
        self.received = 0
        self.notes: list[str] = []
        self.gone = ""
        self.link = TerminalLink(socket_of(session_id))
        self.part = self.link.attach(
            Attach(session_id=session_id, columns=size[0], rows=size[1], **{"who": "ada", **more})
        )
        self.notes.append(self.part.note)

    def text(self) -> str:
        """What they see."""
        return self.screen.frame().text()

    def read(self, seconds: float = 0.0) -> bool:
        """Take in what has come, or comes first; whether anything did."""
        if not self.link.pending and not select.select([self.link], [], [], seconds)[0]:
            return False
        for message in self.link.receive():
            match message:
                case Drawn(data=data):
                    self.received += len(data)
                    self.screen.feed(data)
                case Attached(note=note):
                    self.part = message
                    self.notes.append(note)
                case Gone(reason=reason):
                    self.gone = reason
        return True

    def until(self, condition: Callable[[], bool], seconds: float = 15) -> None:
        """Read until it holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            left = deadline - time.monotonic()
            assert left > 0, f"it did not happen; the screen:\n{self.text()}\nnotes: {self.notes}"
            self.read(left)

    def sees(self, words: str, seconds: float = 15) -> None:
        """Wait until these words are on the screen."""
        self.until(lambda: words in self.text(), seconds)

    def type(self, text: str | bytes) -> None:
        """Press keys."""
        self.link.send(Typed(text.encode() if isinstance(text, str) else text))

    def resize(self, columns: int, rows: int) -> None:
        """The terminal has another size now."""
        self.screen.resize(columns, rows)
        self.link.send(Resized(columns, rows))

    def leave(self) -> None:
        """Go."""
        self.link.send(Detach())
        self.link.socket.close()

    def drop(self) -> None:
        """The network dies."""
        self.link.socket.close()


@pytest.fixture
def attach() -> Iterator[Callable[..., Viewer]]:
    """Attaches people, who leave at the end."""
    there: list[Viewer] = []

    def come(session_id: str, size: tuple[int, int] = (120, 40), **more: Any) -> Viewer:
        there.append(Viewer(session_id, size, **more))
        return there[-1]

    yield come
    for viewer in there:
        viewer.drop()


@pytest.fixture
def tui(node: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Submits an agent whose program is the fake interface; its record, and ways to look at it."""
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))

    def submit(prompt: str, *words: str, **changes: Any) -> Any:
        options = AgentOptions(
            program=(sys.executable, "-m", "cis_provider.testing.fake_tui", *words), config={"rules": RULES}
        )
        given = {"agent_type": "terminal", "options": options, "env": {"PYTHONPATH": str(Path.cwd())}}
        record = node.submit(prompt, **{**given, **changes})
        node.wait(record.session_id, lambda one: one.pid > 0 or one.state == "ended")
        return SimpleNamespace(
            id=record.session_id,
            look=lambda: look(record.session_id),
            ended=lambda: node.ended(record.session_id, 60),
            record=lambda until: node.wait(record.session_id, until, 30),
        )

    return submit


@pytest.fixture
def person() -> Iterator[Callable[..., Person]]:
    """Has people run the client at terminals of their own."""
    there: list[Person] = []

    def come(session_id: str, *words: str, **more: Any) -> Person:
        there.append(Person(session_id, *words, **more))
        return there[-1]

    yield come
    for one in there:
        one.close()
