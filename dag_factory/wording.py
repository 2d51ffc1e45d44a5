"""What pydantic found, in the words of a CIS file."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from cis_provider.model.scope import ScopeKind
from dag_factory.blocked_keys import AllowRule, AnswerRule, OnBlockedKeys
from dag_factory.diagnostics import Diagnostic, did_you_mean
from dag_factory.document import Document
from dag_factory.document import Path as DataPath
from dag_factory.option_keys import McpServerKeys, PermissionsKeys, SessionFrom
from dag_factory.spec import (
    ALIASES,
    AgentDefaults,
    AgentSpec,
    DagSpec,
    FolderWorkspace,
    FromWorkspace,
    RepoWorkspace,
)
from dag_factory.values import shown

_WORKSPACES: dict[str, type[BaseModel]] = {
    "folder": FolderWorkspace,
    "repository": RepoWorkspace,
    "agent": FromWorkspace,
}

_BELOW: dict[Any, type[BaseModel]] = {
    "permissions": PermissionsKeys,
    "mcp_servers": McpServerKeys,
    "session": SessionFrom,
    "on_blocked": OnBlockedKeys,
}

#: Below ``on_blocked``.
_RULES: dict[Any, type[BaseModel]] = {"permission": AllowRule, "question": AnswerRule}

#: Keys that are text or a mapping: pydantic puts the name of the form behind theirs.
_FORMS = ("permissions", "session", "permission", "question")


def translate(
    document: Document, plain: dict[str, Any], error: ValidationError, unset: list[Diagnostic]
) -> list[Diagnostic]:
    """Pydantic's errors in our words. What a ``${NAME}`` left behind is not said twice."""
    found = []
    for item in error.errors(include_url=False, include_context=True):
        loc = item["loc"]
        code, message, hint = _reword(item, loc)
        of_key = code == "F101"
        place = document.place(loc, key=of_key)
        if place != (0, 0) and any(_within(mistake, place, document.raw(loc)) for mistake in unset):
            continue
        if item["type"] == "too_short" and item["input"]:
            continue  # pydantic leaves out what is wrong, and then counts
        found.append(Diagnostic(document.file, *place, code, f"{_whose(plain, loc)}{message}", hint))
    return found


def _within(mistake: Diagnostic, place: tuple[int, int], raw: str | None) -> bool:
    """Whether a mistake is in the value at ``place``, which may have a quote before it."""
    line, col = place
    return mistake.line == line and col <= mistake.col <= col + len(raw or "") + 1


def _whose(plain: dict[str, Any], loc: DataPath) -> str:
    if len(loc) < 2 or loc[0] != "agents" or not isinstance(loc[1], int):
        return ""
    agents = plain["agents"]
    agent = agents[loc[1]] if loc[1] < len(agents) else None
    agent_id = agent.get("id") if isinstance(agent, dict) else None
    return f'agent "{agent_id}": ' if isinstance(agent_id, str) else f"agent {loc[1] + 1}: "


def _reword(item: ErrorDetails, loc: DataPath) -> tuple[str, str, str]:
    if len(loc) > 1 and loc[-1] == "text" and loc[-2] in _FORMS:
        loc = loc[:-1]  # the name of a form, which is no key
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
        hint = ""
        if isinstance(value, str) and "true or false" in text:
            hint = _SWITCH_HINTS.get(value.lower(), "")
        elif kind == "F111" and isinstance(value, str):
            hint = _scope_hint(value)
        whole = text.startswith('"') or kind == "F111"
        return kind, text if whole else f"{subject}{text}", hint
    if kind == "literal_error":
        choices = [part.strip("' ") for part in str(item["ctx"]["expected"]).replace(" or ", ",").split(",")]
        hint = "write no" if value is False and "no" in choices else did_you_mean(str(value), choices)
        return "F103", f"{subject}must be one of {', '.join(choices)}, not {shown(value)}", hint
    text = _KINDS.get(kind) or item["msg"]
    if kind == "greater_than_equal":
        text = f"must be at least {item['ctx']['ge']:g}"
    if kind == "too_short":
        text = "must not be empty"
    if kind in ("string_too_long",):
        text = f"must have at most {item['ctx']['max_length']} characters"
    given = f", not {shown(value)}" if kind in _KINDS else ""
    hint = "quote it" if kind == "string_type" and isinstance(value, int | float) else ""
    if kind == "tuple_type" and isinstance(value, str):
        hint = f"write [{value}]"
    return "F103", f"{subject}{text}{given}", hint


def _scope_hint(value: str) -> str:
    kind, colon, scope_id = value.partition(":")
    kinds = get_args(ScopeKind)
    return (
        ""
        if kind in kinds
        else did_you_mean(
            f"{kind}:{scope_id}" if colon else kind,
            [f"{known}:{scope_id}" for known in kinds if known != "global"] if colon else ["global"],
        )
    )


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
    inside = next((name for name in loc[:-1] if name in _BELOW), None)
    if "workspace" in loc[:-1]:
        form = loc[loc.index("workspace") + 1]
        model = _WORKSPACES.get(str(form), FolderWorkspace)
    elif inside is not None:
        model = _BELOW[str(inside)]
        if inside == "on_blocked" and (rule := loc[loc.index(inside) + 1]) in _RULES and rule != loc[-1]:
            model = _RULES[rule]
    elif loc[0] == "agents":
        model = AgentSpec
    elif loc[0] == "defaults" and len(loc) > 1:
        model = AgentDefaults
    names = [field.alias or name for name, field in model.model_fields.items()]
    return names + [other for name, other in ALIASES.items() if name in names]
