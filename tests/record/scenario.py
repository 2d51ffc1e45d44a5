"""Scenarios: what a program is started with, what its model says, and what a human does. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent / "scenarios"

#: What may be done, one key a step:
#:   wait: REGEX        until it is on the screen (^ and $ are a line's); gone: REGEX until it is not
#:   sleep: SECONDS     the program's own time: a spinner that turns, a menu that opens
#:   key: NAME          or a list of them: enter, esc, ctrl+o, ..., as in rules
#:   type: TEXT         character by character; paste: TEXT as a terminal pastes
#:   resize: 80x24
#:   release: true      the model server lets go what hangs
#:   exit: true         until the program has ended; or the key that ends it
#:   save: {case: NAME, state: STATE, kind: KIND, note: TEXT}   the recording so far is a case
ACTIONS = ("wait", "gone", "sleep", "key", "type", "paste", "resize", "release", "exit", "save")
_KEYS = ("about", "sizes", "versions", "args", "env", "home", "files", "steps", "workspace", "retries", "do")
SIZES = ("80x24", "120x40", "200x50")


@dataclass(frozen=True)
class Scenario:
    """
    One session of a program.

    :param args: The program's arguments.
    :param env: Variables beside those that lead to the model server; ``None`` takes one away.
    :param home: Files in the home folder, by name; a mapping is merged into the JSON that is there.
    :param files: Files in the project's folder.
    :param steps: The model server's script.
    :param trusted: Whether the program was told before that the project may be trusted.
    :param retries: How often the program repeats a failed call; None: as it likes.
    :param do: Actions, in order.
    """

    name: str
    do: tuple[dict[str, Any], ...]
    sizes: tuple[str, ...] = SIZES
    versions: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: dict[str, str | None] = field(default_factory=dict)
    home: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    steps: list[dict[str, Any]] = field(default_factory=list)
    trusted: bool = True
    retries: int | None = None


def load(program: str) -> list[Scenario]:
    """
    A program's scenarios.

    :raises ValueError: One of them has a mistake.
    :raises FileNotFoundError: There are none.
    """
    main, *more = [FOLDER / f"{program}.yaml", *sorted(FOLDER.glob(f"{program}-*.yaml"))]
    found: list[Scenario] = []
    for file in (main, *more):
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
        defaults = document.pop("defaults", {})
        found += [
            _scenario(name, spec, defaults) for name, spec in document.items() if not name.startswith(".")
        ]
    return found


def _scenario(name: str, spec: dict[str, Any], defaults: dict[str, Any]) -> Scenario:
    if wrong := [key for key in spec if key not in _KEYS]:
        raise ValueError(f"scenario {name}: unknown {', '.join(wrong)}; there are {', '.join(_KEYS)}")
    actions = tuple(action for item in spec["do"] for action in (item if isinstance(item, list) else [item]))
    for action in actions:
        if not isinstance(action, dict) or len(action) != 1 or next(iter(action)) not in ACTIONS:
            raise ValueError(f"scenario {name}: {action!r} is no action; there are {', '.join(ACTIONS)}")
    return Scenario(
        name=name,
        do=actions,
        sizes=tuple(spec.get("sizes", SIZES)),
        versions=tuple(spec.get("versions", ())),
        args=tuple(str(item) for item in spec.get("args", defaults.get("args", ()))),
        env={**defaults.get("env", {}), **spec.get("env", {})},
        home={**defaults.get("home", {}), **spec.get("home", {})},
        files={**defaults.get("files", {}), **spec.get("files", {})},
        steps=spec.get("steps", []),
        trusted=spec.get("workspace", "trusted") == "trusted",
        retries=spec.get("retries"),
    )
