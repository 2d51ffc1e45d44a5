"""
Errors as the vendors put them: bodies, headers, and events in a stream. Pure.

Anthropic: API reference, "Errors" and "Rate limits"; the ``unified`` headers are what its subscriptions send.
OpenAI: API reference, "Error codes"; ``usage_limit_reached`` is what Codex gets from a subscription's back end.
"""

from __future__ import annotations

import datetime
import math
from typing import Any

from .sse import Event
from .steps import Failure

_ANTHROPIC = {
    400: ("invalid_request_error", "The request is not valid."),
    401: ("authentication_error", "invalid x-api-key"),
    402: ("billing_error", "Your credit balance is too low to access the API."),
    403: ("permission_error", "Your API key does not have permission to use the specified resource."),
    404: ("not_found_error", "The requested resource could not be found."),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: ("rate_limit_error", "This request would exceed your account's rate limit. Please try again later."),
    500: ("api_error", "Internal server error"),
    504: ("timeout_error", "Request timed out"),
    529: ("overloaded_error", "Overloaded"),
}

#: Status -> type, code, message.
_OPENAI: dict[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", None, "The request is not valid."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    403: ("invalid_request_error", "unsupported_country_region_territory", "You may not use this model."),
    404: ("invalid_request_error", "model_not_found", "The model does not exist."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached for requests."),
    500: ("server_error", None, "The server had an error while processing your request."),
    503: (
        "server_error",
        "server_is_overloaded",
        "Our servers are currently overloaded. Please try again later.",
    ),
    529: (
        "server_error",
        "server_is_overloaded",
        "Our servers are currently overloaded. Please try again later.",
    ),
}

#: Sentences of errors that are named by the script.
_SENTENCES = {
    "insufficient_quota": "You exceeded your current quota, please check your plan and billing details.",
    "usage_limit_reached": "The usage limit has been reached",
    "usage_not_included": "To use Codex with your ChatGPT plan, upgrade to Plus",
    "exceeded_current_quota_error": "You exceeded your current token quota, please check your account balance",
    "rate_limit_reached_error": "Your account reached max request limit, please try again later",
    "engine_overloaded_error": "The engine is currently overloaded, please try again later",
    "context_length_exceeded": "Your input exceeds the context window of this model.",
}

#: Errors whose name is both the type and the code in an OpenAI body.
_TYPE_IS_CODE = {"insufficient_quota"}

Said = tuple[dict[str, str], dict[str, Any]]


def anthropic(failure: Failure, now: float, serial: str) -> Said:
    """Headers and body of an Anthropic error. ``now``: seconds since 1970."""
    kind, sentence = _ANTHROPIC.get(failure.status, ("api_error", "Internal server error"))
    kind = failure.error or kind
    sentence = failure.message or _SENTENCES.get(kind, sentence)
    headers = {"request-id": f"req_{serial}", **_retry_after(failure)}
    headers["x-should-retry"] = (
        "true" if failure.status in (408, 409, 429) or failure.status >= 500 else "false"
    )
    if failure.resets_in is not None:
        reset = math.ceil(now + failure.resets_in)
        moment = datetime.datetime.fromtimestamp(reset, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        headers |= {
            "anthropic-ratelimit-requests-limit": "50",
            "anthropic-ratelimit-requests-remaining": "0",
            "anthropic-ratelimit-requests-reset": moment,
            "anthropic-ratelimit-unified-status": "rejected",
            "anthropic-ratelimit-unified-representative-claim": "five_hour",
            "anthropic-ratelimit-unified-reset": str(reset),
            "anthropic-ratelimit-unified-5h-status": "rejected",
            "anthropic-ratelimit-unified-5h-utilization": "1.0",
            "anthropic-ratelimit-unified-5h-reset": str(reset),
            "anthropic-ratelimit-unified-fallback-percentage": "0.5",
            "anthropic-ratelimit-unified-overage-status": "rejected",
            "anthropic-ratelimit-unified-overage-disabled-reason": "org_level_disabled",
        }
    error = {"type": kind, "message": sentence}
    return headers, {"type": "error", "error": error, "request_id": f"req_{serial}"}


def openai(failure: Failure, now: float, serial: str) -> Said:
    """Headers and body of an OpenAI error, chat completions and responses alike."""
    kind, code, sentence = _OPENAI.get(failure.status, ("server_error", None, "The server had an error."))
    if failure.error:
        named = failure.error
        sentence = _SENTENCES.get(named, sentence)
        whole = named in _TYPE_IS_CODE or named.endswith("_error") or named.startswith("usage_")
        kind, code = (named if whole else kind), (named if not whole or named in _TYPE_IS_CODE else None)
    error: dict[str, Any] = {
        "message": failure.message or sentence,
        "type": kind,
        "param": None,
        "code": code,
    }
    headers = {"x-request-id": f"req_{serial}", **_retry_after(failure)}
    if failure.resets_in is not None:
        seconds, reset = math.ceil(failure.resets_in), math.ceil(now + failure.resets_in)
        headers |= {
            "x-ratelimit-limit-requests": "50",
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": f"{seconds}s",
        }
        if kind == "usage_limit_reached":
            error |= {"plan_type": "plus", "resets_at": reset, "resets_in_seconds": seconds}
            headers |= {
                "x-codex-primary-used-percent": "100",
                "x-codex-primary-window-minutes": "300",
                "x-codex-primary-reset-at": str(reset),
                "x-codex-primary-reset-after-seconds": str(seconds),
            }
    return headers, {"error": error}


def in_stream(api: str, body: dict[str, Any], serial: str) -> Event:
    """The same error as an event in a stream that had begun well."""
    if api == "anthropic":
        return Event("error", body)
    error = body["error"]
    if api == "chat":
        return Event(None, body)
    response: dict[str, Any] = {
        "id": f"resp_{serial}",
        "object": "response",
        "status": "failed",
        "error": {"code": error["code"] or error["type"], "message": error["message"]},
        "output": [],
        "usage": None,
    }
    return Event("response.failed", {"type": "response.failed", "sequence_number": 2, "response": response})


def _retry_after(failure: Failure) -> dict[str, str]:
    """Whole seconds, as both vendors write it."""
    return {} if failure.retry_after is None else {"retry-after": str(math.ceil(failure.retry_after))}
