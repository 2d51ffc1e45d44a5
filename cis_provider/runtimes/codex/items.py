"""Items of a thread (``ThreadItem`` of the protocol) as tool calls. Pure."""

from __future__ import annotations

import shlex
from typing import Any

import msgspec

from cis_provider.runtimes.events import ToolCall, ToolStatus

#: Characters of a call's detail in an event.
_DETAIL = 8000

#: Items that are no tool calls.
_SILENT = frozenset(
    {
        "userMessage",
        "agentMessage",
        "reasoning",
        "plan",
        "hookPrompt",
        "contextCompaction",
        "enteredReviewMode",
        "exitedReviewMode",
        "functionCallOutput",
        "subAgentActivity",
        "sleep",
    }
)

_KINDS = {
    "commandExecution": "execute",
    "fileChange": "edit",
    "webSearch": "fetch",
    "imageView": "read",
}

_STATUS: dict[str, ToolStatus] = {
    "inProgress": "in_progress",
    "completed": "completed",
    "failed": "failed",
    "declined": "failed",
}


def tool_call(item: dict[str, Any], *, ended: bool) -> ToolCall | None:
    """
    The event of an item that has begun or ended; ``None`` if it is no call of a tool.

    :param ended: Where the item has no status of its own (a web search), this is it.
    """
    kind = str(item.get("type", ""))
    if kind in _SILENT or not kind:
        return None
    status = _STATUS.get(str(item.get("status")), "completed" if ended else "in_progress")
    return ToolCall(
        id=str(item.get("id", "")),
        title=title(item),
        kind=_KINDS.get(kind, "other"),
        status=status,
        detail=detail(item)[:_DETAIL],
    )


def title(item: dict[str, Any]) -> str:
    """One line: what the call does."""
    match item.get("type"):
        case "commandExecution":
            return first_line(plain_command(item))
        case "fileChange":
            return "edit " + ", ".join(changed_paths(item))
        case "mcpToolCall":
            return f"mcp__{item.get('server')}__{item.get('tool')}"
        case "webSearch":
            return f"search the web: {item.get('query') or item.get('action') or ''}"
        case "imageView":
            return f"look at {item.get('path')}"
        case other:
            return str(item.get("tool") or other)


def detail(item: dict[str, Any]) -> str:
    """The command and what it said, the change, the arguments and the answer."""
    match item.get("type"):
        case "commandExecution":
            said = item.get("aggregatedOutput")
            return plain_command(item) if said is None else str(said)
        case "fileChange":
            return diff(item)
        case "mcpToolCall" | "dynamicToolCall":
            failed = item.get("error")
            if isinstance(failed, dict):
                return str(failed.get("message", failed))
            return msgspec.json.encode(item.get("arguments")).decode()
        case _:
            return ""


def changed_paths(item: dict[str, Any]) -> list[str]:
    """Files of a change."""
    changes = item.get("changes")
    return (
        [str(one.get("path")) for one in changes if isinstance(one, dict)]
        if isinstance(changes, list)
        else []
    )


def diff(item: dict[str, Any]) -> str:
    """A change of files for a human: what happens to each, and how."""
    parts = []
    for one in item.get("changes") or ():
        kind = one.get("kind")
        verb = kind.get("type", "change") if isinstance(kind, dict) else "change"
        moved = f" -> {kind['move_path']}" if isinstance(kind, dict) and kind.get("move_path") else ""
        parts.append(f"{verb} {one.get('path')}{moved}\n{one.get('diff', '')}".rstrip())
    return "\n\n".join(parts)


def plain_command(item: dict[str, Any]) -> str:
    """A command as the model wrote it: Codex says ``/bin/bash -lc 'git log'``."""
    command = str(item.get("command") or "")
    try:
        words = shlex.split(command)
    except ValueError:
        return command
    if len(words) == 3 and words[0].rsplit("/", 1)[-1] in ("bash", "sh", "zsh") and words[1] in ("-c", "-lc"):
        return words[2]
    return command


def first_line(text: str) -> str:
    """The first line that says something, cut to what a list can show."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = lines[0] if lines else ""
    more = " ..." if len(lines) > 1 or len(line) > 200 else ""
    return line[:200] + more
