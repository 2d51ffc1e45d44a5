"""How the node's own processes are started: apart from whoever needed them first."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from cis_provider.errors import NodeUnreachable
from cis_provider.files import private_folder

#: Never inherited: settings and secrets of the Airflow process that happened to start the node, and the
#: mark of an agent that did, by which its processes would be found and ended.
_DROPPED_PREFIXES = ("AIRFLOW_", "_AIRFLOW_", "CIS_SESSION_", "CIS_OUTPUT", "CIS_INPUTS", "CIS_WORKSPACE")

#: Writing no bytecode makes every later start slower; it is for one-off containers.
_DROPPED = frozenset({"PYTHONDONTWRITEBYTECODE"})

#: Of an agent that started the node: its scope, and its temporary folder, which goes with it.
_AGENTS_OWN = frozenset({"CIS_SCOPE", "CIS_WORKER", "TMPDIR"})

#: Bytes of a log that the next process begins anew, and of one that is looked at for its last line.
_LOG_LIMIT, _TAIL = 5 << 20, 8 << 10


def process_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What the coordinator and its workers keep of the environment they were started in."""
    dropped = _DROPPED | _AGENTS_OWN if "CIS_SESSION_ID" in environment else _DROPPED
    return {
        name: value
        for name, value in environment.items()
        if name not in dropped and not name.startswith(_DROPPED_PREFIXES)
    }


def start_detached(module: str, *arguments: str, log: Path) -> subprocess.Popen[bytes]:
    """
    Start ``python -m MODULE ARGUMENTS``; what it says is appended to ``log``.

    In a session of its own: what is above it may go, and be killed by group, without taking it along.

    :raises NodeUnreachable: It could not be started.
    """
    private_folder(log.parent)
    try:
        _bound(log)
        with log.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env=process_environment(os.environ),
                start_new_session=True,
            )
    except OSError as error:
        raise NodeUnreachable(f"{module} could not be started, its log being {log}: {error}") from None


def last_words(log: Path) -> str:
    """The last line of a log, and where the others are; a full disk has none."""
    try:
        disk = os.statvfs(log.parent)
        if disk.f_bavail * disk.f_frsize < _TAIL:
            return f"No space left on the disk of {log.parent}"
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL))
            lines = file.read().decode(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return f"{lines[-1]} (see {log})" if lines else f"see {log}"


def _bound(log: Path) -> None:
    """Move a long log aside. A process that still writes into it goes on there."""
    if log.exists() and log.stat().st_size > _LOG_LIMIT:
        log.replace(log.with_name(f"{log.name}.1"))
