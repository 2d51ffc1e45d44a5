"""
A thousand CIS files of five agents as DAGs, and the same DAGs by dag-factory 1.1.0.

Each is built in a process of its own that has Airflow, and the library, imported already: what is compared is
reading, checking and building. Ours checks much more of each file. dag-factory is put into a temporary folder
and seen by its own process only, since it brings a plugin that Airflow would load everywhere; what it would
send home is switched off.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from textwrap import dedent

import yaml
from kit.home import temporary_home
from kit.rows import Row, Scale, Target

from cis_provider import paths

_DAG_FACTORY = "dag-factory==1.1.0"
_AGENTS = 5

_OURS = """
    from dag_factory.loader import load_folder
    import dag_factory.builder, airflow.sdk
    began = time.perf_counter()
    dags = load_folder(folder)
"""
_PEER = """
    import airflow.sdk, airflow.providers.standard.operators.bash
    from dagfactory import load_yaml_dags
    dags = {}
    began = time.perf_counter()
    load_yaml_dags(dags, dags_folder=folder, defaults_config_path=folder)
"""
_FRAME = """
import logging, sys, time
logging.disable(logging.INFO)
folder = sys.argv[1]
{body}
seconds = time.perf_counter() - began
print(seconds, len([dag for dag in dags.values() if hasattr(dag, "task_dict")]),
      sum(len(dag.task_dict) for dag in dags.values() if hasattr(dag, "task_dict")))
"""


def measure(scale: Scale) -> list[Row]:
    """Interleaved, best of some; then what a task's process does, with few files and with many."""
    many, few, times = scale.of(1000, 100), 10, scale.of(3, 1)
    with temporary_home() as home, tempfile.TemporaryDirectory(prefix="cis-bench-") as library:
        _install_peer(Path(library))
        ours_folder, few_folder, peer_folder = home / "many", home / "few", home / "peer"
        _write_cis_files(ours_folder, many)
        _write_cis_files(few_folder, few)
        _write_peer_files(peer_folder, many)
        ours, peer = [], []
        for _ in range(times):
            ours.append(_build(_OURS, ours_folder, many))
            peer.append(_build(_PEER, peer_folder, many, PYTHONPATH=library))
        _build(_OURS, few_folder, few)
        wanted = {"_AIRFLOW_PARSING_CONTEXT_DAG_ID": "bench-5"}
        in_many, in_few = [], []
        for _ in range(scale.of(9, 3)):
            in_many.append(1000 * _build(_OURS, ours_folder, 1, **wanted))
            in_few.append(1000 * _build(_OURS, few_folder, 1, **wanted))
    return [
        Row(f"{many} files of {_AGENTS} agents: built", min(ours), "s", min(peer), Target.RATIO_AT_MOST, 0.5,
            f"best of {times}, interleaved; the peer is {_DAG_FACTORY}"),
        Row(f"the DAG of one task among {many} files", median(in_many), "ms", median(in_few),
            Target.RATIO_AT_MOST, 1.25, f"median of {len(in_few)}; the peer is ours, among {few} files"),
    ]  # fmt: skip


def _build(body: str, folder: Path, count: int, **more: str) -> float:
    """
    Seconds that one process takes to build the DAGs.

    :raises RuntimeError: It built others than it should have.
    """
    environment = os.environ | {
        "AIRFLOW_HOME": str(paths.airflow_dir()),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DAG_FACTORY__ENABLE_TELEMETRY": "False",
        "DO_NOT_TRACK": "true",
        **more,
    }
    done = subprocess.run(
        [sys.executable, "-c", _FRAME.format(body=dedent(body)), str(folder)],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"building {folder.name} failed: {done.stderr[-2000:]}")
    seconds, dags, tasks = done.stdout.split()[-3:]
    if (int(dags), int(tasks)) != (count, count * _AGENTS):
        raise RuntimeError(
            f"{folder.name}: {dags} DAGs with {tasks} tasks, not {count}: {done.stderr[-2000:]}"
        )
    return float(seconds)


def _write_cis_files(folder: Path, count: int) -> None:
    folder.mkdir()
    agents = [
        {"id": f"agent-{place}", "type": "shell", "prompt": f"echo {place}", **_deps("deps", place)}
        for place in range(_AGENTS)
    ]
    for number in range(count):
        dag = {"name": f"bench-{number}", "description": "A DAG of the benchmark", "agents": agents}
        _write_yaml(folder / f"bench-{number}.yaml", dag)


def _write_peer_files(folder: Path, count: int) -> None:
    folder.mkdir()
    tasks = {
        f"agent-{place}": {
            "operator": "airflow.providers.standard.operators.bash.BashOperator",
            "bash_command": f"echo {place}",
            **_deps("dependencies", place),
        }
        for place in range(_AGENTS)
    }
    for number in range(count):
        dag = {"description": "A DAG of the benchmark", "schedule": None, "catchup": False, "tasks": tasks}
        _write_yaml(folder / f"bench-{number}.yaml", {f"bench-{number}": dag})


def _deps(key: str, place: int) -> dict[str, list[str]]:
    return {key: [f"agent-{place - 1}"]} if place else {}


def _write_yaml(path: Path, data: object) -> None:
    # Through JSON: YAML's own anchors for what is used twice would make the files unlike a person's.
    path.write_text(yaml.safe_dump(json.loads(json.dumps(data)), sort_keys=False))


def _install_peer(folder: Path) -> None:
    """dag-factory alone: what it needs besides, this environment has."""
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
         "--target", str(folder), _DAG_FACTORY],
        check=True, timeout=120,
    )  # fmt: skip
