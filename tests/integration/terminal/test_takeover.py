"""A human goes on in an agent's own interface: it is opened, ended, and never outlives those who wanted it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from cis_provider.model.options import AgentOptions
from cis_provider.runtimes.base import Launch
from cis_provider.screens import rule_files
from cis_provider.testing import fake_tui
from cis_provider.wire.terminal import Attached, Gone
from cis_provider.worker.attach_live import LiveTerminal
from cis_provider.worker.mask import SecretMask
from cis_provider.worker.recording import Recording
from cis_provider.worker.takeover import Humans

pytestmark = pytest.mark.integration

TUI = [sys.executable, "-m", "cis_provider.testing.fake_tui"]


class Guest:
    """Somebody who is attached, without a connection."""

    def __init__(self, who: str, size: tuple[int, int] = (120, 40)) -> None:
        self.who, self.size = who, size
        self.told: list[Attached | Gone] = []
        self.heard = asyncio.Event()

    def wrote(self, data: bytes) -> None:
        self.heard.set()

    def changed(self) -> None:
        self.heard.set()

    def say(self, message: Attached | Gone) -> None:
        self.told.append(message)
        self.heard.set()


class Seat:
    """A terminal, its people, and an agent whose interface is the fake one."""

    def __init__(self, folder: Path) -> None:
        log = folder / "output.log"
        log.write_bytes(b"what was said before\n")
        recording = Recording(folder / "r", size=(120, 40), mask=SecretMask([]), title="")
        self.terminal = LiveTerminal(output=log, recording=recording, mask=SecretMask([]))
        self.humans = Humans(self.terminal)
        self.pids: list[int] = []
        self.said: list[bytes] = []
        work: Any = SimpleNamespace(
            session_id="s", workspace=folder, folder=folder, on_process=self.pids.append,
            write=self.said.append,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path.cwd()), "CIS_SESSION_ID": "s"},
            request=SimpleNamespace(agent_type="claude", options=AgentOptions()),
        )  # fmt: skip
        self.humans.work = work

    def come(self, who: str, **more: Any) -> Guest:
        guest = Guest(who)
        self.terminal.join(guest, **{"read_only": False, "take": False, **more})
        return guest

    async def shows(self, words: str) -> None:
        async with asyncio.timeout(20):
            while words not in self.terminal.seen().text:  # noqa: ASYNC110
                await asyncio.sleep(0.05)  # a screen tells nobody

    def gone(self) -> bool:
        return bool(self.pids) and not any(psutil.pid_exists(pid) for pid in self.pids)


@pytest.fixture
def seat(tmp_path: Path) -> Callable[[], Seat]:
    return lambda: Seat(tmp_path)


async def test_it_is_open_for_as_long_as_somebody_types(seat: Any) -> None:
    place = seat()
    ada = place.come("ada")
    assert place.humans.wanted.is_set()
    assert (place.humans.name, place.humans.attached) == ("ada", "")
    hosting = asyncio.create_task(place.humans.host(Launch(TUI)))
    await place.shows("ready")
    assert place.humans.attached == "ada"
    assert not place.humans.wanted.is_set()
    assert place.terminal.seen().source == "human"
    place.terminal.typed(ada, b"hello")
    await place.shows("❯ hello")
    place.terminal.leave(ada)
    async with asyncio.timeout(10):
        await hosting
    assert place.gone()
    assert place.humans.attached == ""
    assert place.terminal.seen().text.strip() == "what was said before"


async def test_who_closes_it_is_told_that_the_agent_goes_on(seat: Any) -> None:
    place = seat()
    ada = place.come("ada")
    hosting = asyncio.create_task(place.humans.host(Launch(TUI)))
    await place.shows("ready")
    place.terminal.typed(ada, b"die\r")
    async with asyncio.timeout(10):
        await hosting
    assert ada.told[-1] == Gone("its interface was closed; the agent goes on by itself")
    assert place.humans.name == ""
    assert place.gone()


async def test_who_takes_it_over_has_it_without_its_being_opened_anew(seat: Any) -> None:
    place = seat()
    ada = place.come("ada")
    hosting = asyncio.create_task(place.humans.host(Launch(TUI)))
    await place.shows("ready")
    bob = place.come("bob", take=True)
    assert place.humans.attached == "bob"
    assert not ada.told[-1].writer
    place.terminal.leave(ada)
    place.terminal.typed(ada, b"nothing")
    place.terminal.typed(bob, b"mine")
    await place.shows("❯ mine")
    assert len(place.pids) == 1
    place.terminal.leave(bob)
    await hosting


async def test_who_comes_back_in_the_moment_it_is_closed_finds_it_open(seat: Any) -> None:
    place = seat()
    ada = place.come("ada")
    hosting = asyncio.create_task(place.humans.host(Launch(TUI)))
    await place.shows("ready")
    place.terminal.leave(ada)
    await asyncio.sleep(0)
    again = place.come("ada")
    await asyncio.sleep(1)  # longer than it is kept open for nobody
    assert not hosting.done()
    place.terminal.leave(again)
    await hosting
    assert place.gone()


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interface's screen is understood."""
    book = rule_files.load(Path(fake_tui.__file__).with_suffix(".yaml"))
    monkeypatch.setattr("cis_provider.worker.takeover._rules", lambda *_: book)


