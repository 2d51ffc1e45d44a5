"""What is in a work tree: committed, not committed, not tracked; and a commit of all of it."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cis_provider.workspaces import git

_NAMES_SHOWN = 5


@dataclass(frozen=True)
class Changes:
    """
    What a work tree holds beyond its last commit. Ignored files do not count.

    :param modified: Tracked files that differ from HEAD.
    :param untracked: Files, and folders with a repository of their own (with a slash at the end).
    """

    modified: tuple[str, ...]
    untracked: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.modified or self.untracked)

    def __str__(self) -> str:
        parts = [
            f"{len(names)} {what} ({_some(names)})"
            for what, names in (("not committed", self.modified), ("not tracked", self.untracked))
            if names
        ]
        return ", ".join(parts)


def changes(folder: Path) -> Changes:
    """
    What is not committed in a work tree.

    :raises WorkspaceError: git cannot tell.
    """
    out = git.run(
        ["status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames"],
        cwd=folder,
        timeout=git.SLOW,
    )
    entries = [entry for entry in out.split("\0") if entry]
    return Changes(
        modified=tuple(entry[3:] for entry in entries if not entry.startswith("??")),
        untracked=tuple(entry[3:] for entry in entries if entry.startswith("??")),
    )


def diff_stat(folder: Path, start: str, pending: Changes) -> str:
    """
    ``git diff --stat`` from ``start`` to HEAD; below it, what is not committed and not tracked.

    Empty where nothing changed.

    :raises WorkspaceError: git cannot tell, e.g. since the start commit is gone.
    """
    flags = ["--no-ext-diff", "--stat=100,70,40"]
    stat = git.run(["diff", *flags, start, "HEAD", "--"], cwd=folder, timeout=git.SLOW)
    lines = [stat.rstrip()] if stat.strip() else []
    if pending.modified:
        rest = git.run(["diff", "--no-ext-diff", "--shortstat", "HEAD", "--"], cwd=folder, timeout=git.SLOW)
        lines.append(f"Not committed:{rest.rstrip() or ' '} ({_some(pending.modified)})")
    if pending.untracked:
        lines.append(f"Not tracked: {len(pending.untracked)} files ({_some(pending.untracked)})")
    return git.printable("\n".join(lines))


def snapshot(folder: Path, *, parent: str, message: str) -> str:
    """
    A commit of everything in a work tree that git does not ignore, on top of ``parent``.

    ``parent`` itself where nothing differs from it. The work tree, its index and its branch stay as they
    are; the commit belongs to no branch until somebody gives it one. The same content gives the same
    commit. Folders that are repositories of their own are left out.

    :raises WorkspaceError: Something cannot be read.
    """
    index = git.run(["rev-parse", "--git-path", "index"], cwd=folder)
    nested = [name for name in changes(folder).untracked if name.endswith("/")]
    with tempfile.TemporaryDirectory(prefix="cis-index-") as scratch:
        own_index = Path(scratch) / "index"
        if (folder / index).exists():  # its notes on file times spare git reading every file
            shutil.copy2(folder / index, own_index)
        env = {"GIT_INDEX_FILE": str(own_index)}
        left_out = [f":(exclude,top,literal){name.rstrip('/')}" for name in nested]
        git.run(["add", "--all", "--", ".", *left_out], cwd=folder, env=env, timeout=git.SLOW)
        tree = git.run(["write-tree"], cwd=folder, env=env, timeout=git.SLOW)
    if tree == git.run(["rev-parse", f"{parent}^{{tree}}"], cwd=folder):
        return parent
    when = f"@{git.run(['show', '--no-patch', '--format=%ct', parent], cwd=folder)} +0000"
    person = {
        f"GIT_{role}_{what}": value
        for role in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "cis"), ("EMAIL", "cis@localhost"), ("DATE", when))
    }
    return git.run(
        ["commit-tree", "--no-gpg-sign", "-p", parent, "-m", message, tree], cwd=folder, env=person
    )


def _some(names: tuple[str, ...]) -> str:
    shown = git.printable(", ".join(names[:_NAMES_SHOWN]))
    return shown + (", ..." if len(names) > _NAMES_SHOWN else "")
