"""Making a workspace of each kind, or finding the one of an earlier try."""

from __future__ import annotations

import time
from pathlib import Path

from cis_provider.errors import WorkspaceError
from cis_provider.model.session import WorkspaceRequest
from cis_provider.workspaces import git, record
from cis_provider.workspaces.names import Slot, branch_of
from cis_provider.workspaces.places import folder_path
from cis_provider.workspaces.record import Record
from cis_provider.workspaces.repository import (
    Repository,
    add_worktree,
    bring_back_worktree,
    delete_branch,
    head,
    open_repository,
    remove_worktree,
    repository_of,
    resolve,
)
from cis_provider.workspaces.rollback import roll_back_folder, roll_back_worktree, save_start
from cis_provider.workspaces.snapshot import changes, snapshot
from cis_provider.workspaces.tree import copy_tree, move_tree, remove_tree, unused

#: A workspace that an agent may be let into.
Made = tuple[Slot, Record]


def make(request: WorkspaceRequest, slot: Slot, blank: Record) -> Made:
    """
    The workspace of ``blank.key``, and its record, on disk.

    :param slot: Its place, should it be below the root; the place that it got comes back.
    :param blank: The record so far.
    :raises WorkspaceError: It cannot be made.
    """
    match request.kind:
        case "fresh":
            return _own_folder(slot, blank, source="fresh", copy_of=None)
        case "folder":
            return _named_folder(request, slot, blank)
        case "worktree":
            return _worktree(request, slot, blank)
        case "from_agent":
            return (_named_folder if request.shared else _from_agent)(request, slot, blank)


def _named_folder(request: WorkspaceRequest, slot: Slot, blank: Record) -> Made:
    if request.kind == "folder":
        folder = folder_path(request.path, slot.home)
        if request.rollback and not folder.is_relative_to(slot.root):
            raise WorkspaceError(
                f"rollback is for worktrees and for folders below {slot.root}; {folder} is neither: "
                "take `rollback` out, or use {repo: ..., ref: ...} or a relative folder"
            )
    else:
        folder = _origin(request)
        if request.rollback:
            raise WorkspaceError(
                f"rollback would undo the work of the agent that shares {folder}; take it out"
            )
    existed = folder.is_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkspaceError(f"workspace {folder} cannot be made: {error.strerror}") from None
    slot, known = _find(slot, f"folder {folder}")
    repository = repository_of(folder)
    blank.source, blank.path, blank.created = f"folder {folder}", str(folder), not existed
    blank.repo = str(repository.git_dir) if repository else ""
    blank.start_commit = (head(folder) or "") if repository else ""
    if known:
        if request.rollback and _abandoned(known, blank) and slot.start.is_dir():
            roll_back_folder(slot, folder)
        blank.start_commit, blank.created = known.start_commit, known.created
    return _finish(slot, blank, keep_start=request.rollback and not _same_session(known, blank))


def _own_folder(slot: Slot, blank: Record, *, source: str, copy_of: Path | None) -> Made:
    slot, known = _find(slot, source)
    blank.source, blank.path, blank.created = source, str(slot.folder), True
    undo = known and (_abandoned(known, blank) or not slot.folder.exists())
    if undo and blank.rollback and slot.start.is_dir():
        roll_back_folder(slot, slot.folder)
    if copy_of and not slot.folder.exists():
        record.write(slot, blank)
        copy_tree(copy_of, slot.folder)
    else:
        slot.folder.mkdir(parents=True, exist_ok=True)
    return _finish(slot, blank, keep_start=blank.rollback and not _same_session(known, blank))


def _worktree(request: WorkspaceRequest, slot: Slot, blank: Record) -> Made:
    blank.source = f"worktree {git.masked(request.repo)} {request.ref}"
    slot, known = _find(slot, blank.source)
    if known and (again := _same_worktree(slot, known, blank)):
        return again
    repository = open_repository(request.repo, request.ref, slot.root)
    return _new_worktree(slot, blank, repository, resolve(repository, request.ref))


def _from_agent(request: WorkspaceRequest, slot: Slot, blank: Record) -> Made:
    origin = _origin(request)
    repository = repository_of(origin)
    if repository is None:
        return _own_folder(slot, blank, source=f"copy {origin}", copy_of=origin)
    base, blank.note = _base(origin, request.origin_commit)
    blank.source = f"from {origin} {base}"
    slot, known = _find(slot, blank.source)
    if known and (again := _same_worktree(slot, known, blank)):
        return again
    return _new_worktree(slot, blank, repository, base)


