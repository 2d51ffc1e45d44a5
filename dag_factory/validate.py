"""
The one validator, for ``cis lint`` and for building: text in, a spec and every mistake out.

The models judge each value by itself; the checks of :mod:`dag_factory.checks` judge the file as a whole.
They read the plain data, not the models, so that they work beside values the models refuse.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from dag_factory import checks
from dag_factory.diagnostics import Diagnostic, InvalidSpec, did_you_mean
from dag_factory.document import Document, parse
from dag_factory.document import Path as DataPath
from dag_factory.placeholders import Lookup, settle
from dag_factory.spec import (
    ALIASES,
    AgentDefaults,
    AgentSpec,
    DagSpec,
    FolderWorkspace,
    FromWorkspace,
    RepoWorkspace,
    shown,
)

_WORKSPACES: dict[str, type[BaseModel]] = {
    "folder": FolderWorkspace,
    "repository": RepoWorkspace,
    "agent": FromWorkspace,
}


@dataclass(frozen=True)
class Checked:
    """
    :param spec: ``None`` when there is any mistake.
    :param dag_id: Also of a file with mistakes, where it can be told.
    """

    file: str
    spec: DagSpec | None
    diagnostics: tuple[Diagnostic, ...] = ()
    dag_id: str | None = None
    name_place: tuple[int, int] = (1, 1)

    def need(self) -> DagSpec:
        """
        The spec.

        :raises InvalidSpec: There are mistakes.
        """
        if self.spec is None:
            raise InvalidSpec(self.diagnostics)
        return self.spec


def check_text(
    text: str, file: str, *, name: str, is_json: bool = False, lookup: Lookup = os.environ.get
) -> Checked:
    """
    Judge the text of a file.

    :param file: Its name, for messages.
    :param name: DAG id where the text says none.
    :param lookup: Values of ``${NAME}``.
    """
    document, diagnostics = parse(text, file, is_json=is_json)
    if document is None:
        return Checked(file, None, tuple(diagnostics))
    return check_document(document, diagnostics, name=name, lookup=lookup)


def check_spec(spec: DagSpec | dict[str, Any] | Sequence[Any], *, name: str = "dag") -> Checked:
    """Judge a spec made in Python: a model, or what a file would hold. ``${NAME}`` works the same."""
    if isinstance(spec, DagSpec):
        data: Any = spec.model_dump(exclude_unset=True, by_alias=True, mode="json")
    else:
        data = spec if isinstance(spec, dict) else list(spec)
    return check_document(Document(name, data), [], name=name)


def check_document(
    document: Document, diagnostics: list[Diagnostic], *, name: str, lookup: Lookup = os.environ.get
) -> Checked:
    """
    Judge what was parsed.

    :param diagnostics: What parsing has found; it is added to.
    """
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
        diagnostics += _translate(document, plain, error, unset)
    diagnostics += checks.all_checks(document, plain)
    found = tuple(sorted(set(diagnostics)))
    dag_id = plain.get("name")
    return Checked(
        file=document.file,
        spec=None if found else spec,
        diagnostics=found,
        dag_id=dag_id if isinstance(dag_id, str) else None,
        name_place=document.place(("name",)),
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


def _translate(
    document: Document, plain: dict[str, Any], error: ValidationError, unset: list[Diagnostic]
) -> list[Diagnostic]:
    """Pydantic's errors in our words. What a ``${NAME}`` left behind is not said twice."""
    places = {(d.line, d.col) for d in unset}
    found = []
    for item in error.errors(include_url=False, include_context=True):
        loc = item["loc"]
        code, message, hint = _reword(item, loc)
        of_key = code == "F101"
        place = document.place(loc, key=of_key)
        if place != (0, 0) and place in places:
            continue
        if item["type"] == "too_short" and item["input"]:
            continue  # pydantic leaves out what is wrong, and then counts
        found.append(Diagnostic(document.file, *place, code, f"{_whose(plain, loc)}{message}", hint))
    return found


def _whose(plain: dict[str, Any], loc: DataPath) -> str:
    if len(loc) < 2 or loc[0] != "agents" or not isinstance(loc[1], int):
        return ""
    agents = plain["agents"]
    agent = agents[loc[1]] if loc[1] < len(agents) else None
    agent_id = agent.get("id") if isinstance(agent, dict) else None
    return f'agent "{agent_id}": ' if isinstance(agent_id, str) else f"agent {loc[1] + 1}: "


def _reword(item: ErrorDetails, loc: DataPath) -> tuple[str, str, str]:
    kind, key, value = item["type"], str(loc[-1]) if loc else "", item["input"]
    if kind == "extra_forbidden":
        known = _known_keys(loc)
        return "F101", f'unknown key "{key}"', did_you_mean(key, known) or f"there are {', '.join(known)}"
    if kind == "missing":
        if key == "agents":
            return "F005", "no CIS file: there is no agents:", "a CIS file has a list under agents:"
        other = f' (or "{ALIASES[key]}")' if key in ALIASES else ""
        return "F102", f'"{key}"{other} is missing', ""
    if isinstance(loc[-1] if loc else "", int) and len(loc) > 1:
        key = f"{loc[-2]}[{loc[-1]}]" if loc[-2] != "agents" else ""
    subject = f'"{key}" ' if key else ""
    if kind.startswith("F"):
        text = item["msg"]
        hint = (
            _SWITCH_HINTS.get(value.lower(), "") if isinstance(value, str) and "true or false" in text else ""
        )
        return kind, text if text.startswith('"') else f"{subject}{text}", hint
    if kind == "literal_error":
        choices = [part.strip("' ") for part in str(item["ctx"]["expected"]).replace(" or ", ",").split(",")]
        hint = did_you_mean(str(value), choices)
        return "F103", f"{subject}must be one of {', '.join(choices)}, not {shown(value)}", hint
    text = _KINDS.get(kind) or item["msg"]
    if kind == "greater_than_equal":
        text = f"must be at least {item['ctx']['ge']}"
    if kind == "too_short":
        text = "must not be empty"
    if kind in ("string_too_long",):
        text = f"must have at most {item['ctx']['max_length']} characters"
    given = f", not {shown(value)}" if kind in _KINDS else ""
    hint = "quote it" if kind == "string_type" and isinstance(value, int | float) else ""
    if kind == "tuple_type" and isinstance(value, str):
        hint = f"write [{value}]"
    return "F103", f"{subject}{text}{given}", hint


_SWITCH_HINTS = {
    **dict.fromkeys(("yes", "on", "y"), "write true"),
    **dict.fromkeys(("no", "off", "n"), "write false"),
}

_KINDS = {
    "string_type": "must be text",
    "dict_type": "must be a mapping",
    "tuple_type": "must be a list",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "string_too_short": "must not be empty",
}


def _known_keys(loc: DataPath) -> list[str]:
    model: type[BaseModel] = DagSpec
    if "workspace" in loc[:-1]:
        form = loc[loc.index("workspace") + 1]
        model = _WORKSPACES.get(str(form), FolderWorkspace)
    elif loc[0] == "agents":
        model = AgentSpec
    elif loc[0] == "defaults" and len(loc) > 1:
        model = AgentDefaults
    names = [field.alias or name for name, field in model.model_fields.items()]
    return names + [other for name, other in ALIASES.items() if name in names]
