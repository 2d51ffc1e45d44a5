"""How the node's own processes are started: apart from whoever needed them first."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

#: Never inherited: settings and secrets of the Airflow process that happened to start the node, and the
#: mark of an agent that did, by which its processes would be found and ended.
_DROPPED_PREFIXES = ("AIRFLOW_", "_AIRFLOW_", "CIS_SESSION_", "CIS_OUTPUT", "CIS_INPUTS", "CIS_WORKSPACE")

#: Writing no bytecode makes every later start slower; it is for one-off containers.
_DROPPED = frozenset({"PYTHONDONTWRITEBYTECODE"})

#: Of an agent that started the node: its scope, and its temporary folder, which goes with it.
_AGENTS_OWN = frozenset({"CIS_SCOPE", "CIS_WORKER", "TMPDIR"})


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
    """
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