async def test_a_turn_that_is_at_work_when_they_leave_is_let_finish(seat: Any, known: None) -> None:
    place = seat()
    alone: list[bool] = []
    ada = place.come("ada")
    hosting = asyncio.create_task(place.humans.host(Launch(TUI), alone.append))
    await place.shows("ready")
    place.terminal.typed(ada, b"work 5\r")
    await place.shows("Working")
    place.terminal.leave(ada)
    await asyncio.sleep(3)
    assert not hosting.done(), "it was cut off"
    assert place.humans.attached == ""
    assert alone == [True]
    assert any(b"let finish" in line for line in place.said)
    await place.shows("Done working.")
    async with asyncio.timeout(5):
        await hosting
    assert alone == [True, False]
    assert place.gone()


async def test_who_comes_back_to_a_turn_that_is_at_work_has_it_again(seat: Any, known: None) -> None:
    place = seat()
    ada = place.come("ada")
    hosting = asyncio.create_task(place.humans.host(Launch(TUI)))
    await place.shows("ready")
    place.terminal.typed(ada, b"work 60\r")
    await place.shows("Working")
    place.terminal.leave(ada)
    await asyncio.sleep(1)
    bob = place.come("bob")
    assert place.humans.attached == "bob"
    place.terminal.typed(bob, b"\x1b")
    await place.shows("Interrupted")
    await asyncio.sleep(1)
    assert not hosting.done(), "an idle interface is bob's for as long as he stays"
    place.terminal.leave(bob)
    async with asyncio.timeout(5):
        await hosting
    assert len(place.pids) == 1


async def test_an_interface_that_waits_when_they_leave_is_closed(seat: Any, known: None) -> None:
    place = seat()
    ada = place.come("ada")
    hosting = asyncio.create_task(place.humans.host(Launch(TUI)))
    await place.shows("ready")
    place.terminal.typed(ada, b"ask rm\r")
    await place.shows("Run rm?")
    place.terminal.leave(ada)
    async with asyncio.timeout(5):
        await hosting
    assert place.gone()


async def test_an_interface_that_cannot_be_started_is_said_and_they_watch(seat: Any) -> None:
    place = seat()
    ada = place.come("ada")
    await place.humans.host(Launch(["/nowhere/to/be/found"]))
    assert not ada.told[-1].writer
    assert "cannot be started" in ada.told[-1].note
    assert not place.humans.wanted.is_set()


async def test_a_session_that_is_stopped_takes_it_along(seat: Any) -> None:
    place = seat()
    place.come("ada")
    hosting = asyncio.create_task(place.humans.host(Launch(TUI)))
    await place.shows("ready")
    hosting.cancel()
    await asyncio.gather(hosting, return_exceptions=True)
    assert place.gone()


async def test_one_who_left_before_it_was_opened_is_not_waited_for(seat: Any) -> None:
    place = seat()
    place.terminal.leave(place.come("ada"))
    assert not place.humans.wanted.is_set()
    async with asyncio.timeout(5):
        await place.humans.host(Launch(TUI))
    assert not place.pids


async def test_what_takes_no_input_is_only_watched(seat: Any) -> None:
    place = seat()
    ada = place.come("ada")
    place.terminal.shut("it takes no input")
    assert ada.told[-1] == Attached(writer=False, note="it takes no input; you watch")
    bob = place.come("bob", take=True)
    assert bob.told == [Attached(writer=False, note="it takes no input")]
    assert not place.humans.wanted.is_set()
