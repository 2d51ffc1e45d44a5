"""
Old workspaces removed, and only those that nobody can miss.

A run's workspaces are due when none of its agents was prepared or concluded, and none of its folders
touched, for ``keep_days``. Then a workspace goes, unless it holds something that is nowhere else:
uncommitted or untracked files of a git repository, or commits on no other branch (for a repository of its
own inside a plain folder: on no branch of its remote). Ignored files do not count. Folders that a person
named stay, wherever they are, and so does everything without a record of ours.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cis_provider.errors import WorkspaceError
from cis_provider.workspaces import git, record
from cis_provider.workspaces.names import OWN, Slot, is_scope_home
from cis_provider.workspaces.record import Record
from cis_provider.workspaces.repository import (
    Repository,
    current_branch,
    delete_branch,
    head,
    kept_by_others,
    remove_worktree,
    tip,
)
from cis_provider.workspaces.snapshot import changes
from cis_provider.workspaces.tree import remove_tree

_DAY = 86400.0


@dataclass(frozen=True)
class Removed:
    """A workspace that is gone."""

    path: Path


@dataclass(frozen=True)
class Kept:
    """A workspace that was due, and stays for a reason."""

    path: Path
    reason: str


def sweep(root: Path, *, now: float, keep_days: float = 14, alive: Collection[Path]) -> list[Removed | Kept]:
    """
    Remove the workspaces of runs that ended long ago.

    :param now: Seconds since the epoch.
    :param alive: Workspaces of sessions that have not ended; those and their runs stay.
    :returns: What was due: removed, or kept and why. Younger runs are not listed.
    """
    root = root.resolve()
    awake = [path.resolve() for path in alive]
    outcomes: list[Removed | Kept] = []
    for run in _runs(root):
        slots = list(_slots(root, run))
        if any(path.is_relative_to(run) for path in awake):
            continue
        if now - max(map(_last_use, slots), default=now) < keep_days * _DAY:
            continue
        outcomes += [outcome for slot in slots if (outcome := _sweep_one(slot))]
        _remove_if_empty(root, run)
    return outcomes


def _runs(root: Path) -> Iterator[Path]:
    for folder in _folders(root):
        for dag in _folders(folder) if is_scope_home(folder.name) else [folder]:
            yield from (run for run in _folders(dag) if _is_folder(run / OWN))


def _folders(parent: Path) -> list[Path]:
    if not _is_folder(parent):
        return []
    return sorted(child for child in parent.iterdir() if child.name != OWN and _is_folder(child))


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _slots(root: Path, run: Path) -> Iterator[Slot]:
    yield from (Slot(root, run, note.stem) for note in sorted((run / OWN).glob("*.json")))


def _last_use(slot: Slot) -> float:
    times = [path.lstat().st_mtime for path in (slot.folder, slot.record) if path.exists()]
    with suppress(WorkspaceError):  # an unreadable record is judged by its file's time
        if known := record.read(slot):
            times += [known.prepared_at, known.concluded_at]
    return max(times, default=0.0)


def _sweep_one(slot: Slot) -> Removed | Kept | None:
    known = None
    try:
        known = record.read(slot)
        if known is None:
            return None
        with record.held(slot.root, record.slot_lock(known.key), seconds=1.0):
            reason = _remove(slot, known)
    except (WorkspaceError, OSError) as error:
        reason = f"it could not be checked or removed: {error}"
    if reason:
        return Kept(slot.folder, reason)
    return Removed(slot.folder) if known and known.path == str(slot.folder) else None


def _remove(slot: Slot, known: Record) -> str:
    """Remove one workspace and our notes on it; or say why not."""
    if slot.folder.is_symlink():
        return "it is a link now"
    if known.repo and known.branch:
        reason = _remove_worktree(slot, known)
    elif known.path == str(slot.folder):
        reason = unsaved(slot.folder)
        if not reason:
            remove_tree(slot.folder)
    else:
        reason = ""  # a folder that a person named: only our note on it goes
    asides = [slot.start, *slot.notes.glob(f"{slot.failed.name}-*")]
    for aside in asides if not reason else []:
        reason = reason or unsaved(aside)
    if not reason:
        for aside in asides:
            remove_tree(aside)
        slot.record.unlink()
    return reason


def _remove_worktree(slot: Slot, known: Record) -> str:
    repository = Repository(Path(known.repo), known.repo)
    if not repository.git_dir.is_dir():
        return (
            f"its repository {repository.folder} is gone, so nobody can say what is saved"
            * slot.folder.exists()
        )
    with record.held(slot.root, record.repository_lock(repository.git_dir), seconds=git.SLOW):
        own_tip = tip(repository, known.branch)
        if slot.folder.exists():
            reason = _unsaved_worktree(repository, slot.folder, known.branch, own_tip)
            if reason:
                return reason
            answer = remove_worktree(repository, slot.folder)
            if answer.code:
                return f"git would not remove it: {answer.complaint}"
        if own_tip and kept_by_others(repository, own_tip, but=known.branch):
            delete_branch(repository, known.branch, own_tip)
    return ""


def _unsaved_worktree(repository: Repository, folder: Path, branch: str, own_tip: str | None) -> str:
    if pending := changes(folder):
        return f"uncommitted changes: {pending}"
    if own_tip and not kept_by_others(repository, own_tip, but=branch):
        return f"branch {branch} of {repository.folder} has commits that are on no other branch"
    here = head(folder)
    if here and current_branch(folder) is None and not kept_by_others(repository, here, but=branch):
        return f"it stands on commit {here[:12]} of {repository.folder}, which is on no branch"
    return _unsaved_inside(folder)


def unsaved(folder: Path) -> str:
    """Why a plain folder must stay: a repository in it holds work that is nowhere else. Empty: it may go."""
    if folder.is_symlink():
        return f"{folder} is a link"
    return _unsaved_repository(folder) or _unsaved_inside(folder) if folder.is_dir() else ""


def _unsaved_inside(folder: Path) -> str:
    for where, folders, _ in os.walk(folder):
        folders[:] = [name for name in folders if name != ".git"]
        for name in folders:
            reason = _unsaved_repository(Path(where, name))
            if reason:
                return reason
    return ""


def _unsaved_repository(folder: Path) -> str:
    bare = all((folder / name).exists() for name in ("HEAD", "objects", "refs"))
    if not bare and not os.path.lexists(folder / ".git"):
        return ""
    if not bare and (pending := changes(folder)):
        return f"uncommitted changes in {folder}: {pending}"
    tips = [
        name
        for name in ("HEAD", "refs/stash")
        if not git.ask(["rev-parse", "-q", "--verify", name], cwd=folder).code
    ]
    alone = git.run(["rev-list", "--max-count=1", "--branches", *tips, "--not", "--remotes"], cwd=folder)
    return f"commits in {folder} that are on no remote's branch" if alone else ""


def _remove_if_empty(root: Path, run: Path) -> None:
    if not any((run / OWN).glob("*.json")):
        shutil.rmtree(run / OWN, ignore_errors=True)
    for folder in (run, run.parent, run.parent.parent):
        with suppress(OSError):
            if folder != root:
                folder.rmdir()
