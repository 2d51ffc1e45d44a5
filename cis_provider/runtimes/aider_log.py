"""
What Aider writes down of a turn: its event log (``--analytics-log``) and its talk with the model
(``--llm-history-file``). Its exit code says nothing: it is 0 also when the model refused every call.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from cis_provider.runtimes.events import ErrorClass, TurnEnded, Usage

#: litellm's exceptions, which Aider prints by name, and what they mean.
_CLASSES: dict[str, ErrorClass] = {
    "AuthenticationError": "login",
    "PermissionDeniedError": "login",
    "BudgetExceededError": "quota",
    "RateLimitError": "rate_limit",
    "BadRequestError": "permanent",
    "NotFoundError": "permanent",
    "UnsupportedParamsError": "permanent",
    "UnprocessableEntityError": "permanent",
    "ContextWindowExceededError": "permanent",
    "ContentPolicyViolationError": "permanent",
}
_EXCEPTION = re.compile(r"litellm\.(?:exceptions\.)?(\w+)[:(]")
_QUOTA = re.compile(r"(?i)insufficient_quota|exceeded your current quota|billing|out of credits?")
#: Of a prompt that does not fit: it asks whether to try, and its human said no; or the model did.
_TOO_LONG = re.compile(r"(?i)estimated chat context of .* exceeds|exhausted|exceeds? the .*token limit")

_DENIED = re.compile(r"^(?P<what>.+\?) \(Y\)es/\(N\)o.*\]: ?n", re.MULTILINE | re.IGNORECASE)

#: Lines of the screen that are repeated in an error.
_LAST_LINES = 10


class AiderLog:
    """
    Both files of one conversation.

    :ivar usage: Totals of all its turns; ``None``: no model has answered yet.
    """

    def __init__(self, events: Path, messages: Path) -> None:
        self.events = events
        self.messages = messages
        self.usage: Usage | None = None

    def begin(self) -> None:
        """A turn begins: forget the one before."""
        self.events.unlink(missing_ok=True)
        self.messages.unlink(missing_ok=True)

    def ended(self, exit_code: int, said: str) -> TurnEnded:
        """
        The end of a turn.

        :param said: What stood on its screen.
        """
        events = list(_lines(self.events))
        sent = [event["properties"] for event in events if event["event"] == "message_send"]
        self._add(sent)
        text = _last_answer(self.messages)
        self.messages.unlink(missing_ok=True)  # it holds every prompt, and files of the workspace
        denied = tuple(match["what"].strip() for match in _DENIED.finditer(said))
        error, error_class = _trouble(events, exit_code, said)
        if error:
            return TurnEnded(
                stop_reason="error",
                text=text,
                num_turns=len(sent),
                denied=denied,
                error=error,
                error_class=error_class,
            )
        return TurnEnded(text=text, num_turns=len(sent), denied=denied)

    def _add(self, sent: list[dict[str, Any]]) -> None:
        if not sent:
            return
        before = self.usage or Usage(cost_usd=0.0)
        self.usage = Usage(
            input_tokens=before.input_tokens + sum(_number(one.get("prompt_tokens")) for one in sent),
            output_tokens=before.output_tokens + sum(_number(one.get("completion_tokens")) for one in sent),
            cost_usd=(before.cost_usd or 0.0) + sum(float(one.get("cost") or 0.0) for one in sent),
        )


def _trouble(events: list[dict[str, Any]], exit_code: int, said: str) -> tuple[str, ErrorClass]:
    """Why the turn failed, and how; empty: it did not."""
    names = [event["event"] for event in events]
    last = "\n".join([line for line in said.splitlines() if line.strip()][-_LAST_LINES:])
    failed = [event for event in events if event["event"] == "message_send_exception"]
    if failed:
        return str(failed[-1]["properties"].get("exception") or last), "transient"
    unanswered = "message_send_starting" in names and (
        "message_send" not in names[_last(names, "message_send_starting") :]
    )
    if unanswered or (exit_code == 0 and "message_send_starting" not in names):
        found = list(_EXCEPTION.finditer(said))
        if found:
            words = re.split(r"\n\n|\nRetrying in ", said[found[-1].start() :])[0].strip()
            return words[:2000], _class(found[-1][1], said)
        return f"no model answered; its last lines:\n{last}", "permanent" if _TOO_LONG.search(
            said
        ) else "transient"
    if exit_code:
        return f"aider ended with exit code {exit_code}; its last lines:\n{last}", "transient"
    return "", ""


def _class(exception: str, said: str) -> ErrorClass:
    found = _CLASSES.get(exception, "transient")
    return "quota" if found == "rate_limit" and _QUOTA.search(said) else found


def _last(names: list[str], name: str) -> int:
    return len(names) - 1 - names[::-1].index(name)


def _number(value: object) -> int:
    return int(value) if isinstance(value, int | float) else 0


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    found = []
    for line in text.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue  # it was killed while it wrote
        if isinstance(event, dict) and isinstance(event.get("properties"), dict) and "event" in event:
            found.append(event)
    return found


def _last_answer(path: Path) -> str:
    """Text of the model's last answer: lines that begin with ``ASSISTANT`` after the last ``LLM RESPONSE``."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    before, mark, answer = text.rpartition("LLM RESPONSE ")
    if not mark or (before and not before.endswith("\n")):
        return ""
    lines = [line for line in answer.split("\n")[1:] if line.startswith("ASSISTANT")]
    return "\n".join(line.removeprefix("ASSISTANT").removeprefix(" ") for line in lines).strip()
