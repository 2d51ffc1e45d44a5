"""
Secrets of sessions that have not ended: one that waits for its turn, or is started again in a new worker, needs them.

They must outlive a coordinator that is killed, and must not reach a disk: a file in memory does both. Where
there is no such file system they are kept by the process alone.
"""

from __future__ import annotations

import os
from collections.abc import Container
from pathlib import Path

import msgspec

from cis_provider import paths
from cis_provider.files import private_folder

_MOUNTS = Path("/proc/self/mounts")


class SecretKeeper:
    """Secrets by session id."""

    def __init__(self) -> None:
        folder = private_folder(paths.secrets_dir())
        self._folder = folder if _in_memory(folder) else None
        self._kept: dict[str, dict[str, str]] = {}

    def keep(self, session_id: str, secrets: dict[str, str]) -> None:
        """Keep a session's secrets until :meth:`forget`."""
        if not secrets:
            return
        self._kept[session_id] = secrets
        if self._folder:
            fd = os.open(self._folder / session_id, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(msgspec.json.encode(secrets))

    def add(self, session_id: str, secrets: dict[str, str]) -> None:
        """New values, and new names, of a session's secrets."""
        self.keep(session_id, (self.read(session_id) or {}) | secrets)

    def read(self, session_id: str) -> dict[str, str] | None:
        """A session's secrets; ``None`` when none are known."""
        if session_id in self._kept or not self._folder:
            return self._kept.get(session_id)
        try:
            return msgspec.json.decode((self._folder / session_id).read_bytes(), type=dict[str, str])
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def forget(self, session_id: str) -> None:
        """They are not needed any more."""
        self._kept.pop(session_id, None)
        if self._folder:
            (self._folder / session_id).unlink(missing_ok=True)

    def forget_others(self, alive: Container[str]) -> None:
        """A coordinator that was killed may have left those of sessions that have ended, or never began."""
        for file in self._folder.iterdir() if self._folder else ():
            if file.name not in alive:
                file.unlink(missing_ok=True)


def _in_memory(folder: Path) -> bool:
    try:
        mounts = [line.split() for line in _MOUNTS.read_text().splitlines()]
    except OSError:
        return False
    kind = max(
        ((fields[1], fields[2]) for fields in mounts if folder.is_relative_to(fields[1])),
        key=lambda found: len(found[0]),
        default=("", ""),
    )
    return kind[1] in ("tmpfs", "ramfs")
