"""What an import costs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import dag_factory


def _loaded(code: str) -> set[str]:
    script = f"import sys, json\n{code}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_package_itself_loads_nothing_else() -> None:
    loaded = _loaded("import dag_factory")
    assert not loaded & {"pydantic", "yaml", "airflow", "dag_factory.spec"}


def test_lint_schema_index_and_plan_need_no_airflow() -> None:
    loaded = _loaded(
        "import dag_factory, dag_factory.json_schema, dag_factory.index, dag_factory.origin, dag_factory.plan\n"
        "import dag_factory.loader\n"
        "dag_factory.lint_paths(['dags/examples'])"
    )
    assert not loaded & {"airflow", "sqlalchemy"}
    assert "dag_factory.spec" in loaded


def test_the_public_names_are_these() -> None:
    assert dag_factory.__all__ == [
        "AgentSpec",
        "DagSpec",
        "Diagnostic",
        "InvalidSpec",
        "build",
        "lint_paths",
        "load",
        "load_folder",
    ]
    assert all(callable(getattr(dag_factory, name)) for name in dag_factory.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = dag_factory.nonsense
