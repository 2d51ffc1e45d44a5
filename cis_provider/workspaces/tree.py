"""Whole folders: copied, moved aside, removed. Links are never followed."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

from cis_provider.errors import WorkspaceError

#: Seconds that a copy of a folder may take.
COPY = 3600.0


def copy_tree(source: Path, target: Path) -> None:
    """
    Copy a folder with everything in it, as new files: nothing is shared with the source but disk blocks
    where the file system can do that. ``target`` appears when it is complete.

    :raises WorkspaceError: Something cannot be copied; nothing stays then.
    """
    if target.resolve().is_relative_to(source.resolve()):
        raise WorkspaceError(f"{source} cannot be copied into {target}, which is inside it")
    partial = target.with_name(f"{target.name}.partial")
    remove_tree(partial)
    partial.mkdir(parents=True)
    try:
        _copy(source, partial)
        partial.rename(target)
    except BaseException:
        remove_tree(partial)
        raise


def _copy(source: Path, target: Path) -> None:
    ends = [f"{source}/.", str(target)]
    try:
        for flags in (["-a", "--reflink=auto"], ["-a"]):  # the second for a cp that is not GNU's
            done = subprocess.run(
                ["cp", *flags, "--", *ends],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=COPY,
                check=False,
                env={**os.environ, "LC_ALL": "C"},
            )
            if not done.returncode:
                return
            complaint = done.stderr.decode("utf-8", "replace").strip()
            if "option" not in complaint:
                break
    except subprocess.TimeoutExpired:
        raise WorkspaceError(f"copying {source} took longer than {COPY:.0f} s and was stopped") from None
    except OSError as error:
        raise WorkspaceError(f"{source} cannot be copied: {error.strerror}") from None
    raise WorkspaceError(f"{source} cannot be copied to {target}: {complaint.splitlines()[-1]}")


def remove_tree(folder: Path) -> None:
    """
    Remove a folder of ours; no trouble if it is not there.

    :raises WorkspaceError: It is a link, or something in it cannot be removed.
    """
    if folder.is_symlink():
        raise WorkspaceError(f"{folder} is a link; it is not followed and not removed")
    if not folder.exists():
        return
    _make_writable(folder)
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise WorkspaceError(f"{folder} cannot be removed: {error.strerror} ({error.filename})") from None


def move_tree(source: Path, target: Path) -> None:
    """
    Rename a folder.

    :raises WorkspaceError: It cannot be, e.g. since another file system is mounted there.
    """
    try:
        source.rename(target)
    except OSError as error:
        raise WorkspaceError(f"{source} cannot be moved to {target}: {error.strerror}") from None


def _make_writable(folder: Path) -> None:
    # Some tools leave folders without write permission behind (Go's module cache does). Each folder before
    # it is listed, or what is in it would not be seen.
    _open_up(folder)
    for where, folders, _ in os.walk(folder):
        for name in folders:
            _open_up(Path(where, name))


def _open_up(folder: Path) -> None:
    mode = folder.lstat().st_mode
    if stat.S_ISDIR(mode) and mode & 0o700 != 0o700:
        folder.chmod(stat.S_IMODE(mode) | 0o700)


def unused(path: Path) -> Path:
    """``path`` with the first number that is free added to its name."""
    number = 1
    while (candidate := path.with_name(f"{path.name}-{number}")).exists():
        number += 1
    return candidate
