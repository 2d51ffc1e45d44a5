"""
A temporary folder for each session: its own while it works, gone when it has ended.

Two agents that write the same name below ``$TMPDIR`` do not meet. A worker notes a session before this folder is
made (:mod:`~cis_provider.worker.leftovers`) and forgets it before the folder is removed: one without a note
belongs to nobody.
"""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from pathlib import Path

from cis_provider import paths
from cis_provider.errors import CisError, ConfigError
from cis_provider.worker import leftovers
from cis_provider.workspaces.tree import remove_tree

log = logging.getLogger(__name__)

#: Others may come and go in the folder above while one is made.
_ATTEMPTS = 5
_SESSION = re.compile(r"[0-9a-f]{16}")


def make(session_id: str) -> Path:
    """
    An empty folder of mode 0700.

    :raises ConfigError: The folder above belongs to somebody else.
    :raises OSError: It cannot be made.
    """
    folder = paths.temporary_dir(session_id)
    for _ in range(_ATTEMPTS):
        paths.make_own(folder.parent, "set CIS_HOME to a shorter folder")
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            remove(session_id)
        except FileNotFoundError:
            continue  # the last session before this one has just taken the empty folder above away
        else:
            return folder
    raise ConfigError(f"{folder}, a session's temporary folder, cannot be made; remove what is there")


def remove(session_id: str) -> None:
    """Remove a session's folder, and the one above if it is empty. Trouble is logged; the sweep tries again."""
    folder = paths.temporary_dir(session_id)
    try:
        if folder.is_symlink() or folder.is_file():
            folder.unlink()  # an agent may have put anything in its place
        else:
            remove_tree(folder)
    except (CisError, OSError) as error:
        log.warning("session %s: its temporary folder stays for now: %s", session_id, error)
    with suppress(OSError):
        folder.parent.rmdir()


def sweep() -> None:
    """
    Remove the folders of sessions that a worker took along when it was killed.

    :raises OSError: The notes of the workers cannot be read.
    """
    with suppress(FileNotFoundError):
        for folder in list(paths.temporary_root().iterdir()):
            if _SESSION.fullmatch(folder.name) and not leftovers.is_noted(folder.name):
                log.info("session %s is over; removing %s", folder.name, folder)
                remove(folder.name)
