"""The embedded Airflow's settings: ``airflow.cfg`` and the environment of its processes."""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Mapping
from io import StringIO

from cis_provider import paths
from cis_provider.embedded import layout
from cis_provider.embedded.ports import Ports
from cis_provider.embedded.postgres import Server
from cis_provider.embedded.secrets import USER, Secrets
from cis_provider.errors import ConfigError
from cis_provider.files import write_atomic

HOST = "127.0.0.1"

_LOADER = '''"""
Turns every CIS file below this folder into a DAG of Airflow. Written anew at each start: do not edit.
"""

from pathlib import Path

# Airflow's dag processor reads `airflow` imports here before it forks, and finds this file by the word.
import airflow.sdk  # noqa: F401

from dag_factory import load_folder

globals().update({f"dag {dag_id}": dag for dag_id, dag in load_folder(Path(__file__).parent).items()})
'''

_HEAD = """# Settings of the embedded Airflow, written anew at each start: changes here are lost.
# Put your own into own.cfg beside this file; they win.
"""

_NOT_OURS = (
    # Of another Airflow.
    "AIRFLOW__", "AIRFLOW_HOME", "AIRFLOW_CONFIG", "_AIRFLOW",
    # Of the agent inside of which `cis` may have been called.
    "CIS_SESSION_ID", "CIS_DAG_ID", "CIS_RUN_ID", "CIS_AGENT_ID", "CIS_TRY_NUMBER", "CIS_WORKSPACE",
    "CIS_OUTPUT", "CIS_INPUTS",
    # They would lead libpq to another database, whatever address it is given.
    "PGHOSTADDR", "PGOPTIONS", "PGSERVICE",
    # Makes every process compile Airflow again: twice the time to start, three times the CPU for a run.
    "PYTHONDONTWRITEBYTECODE", "PYTHONOPTIMIZE",
)  # fmt: skip


def settings(server: Server, secrets: Secrets, ports: Ports) -> dict[str, dict[str, str]]:
    """Airflow's options by section, where they differ from its defaults."""
    url = f"http://{HOST}:{ports.api}"
    found = {
        "core": {
            "dags_folder": str(paths.dags_dir()),
            "load_examples": "False",
            "executor": "LocalExecutor",
            "parallelism": "8",
            "hostname_callable": "cis_provider.embedded.hostname.loopback",
            "execution_api_server_url": f"{url}/execution/",
            "simple_auth_manager_users": f"{USER}:{USER}",
            "simple_auth_manager_passwords_file": str(layout.passwords_file()),
            "fernet_key": secrets.fernet_key,
            # A file that is edited twice within half a minute must not show its first version.
            "min_serialized_dag_update_interval": "0",
            # All CIS files are one DAG file here; a thousand of them take a while on a busy machine.
            "dagbag_import_timeout": "120",
        },
        "database": {
            "sql_alchemy_conn": server.url(secrets, "psycopg2"),
            "sql_alchemy_conn_async": server.url(secrets, "asyncpg"),
        },
        "api": {
            "host": HOST,
            "port": str(ports.api),
            "base_url": url,
            "workers": "1",
            "secret_key": secrets.secret_key,
        },
        "api_auth": {"jwt_secret": secrets.jwt_secret},
        "workers": {
            # See "a deferred task that resumes too soon": the default of 5 s leaves a gap of 5 s.
            "min_heartbeat_interval": "1",
        },
        "scheduler": {
            "scheduler_idle_sleep_time": "0.2",
            # A task whose process vanished is tried again after this, not after five minutes.
            "task_instance_heartbeat_timeout": "60",
            # Looks for tasks of a scheduler that died; the supervisor has told the database that it did.
            "orphaned_tasks_check_interval": "30",
            "parsing_cleanup_interval": "15",
        },
        "dag_processor": {
            # The supervisor watches the folder and asks for a refresh and a parse when a file changes. A
            # refresh alone forgets the errors of all CIS files until the next parse, so it is rare.
            "refresh_interval": "600",
            "min_file_process_interval": "60",
            "dag_file_processor_timeout": "150",
            "stale_dag_threshold": "10",
            "print_stats_interval": "0",
        },
        "logging": {
            "base_log_folder": str(layout.logs_dir()),
            "dag_processor_child_process_log_directory": str(layout.logs_dir() / "dag_processor"),
            "colored_console_log": "False",
            "worker_log_server_port": str(ports.logs),
            "trigger_log_server_port": str(ports.logs),
        },
    }
    if sys.platform == "linux":
        # From Python 3.14 on the default would import Airflow once more in each of the executor's processes.
        found["core"]["mp_start_method"] = "fork"
    return found


def write(server: Server, secrets: Secrets, ports: Ports) -> None:
    """
    Write ``airflow.cfg`` and the loader.

    :raises ConfigError: The user's own settings cannot be read.
    """
    # No interpolation here, but Airflow interpolates when it reads.
    merged = configparser.RawConfigParser()
    merged.read_dict(
        {
            section: {name: value.replace("%", "%%") for name, value in options.items()}
            for section, options in settings(server, secrets, ports).items()
        }
    )
    try:
        merged.read(layout.own_cfg(), encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        raise ConfigError(f"{layout.own_cfg()}: {error}".replace("\n", " ")) from None
    text = StringIO(_HEAD)
    text.seek(0, os.SEEK_END)
    merged.write(text)
    write_atomic(layout.airflow_cfg(), text.getvalue().encode())
    if not layout.loader_file().exists() or layout.loader_file().read_text() != _LOADER:
        write_atomic(layout.loader_file(), _LOADER.encode(), mode=0o644)


def environment(base: Mapping[str, str]) -> dict[str, str]:
    """
    The environment of Airflow's processes: the caller's, without what would lead them astray.

    It holds no secret of ours: those are in ``airflow.cfg``. What the caller exports for agents
    (``${NAME}`` in a CIS file) goes through.
    """
    kept = {name: value for name, value in base.items() if not name.startswith(_NOT_OURS)}
    if "CIS_SESSION_ID" in base:
        for name in ("CIS_SCOPE", "CIS_WORKER", "TMPDIR"):  # the agent's, too; its folder goes with it
            kept.pop(name, None)
    return kept | own_environment(base) | {"PYTHONUNBUFFERED": "1"}


def own_environment(base: Mapping[str, str]) -> dict[str, str]:
    """What a shell needs, beside its own environment, to run ``airflow ...`` against this Airflow."""
    found = {
        "AIRFLOW_HOME": str(paths.airflow_dir()),
        "AIRFLOW_CONFIG": str(layout.airflow_cfg()),
        "CIS_HOME": str(paths.cis_home()),
        "CIS_RUNTIME_DIR": str(paths.runtime_dir()),
    }
    # A proxy must not be asked for our own address: tasks speak to the API server by HTTP.
    for name in ("NO_PROXY", "no_proxy"):
        hosts = [host for host in base.get(name, "").split(",") if host]
        found[name] = ",".join(dict.fromkeys([*hosts, HOST, "localhost"]))
    return found
