"""
What Claude Code says on its pipe, as events. Pure.

The format is that of ``claude --output-format stream-json`` 2.1.329, as ``claude-agent-sdk`` 0.2.186 reads it
(``message_parser.py``, ``query.py``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from cis_provider.runtimes.events import ErrorClass, Event, Output, Started, ToolCall, TurnEnded, Usage

_KINDS = {
    "Bash": "execute",
    "Edit": "edit",
    "Write": "edit",
    "NotebookEdit": "edit",
    "Read": "read",
    "Grep": "search",
    "Glob": "search",
    "WebFetch": "fetch",
    "WebSearch": "fetch",
    "Task": "other",
}

_RESETS = re.compile(
    r"resets (?:(?P<month>[A-Z][a-z]{2}) (?P<day>\d{1,2}),? (?:at )?)?"
    r"(?P<hour>\d{1,2})(?::(?P<minute>\d\d))?(?P<half>am|pm)(?: \((?P<zone>[\w/+-]+)\))?"
)

_TRANSIENT = frozenset({408, 409, 500, 502, 503, 504, 522, 524, 529})


def title_of(name: str, arguments: Mapping[str, Any]) -> str:
    """One line: what a tool is called for."""
    for key in ("command", "file_path", "notebook_path", "url", "query", "pattern", "description", "prompt"):
        if value := arguments.get(key):
            first, *more = str(value).splitlines() or [""]
            return f"{name}: {first[:200]}{' ...' if more or len(first) > 200 else ''}"
    return name


class Reader:
    """Reads the messages of one process. Remembers what the end of a turn needs."""

    def __init__(self) -> None:
        self.session_id = ""
        self._final = ""
        self._reset_at = 0.0
        self._input = self._output = self._cached = 0

    def begin_turn(self) -> None:
        """A prompt is sent."""
        self._final, self._reset_at = "", 0.0

    def read(self, message: Mapping[str, Any], *, now: float) -> Iterator[Event]:
        """
        The events in a message; requests and answers of the control protocol are not for here.

        :param now: Seconds since the epoch.
        """
        if session_id := message.get("session_id"):
            self.session_id = str(session_id)
        match message.get("type"):
            case "system" if message.get("subtype") == "init":
                yield Started(
                    conversation_id=self.session_id,
                    model=str(message.get("model") or ""),
                    version=str(message.get("claude_code_version") or ""),
                )
            case "assistant" if not message.get("is_api_error_message"):
                yield from self._assistant(message)
            case "user":
                yield from _results(message)
            case "rate_limit_event":
                info = message.get("rate_limit_info") or {}
                if info.get("status") == "rejected":
                    self._reset_at = float(info.get("resetsAt") or 0.0)
            case "result":
                yield self._usage(message)
                yield self._end(message, now)

    def _assistant(self, message: Mapping[str, Any]) -> Iterator[Event]:
        # A subagent's words are no part of the answer.
        inner = message.get("parent_tool_use_id") is not None
        for block in _content(message):
            match block.get("type"):
                case "text":
                    if not inner:
                        self._final += str(block.get("text") or "")
                    yield Output(text=str(block.get("text") or ""), thought=inner)
                case "thinking":
                    yield Output(text=str(block.get("thinking") or ""), thought=True)
                case "tool_use":
                    if not inner:
                        self._final = ""
                    name, arguments = str(block.get("name") or "tool"), block.get("input") or {}
                    yield ToolCall(
                        id=str(block.get("id") or ""),
                        title=title_of(name, arguments),
                        kind=_KINDS.get(name, "other"),
                        status="in_progress",
                        detail=json.dumps(arguments, ensure_ascii=False),
                    )

    def _usage(self, message: Mapping[str, Any]) -> Usage:
        usage, cost = message.get("usage") or {}, message.get("total_cost_usd")
        self._input += _count(usage, "input_tokens") + _count(usage, "cache_creation_input_tokens")
        self._output += _count(usage, "output_tokens")
        self._cached += _count(usage, "cache_read_input_tokens")
        # The cost is a total of the process already, the tokens are of the turn.
        return Usage(
            input_tokens=self._input,
            output_tokens=self._output,
            cached_tokens=self._cached,
            cost_usd=float(cost) if cost is not None else None,
        )

    def _end(self, message: Mapping[str, Any], now: float) -> TurnEnded:
        subtype, result = str(message.get("subtype") or ""), str(message.get("result") or "")
        denied = tuple(
            title_of(str(one.get("tool_name") or "tool"), one.get("tool_input") or {})
            for one in message.get("permission_denials") or ()
        )
        turns = int(message.get("num_turns") or 0)
        structured = message.get("structured_output")
        if message.get("is_error") or subtype.startswith("error"):
            error = "; ".join(map(str, message.get("errors") or ())) or result or subtype
            if subtype == "error_max_turns":
                return TurnEnded(stop_reason="max_turn_requests", denied=denied, num_turns=turns, error=error)
            if message.get("terminal_reason") in ("aborted_streaming", "aborted_tools"):
                return TurnEnded(stop_reason="cancelled", denied=denied, num_turns=turns)
            code = int(message.get("api_error_status") or 0)
            error_class = classify(code, str(message.get("api_error") or ""), error)
            retry_at = self._reset_at or reset_in(error, now)
            return TurnEnded(
                stop_reason="error",
                denied=denied,
                num_turns=turns,
                error=error,
                error_class=error_class,
                retry_at=retry_at if error_class in ("rate_limit", "quota") else 0.0,
            )
        return TurnEnded(
            stop_reason="refusal" if message.get("stop_reason") == "refusal" else "end_turn",
            text=result or self._final,
            structured=json.dumps(structured) if structured is not None else "",
            denied=denied,
            num_turns=turns,
        )


def classify(code: int, api_error: str, text: str) -> ErrorClass:
    """
    The class of a failed turn.

    :param code: HTTP status of the last call; 0: there was no answer.
    """
    lower = text.lower()
    if api_error == "usage_limit_reached" or "credit balance is too low" in lower or "hit your" in lower:
        return "quota"
    if code in (401, 403) or "/login" in lower or "invalid api key" in lower or "not logged in" in lower:
        return "login"
    if code == 429:
        return "rate_limit"
    if code in _TRANSIENT or not code:
        return "transient"
    return "permanent" if 400 <= code < 500 else "transient"


def reset_in(text: str, now: float) -> float:
    """When a limit ends, from words such as ``resets 3pm (Europe/Berlin)``; seconds since the epoch, 0: no word."""
    found = _RESETS.search(text)
    if found is None:
        return 0.0
    try:
        zone = ZoneInfo(found["zone"]) if found["zone"] else None
        today = datetime.fromtimestamp(now, zone)
        hour = int(found["hour"]) % 12 + (12 if found["half"] == "pm" else 0)
        end = today.replace(hour=hour, minute=int(found["minute"] or 0), second=0, microsecond=0)
        if found["month"]:
            month = datetime.strptime(found["month"], "%b").month
            end = end.replace(month=month, day=int(found["day"]))
            if end < today - timedelta(days=1):
                end = end.replace(year=end.year + 1)
        elif end <= today:
            end += timedelta(days=1)
    except (ValueError, KeyError, OSError):
        return 0.0
    return end.timestamp()


def _results(message: Mapping[str, Any]) -> Iterator[Event]:
    for block in _content(message):
        if block.get("type") == "tool_result":
            failed = bool(block.get("is_error"))
            said = block.get("content")
            yield ToolCall(
                id=str(block.get("tool_use_id") or ""),
                title="",
                status="failed" if failed else "completed",
                detail=said if isinstance(said, str) else json.dumps(said, ensure_ascii=False),
            )


def _content(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    content = (message.get("message") or {}).get("content")
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def _count(usage: Mapping[str, Any], name: str) -> int:
    return int(usage.get(name) or 0)
