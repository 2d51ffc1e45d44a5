"""Every mistake in files and folders. The same validator as for building; no Airflow."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from dag_factory.diagnostics import Diagnostic
from dag_factory.folder import check_file, read_folder
from dag_factory.placeholders import Lookup
from dag_factory.scope_settings import read_rules


def lint_paths(paths: Iterable[str | Path], *, lookup: Lookup = os.environ.get) -> list[Diagnostic]:
    """
    Mistakes in CIS files, sorted by file and place.

    :param paths: A file is taken for a CIS file whatever is in it; below a folder, every CIS file is
        looked at. One DAG id, or one scope on two nodes, in two files of one folder is a mistake, too.
    :param lookup: Values of ``${NAME}``.
    """
    found: list[Diagnostic] = []
    rules = read_rules()
    for given in paths:
        path = Path(given)
        if path.is_dir():
            found.extend(_lint_folder(path, lookup))
        else:
            found.extend(check_file(path, shown_as=str(given), lookup=lookup, rules=rules).diagnostics)
    return sorted(set(found))


def _lint_folder(folder: Path, lookup: Lookup) -> list[Diagnostic]:
    return [mistake for found in read_folder(folder, lookup=lookup) for mistake in found.checked.diagnostics]
