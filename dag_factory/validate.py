"""
The one validator, for ``cis lint`` and for building: text in, a spec and every mistake out.

The models judge each value by itself; the checks of :mod:`dag_factory.checks` judge the file as a whole.
They read the plain data, not the models, so that they work beside values the models refuse.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from dag_factory import checks
from dag_factory.diagnostics import Diagnostic, InvalidSpec
from dag_factory.document import Document, parse
from dag_factory.document import Path as DataPath
from dag_factory.placeholders import Lookup, settle
from dag_factory.scope_checks import FileScopes, judge_scopes
from dag_factory.scope_settings import read_rules, user_name
from dag_factory.scopes import ScopeRules
from dag_factory.spec import ALIASES, DagSpec
from dag_factory.values import shown
from dag_factory.view import FileView, agents_in
from dag_factory.wording import translate


@dataclass(frozen=True)
class Checked:
    """
    :param spec: ``None`` when there is any mistake.
    :param dag_id: Also of a file with mistakes, where it can be told.
    :param scopes: Of the agents of a file without mistakes.
    :param rules: Settings by which the scopes were found.
    """

    file: str
    spec: DagSpec | None
    diagnostics: tuple[Diagnostic, ...] = ()
    dag_id: str | None = None
    name_place: tuple[int, int] = (1, 1)
    scopes: FileScopes = field(default_factory=FileScopes)
    rules: ScopeRules | None = None

    def need(self) -> DagSpec:
        """
        The spec.

        :raises InvalidSpec: There are mistakes.
        """
        if self.spec is None:
            raise InvalidSpec(self.diagnostics)
        return self.spec


def check_text(
    text: str,
    file: str,
    *,
    name: str,
    is_json: bool = False,
    lookup: Lookup = os.environ.get,
    rules: ScopeRules | None = None,
) -> Checked:
    """
    Judge the text of a file.

    :param file: Its name, for messages.
    :param name: DAG id where the text says none.
    :param lookup: Values of ``${NAME}``.
    :param rules: Settings for scopes; read now, if they were not before.
    """
    document, diagnostics = parse(text, file, is_json=is_json)
    if document is None:
        return Checked(file, None, tuple(diagnostics))
    return check_document(document, diagnostics, name=name, lookup=lookup, rules=rules)


def check_spec(spec: DagSpec | dict[str, Any] | Sequence[Any], *, name: str = "dag") -> Checked:
    """Judge a spec made in Python: a model, or what a file would hold. ``${NAME}`` works the same."""
    if isinstance(spec, DagSpec):
        data: Any = spec.model_dump(exclude_unset=True, by_alias=True, mode="json")
    else:
        data = spec if isinstance(spec, dict) else list(spec)
    return check_document(Document(name, data), [], name=name)


def check_document(
    document: Document,
    diagnostics: list[Diagnostic],
    *,
    name: str,
    lookup: Lookup = os.environ.get,
    rules: ScopeRules | None = None,
    owner: Callable[[], str] = user_name,
) -> Checked:
    """
    Judge what was parsed.

    :param diagnostics: What parsing has found; it is added to.
    :param rules: Settings for scopes; read now, if they were not before.
    :param owner: Name of the file's owner.
    """
    rules = rules or read_rules()
    document.aliases = ALIASES
    data = document.data
    if isinstance(data, list):
        data = {"agents": data}
        document = _under_agents(document)
    if not isinstance(data, dict):
        mistake = Diagnostic(document.file, *document.place(()), "F005", f"no CIS file, but {shown(data)}")
        return Checked(document.file, None, (*diagnostics, mistake))
    settled, unset = settle(document, data, lookup)
    diagnostics += unset
    plain = _Plain(document, settled, diagnostics).normalize(name)
    spec = None
    try:
        spec = DagSpec.model_validate(plain)
    except ValidationError as error:
        diagnostics += translate(document, plain, error, unset)
    view = FileView(document, plain, agents_in(plain))
    checks.all_checks(view)
    scopes = judge_scopes(view, rules=rules, lookup=lookup, owner=owner)
    found = tuple(sorted({*diagnostics, *view.found}))
    dag_id = plain.get("name")
    return Checked(
        file=document.file,
        spec=None if found else spec,
        diagnostics=found,
        dag_id=dag_id if isinstance(dag_id, str) else None,
        name_place=document.place(("name",)),
        scopes=FileScopes() if found else scopes,
        rules=rules,
    )


def _under_agents(document: Document) -> Document:
    """A bare list of agents, as if it stood under ``agents:``."""
    return _BareList(document.file, document.data, document.root, document.lines, document.aliases)


class _BareList(Document):
    def place(self, path: DataPath, *, key: bool = False) -> tuple[int, int]:
        return super().place(path[1:], key=key)

    def place_in_text(self, path: DataPath, offset: int) -> tuple[int, int]:
        return super().place_in_text(path[1:], offset)

    def raw(self, path: DataPath) -> str | None:
        return super().raw(path[1:])


class _Plain:
    """The data as the models take it: one name for each key, variables as text."""

    def __init__(self, document: Document, data: dict[str, Any], diagnostics: list[Diagnostic]) -> None:
        self._document = document
        self._data = data
        self._diagnostics = diagnostics

    def normalize(self, name: str) -> dict[str, Any]:
        data = self._one_name(self._data, (), "name")
        if "name" not in data:
            data["name"] = name
        self._env(data, ())
        if isinstance(data.get("defaults"), dict):
            data["defaults"] = dict(data["defaults"])
            self._env(data["defaults"], ("defaults",))
        if isinstance(data.get("agents"), list):
            data["agents"] = [self._agent(agent, index) for index, agent in enumerate(data["agents"])]
        return data

    def _agent(self, agent: Any, index: int) -> Any:
        if not isinstance(agent, dict):
            return agent
        agent = self._one_name(agent, ("agents", index), "prompt")
        self._env(agent, ("agents", index))
        return agent

    def _one_name(self, data: dict[str, Any], path: DataPath, name: str) -> dict[str, Any]:
        other = ALIASES[name]
        if other not in data:
            return dict(data)
        if name in data:
            place = self._document.place((*path, other), key=True)
            message = f'"{name}" and "{other}" are the same key; keep one'
            self._diagnostics.append(Diagnostic(self._document.file, *place, "F110", message))
        plain = {(name if key == other else key): value for key, value in data.items()}
        if name in data:
            plain[name] = data[name]
        return plain

    def _env(self, data: dict[str, Any], path: DataPath) -> None:
        env = data.get("env")
        if not isinstance(env, dict) or all(isinstance(value, str) for value in env.values()):
            return
        # 08, 1.10 and true mean what was written: a variable is text.
        data["env"] = {name: self._as_text(value, (*path, "env", name)) for name, value in env.items()}

    def _as_text(self, value: Any, path: DataPath) -> Any:
        if isinstance(value, bool | int | float):
            raw = self._document.raw(path)
            return raw if raw is not None else str(value).lower() if isinstance(value, bool) else str(value)
        return value
