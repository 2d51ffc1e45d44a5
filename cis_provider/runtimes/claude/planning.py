"""The policy "plan": what Claude Code asks then is decided here, as for any other agent. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: The tool that hands a plan in, and wants to leave the plan mode for the work.
EXIT = "ExitPlanMode"

#: What changes nothing. Questions are a human's to answer.
_HARMLESS = frozenset({"Read", "Grep", "Glob", "LS", "WebFetch", "WebSearch"})

_DONE = (
    "Nobody leaves the plan mode here: the plan is all that is wanted. Write the whole plan as your answer, "
    "and end your turn."
)
_REFUSED = "This changes something, and a plan is all that is wanted. Go on without it."


def decision(request: Mapping[str, Any]) -> dict[str, Any] | None:
    """
    The response to a ``can_use_tool`` request under the policy "plan"; ``None``: a human is asked.

    In its plan mode 2.1.329 asks before it changes something. Nobody would be there to say yes.
    """
    name = request.get("tool_name")
    if name == "AskUserQuestion":
        return None
    if name in _HARMLESS:
        return {"behavior": "allow", "updatedInput": dict(request.get("input") or {})}
    return {"behavior": "deny", "message": _DONE if name == EXIT else _REFUSED}
