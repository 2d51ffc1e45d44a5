"""Who may import whom. Light processes stay light, and the model knows nobody."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "cis_provider"
SHARED = {"errors", "files", "paths", "settings", "identity", "__version__"}

#: What a folder may import of ours besides itself and what is shared.
ALLOWED = {
    "model": set(),
    "wire": {"model"},
    "workspaces": {"model"},
    "screens": {"model"},
    "runtimes": {"model", "screens"},
    "worker": {"model", "wire", "workspaces", "runtimes", "screens"},
    "node": {"model", "wire", "workspaces", "runtimes", "worker"},
}
HEAVY = {"airflow", "sqlalchemy", "pydantic", "dag_factory"}


@pytest.mark.parametrize("folder", ALLOWED)
def test_dependencies_point_downwards(folder):
    allowed = ALLOWED[folder] | SHARED | {folder}
    wrong = [
        f"{file.name}: {name}"
        for file in (PACKAGE / folder).glob("*.py")
        for name in imported(file)
        if name.startswith("cis_provider.") and name.split(".")[1] not in allowed
    ]
    assert wrong == []


@pytest.mark.parametrize("folder", ALLOWED)
def test_what_runs_agents_needs_no_airflow(folder):
    wrong = [
        f"{file.name}: {name}"
        for file in (PACKAGE / folder).glob("*.py")
        for name in imported(file)
        if name.split(".")[0] in HEAVY
    ]
    assert wrong == []


def imported(file: Path) -> Iterator[str]:
    """Every module that a file imports, inside functions, too."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "cis_provider":
            yield from (f"cis_provider.{name.name}" for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
