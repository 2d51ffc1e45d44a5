"""The few things that the steps want from git."""

from __future__ import annotations

import subprocess
from pathlib import Path

from nightly_upgrade.errors import StepError

GIT_TIMEOUT = 120.0


def git(folder: Path, *arguments: str) -> str:
    """
    Output of one git command in ``folder``.

    :raises StepError: It failed, or took longer than two minutes.
    """
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=GIT_TIMEOUT
        )
    except subprocess.TimeoutExpired:
        raise StepError(f"git {arguments[0]} was not done after {GIT_TIMEOUT:.0f} s in {folder}") from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise StepError(f"git {arguments[0]} failed in {folder}: {' '.join(said) or 'it said nothing'}")
    return done.stdout.rstrip("\n")


def head(folder: Path) -> str:
    """The commit that ``folder`` stands at, whole."""
    return git(folder, "rev-parse", "HEAD")


def branch(folder: Path) -> str:
    """The branch of ``folder``; empty when none is checked out."""
    return git(folder, "branch", "--show-current")


def repository(folder: Path) -> Path:
    """The repository that ``folder`` is a worktree of: its own checkout, or a bare one."""
    shared = (folder / git(folder, "rev-parse", "--git-common-dir")).resolve()
    return shared.parent if shared.name == ".git" else shared


def restore(folder: Path) -> None:
    """Undo every change to files that git knows. New files stay."""
    git(folder, "reset", "--quiet", "--hard", "HEAD")


def commit_file(folder: Path, path: str, message: str) -> str:
    """Commit one file, nothing else, and tell the commit."""
    git(folder, "commit", "--quiet", "--message", message, "--", path)
    return head(folder)


def diff_stat(folder: Path, base: str) -> str:
    """What has changed between ``base`` and HEAD, as ``git diff --stat`` puts it."""
    return git(folder, "diff", "--stat", f"{base}..HEAD")
