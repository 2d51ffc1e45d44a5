"""What an agent says of its tool calls, put together from its reports."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from cis_provider.runtimes.events import ToolCall, ToolStatus

#: Characters of a tool call's text that are told: enough for a human to decide, not a whole file.
DETAIL_LIMIT = 20_000

_STATUSES: tuple[ToolStatus, ...] = ("pending", "in_progress", "completed", "failed")

#: Fields of a tool's input that say what it is about, in the order of their weight.
_SUBJECTS = ("command", "cmd", "file_path", "filePath", "filepath", "path", "url", "pattern", "query")
_PATHS = ("file_path", "filePath", "filepath", "path")


class Tool(msgspec.Struct, kw_only=True):
    """
    One call, as far as it is known.

    :param name: The title of its first report: agents put the tool's name there, and the command later.
    :param kind: ACP's ``ToolKind``: read, edit, delete, move, search, execute, think, fetch, other.
    """

    id: str
    name: str = ""
    title: str = ""
    kind: str = ""
    status: ToolStatus = "pending"
    text: str = ""
    input: dict[str, Any] = {}
    locations: tuple[str, ...] = ()

    def take(self, report: dict[str, Any]) -> None:
        """Take in a ``tool_call``, a ``tool_call_update``, or the tool call of a permission request."""
        if title := str(report.get("title") or ""):
            self.title = title
            self.name = self.name or title
        self.kind = str(report.get("kind") or self.kind)
        if report.get("status") in _STATUSES:
            self.status = report["status"]
        if isinstance(report.get("rawInput"), dict) and report["rawInput"]:
            self.input = report["rawInput"]
        if report.get("content"):
            self.text = content_text(report["content"])
            if not self.input and self.status in ("pending", "in_progress"):
                self.input = _as_input(self.text)
        places = report.get("locations") or []
        if found := tuple(str(one["path"]) for one in places if isinstance(one, dict) and one.get("path")):
            self.locations = found

    @property
    def subject(self) -> str:
        """The command, path, address or pattern that it is about; empty: not known."""
        return next((str(self.input[key]) for key in _SUBJECTS if isinstance(self.input.get(key), str)), "")

    @property
    def paths(self) -> tuple[str, ...]:
        """Files that it says it touches."""
        named = tuple(str(self.input[key]) for key in _PATHS if isinstance(self.input.get(key), str))
        return tuple(dict.fromkeys((*named, *self.locations)))

    def event(self) -> ToolCall:
        """The report of it."""
        detail = self.subject or self.text
        return ToolCall(
            id=self.id,
            title=self.title or self.name,
            kind=self.kind,
            status=self.status,
            detail=detail[:DETAIL_LIMIT],
        )


def content_text(content: Any) -> str:
    """A tool call's content as text: texts as they are, diffs as path and both sides."""
    parts = []
    for item in content if isinstance(content, list) else []:
        if not isinstance(item, dict):
            continue
        if item.get("type") == "diff":
            parts.append(f"{item.get('path', '')}\n{_diff(item)}")
        elif isinstance(inner := item.get("content"), dict) and inner.get("type") == "text":
            parts.append(str(inner.get("text", "")))
    return "\n".join(part for part in parts if part)


def _diff(item: dict[str, Any]) -> str:
    old, new = str(item.get("oldText") or ""), str(item.get("newText") or "")
    return "\n".join([*(f"-{line}" for line in old.splitlines()), *(f"+{line}" for line in new.splitlines())])


def _as_input(text: str) -> dict[str, Any]:
    """Kimi streams a call's arguments as its text, and asks before it reports them as input."""
    if not (text.startswith("{") and text.endswith("}")):  # most reports are parts of one that grows
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