def _origin(request: WorkspaceRequest) -> Path:
    origin = Path(request.origin)
    if not request.origin or not origin.is_absolute():
        raise WorkspaceError(f"the upstream agent's workspace {request.origin!r} is no absolute path")
    if not origin.is_dir():
        raise WorkspaceError(f"the upstream agent's workspace {origin} is gone; run that agent again first")
    return origin


def _base(origin: Path, commit: str) -> tuple[str, str]:
    """The commit to go on from, and a note on how it came about."""
    here = head(origin) or ""
    if commit and commit != here:
        if git.ask(["cat-file", "-e", f"{commit}^{{commit}}"], cwd=origin).code:
            raise WorkspaceError(
                f"the upstream agent's commit {commit} is not in {origin}; run it again first"
            )
        return (
            commit,
            f"{origin} has moved on since the upstream agent ended; this began at its commit {commit[:12]}",
        )
    pending = changes(origin)
    base = snapshot(origin, parent=here, message=f"Uncommitted work in {origin.name}\n\nTaken from {origin}")
    nested = [name for name in pending.untracked if name.endswith("/")]
    notes = []
    if base != here:
        notes.append(
            f"the upstream agent left changes uncommitted ({pending}); they are in commit {base[:12]}"
        )
    if nested:
        notes.append(
            f"repositories inside the upstream agent's folder were not carried over: {git.printable(', '.join(nested))}"
        )
    return base, "; ".join(notes)


def _same_worktree(slot: Slot, known: Record, blank: Record) -> Made | None:
    """The worktree of an earlier try; ``None`` where too little is left of it."""
    repository = Repository(Path(known.repo), known.repo)
    if not known.ready or not repository.git_dir.is_dir():
        _tidy(slot, known, repository)
        return None
    if slot.folder.exists() and not (slot.folder / ".git").exists():
        move_tree(slot.folder, unused(slot.failed))  # the agent took its ".git" away; nothing is lost
    if not slot.folder.exists() and not bring_back_worktree(repository, slot.folder, known.branch, slot.root):
        return None
    if blank.rollback and _abandoned(known, blank):
        roll_back_worktree(repository, slot.folder, known.branch, known.start_commit)
    for field in ("path", "created", "repo", "branch", "start_commit", "note"):
        setattr(blank, field, getattr(known, field))
    return _finish(slot, blank, keep_start=False)


def _tidy(slot: Slot, known: Record, repository: Repository) -> None:
    # No agent was ever in it: it was killed while it was being made.
    if known.repo and repository.git_dir.is_dir():
        remove_worktree(repository, slot.folder, force=True)
        if known.branch:
            delete_branch(repository, known.branch, known.start_commit)
    if not known.ready:
        remove_tree(slot.folder)


def _new_worktree(slot: Slot, blank: Record, repository: Repository, commit: str) -> Made:
    blank.path, blank.created = str(slot.folder), True
    blank.repo, blank.start_commit = str(repository.git_dir), commit
    record.write(slot, blank)
    blank.branch = add_worktree(repository, slot.folder, branch_of(blank.key), commit, slot.root)
    return _finish(slot, blank, keep_start=False)


def _find(slot: Slot, source: str) -> tuple[Slot, Record | None]:
    """The slot whose workspace was made from ``source``, or the first free one."""
    generation = 1
    while True:
        candidate = slot.later(generation)
        known = record.read(candidate)
        if known is None or known.source == source:
            return candidate, known
        generation += 1


def _same_session(known: Record | None, blank: Record) -> bool:
    """Whether it goes on after its worker was lost: with what it has done, from where it began."""
    return known is not None and known.ready and known.session_id == blank.session_id


def _abandoned(known: Record, blank: Record) -> bool:
    """Whether an earlier try left it half done."""
    return known.unfinished and not _same_session(known, blank)


def _finish(slot: Slot, done: Record, *, keep_start: bool) -> Made:
    if keep_start:
        slot.notes.mkdir(parents=True, exist_ok=True)
        save_start(slot, Path(done.path))
    done.ready, done.prepared_at = True, time.time()
    record.write(slot, done)
    return slot, done
