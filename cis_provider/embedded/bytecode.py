"""
Compiled Python code of the installed packages, the largest single lever on Airflow's speed.

``PYTHONDONTWRITEBYTECODE`` is common in containers, and some installers do not compile. Without bytecode
every process compiles Airflow again, and starting takes twice as long.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from importlib.util import cache_from_source, find_spec
from pathlib import Path

_TELLING = ("airflow", "sqlalchemy", "fastapi", "pydantic", "cadwyn")


def sources() -> list[Path]:
    """The first file of some large packages, found without importing them."""
    specs = (find_spec(name) for name in _TELLING)
    return [Path(spec.origin) for spec in specs if spec and spec.origin]


def to_compile(files: Iterable[Path]) -> list[Path]:
    """Folders of packages without bytecode that we may write to."""
    folders = {file.parent.parent for file in files if not Path(cache_from_source(str(file))).exists()}
    return sorted(folder for folder in folders if os.access(folder, os.W_OK))


def command(folders: Iterable[Path]) -> list[str]:
    """The command that compiles: half a minute on two cores."""
    return [sys.executable, "-m", "compileall", "-q", "-j", "0", *map(str, folders)]
