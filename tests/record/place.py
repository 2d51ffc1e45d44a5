"""Where a program is recorded: a home and a project with neutral paths, in mount and process namespaces of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HOME = "/home/dev"
PROJECT = f"{HOME}/project"
#: Where the program's own folder is seen.
PROGRAMS = "/mnt"

#: /tmp comes last: the stage may be in it.
_ENTER = f"""
set -e
mount --bind "$1" {PROGRAMS}
mount --bind "$2" /home
mount -t tmpfs tmpfs /tmp
cd {PROJECT}
shift 2
exec "$@"
"""


class Stage:
    """
    The folder that the program will know as ``/home``.

    :param root: Of this use only.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root / "dev"
        self.project = self.home / "project"
        self.project.mkdir(parents=True)

    def write_project(self, files: dict[str, str]) -> None:
        """A small repository, since that is where agents work."""
        for name, text in {"README.md": "# Example\n", **files}.items():
            file = self.project / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        for command in (
            ["git", "init", "-q", "-b", "main"],
            ["git", "add", "-A"],
            ["git", "-c", "user.name=dev", "-c", "user.email=dev@example.org", "commit", "-qm", "begin"],
        ):
            subprocess.run(command, cwd=self.project, check=True, timeout=30, env=_git_environment())

    def write_home(self, files: dict[str, Any]) -> None:
        """Text as it is; a mapping is merged into the JSON that is there."""
        for name, content in files.items():
            file = self.home / name
            file.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, str):
                file.write_text(content, encoding="utf-8")
            else:
                old = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
                file.write_text(json.dumps(merged(old, content), indent=2), encoding="utf-8")

    def seen(self, value: str) -> str:
        """A variable as it must read inside."""
        return value.replace(str(self.root), "/home")

    def command(self, programs: Path, program: Path, args: tuple[str, ...]) -> list[str]:
        """
        How to start a program that lies below ``programs``.

        All its processes die with it.
        """
        inside = Path(PROGRAMS) / program.relative_to(programs)
        link = (
            self.home / ".local" / "bin" / program.name
        )  # where an installer puts it; some look for it there
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(inside)
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        return [
            *("unshare", *user, "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
            *("sh", "-c", _ENTER, "enter", str(programs), str(self.root), str(inside), *args),
        ]


@contextmanager
def stage() -> Iterator[Stage]:
    """One that is removed in the end."""
    root = Path(tempfile.mkdtemp(prefix="stage-"))
    try:
        yield Stage(root)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def merged(old: Any, new: Any) -> Any:
    """``new`` laid over ``old``; mappings in depth, ``None`` takes a key away."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    both = {**old, **{key: merged(old.get(key), value) for key, value in new.items()}}
    return {key: value for key, value in both.items() if value is not None}


def _git_environment() -> dict[str, str]:
    return {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
