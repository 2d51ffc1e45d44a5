"""What Claude Code 2.1.329 says, as ``claude-agent-sdk`` 0.2.186 reads it, as events. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from claude_agent_sdk import (
    AssistantMessage,
    Message,
    RateLimitEvent,
    ResultMessage,
    SystemMessage,
    TextBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
    UserMessage,
)

from cis_provider.runtimes.claude.planning import EXIT
from cis_provider.runtimes.claude.requests import title_of
from cis_provider.runtimes.events import (
    ErrorClass,
    Event,
    Output,
    StopReason,
    ToolCall,
    TurnEnded,
    Usage,
)
from cis_provider.runtimes.retrying import retry_line

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

_TRANSIENT = frozenset({408, 409})

_QUOTA = ("hit your", "usage limit", "credit balance is too low")
_LOGIN = ("/login", "invalid api key", "not logged in")

_STOPS: dict[str, StopReason] = {"refusal": "refusal", "max_tokens": "max_tokens"}


class Reader:
    """Reads the messages of one process. Remembers what the end of a turn needs."""

    def __init__(self) -> None:
        self.session_id = ""
        self._final = self._api_error = ""
        self._mid_line = False
        self._reset_at = 0.0
        self._input = self._output = self._cached = 0

    def begin_turn(self) -> None:
        """A prompt is sent."""
        self._final = self._api_error = ""
        self._reset_at = 0.0

    def read(self, message: Message, *, now: float) -> Iterator[Event]:
        """
        The events in a message.

        :param now: Seconds since the epoch.
        """
        match message:
            case SystemMessage(subtype="init", data=data):
                # It says so anew with each prompt; that it is ready for one was said by the handshake.
                self.session_id = str(data.get("session_id") or self.session_id)
            case SystemMessage(subtype="api_retry", data=data):
                yield self._retry(data)
            case AssistantMessage(error=str() as error):
                # The result repeats its words.
                self._api_error = error
            case AssistantMessage():
                yield from self._assistant(message)
            case UserMessage(content=list() as blocks):
                yield from (_outcome(block) for block in blocks if isinstance(block, ToolResultBlock))
            case RateLimitEvent(rate_limit_info=info) if info.status == "rejected":
                self._reset_at = float(info.resets_at or 0.0)
            case ResultMessage():
                yield self._usage(message)
                yield self._end(message, now)

    def _assistant(self, message: AssistantMessage) -> Iterator[Event]:
        # A subagent's words are no part of the answer.
        inner = message.parent_tool_use_id is not None
        for block in message.content:
            match block:
                case TextBlock(text=text):
                    if not inner:
                        self._final += text
                        self._mid_line = not text.endswith("\n")
                    yield Output(text=text, thought=inner)
                case ThinkingBlock(thinking=thinking):
                    yield Output(text=thinking, thought=True)
                case ToolUseBlock(id=call, name=name, input=arguments):
                    if not inner:
                        self._final, self._mid_line = "", False
                    yield ToolCall(
                        id=call,
                        title=title_of(name, arguments),
                        kind=_KINDS.get(name, "other"),
                        status="in_progress",
                        detail=json.dumps(arguments, ensure_ascii=False),
                    )

    def _retry(self, data: Mapping[str, Any]) -> Output:
        """It repeats a failed call by itself: ``api_retry``, as 2.1.197 and 2.1.329 say it."""
        words = f"{data.get('error_status') or ''} {data.get('error') or ''}".strip()
        line = retry_line(_count(data, "attempt"), _count(data, "retry_delay_ms") / 1000, words)
        start, self._mid_line = "\n" if self._mid_line else "", False
        return Output(text=f"{start}{line}\n")

    def _usage(self, message: ResultMessage) -> Usage:
        usage = message.usage or {}
        self._input += _count(usage, "input_tokens") + _count(usage, "cache_creation_input_tokens")
        self._output += _count(usage, "output_tokens")
        self._cached += _count(usage, "cache_read_input_tokens")
        # The cost is a total of the process already, the tokens are of the turn.
        return Usage(
            input_tokens=self._input,
            output_tokens=self._output,
            cached_tokens=self._cached,
            cost_usd=message.total_cost_usd,
        )

    def _end(self, message: ResultMessage, now: float) -> TurnEnded:
        denied = tuple(
            title_of(str(one.get("tool_name") or "tool"), one.get("tool_input") or {})
            for one in message.permission_denials or ()
            # A plan that was handed in is no work that was denied.
            if one.get("tool_name") != EXIT
        )
        # "success" with is_error: a failed call of the API ends like that.
        if message.is_error or message.subtype.startswith("error"):
            return self._failure(message, denied, now)
        structured = message.structured_output
        return TurnEnded(
            stop_reason=_STOPS.get(message.stop_reason or "", "end_turn"),
            text=message.result or self._final,
            structured=json.dumps(structured) if structured is not None else "",
            denied=denied,
            num_turns=message.num_turns,
        )

    def _failure(self, message: ResultMessage, denied: tuple[str, ...], now: float) -> TurnEnded:
        error = "; ".join(message.errors or ()) or message.result or message.subtype
        if message.subtype == "error_max_turns":
            return TurnEnded(
                stop_reason="max_turn_requests", denied=denied, num_turns=message.num_turns, error=error
            )
        if message.terminal_reason in ("aborted_streaming", "aborted_tools"):
            return TurnEnded(stop_reason="cancelled", denied=denied, num_turns=message.num_turns)
        error_class = classify(message.api_error_status or 0, self._api_error, error)
        limited = error_class in ("rate_limit", "quota")
        return TurnEnded(
            stop_reason="error",
            denied=denied,
            num_turns=message.num_turns,
            error=error,
            error_class=error_class,
            retry_at=(self._reset_at or reset_in(error, now)) if limited else 0.0,
        )


def classify(code: int, api_error: str, text: str) -> ErrorClass:
    """
    The class of a failed turn.

    :param code: HTTP status of the last call; 0: there was no answer.
    :param api_error: The SDK's ``AssistantMessageError``; empty: it said none.
    """
    lower = text.lower()
    if "prompt is too long" in lower:
        # By its own count, without a call.
        return "permanent"
    if api_error == "billing_error" or any(words in lower for words in _QUOTA):
        return "quota"
    if code in (401, 403) or api_error == "authentication_failed" or any(words in lower for words in _LOGIN):
        return "login"
    if code == 429 or api_error == "rate_limit":
        return "rate_limit"
    if 400 <= code < 500 and code not in _TRANSIENT:
        return "permanent"
    return "permanent" if not code and api_error == "invalid_request" else "transient"


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


def _outcome(block: ToolResultBlock) -> ToolCall:
    said = block.content
    return ToolCall(
        id=block.tool_use_id,
        title="",
        status="failed" if block.is_error else "completed",
        detail=said if isinstance(said, str) else json.dumps(said, ensure_ascii=False),
    )


def _count(usage: Mapping[str, Any], name: str) -> int:
    return int(usage.get(name) or 0)
