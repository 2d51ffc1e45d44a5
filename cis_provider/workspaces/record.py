"""What we know of a workspace, on disk beside it; and locks between processes."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from cis_provider.errors import WorkspaceError
from cis_provider.files import write_atomic
from cis_provider.model.session import SessionKey, WorkspaceKind
from cis_provider.workspaces.names import OWN, Slot


class Record(msgspec.Struct, kw_only=True):
    """
    One workspace of one agent in one run.

    :param source: What it was made from, as text: while that stays the same, a retry gets it back.
    :param path: The folder.
    :param ready: Whether it was made completely; what was not is made again.
    :param created: Whether we made the folder, so that a sweep may remove it.
    :param repo: The repository's git folder, for a worktree; else empty.
    :param branch: The worktree's own branch; else empty.
    :param start_commit: Where the worktree began; for a folder with a repository in it, its HEAD then.
    :param rollback: Whether it is put back when the agent fails.
    :param note: What the agent's owner should know about its start.
    :param prepared_at: And ``concluded_at``: seconds since the epoch; 0: not yet.
    """

    version: int = 1
    key: SessionKey
    node_id: str
    session_id: str
    kind: WorkspaceKind
    source: str
    path: str
    ready: bool = False
    created: bool = False
    repo: str = ""
    branch: str = ""
    start_commit: str = ""
    rollback: bool = False
    note: str = ""
    prepared_at: float = 0.0
    concluded_at: float = 0.0

    @property
    def unfinished(self) -> bool:
        """An agent was let into it, and nobody has concluded since: its worker died."""
        return self.ready and self.concluded_at < self.prepared_at


def read(slot: Slot) -> Record | None:
    """
    The record of a slot; ``None`` where there is none.

    :raises WorkspaceError: There is one that cannot be read.
    """
    try:
        return msgspec.json.decode(slot.record.read_bytes(), type=Record)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise WorkspaceError(
            f"{slot.record}, the note on a workspace, cannot be read ({error}); "
            f"move it and {slot.folder} away, then retry the agent"
        ) from None


def write(slot: Slot, record: Record) -> None:
    """Put a record on disk: whole or not at all."""
    slot.notes.mkdir(parents=True, exist_ok=True)
    write_atomic(slot.record, msgspec.json.encode(record))


@contextmanager
def held(root: Path, name: str, *, seconds: float) -> Iterator[None]:
    """
    Hold the lock ``name`` of a workspace root; it ends with the process, whatever happens to it.

    :param seconds: How long to wait for it.
    :raises WorkspaceError: Somebody else kept it longer.
    """
    folder = root / OWN / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        deadline = time.monotonic() + seconds
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            if time.monotonic() >= deadline:
                raise WorkspaceError(
                    f"another process has held {folder / name} for {seconds:.0f} s; "
                    "an agent's folder is being made or removed there, try again"
                )
            time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)


def slot_lock(key: SessionKey) -> str:
    """Name of the lock for the workspaces of a key. One of 4096, so that their files do not pile up."""
    return f"slot-{_digest(str(key))[:3]}"


def repository_lock(git_dir: Path) -> str:
    """Name of the lock for a repository's branches and list of worktrees."""
    return f"repo-{_digest(str(git_dir))[:16]}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
