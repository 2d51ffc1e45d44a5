"""What the supervisor writes and everybody else reads: phase, address, processes."""

from __future__ import annotations

import contextlib
from enum import StrEnum

import msgspec

from cis_provider.embedded import layout
from cis_provider.files import write_atomic
from cis_provider.worker.processes import is_same


class Phase(StrEnum):
    """Where an embedded Airflow stands. Only in READY does it take work."""

    COMPILING = "compiling"
    """Bytecode of the installed packages is being made; once for each installation."""
    DATABASE = "database"
    """PostgreSQL is being made and started. Next: MIGRATING or STARTING."""
    MIGRATING = "migrating"
    """Airflow's tables are being made or changed; once for each version of Airflow."""
    STARTING = "starting"
    """The components run, and are not all healthy yet."""
    READY = "ready"
    """All components were healthy. A component that died since is being restarted."""
    STOPPING = "stopping"
    """Nothing new starts, all processes are being ended."""
    STOPPED = "stopped"
    """No process is left."""
    FAILED = "failed"
    """It gave up, ``error`` says why, and no process is left."""


class Process(msgspec.Struct):
    """One process of ours. It leads a terminal session of its own, so its children can be found by it."""

    pid: int = 0
    started: int = 0
    """Clock ticks since boot: a pid alone is given out again."""
    since: float = 0.0
    """Seconds since the epoch."""
    restarts: int = 0
    last_exit: str = ""
    """How the one before ended; empty: there was none."""


class State(msgspec.Struct):
    """The whole of it."""

    phase: Phase
    error: str = ""
    waiting: dict[str, str] = msgspec.field(default_factory=dict)
    """While STARTING: what is not healthy yet, and why."""
    url: str = ""
    boot: str = ""
    supervisor: Process = msgspec.field(default_factory=Process)
    processes: dict[str, Process] = msgspec.field(default_factory=dict)


def read() -> State | None:
    """The last thing a supervisor said, alive or not; ``None``: none has ever run, or it is unreadable."""
    with contextlib.suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode(layout.state_file().read_bytes(), type=State)
    return None


def read_living() -> State | None:
    """What the living supervisor says; ``None``: there is no such process."""
    state = read()
    if state and state.boot == boot_id() and is_same(state.supervisor.pid, state.supervisor.started):
        return state
    return None


def write(state: State) -> None:
    """Replace the file."""
    write_atomic(layout.state_file(), msgspec.json.encode(state))


def boot_id() -> str:
    """Changes when the machine starts anew: pids and start times are told apart by it."""
    with open("/proc/sys/kernel/random/boot_id") as file:  # noqa: PTH123 - read often, by the CLI, too
        return file.read().strip()
