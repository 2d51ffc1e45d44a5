"""
An agent's workspace: made ready before it starts, reported on when it has ended.

Below the workspace root::

    <dag>/<run>/<agent>/             a workspace; "~2" follows where a later one was made from something else
    <dag>/<run>/.cis/<agent>.json    what it is
    <dag>/<run>/.cis/<agent>.start   a folder's copy, where a rollback was asked for
    @<kind>-<id>/<dag>/<run>/...     the same for the agents of a scope other than the global one
    .cis/repos/                      bare clones of addresses, for all scopes
    .cis/locks/                      for all scopes, too: they may share a repository

What an agent finds:

- ``fresh``: an empty folder.
- ``folder``: that folder, made if it was not there. Never removed by us. A relative one is its scope's own;
  an absolute one is the same for everybody.
- ``worktree``: the repository at that ref, on a branch ``cis/<dag>/<run>/<agent>``.
- ``from_agent``: the upstream agent's commit, on such a branch. What that agent left uncommitted is there
  too, as a commit of its own at the branch's beginning; the upstream's branch, index and files stay as they
  are. Ignored files are not carried over. Without git: a copy of its folder. With ``shared``: that very folder.

A retry of the same agent in the same run gets its workspace back as it is, and its start stays the first
try's. With ``rollback``, a try whose worker died is put back first. For a folder, ``rollback`` costs a copy
of it at every start. Every function blocks.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from cis_provider.errors import WorkspaceError
from cis_provider.model.scope import TaskScope
from cis_provider.model.session import SessionKey, WorkspaceKind, WorkspaceRequest
from cis_provider.workspaces import git, record
from cis_provider.workspaces.making import make
from cis_provider.workspaces.names import Slot, home_of, slot_of
from cis_provider.workspaces.places import folder_path, refuse_links, workspace_root
from cis_provider.workspaces.record import Record
from cis_provider.workspaces.repository import Repository, current_branch, head
from cis_provider.workspaces.rollback import roll_back_folder, roll_back_worktree
from cis_provider.workspaces.snapshot import changes, diff_stat
from cis_provider.workspaces.sweep import Kept, Removed, sweep
from cis_provider.workspaces.tree import remove_tree

__all__ = ["Conclusion", "Kept", "PreparedWorkspace", "Removed", "claim_path", "conclude", "prepare", "sweep"]


@dataclass(frozen=True)
class PreparedWorkspace:
    """
    A workspace that an agent may be started in.

    :param path: The folder; absolute.
    :param node_id: The node it is on.
    :param repo: The repository's folder (our clone's, for an address); ``None`` without git.
    :param branch: The worktree's own branch; ``None`` for a folder.
    :param start_commit: Where the agent begins; ``None`` without git.
    :param created: Whether the folder is ours.
    :param rollback: Whether it is put back when the agent fails.
    :param note: What its owner should know about its start; may be empty.
    """

    path: Path
    kind: WorkspaceKind
    key: SessionKey
    node_id: str
    repo: Path | None
    branch: str | None
    start_commit: str | None
    created: bool
    rollback: bool
    note: str
    slot: Slot

    @property
    def name(self) -> str:
        """Node, repository and commit, or node and folder: what to call it where paths mean nothing."""
        where = f"{self.repo}@{self.start_commit}" if self.repo and self.start_commit else str(self.path)
        return f"{self.node_id}:{where}"


@dataclass(frozen=True)
class Conclusion:
    """
    What became of a workspace.

    :param commit: HEAD at the end, before any rollback.
    :param branch: The branch that the agent was on at the end.
    :param diff_stat: From the start to the end; uncommitted and untracked files are noted below it.
    :param uncommitted: Whether there was something not committed.
    :param rolled_back: Whether the folder is back to where it began.
    :param note: Where what was rolled back can be found; and the note of the start.
    :param error: What could not be read, or put back; empty if all went well.
    """

    commit: str | None = None
    branch: str | None = None
    diff_stat: str | None = None
    uncommitted: bool = False
    rolled_back: bool = False
    note: str = ""
    error: str = ""


def prepare(
    request: WorkspaceRequest, *, session_id: str, key: SessionKey, node_id: str, scope: str = "global"
) -> PreparedWorkspace:
    """
    The workspace that ``request`` asks for, ready for the agent of ``key``.

    :param scope: Text of the agent's scope, below whose folder the workspace is.
    :raises ConfigError: ``scope`` is none.
    :raises WorkspaceError: It cannot be; nothing half-made is left for the next try.
    """
    root = workspace_root()
    slot = slot_of(root, key, TaskScope.parse(scope))
    with record.held(root, record.slot_lock(key), seconds=git.REMOTE):
        refuse_links(slot)
        blank = Record(
            key=key,
            node_id=node_id,
            session_id=session_id,
            kind=request.kind,
            source="",
            path=str(slot.folder),
            rollback=request.rollback,
        )
        try:
            return _prepared(*make(request, slot, blank))
        except OSError as error:
            raise WorkspaceError(f"the workspace {slot.folder} cannot be made: {error}") from error


def conclude(prepared: PreparedWorkspace, *, failed: bool) -> Conclusion:
    """
    Say what became of a workspace, and put it back if that was asked for and the agent failed.

    Call it when the agent's processes are gone. Trouble is told in the conclusion, never raised: an agent
    may have done anything to its folder, and its result counts all the same.
    """
    seen = _report(prepared)
    rolled_back, notes, errors = False, [prepared.note], [seen.error]
    slot = prepared.slot
    try:
        with record.held(slot.root, record.slot_lock(prepared.key), seconds=git.SLOW):
            if prepared.rollback and failed:
                notes.append(_roll_back(prepared))
                rolled_back = True
            elif prepared.rollback:
                remove_tree(slot.start)
            known = record.read(slot)
            if known:
                known.concluded_at = time.time()
                record.write(slot, known)
    except (WorkspaceError, OSError) as error:
        errors.append(
            f"not put back: {error}" if prepared.rollback and failed and not rolled_back else str(error)
        )
    return Conclusion(
        commit=seen.commit,
        branch=seen.branch,
        diff_stat=seen.diff_stat,
        uncommitted=seen.uncommitted,
        rolled_back=rolled_back,
        note="; ".join(note for note in notes if note),
        error="; ".join(error for error in errors if error),
    )


def claim_path(request: WorkspaceRequest, key: SessionKey, scope: str = "global") -> str | None:
    """
    The real path of a folder that may belong to one run at a time; ``None`` where nothing is claimed.

    :param scope: As for :func:`prepare`.
    :raises ConfigError: ``scope`` is none.
    :raises WorkspaceError: The folder cannot be one.
    """
    if request.kind != "folder" or request.shared:
        return None
    home = home_of(workspace_root(make=False), TaskScope.parse(scope))
    return str(folder_path(request.path, home))


def _prepared(slot: Slot, made: Record) -> PreparedWorkspace:
    return PreparedWorkspace(
        path=Path(made.path),
        kind=made.kind,
        key=made.key,
        node_id=made.node_id,
        repo=Repository(Path(made.repo), "").folder if made.repo else None,
        branch=made.branch or None,
        start_commit=made.start_commit or None,
        created=made.created,
        rollback=made.rollback,
        note=made.note,
        slot=slot,
    )


def _report(prepared: PreparedWorkspace) -> Conclusion:
    folder = prepared.path
    try:
        if not folder.is_dir():
            return Conclusion(error=f"the workspace {folder} is gone")
        if not (folder / ".git").exists():
            missing = prepared.branch is not None
            return Conclusion(error=f"{folder} is no git worktree any more" if missing else "")
        commit, branch = head(folder), current_branch(folder)
        pending = changes(folder)
        stat = diff_stat(folder, prepared.start_commit, pending) if commit and prepared.start_commit else None
        return Conclusion(commit=commit, branch=branch, diff_stat=stat, uncommitted=bool(pending))
    except WorkspaceError as error:
        return Conclusion(error=str(error))


def _roll_back(prepared: PreparedWorkspace) -> str:
    if prepared.branch is None or prepared.start_commit is None:
        aside = roll_back_folder(prepared.slot, prepared.path)
        return f"rolled back; what was there is in {aside}" if aside else "rolled back"
    known = record.read(prepared.slot)
    if known is None:
        raise WorkspaceError(f"{prepared.slot.record}, the note on the workspace, is gone")
    repository = Repository(Path(known.repo), known.repo)
    kept = roll_back_worktree(repository, prepared.path, prepared.branch, prepared.start_commit)
    what = f"; what was there is in {', '.join(kept)} of {prepared.repo}" if kept else ", nothing had changed"
    return f"rolled back to {prepared.start_commit[:12]}{what}"
