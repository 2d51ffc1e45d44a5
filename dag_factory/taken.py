"""What no two files of a folder may both have: a DAG id, and a scope whose worker is on another node. Pure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dag_factory.diagnostics import Diagnostic
from dag_factory.scope_checks import Target, node_words
from dag_factory.validate import Checked


class Taken:
    """What the files before have. A file with mistakes has nothing: it must not put a good one out of service."""

    def __init__(self) -> None:
        self._dags: dict[str, tuple[Path, str]] = {}
        self._scopes: dict[str, tuple[str, Target]] = {}

    def judge(self, path: Path, checked: Checked) -> Checked:
        """A file as it was, or wrong if it contradicts one before it; what it has is taken then."""
        if checked.spec is None:
            return checked
        mistakes = (*self._same_dag(path, checked), *self._other_nodes(checked))
        if mistakes:
            return replace(checked, spec=None, diagnostics=mistakes)
        self._dags[checked.spec.name] = path, checked.file
        for target in checked.scopes.targets:
            self._scopes.setdefault(target.scope, (checked.file, target))
        return checked

    def _same_dag(self, path: Path, checked: Checked) -> tuple[Diagnostic, ...]:
        assert checked.spec is not None
        owner, name = self._dags.get(checked.spec.name, (path, ""))
        if owner == path:
            return ()
        message = f'the DAG id "{checked.spec.name}" is that of {name} already'
        return (
            Diagnostic(checked.file, *checked.name_place, "F207", message, "give this file another name:"),
        )

    def _other_nodes(self, checked: Checked) -> tuple[Diagnostic, ...]:
        return tuple(
            Diagnostic(checked.file, *target.place, "F209", message, "a scope has one worker: say one node:")
            for target in checked.scopes.targets
            if target.scope in self._scopes
            and (message := on_another_node(target, *self._scopes[target.scope]))
        )


def on_another_node(target: Target, name: str, other: Target) -> str:
    """
    That an agent of the file ``name`` wants a scope on another node, in words; empty: it does not.

    :param other: That agent's word, for any scope.
    """
    if other.scope != target.scope or other.node == target.node:
        return ""
    return (
        f'agent "{target.agent}" has {target.scope} on {node_words(target.node)}, '
        f'but agent "{other.agent}" of {name} on {node_words(other.node)}'
    )
