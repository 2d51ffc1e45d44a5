from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cis_provider import paths
from cis_provider.model.session import SessionKey, WorkspaceRequest
from cis_provider.workspaces import manager
from cis_provider.workspaces.manager import PreparedWorkspace


def git(*args: str | Path, cwd: Path) -> str:
    """A git command of a test's own, as a person would give it."""
    done = subprocess.run(
        ["git", "-c", "user.name=T", "-c", "user.email=t@example.com", *map(str, args)],
        cwd=cwd,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout.strip()


def commit(folder: Path, name: str, text: str) -> str:
    """Write a file and commit it; the commit's id comes back."""
    (folder / name).write_text(text)
    git("add", name, cwd=folder)
    git("commit", "-qm", f"{name}: {text[:20]}", cwd=folder)
    return git("rev-parse", "HEAD", cwd=folder)


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A repository with one commit on its branch ``main``."""
    folder = tmp_path / "project"
    folder.mkdir()
    git("init", "-q", "-b", "main", cwd=folder)
    (folder / ".gitignore").write_text("ignored/\n")
    git("add", ".gitignore", cwd=folder)
    commit(folder, "pins.txt", "old\n")
    return folder


@pytest.fixture
def root(cis_home: Path) -> Path:
    """The workspace root of the test's node."""
    return paths.workspace_root()


Prepare = Callable[..., PreparedWorkspace]


@pytest.fixture
def prepare(cis_home: Path) -> Prepare:
    """``prepare("agent", kind="fresh", run="r1")``; each time for another session, unless one is named."""
    sessions = itertools.count(1)

    def make(
        agent: str,
        *,
        dag: str = "dag",
        run: str = "r1",
        map_index: int = -1,
        scope: str = "global",
        session_id: str = "",
        **request,
    ) -> PreparedWorkspace:
        return manager.prepare(
            WorkspaceRequest(**request),
            session_id=session_id or f"s{next(sessions)}",
            key=SessionKey(dag, run, agent, map_index),
            node_id="node-a",
            scope=scope,
        )

    return make
