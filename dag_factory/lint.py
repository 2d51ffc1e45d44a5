"""Every mistake in files and folders. The same validator as for building; no Airflow."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from dag_factory.diagnostics import Diagnostic
from dag_factory.folder import check_file, read_folder
from dag_factory.placeholders import Lookup
from dag_factory.scope_settings import read_rules
from dag_factory.trigger_places import configured, graph_of, remedy, shortage, words
from dag_factory.validate import Checked


def lint_paths(paths: Iterable[str | Path], *, lookup: Lookup = os.environ.get) -> list[Diagnostic]:
    """
    Mistakes in CIS files, and warnings, sorted by file and place.

    :param paths: A file is taken for a CIS file whatever is in it; below a folder, every CIS file is
        looked at. One DAG id, or one scope on two nodes, in two files of one folder is a mistake, too.
    :param lookup: Values of ``${NAME}``.
    """
    found: list[Diagnostic] = []
    rules = read_rules()
    places, _where = configured()
    for given in paths:
        path = Path(given)
        if path.is_dir():
            checked = [one.checked for one in read_folder(path, lookup=lookup)]
        else:
            checked = [check_file(path, shown_as=str(given), lookup=lookup, rules=rules)]
        for one in checked:
            found += (*one.diagnostics, *_warnings(one, places))
    return sorted(set(found))


def _warnings(checked: Checked, places: int) -> Iterator[Diagnostic]:
    if checked.spec is not None and (wanted := shortage(graph_of(checked.spec), places)):
        message = words(wanted, places)
        yield Diagnostic(checked.file, *checked.name_place, "W201", message, remedy(wanted))
