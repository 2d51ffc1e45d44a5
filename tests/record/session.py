"""One program that is led through a scenario, with recordings of it up to several moments."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from cis_provider.screens.rulebook import State
from cis_provider.testing.model_server import ModelServer, Step, environment
from tests.record.terminal import Terminal

#: Neutral, since a recording shows them.
HOME, PROJECT = Path("/home/dev"), Path("/home/dev/project")
RECORDINGS = Path(__file__).parents[1] / "recordings"
#: What no recording may hold.
_FORBIDDEN = re.compile(r"/work\b|/root\b|/tmp/[a-z]+-[a-z]|sk-[a-z]|npmjs")
_FILES = {
    "README.md": "# Project\n\nA small client.\n",
    "src/client.py": (
        "import time\n\n\ndef fetch(url, retries=3):\n    for attempt in range(retries):\n        try:\n"
        "            return get(url)\n        except OSError:\n            time.sleep(attempt)\n"
        "    raise OSError(url)\n"
    ),
    ".gitignore": "*.pyc\n",
}


class Session:
    """
    A program at work in a fresh project.

    :param argv: Of the program. ``state`` is what it keeps in its home; it is removed first.
    :param change: Variables over those of the scripted environment; an empty one is taken away.
    :param seed: Files of the home, written after the environment's own.
    """

    def __init__(
        self,
        program: str,
        version: str,
        argv: Sequence[str],
        size: tuple[int, int],
        *,
        steps: Sequence[Step] = (),
        trusted: bool = True,
        change: Mapping[str, str] | None = None,
        seed: Mapping[str, str | None] | None = None,
        files: Mapping[str, str] | None = None,
        retries: int | None = None,
    ) -> None:
        self.program, self.version, self.size = program, version, size
        self.server = ModelServer(list(steps))
        self.server.__enter__()
        _project(files or {})
        _clean_home()
        own = environment(
            program, self.server.url, HOME, workspace=PROJECT if trusted else None, retries=retries
        )
        for name, body in (seed or {}).items():
            path = HOME / name
            if body is None:
                path.unlink(missing_ok=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(body.replace("{url}", self.server.url))
        variables = _BASE | own | {k: v.replace("{url}", self.server.url) for k, v in (change or {}).items()}
        self.terminal = Terminal(argv, {k: v for k, v in variables.items() if v}, PROJECT, size)

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.terminal.stop()
        self.server.stop()

    def ask(self, prompt: str, *steps: Step) -> None:
        """Send a prompt that the model answers with ``steps``."""
        self.server.push(*steps)
        self.terminal.paste(prompt)
        self.terminal.keys("enter")

    def snap(self, case: str, state: State, kind: str | None = None, note: str = "") -> None:
        """Save what was seen so far as a recording, with what it should be judged to be."""
        self.terminal.pump(0.15)
        folder = RECORDINGS / self.program / self.version
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"{case}-{self.size[0]}x{self.size[1]}"
        self.terminal.save(folder / f"{stem}.cast")
        seen = "".join(
            d if isinstance(d, str) else d.decode("utf-8", "replace") for _, _, d in self.terminal.events
        )
        if found := _FORBIDDEN.search(seen):
            print(f"!! {stem} holds {seen[max(0, found.start() - 60) : found.end() + 60]!r}")
        expected = {"state": state, "kind": kind, "synthetic": False, "note": note}
        text = json.dumps(expected, ensure_ascii=False, indent=2) + "\n"
        (folder / f"{stem}.expected.json").write_text(text)
        print(f"{self.program} {self.version} {stem}: {state} {kind or ''}", flush=True)


_BASE = {
    "HOME": str(HOME),
    "TERM": "xterm-256color",
    "COLORTERM": "truecolor",
    "LANG": "C.UTF-8",
    "PATH": f"{HOME}/.local/bin:/usr/local/bin:/usr/bin:/bin",
    "SHELL": "/bin/bash",
    "USER": "dev",
}


def _clean_home() -> None:
    HOME.mkdir(parents=True, exist_ok=True)
    for path in HOME.glob(".*"):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()
    (HOME / ".gitconfig").write_text("[user]\n name = Dev\n email = dev@example.com\n")


def _project(files: Mapping[str, str]) -> None:
    shutil.rmtree(PROJECT, ignore_errors=True)
    for name, body in (_FILES | dict(files)).items():
        path = PROJECT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body)
    who = ["-c", "user.name=Dev", "-c", "user.email=dev@example.com"]
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], [*who, "commit", "-qm", "Start"]):
        subprocess.run(
            ["git", *command], cwd=PROJECT, check=True, env=os.environ | {"GIT_CONFIG_GLOBAL": "/dev/null"}
        )
