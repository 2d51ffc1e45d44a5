"""Plays one scenario in one size, and hands back its cases."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cis_provider.screens.recording import parse_size
from cis_provider.testing.model_server import ModelServer, environment
from cis_provider.testing.model_server.script import parse
from tests.record.place import PROJECT, Stage, stage
from tests.record.scenario import Scenario
from tests.record.terminal import Gone, Terminal

#: Seconds that a condition is waited for.
PATIENCE = 30.0
#: Seconds without a byte, after which a screen is taken for drawn; and the most that is waited for that.
_STILL, _AT_MOST = 0.35, 1.5


class Missed(Exception):
    """What a scenario waits for did not come."""


@dataclass(frozen=True)
class Case:
    """A recording from the start to one moment, and what it is."""

    name: str
    events: tuple[tuple[float, str, str], ...]
    size: tuple[int, int]
    expected: dict[str, Any]
    screen: str


def play(
    scenario: Scenario, program: str, file: Path, programs: Path, size: tuple[int, int], mute: bool = False
) -> list[Case]:
    """
    Play it.

    :param file: The program; below ``programs``, which is all of this machine that it sees under another name.
    :param mute: On a terminal that answers no question of the program's.
    :raises Missed: Something that it waits for did not come; says what is on the screen.
    """
    script = parse(yaml.safe_dump(scenario.steps or [{"text": "Done."}]), scenario.name)
    with stage() as place, ModelServer(script.steps, default=script.default) as server:
        place.write_project(scenario.files)
        env = _environment(scenario, program, server.url, place)
        terminal = Terminal(place.command(programs, file, scenario.args), env, size, mute)
        player = _Player(scenario, terminal, server, size)
        try:
            for action in scenario.do:
                player.act(action)
        finally:
            terminal.close()
    return player.cases


def _environment(scenario: Scenario, program: str, url: str, place: Stage) -> dict[str, str]:
    workspace = Path(PROJECT) if scenario.trusted else None
    given = environment(program, url, place.home, workspace=workspace, retries=scenario.retries)
    place.write_home(scenario.home)
    env: dict[str, str | None] = {
        "PATH": "/home/dev/.local/bin:/usr/local/bin:/usr/bin:/bin",
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        "LANG": "C.UTF-8",
        "USER": "dev",
        "SHELL": "/bin/bash",
        "TZ": "UTC",
        **{key: place.seen(value) for key, value in given.items()},
        **scenario.env,
    }
    return {key: str(value) for key, value in env.items() if value is not None}


class _Player:
    def __init__(
        self, scenario: Scenario, terminal: Terminal, server: ModelServer, size: tuple[int, int]
    ) -> None:
        self._scenario, self._terminal, self._server, self._size = scenario, terminal, server, size
        self.cases: list[Case] = []
        self._actions: dict[str, Callable[[Any], None]] = {
            "wait": lambda text: self._until(text, there=True),
            "gone": lambda text: self._until(text, there=False),
            "sleep": terminal.run_for,
            "key": self._keys,
            "type": terminal.type,
            "paste": terminal.paste,
            "resize": lambda text: terminal.resize(parse_size(text)),
            "release": lambda _: server.release(),
            "exit": self._exit,
            "save": self._save,
        }

    def act(self, action: dict[str, Any]) -> None:
        ((name, value),) = action.items()
        gone = self._terminal.status is not None
        if not gone:
            try:
                self._actions[name](value)
            except Gone:
                gone = name not in ("key", "exit")  # the key that ends it is no surprise
        elif name == "save":
            self._save(value)
        if gone and name not in ("exit", "save"):
            raise self._missed(f"{action}: the program ended with status {self._terminal.status}")

    def _keys(self, value: str | list[str]) -> None:
        for key in value if isinstance(value, list) else [value]:
            self._terminal.press(key)
            self._terminal.run_for(0.15)

    def _until(self, text: str, *, there: bool) -> None:
        pattern = re.compile(text, re.MULTILINE)
        deadline = time.monotonic() + PATIENCE
        while bool(pattern.search(self._terminal.frame().text())) != there:
            if time.monotonic() > deadline:
                raise self._missed(f"{'no' if there else 'still'} {text!r} after {PATIENCE:.0f} s")
            self._terminal.pump(0.2)
        self._settle()

    def _settle(self) -> None:
        deadline = time.monotonic() + _AT_MOST
        while time.monotonic() < min(deadline, self._terminal.last_byte + _STILL):
            self._terminal.pump(0.05)

    def _exit(self, key: str | bool) -> None:
        if isinstance(key, str):
            self._terminal.press(key)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            self._terminal.pump(0.2)
        raise self._missed("the program does not end")

    def _save(self, spec: dict[str, Any]) -> None:
        expected = {
            "state": spec["state"],
            "kind": spec.get("kind"),
            "synthetic": False,
            "note": spec.get("note", ""),
        }
        if self._terminal.status is None:
            self._settle()
        screen = self._terminal.frame()
        self.cases.append(
            Case(spec["case"], tuple(self._terminal.events), self._size, expected, screen.text())
        )

    def _missed(self, what: str) -> Missed:
        screen = self._terminal.frame().text()
        return Missed(f"{self._scenario.name}: {what}. On the screen:\n{screen}")


def cast(case: Case, program: str, version: str) -> str:
    """A case as asciicast version 3."""
    header = {
        "version": 3,
        "term": {"cols": case.size[0], "rows": case.size[1], "type": "xterm-256color"},
        "title": f"{program} {version}",
    }
    lines, before = [json.dumps(header)], 0.0
    for at, code, data in case.events:
        # Rounded so that no error adds up.
        lines.append(json.dumps([round(at - before, 3), code, data]))
        before += round(at - before, 3)
    return "\n".join(lines) + "\n"


def write(case: Case, program: str, version: str, folder: Path) -> Path:
    """Write a case and what it is; a long recording is packed. Returns the recording's file."""
    import gzip

    folder.mkdir(parents=True, exist_ok=True)
    name = f"{case.name}-{case.size[0]}x{case.size[1]}"
    data = cast(case, program, version).encode()
    for old in (folder / f"{name}.cast", folder / f"{name}.cast.gz"):
        old.unlink(missing_ok=True)
    if len(data) > 20_000:
        file = folder / f"{name}.cast.gz"
        file.write_bytes(gzip.compress(data, 9, mtime=0))
    else:
        file = folder / f"{name}.cast"
        file.write_bytes(data)
    expected = json.dumps(case.expected, indent=2, ensure_ascii=False) + "\n"
    (folder / f"{name}.expected.json").write_text(expected, encoding="utf-8")
    return file


__all__ = ["Case", "Missed", "cast", "os", "play", "write"]
