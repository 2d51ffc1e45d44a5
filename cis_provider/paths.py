"""
Every path of a node, in one place. Nothing here touches the disk, except ``runtime_dir`` and ``make_own``.

A node is a machine, strictly one ``CIS_HOME`` on it: by default ``~/.cis``.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from cis_provider.errors import ConfigError

#: Bytes. A Unix socket's path has room for 107; a session's id takes 17, and programs put names of up to 52
#: below their temporary folder (Chromium, VS Code).
_LONGEST_TEMPORARY = 37


def cis_home() -> Path:
    """The node's folder: ``$CIS_HOME``, else ``~/.cis``; absolute."""
    return Path(os.environ.get("CIS_HOME") or "~/.cis").expanduser().absolute()


def config_file() -> Path:
    """Node settings, TOML."""
    return cis_home() / "config.toml"


def env_file() -> Path:
    """``NAME=value`` lines for ``${NAME}`` in agents' environments and prompts; mode 0600."""
    return cis_home() / "env"


def dags_dir() -> Path:
    """Where ``cis dag up`` puts CIS files, and the loader of the embedded Airflow looks."""
    return cis_home() / "dags"


def airflow_dir() -> Path:
    """Home of the embedded Airflow."""
    return cis_home() / "airflow"


def node_dir() -> Path:
    """The coordinator's own files: database, locks, logs."""
    return cis_home() / "node"


def coordinator_lock() -> Path:
    """Held by the coordinator for its life."""
    return node_dir() / "coordinator.lock"


def starting_lock() -> Path:
    """Held by whoever starts a coordinator, until it answers."""
    return node_dir() / "coordinator.starting"


def coordinator_log() -> Path:
    """What a coordinator that was started by others says."""
    return node_dir() / "coordinator.log"


def workers_dir() -> Path:
    """A folder for each scope worker that lives, or left something behind."""
    return node_dir() / "workers"


def worker_dir(worker_name: str) -> Path:
    """A scope worker's own folder, in which it works."""
    return workers_dir() / worker_name


def worker_lock(worker_name: str) -> Path:
    """Held by a scope worker for its life."""
    return worker_dir(worker_name) / "lock"


def worker_notes(worker_name: str) -> Path:
    """A note for each session that a scope worker has, by the session's id."""
    return worker_dir(worker_name) / "sessions"


def worker_log(worker_name: str) -> Path:
    """What a scope worker that was started by the coordinator says."""
    return node_dir() / "logs" / f"{worker_name}.log"


def session_dir(session_id: str) -> Path:
    """One session's files: request, command, inputs, output, result."""
    return cis_home() / "sessions" / session_id


def conversations_dir() -> Path:
    """What agents' conversations are resumed by: one file for each task, or name in a scope."""
    return cis_home() / "conversations"


def workspace_root() -> Path:
    """Below it every workspace that we make, and may one day remove."""
    return cis_home() / "workspaces"


def temporary_root() -> Path:
    """
    Folder of the sessions' temporary folders.

    Below ``CIS_HOME``, on its disk; or, where that is so deep that a program's socket would find no room
    there, named after ``CIS_HOME`` below the system's temporary folder.
    """
    usual, short = cis_home() / "tmp", Path(tempfile.gettempdir()) / f"{_own_name()}-tmp"
    return usual if len(os.fsencode(usual)) <= _LONGEST_TEMPORARY else short


def temporary_dir(session_id: str) -> Path:
    """One session's ``$TMPDIR``; gone with the session."""
    return temporary_root() / session_id


def cache_dir() -> Path:
    """What can be made again: the loader's index, tokens."""
    return cis_home() / "cache"


def context_db() -> Path:
    """The default context store."""
    return cis_home() / "context.db"


def runtime_dir() -> Path:
    """
    Folder for sockets and for what must never reach a disk; made on first use, mode 0700.

    ``$CIS_RUNTIME_DIR``, or a folder named after ``CIS_HOME`` below ``$XDG_RUNTIME_DIR``, ``/dev/shm``
    or the system's temporary folder: a Unix socket's path has room for 108 bytes only, and ``CIS_HOME``
    may be deep.

    :raises ConfigError: It is a link, or belongs to somebody else.
    """
    given = os.environ.get("CIS_RUNTIME_DIR")
    folder = Path(given).expanduser().absolute() if given else _volatile_parent() / _own_name()
    make_own(folder, "set CIS_RUNTIME_DIR to another")
    return folder


def make_own(folder: Path, way_out: str) -> None:
    """
    Make a folder of mode 0700, in a place where others may write, too, if it is not there.

    :param way_out: What else to do than to remove it.
    :raises ConfigError: It is a link, or belongs to somebody else.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise ConfigError(f"{folder} is not a folder of ours; remove it, or {way_out}")
    if found.st_mode & 0o077:
        folder.chmod(0o700)


def _own_name() -> str:
    digest = hashlib.sha256(os.fsencode(cis_home())).hexdigest()[:10]
    return f"cis-{os.getuid()}-{digest}"


def _volatile_parent() -> Path:
    for candidate in (os.environ.get("XDG_RUNTIME_DIR"), "/dev/shm"):
        if candidate and os.access(candidate, os.W_OK | os.X_OK):
            return Path(candidate)
    return Path(tempfile.gettempdir())


def coordinator_socket() -> Path:
    """Where the node's coordinator listens."""
    return runtime_dir() / "coordinator.sock"


def worker_socket(worker_name: str) -> Path:
    """Where a scope worker listens. Hashed: a scope's id may be longer than a socket's path allows."""
    return runtime_dir() / f"w-{hashlib.sha256(worker_name.encode()).hexdigest()[:12]}.sock"


def terminal_socket(worker_name: str) -> Path:
    """Where a scope worker shows its sessions' terminals, to those who attach."""
    return runtime_dir() / f"t-{hashlib.sha256(worker_name.encode()).hexdigest()[:12]}.sock"


def recording_file(session_id: str) -> Path:
    """A session's recording, asciicast v3."""
    return session_dir(session_id) / "recording.cast"


def secrets_dir() -> Path:
    """Secrets of sessions that wait for their turn: in memory, gone with the machine."""
    return runtime_dir() / "secrets"


def triggerers_dir() -> Path:
    """One locked file for each Airflow triggerer that serves this node."""
    return runtime_dir() / "triggerers"
