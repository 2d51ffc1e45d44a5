"""Every path of the embedded Airflow. Nothing here touches the disk."""

from __future__ import annotations

from pathlib import Path

from cis_provider import paths

COMPONENTS = ("postgres", "api-server", "scheduler", "dag-processor", "triggerer")
"""The processes that the supervisor keeps alive, in the order in which people think of them."""


def state_file() -> Path:
    """What the supervisor says of itself; replaced whole."""
    return paths.airflow_dir() / "state.json"


def lock_file() -> Path:
    """Held by the supervisor for its life."""
    return paths.airflow_dir() / "supervisor.lock"


def secrets_file() -> Path:
    """Keys and passwords, made once; mode 0600."""
    return paths.airflow_dir() / "secrets.json"


def passwords_file() -> Path:
    """Airflow's own file with the password of its one user; mode 0600."""
    return paths.airflow_dir() / "passwords.json"


def ports_file() -> Path:
    """The ports of last time: an address that somebody bookmarked stays."""
    return paths.airflow_dir() / "ports.json"


def airflow_cfg() -> Path:
    """Airflow's settings, written at each start; mode 0600, since they hold secrets."""
    return paths.airflow_dir() / "airflow.cfg"


def own_cfg() -> Path:
    """Settings that a person adds; they win over ours."""
    return paths.airflow_dir() / "own.cfg"


def migrated_file() -> Path:
    """The version of Airflow whose tables the database holds."""
    return paths.airflow_dir() / "migrated"


def logs_dir() -> Path:
    """Airflow's logs: tasks', and below ``components`` those of the processes."""
    return paths.airflow_dir() / "logs"


def component_log(name: str) -> Path:
    """Standard output and error of one process."""
    return logs_dir() / "components" / f"{name}.log"


def loader_file() -> Path:
    """The one DAG file, which turns CIS files into DAGs."""
    return paths.dags_dir() / "cis_loader.py"


def database_dir() -> Path:
    """PostgreSQL's data; as root it belongs to a user of its own."""
    return paths.airflow_dir() / "postgres"


def database_socket_dir() -> Path:
    """Where PostgreSQL listens, and nowhere else; mode 0700."""
    return paths.runtime_dir() / "pg"
