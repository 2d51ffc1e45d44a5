"""What Codex says went wrong: which class of error it is, and when a limit ends. Pure."""

from __future__ import annotations

import datetime
import re
from typing import Any

import msgspec

from cis_provider.runtimes.events import ErrorClass


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """
    Why a turn failed.

    :param retry_at: When a limit ends, seconds since the epoch; 0: it does not say.
    """

    error: str
    error_class: ErrorClass
    retry_at: float = 0.0


#: ``CodexErrorInfo`` of the protocol where it is a word.
_BY_WORD: dict[str, ErrorClass] = {
    "contextWindowExceeded": "permanent",
    "sessionBudgetExceeded": "permanent",
    "usageLimitExceeded": "quota",
    "rateLimitExceeded": "rate_limit",
    "flexUnavailable": "transient",
    "serverOverloaded": "transient",
    "policyCapacityUnavailable": "transient",
    "internalServerError": "transient",
    "modelNotFound": "permanent",
    "inferenceHookDenied": "permanent",
    "cyberPolicy": "permanent",
    "misalignmentPolicyViolation": "permanent",
    "tooManyDenials": "permanent",
    "unauthorized": "login",
    "badRequest": "permanent",
    "sandboxError": "permanent",
}

#: Words of errors that it only calls "other".
_PASSING = re.compile(
    r"stream disconnected|connection|timed? ?out|network|temporar|overloaded|high demand", re.IGNORECASE
)
_LOGIN = re.compile(
    r"not logged in|log ?in again|logged out|unauthorized|refresh token|api[_ ]key|missing environment variable",
    re.IGNORECASE,
)

#: "... or try again at 10:40 AM", "... at Nov 24th, 2026 10:40 AM": local time of the machine.
_AT_TIME = re.compile(r"try again at (\d{1,2}):(\d\d) ?([AP]M)", re.IGNORECASE)
_AT_DATE = re.compile(
    r"try again at ([A-Z][a-z]{2}) (\d{1,2})(?:st|nd|rd|th)?,? (\d{4}),? (\d{1,2}):(\d\d) ?([AP]M)"
)
_IN_SPAN = re.compile(r"try again in ((?:\d+(?:\.\d+)? ?(?:ms|[a-z]+),? ?)+)", re.IGNORECASE)
_SPAN = re.compile(r"(\d+(?:\.\d+)?) ?(ms|[smhd])", re.IGNORECASE)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def judge(error: dict[str, Any] | None, limits: dict[str, Any] | None, now: float) -> Trouble:
    """
    Understand a failed turn.

    :param error: ``TurnError`` of the protocol.
    :param limits: The last ``RateLimitSnapshot`` that was reported.
    :param now: Seconds since the epoch.
    """
    error = error or {}
    message = _words(error)
    kind = _class(error.get("codexErrorInfo"), message)
    if kind not in ("quota", "rate_limit"):
        return Trouble(error=message, error_class=kind)
    return Trouble(error=message, error_class=kind, retry_at=retry_time(message, limits, now))


def _words(error: dict[str, Any]) -> str:
    message = str(error.get("message") or "the turn failed, and Codex does not say why")
    if message.startswith("{"):
        message = _inner(message)
    details = error.get("additionalDetails")
    return f"{message} ({details})" if details else message


def _inner(message: str) -> str:
    """A refused request's message is the provider's body as JSON."""
    try:
        body = msgspec.json.decode(message)
    except msgspec.DecodeError:
        return message
    inner = body.get("error") if isinstance(body, dict) else None
    said = inner.get("message") if isinstance(inner, dict) else None
    return said if isinstance(said, str) else message


def _class(info: Any, message: str) -> ErrorClass:
    if isinstance(info, str) and info in _BY_WORD:
        return _BY_WORD[info]
    status = _status(info)
    if status in (401, 403):
        return "login"
    if status == 402:
        return "quota"
    if status == 429:
        return "rate_limit"
    if status is not None and 400 <= status < 500 and status not in (408, 409, 425):
        return "permanent"
    if isinstance(info, dict):  # it names a connection that failed; a status of 500 and more, or none
        return "transient"
    if _LOGIN.search(message):
        return "login"
    return "transient" if _PASSING.search(message) else "permanent"


def _status(info: Any) -> int | None:
    if isinstance(info, dict):
        for value in info.values():
            status = value.get("httpStatusCode") if isinstance(value, dict) else None
            if isinstance(status, int):
                return status
    return None


def retry_time(message: str, limits: dict[str, Any] | None, now: float) -> float:
    """When a limit ends: the latest reset of all windows that are used up, else what the message says; else 0."""
    windows = [(limits or {}).get(name) for name in ("primary", "secondary")]
    resets = [
        float(window["resetsAt"])
        for window in windows
        if isinstance(window, dict) and (window.get("usedPercent") or 0) >= 100 and window.get("resetsAt")
    ]
    ahead = [reset for reset in resets if reset > now]
    return max(ahead) if ahead else _said_time(message, now)


def _said_time(message: str, now: float) -> float:
    here = datetime.datetime.fromtimestamp(now).astimezone()
    if found := _AT_DATE.search(message):
        month, day, year, hour, minute, half = found.groups()
        if month not in _MONTHS:
            return 0.0
        try:
            at = datetime.datetime(
                int(year), _MONTHS.index(month) + 1, int(day), _hour(hour, half), int(minute)
            )
        except ValueError:
            return 0.0
        return at.astimezone().timestamp()
    if found := _AT_TIME.search(message):
        hour, minute, half = found.groups()
        if int(hour) > 12 or int(minute) > 59:
            return 0.0
        at = here.replace(hour=_hour(hour, half), minute=int(minute), second=0, microsecond=0)
        # The minute it names has begun before the limit ends, so one more.
        moment = at.timestamp() + 60
        return moment if moment > now else moment + 86400
    if found := _IN_SPAN.search(message):
        return now + sum(float(number) * _SECONDS[unit.lower()] for number, unit in _SPAN.findall(found[1]))
    return 0.0


def _hour(hour: str, half: str) -> int:
    return int(hour) % 12 + (12 if half.upper() == "PM" else 0)
