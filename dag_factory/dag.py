"""DAGs that come from a CIS file, and a stand-in for a file that gives none. Imports Airflow."""

from __future__ import annotations

import linecache
import os
from pathlib import Path
from typing import Any

from airflow.exceptions import SerializationError
from airflow.sdk import DAG

from dag_factory.diagnostics import Diagnostic


class CisDag(DAG):
    """
    A DAG of a CIS file.

    Airflow sets ``fileloc`` to the Python file that it imported and calls ``validate()`` after that: there
    it becomes the CIS file, which is what the Code tab shows. ``relative_fileloc`` stays the Python file's:
    workers, and the check for stale DAGs, go by it.

    :ivar cis_file: The CIS file; ``None`` for a DAG made in Python.
    """

    cis_file: Path | None = None

    def validate(self) -> None:
        """As Airflow's, and point to the CIS file."""
        super().validate()  # type: ignore[no-untyped-call]
        if self.cis_file is not None:
            self.fileloc = str(self.cis_file)


class CisFileError(SerializationError):
    """A CIS file has mistakes; the text is the list of them."""


class BrokenDag(CisDag):
    """
    Stands in for a CIS file with mistakes, in the dag processor only.

    An exception while the loader is imported, or in ``validate()``, would be reported under the loader's
    name, and Airflow would take every DAG of the loader out of service. One while a DAG is serialised is
    reported under the ``relative_fileloc`` of that DAG: here, the CIS file's.
    """

    def __init__(self, key: str, file: Path, diagnostics: tuple[Diagnostic, ...]) -> None:
        super().__init__(key, schedule=None)
        self.cis_file = file
        self.diagnostics = diagnostics

    def validate(self) -> None:
        """Point to the CIS file, from the folder that Airflow's paths begin at."""
        file = str(self.cis_file)
        loader, relative = self.fileloc, self.relative_fileloc
        self.fileloc = file
        self.relative_fileloc = file
        if relative and loader.endswith(os.sep + relative):
            root = loader.removesuffix(relative)
            if file.startswith(root):
                self.relative_fileloc = file.removeprefix(root)

    def get_serialized_fields(self) -> Any:  # type: ignore[override]  # Airflow asks the DAG, not the class
        """
        :raises CisFileError: Always. Its traceback ends in the CIS file, at the first mistake.
        """
        first = self.diagnostics[0]
        error = CisFileError("\n" + "\n".join(map(str, self.diagnostics)))
        _raise_in(str(self.cis_file), first.line, error)


def _raise_in(file: str, line: int, error: Exception) -> None:
    """Raise as if a line of ``file`` had, so that a traceback shows that line, not ours."""
    linecache.checkcache(file)
    code = compile("\n" * max(line - 1, 0) + "raise error", file, "exec")
    exec(code.replace(co_name=Path(file).name), {"error": error})
