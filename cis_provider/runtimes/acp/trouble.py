"""What a provider's error means for the turn it ended. Pure."""

from __future__ import annotations

import re

import msgspec

from cis_provider.runtimes.events import ErrorClass

#: JSON-RPC error code of ACP's ``auth_required``.
AUTH_REQUIRED = -32000


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """
    What went wrong.

    :param retry_at: When a limit ends, seconds since the epoch; 0: it does not say.
    :param waiting: The program is still at it: it tries again by itself at ``retry_at``, or at once (0).
    :param tries: How many have failed without a success between them, where it is still at it.
    :param since: When the first of them failed, seconds since the epoch.
    """

    error: str
    error_class: ErrorClass
    retry_at: float = 0.0
    waiting: bool = False
    tries: int = 0
    since: float = 0.0


_QUOTA = re.compile(
    r"insufficient[_ ](quota|balance|credit)|exceeded[\w ]* quota|usage[_ ]limit|billing|out of credits"
    r"|payment required|spend(ing)? limit|weekly limit|monthly limit",
    re.IGNORECASE,
)
_LIMIT = re.compile(r"rate[_ -]?limit|too many requests|concurrency limit", re.IGNORECASE)
_LOGIN = re.compile(
    r"unauthori[sz]ed|authenticat|invalid[_ ](api[_ ]?key|token)|api[_ ]?key|not logged in|log ?in again"
    r"|token (has )?expired",
    re.IGNORECASE,
)
_PERMANENT = re.compile(
    r"model[\w\s'\"/.:-]{0,80}not (found|exist)|unknown model|context[_ ](length|window)|too long|maximum context",
    re.IGNORECASE,
)
_STATUS = re.compile(r"(?:^|\b(?:status|status code|http|code|error)[ :=]{1,3})([45]\d\d)\b", re.IGNORECASE)
_WAIT = re.compile(
    r"(?:again|retry|resets?|wait)\s+(?:in|after)\s+(\d+(?:\.\d+)?)\s*(ms|s\b|sec|m\b|min|h\b|hour|d\b|day)",
    re.IGNORECASE,
)
_SECONDS = {
    "ms": 0.001,
    "s": 1,
    "sec": 1,
    "m": 60,
    "min": 60,
    "h": 3600,
    "hour": 3600,
    "d": 86400,
    "day": 86400,
}


def error_class(message: str, status: int = 0) -> ErrorClass:
    """
    Of an error by its HTTP status and words. Words of a used-up account go first, since vendors
    send them with 402, 403 and 429 alike. An error that says nothing is worth another try.
    """
    status = status or status_in(message)
    if _QUOTA.search(message) or status == 402:
        return "quota"
    if status in (401, 403):
        return "login"
    if status == 429:
        return "rate_limit"
    if status in (408, 409, 425) or status >= 500:
        return "transient"
    if status:
        return "permanent"
    by_words: tuple[tuple[re.Pattern[str], ErrorClass], ...] = (
        (_LIMIT, "rate_limit"),
        (_LOGIN, "login"),
        (_PERMANENT, "permanent"),
    )
    return next((found for words, found in by_words if words.search(message)), "transient")


def status_in(message: str) -> int:
    """The HTTP status at the head of a message (``429 Too many``) or after a word such as "status"; 0: none."""
    found = _STATUS.search(message)
    return int(found[1]) if found else 0


def retry_time(message: str, headers: dict[str, str], now: float) -> float:
    """
    When a limit ends, by ``retry-after`` (seconds) or the words "try again in 20s".

    :param now: When the error came, seconds since the epoch.
    :returns: Seconds since the epoch; 0: nothing says so.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    try:
        if after := float(lower.get("retry-after", "")):
            return now + after
    except ValueError:
        pass  # a date, or nothing
    found = _WAIT.search(message)
    return now + float(found[1]) * _SECONDS[found[2].lower()] if found else 0.0


def of_error(code: int, message: str, now: float, data: object = None) -> Trouble:
    """
    Of a JSON-RPC error that answered a prompt.

    :param data: The error's ``data``; agents put the provider's words there when the message is general.
    """
    words = message
    if isinstance(data, dict) and (more := data.get("details") or data.get("message")):
        words = f"{message}: {more}"
    kind: ErrorClass = error_class(words)
    if code == AUTH_REQUIRED and kind not in ("quota", "rate_limit"):
        kind = "login"
    elif code in (-32600, -32601, -32602) and kind == "transient":
        kind = "permanent"
    limited = kind in ("rate_limit", "quota")
    return Trouble(error=words, error_class=kind, retry_at=retry_time(words, {}, now) if limited else 0.0)
