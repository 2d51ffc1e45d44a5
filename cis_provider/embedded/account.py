"""
Who runs PostgreSQL when we are root, which it refuses.

Then it gets a number of its own, one for each ``CIS_HOME``, that no person or service of the machine has, and
one capability: to pass through folders that are closed to it (``child.py``). So its data can stand below
``CIS_HOME``, all folders keep their modes, and the files of ``CIS_HOME`` stay root's.
"""

from __future__ import annotations

import hashlib
import os
import pwd
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cis_provider.errors import ConfigError

CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2
_FIRST, _COUNT = 61184, 4000  # unused by distributions, and mapped in most containers


@dataclass(frozen=True)
class Account:
    """A user by number, its group having the same, and the capability it keeps."""

    uid: int
    capability: int


def server_account(data: Path) -> Account | None:
    """
    Who owns the database in ``data``, or shall own it; ``None``: we.

    :raises ConfigError: It belongs to another user, or we are root without the right to become somebody else.
    """
    owner = data.stat().st_uid if data.exists() else None
    if os.geteuid() != 0:
        if owner not in (None, os.geteuid()):
            raise ConfigError(
                f"{data} belongs to user {owner}, not to you; use that user, or another CIS_HOME"
            )
        return None
    uid = owner or _free_uid(str(data.absolute()), _is_taken)
    return Account(uid, _capability(_permitted()))


def initdb_account(server: Account | None) -> Account | None:
    """
    Who runs ``initdb``, which wants a user with a name; the files are handed over afterwards.

    :raises ConfigError: It would be us, and we have none.
    """
    if server is None:
        if not _is_taken(os.geteuid()):
            raise ConfigError(
                f"user {os.geteuid()} has no name on this machine, and PostgreSQL's initdb wants one; give it a "
                "line in /etc/passwd (in a container: useradd)"
            )
        return None
    nobody = pwd.getpwnam("nobody").pw_uid
    return Account(nobody, server.capability)


def _free_uid(seed: str, taken: Callable[[int], bool]) -> int:
    """A number that is always the same for the same seed, as long as nobody takes it."""
    start = int(hashlib.sha256(seed.encode()).hexdigest()[:8], 16)
    for step in range(_COUNT):
        uid = _FIRST + (start + step) % _COUNT
        if not taken(uid):
            return uid
    raise ConfigError(
        f"no free user id between {_FIRST} and {_FIRST + _COUNT}; start as another user than root"
    )


def _is_taken(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _capability(permitted: int) -> int:
    """The smaller one that we have: containers often leave only the larger."""
    for capability in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE):
        if permitted >> capability & 1:
            return capability
    raise ConfigError(
        "PostgreSQL refuses to run as root, and this root may not let another user pass through its folders "
        "(neither CAP_DAC_READ_SEARCH nor CAP_DAC_OVERRIDE); start as another user"
    )


def _permitted() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapPrm:"):
            return int(line.split()[1], 16)
    return 0
