"""Which requests of an agent are answered without a human, and how. Pure but for resolving paths."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from cis_provider.model.blockage import Option
from cis_provider.model.options import Permissions
from cis_provider.runtimes.acp.tools import Tool

Decision = Literal["allow", "reject", "ask"]

#: Names by which patterns call tools that an agent reports only by kind; Claude Code's, in small letters.
_NAMES = {
    "execute": ("bash", "shell"),
    "edit": ("edit", "write"),
    "read": ("read",),
    "search": ("grep", "glob"),
    "fetch": ("webfetch", "fetch"),
}

#: What changes nothing, so a plan may use it.
_HARMLESS = frozenset({"read", "search", "think", "fetch"})

_PATTERN = re.compile(r"\s*([\w.*:-]+)\s*(?:\((.*)\))?\s*", re.DOTALL)

#: With one of these, a command is more than its first words say.
_COMPOUND = re.compile(r"[;&|<>`$\n\r(){}\\]")


def decide(permissions: Permissions, tool: Tool, workspace: Path) -> Decision:
    """What the agent's file says about a request for permission."""
    if permissions.policy == "everything" or any(matches(one, tool) for one in permissions.allow):
        return "allow"
    if permissions.policy == "accept-edits" and tool.kind == "edit" and inside(tool, workspace):
        return "allow"
    if permissions.policy == "plan":
        return "allow" if tool.kind in _HARMLESS else "reject"
    return "ask"


def names_of(tool: Tool) -> tuple[str, ...]:
    """By which patterns call a tool besides its own name."""
    return _NAMES.get(tool.kind, ())


def matches(pattern: str, tool: Tool) -> bool:
    """
    Whether ``Name`` or ``Name(subject)`` means this call; ``*`` and ``?`` as in file names.

    A command of more than one part (``git log; rm -r x``) is not what ``Bash(git *)`` allows: it matches
    only as a whole, word by word, or with ``*`` alone.
    """
    found = _PATTERN.fullmatch(pattern)
    if found is None:
        return False
    if not any(name and fnmatchcase(name, found[1].lower()) for name in (tool.name.lower(), *names_of(tool))):
        return False
    wanted, subject = found[2], tool.subject
    if wanted is None or wanted == "*" or (subject and wanted == subject):
        return True
    if not subject or (tool.kind == "execute" and _COMPOUND.search(subject)):
        return False
    return fnmatchcase(subject, wanted.replace(":*", "*"))


def inside(tool: Tool, workspace: Path) -> bool:
    """Whether all files that the call names lie in the workspace, symbolic links followed; none named: no."""
    root = workspace.resolve()
    paths = [(workspace / path).resolve() for path in tool.paths]
    return bool(paths) and all(path.is_relative_to(root) for path in paths)


def options_of(request: dict[str, Any]) -> tuple[Option, ...]:
    """The options of ``session/request_permission``."""
    given = request.get("options") or []
    return tuple(
        Option(str(one.get("optionId", "")), str(one.get("name", "")), str(one.get("kind", "")))
        for one in given
        if isinstance(one, dict)
    )


def choose(decision: Decision, options: tuple[Option, ...]) -> Option | None:
    """The option that a decision takes: for this once, if there is such a one; ``None``: a human must."""
    if decision == "ask":
        return None
    if decision == "allow":
        return _first(options, "allow_once") or _first(options, "allow_always")
    # The last: where a program offers "revise" and "reject and exit", the first would have it go on.
    return _first(options[::-1], "reject_once") or _first(options[::-1], "reject_always")


def _first(options: tuple[Option, ...], kind: str) -> Option | None:
    return next((option for option in options if option.kind == kind), None)
