"""
CIS files: YAML or JSON lists of agents that become Airflow DAGs.

``load(path)`` and ``build(spec)`` for people who write Python, ``load_folder(folder)`` for a loader file,
``lint_paths(paths)`` for every mistake in files. Importing this imports nothing else; linting needs no Airflow.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dag_factory.diagnostics import Diagnostic, InvalidSpec
    from dag_factory.lint import lint_paths
    from dag_factory.loader import build, load, load_folder
    from dag_factory.spec import AgentSpec, DagSpec

__all__ = ["AgentSpec", "DagSpec", "Diagnostic", "InvalidSpec", "build", "lint_paths", "load", "load_folder"]

_HOMES = {
    "AgentSpec": "dag_factory.spec:AgentSpec",
    "DagSpec": "dag_factory.spec:DagSpec",
    "Diagnostic": "dag_factory.diagnostics:Diagnostic",
    "InvalidSpec": "dag_factory.diagnostics:InvalidSpec",
    "build": "dag_factory.loader:build",
    "lint_paths": "dag_factory.lint:lint_paths",
    "load": "dag_factory.loader:load",
    "load_folder": "dag_factory.loader:load_folder",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    value = globals()[name] = getattr(import_module(module), attribute)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
