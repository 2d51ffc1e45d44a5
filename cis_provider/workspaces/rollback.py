"""Putting a failed agent's workspace back to where it began, without losing what was in it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from cis_provider.errors import WorkspaceError
from cis_provider.workspaces import git
from cis_provider.workspaces.names import Slot
from cis_provider.workspaces.repository import Repository, create_ref, head, tip
from cis_provider.workspaces.snapshot import changes, snapshot
from cis_provider.workspaces.tree import copy_tree, move_tree, unused


def roll_back_worktree(repository: Repository, folder: Path, branch: str, start: str) -> list[str]:
    """
    Put a worktree, and its own branch, back to ``start``; the refs that hold what was there come back.

    Committed or not, everything is kept below ``refs/cis/rollback/``, but for ignored files and folders
    with a repository of their own: those stay where they are. Other branches are not touched, even if the
    agent had gone over to one of them.

    :raises WorkspaceError: Something could not be kept (then nothing was put back) or put back.
    """
    _clear_the_way(folder)
    here = head(folder) or start
    everything = snapshot(folder, parent=here, message=f"What a failed agent left behind on {branch}")
    left = [everything] if everything != start else []
    own = tip(repository, branch)
    if own and own != start and not _holds(repository, everything, own):
        left.append(own)
    base = f"refs/cis/rollback/{branch.removeprefix('cis/')}"
    kept = [create_ref(repository, base, commit) for commit in left]

    git.run(["update-ref", f"refs/heads/{branch}", start], cwd=folder)
    git.run(["symbolic-ref", "HEAD", f"refs/heads/{branch}"], cwd=folder)
    git.run(["reset", "--hard", "--quiet"], cwd=folder, timeout=git.SLOW)
    git.run(["clean", "-d", "--force", "--quiet"], cwd=folder, timeout=git.SLOW)
    rest = [
        name for name in (*changes(folder).modified, *changes(folder).untracked) if not name.endswith("/")
    ]
    if rest:
        raise WorkspaceError(
            f"{folder} was put back to {start[:12]}, but {', '.join(rest[:5])} stayed changed"
        )
    return kept


def save_start(slot: Slot, folder: Path) -> None:
    """
    Keep a copy of a folder, to put it back to. One that is there already is older, and stays.

    :raises WorkspaceError: It cannot be copied.
    """
    if not slot.start.exists():
        copy_tree(folder, slot.start)


def roll_back_folder(slot: Slot, folder: Path) -> Path | None:
    """
    Put a folder back to the copy made at its start; where the failed agent's files are comes back.

    :raises WorkspaceError: There is no copy, or the folder cannot be moved.
    """
    if not slot.start.is_dir():
        raise WorkspaceError(
            f"the copy of {folder} that was made at the agent's start, {slot.start}, is gone"
        )
    aside = None
    if folder.exists():
        aside = unused(slot.failed)
        move_tree(folder, aside)
    move_tree(slot.start, folder)
    return aside


def _clear_the_way(folder: Path) -> None:
    # The agent's processes are gone: a lock that is still there belongs to nobody, nor does an open rebase.
    lock = folder / git.run(["rev-parse", "--git-path", "index.lock"], cwd=folder)
    with suppress(FileNotFoundError):
        lock.unlink()
    git.ask(["rebase", "--quit"], cwd=folder)


def _holds(repository: Repository, commit: str, ancestor: str) -> bool:
    return not git.ask(["merge-base", "--is-ancestor", ancestor, commit], cwd=repository.git_dir).code
