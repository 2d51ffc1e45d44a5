"""Which pools files need: CIS files by their plan, Python DAG files by a look at their tasks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from cis_provider import settings
from cis_provider.errors import SpecError, UsageError
from cis_provider.pools import PoolSpec, combined, needed_pools, scope_of

#: Seconds for one Python file. Airflow itself gives up on a file after 50.
_PYTHON_TIMEOUT = 120.0


class Named(NamedTuple):
    """A DAG, the pool of each of its tasks, and the slots that the task wants it to have."""

    dag_id: str
    pools: list[tuple[str, int]]


class Read(NamedTuple):
    """
    What files say.

    :param pools: One wish for each pool that they name.
    :param dag_ids: Their DAGs.
    :param wrong: Files with mistakes, which say nothing.
    """

    pools: list[PoolSpec]
    dag_ids: set[str]
    wrong: list[SpecError]


def pools_of_files(files: Sequence[Path]) -> Read:
    """
    The pools that DAGs of these files name.

    :param files: CIS files, Python DAG files, and folders of CIS files.
    :raises UsageError: One is not there.
    :raises ConfigError: A setting cannot work.
    """
    missing = [str(file) for file in files if not file.exists()]
    if missing:
        raise UsageError(f"no such file: {', '.join(missing)}")
    slots = settings.integer("worker.max_concurrent_tasks")
    read = Read([], set(), [])
    for found in (one for file in files for one in (_in_python if file.suffix == ".py" else _in_cis)(file)):
        if isinstance(found, SpecError):
            read.wrong.append(found)
        else:
            read.dag_ids.add(found.dag_id)
            # Unlike the scheduler, who sees a file knows all that it says: no number is the node's number.
            named = [(name, size or (slots if scope_of(name) else 0)) for name, size in found.pools]
            read.pools.extend(needed_pools(found.dag_id, named, scope_slots=slots))
    return read._replace(pools=combined(read.pools))


def _in_cis(path: Path) -> Iterator[Named | SpecError]:
    from dag_factory.folder import check_file, read_folder
    from dag_factory.plan import make_plan

    whole = path.is_dir()
    for checked in (
        (one.checked for one in read_folder(path)) if whole else [check_file(path, shown_as=str(path))]
    ):
        try:
            plan = make_plan(checked)
        except SpecError as error:
            yield error
            continue
        given = [task.arguments for task in plan.tasks]
        yield Named(plan.dag_id, [(one["pool"], one.get("pool_size") or 0) for one in given if "pool" in one])


def _in_python(file: Path) -> Iterator[Named | SpecError]:
    # In a process of its own: it is somebody's code, and Airflow is loaded for it.
    command = [sys.executable, "-m", "cis_provider.cli.pool_files", str(file)]
    with TemporaryDirectory(prefix="cis-pools-") as home:
        quiet = {"AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL", "PYTHONWARNINGS": "ignore"}
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_PYTHON_TIMEOUT, check=False,
                # Without a home, Airflow would make one in the user's.
                env={"AIRFLOW_HOME": home} | os.environ | quiet,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            yield SpecError(f"{file}: was not read within {_PYTHON_TIMEOUT:.0f} s")
            return
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        yield SpecError(f"{file}: cannot be read as a DAG file: {lines[-1]}")
        return
    for dag_id, named in json.loads(done.stdout.splitlines()[-1]):
        yield Named(dag_id, [(name, size) for name, size in named])


def _read_python(path: Path) -> list[tuple[str, list[tuple[str, int]]]]:
    """What a DAG file defines. Imports Airflow, and the file."""
    from airflow.dag_processing.dagbag import DagBag

    found = DagBag(path)
    for trace in found.import_errors.values():
        sys.exit(trace)
    return [(dag.dag_id, [_pool_of(task) for task in dag.tasks]) for dag in found.dags.values()]


def _pool_of(task: Any) -> tuple[str, int]:
    size = getattr(task, "pool_size", None) or getattr(task, "partial_kwargs", {}).get("pool_size")
    return str(task.pool), int(size or getattr(task.pool, "slots", None) or 0)


if __name__ == "__main__":
    print(json.dumps(_read_python(Path(sys.argv[1]).resolve())))
