"""
CIS files as DAGs: one file, one spec, or a folder for Airflow's dag processor.

Airflow is imported inside the functions, so that ``import dag_factory.loader`` is light.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dag_factory.diagnostics import Diagnostic, InvalidSpec, render
from dag_factory.folder import SUFFIXES, Found, candidate_files, check_file, read_cis_file, read_folder
from dag_factory.index import IndexEntry, entry_of, find_entry, write_index
from dag_factory.origin import base_folder_of, base_folders
from dag_factory.plan import make_plan
from dag_factory.scope_settings import read_rules
from dag_factory.spec import DagSpec
from dag_factory.validate import Checked, check_spec

if TYPE_CHECKING:
    from dag_factory.dag import CisDag

log = logging.getLogger(__name__)


def load(path: str | os.PathLike[str]) -> CisDag:
    """
    The DAG of one CIS file.

    :raises InvalidSpec: The file has mistakes; the text lists all of them.
    """
    file = Path(path).absolute()
    return _dag_of(check_file(file, shown_as=os.fspath(path)), file, base_folder_of(file))


def build(
    spec: DagSpec | dict[str, Any] | Sequence[Any], *, name: str = "dag", base_folder: str | Path = ""
) -> CisDag:
    """
    The DAG of a spec made in Python.

    :param spec: A model, or what a CIS file would hold.
    :param name: DAG id where the spec says none.
    :param base_folder: Folder to which relative paths in it belong.
    :raises InvalidSpec: It has mistakes; the text lists all of them.
    """
    from dag_factory.builder import build_dag

    return build_dag(make_plan(check_spec(spec, name=name), base_folder=str(base_folder)))


def load_folder(folder: str | os.PathLike[str]) -> dict[str, CisDag]:
    """
    The DAGs of all CIS files below a folder, for the globals of a loader file.

    A task's process gets its own DAG only. In the dag processor, each file with mistakes gives a stand-in
    that ends as an import error under the file's own name; elsewhere the mistakes are logged.
    """
    from airflow.sdk import get_parsing_context

    root = Path(folder).absolute()
    wanted = get_parsing_context().dag_id
    if wanted is not None:
        found = find_dag_file(root, wanted)
        if found is None:
            log.error("no CIS file below %s has the DAG %s", root, wanted)
            return {}
        return _dags([found], stand_ins=False)[0]
    dags, entries = _dags(list(read_folder(root)), stand_ins=_in_dag_processor())
    write_index(root, entries)
    return dags


def find_dag_file(root: Path, dag_id: str) -> Found | None:
    """
    The CIS file of one DAG: by the index, then by its name, then by looking into every file.

    Also a file with mistakes, when the index says that the DAG is in it.
    """
    entry = find_entry(root, dag_id)
    rules = read_rules()
    broken: Found | None = None
    likely = [Path(entry.path)] if entry is not None else []
    likely += [root / f"{dag_id}{suffix}" for suffix in SUFFIXES]
    for path in likely:
        found = read_cis_file(path, rules=rules) if path.is_relative_to(root) else None
        if found is not None and found.checked.spec is not None and found.checked.spec.name == dag_id:
            return found
        broken = broken or found
    for path in candidate_files(root):
        found = read_cis_file(path, rules=rules)
        if found is not None and found.checked.spec is not None and found.checked.spec.name == dag_id:
            return found
    return broken


def _dags(everything: Sequence[Found], *, stand_ins: bool) -> tuple[dict[str, CisDag], list[IndexEntry]]:
    dags: dict[str, CisDag] = {}
    entries: list[IndexEntry] = []
    for found, base in zip(everything, base_folders(found.path for found in everything), strict=True):
        spec, diagnostics = found.checked.spec, found.checked.diagnostics
        if spec is not None:
            try:
                dags[spec.name] = _dag_of(found.checked, found.path, base)
            except Exception as error:
                # Whatever it is, it must stay with this file: an exception here ends all DAGs of the folder.
                log.exception("%s: the DAG could not be built", found.path)
                diagnostics = (_refused(found.checked.file, error),)
            else:
                if found.stat is not None:
                    entries.append(entry_of(spec, found.path, base=base, stat=found.stat))
                continue
        if stand_ins:
            from dag_factory.dag import BrokenDag

            key = f"cis-file-with-mistakes-{len(dags)}"
            dags[key] = BrokenDag(key, found.path, diagnostics)
        else:
            log.error("this CIS file gives no DAG:\n%s", render(diagnostics))
    return dags, entries


def _dag_of(checked: Checked, file: Path, base: Path) -> CisDag:
    from dag_factory.builder import build_dag

    return build_dag(make_plan(checked, base_folder=str(base)), file=file)


def _refused(file: str, error: Exception) -> Diagnostic:
    return Diagnostic(file, 1, 1, "F901", f"Airflow refused the DAG: {type(error).__name__}: {error}")


def _in_dag_processor() -> bool:
    """
    Whether this process parses files for the dag processor, which reports what cannot be serialised.

    ``airflow dags test`` and ``reserialize`` serialise too, but a DAG that cannot be ends them.
    """
    from airflow.sdk.execution_time import task_runner

    client = os.environ.get("_AIRFLOW_PROCESS_CONTEXT") == "client"
    return client and getattr(task_runner, "SUPERVISOR_COMMS", None) is not None


__all__ = ["InvalidSpec", "build", "find_dag_file", "load", "load_folder"]
