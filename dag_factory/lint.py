"""Every mistake in files and folders. The same validator as for building; no Airflow."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from dag_factory.diagnostics import Diagnostic
from dag_factory.folder import Found, Owners, candidate_files, check_file, read_cis_file, refuse_second
from dag_factory.placeholders import Lookup


def lint_paths(paths: Iterable[str | Path], *, lookup: Lookup = os.environ.get) -> list[Diagnostic]:
    """
    Mistakes in CIS files, sorted by file and place.

    :param paths: A file is taken for a CIS file whatever is in it; below a folder, every CIS file is
        looked at. One DAG id in two files of one folder is a mistake, too.
    :param lookup: Values of ``${NAME}``.
    """
    found: list[Diagnostic] = []
    for given in paths:
        path = Path(given)
        if path.is_dir():
            found.extend(_lint_folder(path, lookup))
        else:
            found.extend(check_file(path, shown_as=str(given), lookup=lookup).diagnostics)
    return sorted(set(found))


def cis_files(paths: Iterable[str | Path]) -> list[Path]:
    """The files that :func:`lint_paths` looks at."""
    found: list[Path] = []
    for given in paths:
        path = Path(given)
        if path.is_dir():
            found.extend(file for file in candidate_files(path) if read_cis_file(file) is not None)
        else:
            found.append(path)
    return found


def _lint_folder(folder: Path, lookup: Lookup) -> list[Diagnostic]:
    owners: Owners = {}
    found: list[Diagnostic] = []
    for path in candidate_files(folder):
        one: Found | None = read_cis_file(path, lookup=lookup)
        if one is not None:
            found.extend(refuse_second(one, owners).checked.diagnostics)
    return found
