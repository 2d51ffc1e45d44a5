"""
What OpenCode knows of a conversation: asked from the server that ``opencode acp`` is, measured on 1.18.33.

Over the protocol an error has no status, the tokens are those of the last model call alone, and a wait for
the provider of an hour looks like a model that thinks.
"""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

import msgspec

from cis_provider.runtimes.acp.journal import LONG_WAIT, Journal, Look, sleeps_too_long
from cis_provider.runtimes.acp.opencode_server import OpenCodeServer
from cis_provider.runtimes.acp.trouble import Trouble, error_class, retry_time
from cis_provider.runtimes.events import ErrorClass, Usage

#: Messages that one look reads: while a turn runs, and after it.
_SOME, _MANY = 10, 200

_BY_NAME: dict[str, ErrorClass] = {"ProviderAuthError": "login", "ContextOverflowError": "permanent"}


class OpenCodeJournal(Journal):
    """Its messages and its state, from its server."""

    def __init__(self, server: OpenCodeServer, conversation_id: str) -> None:
        self._server = server
        self._session = quote(conversation_id, safe="")
        self._since = time.time()
        self._turn_since = self._since
        self._used: dict[str, Usage] = {}

    def begin(self) -> None:
        self._turn_since = int(time.time() * 1000) / 1000  # its own times have no more than that

    def look(self, final: bool) -> Look:
        messages = self._server.get(f"/session/{self._session}/message?limit={_MANY if final else _SOME}")
        trouble = None
        for message in messages if isinstance(messages, list) else []:
            info = message.get("info") or {}
            created = float((info.get("time") or {}).get("created") or 0) / 1000
            if info.get("role") != "assistant" or created < self._since:
                continue
            self._used[str(info.get("id"))] = _usage(info)
            if created >= self._turn_since:
                trouble = _failure(info, time.time())
        if not final:
            trouble = self._retry()
        calls = sum(1 for used in self._used.values() if used.output_tokens)
        return Look(trouble=trouble, usage=_total(list(self._used.values())) if calls else None, calls=calls)

    def _retry(self) -> Trouble | None:
        status = (self._server.get("/session/status") or {}).get(self._session) or {}
        if status.get("type") != "retry":
            return None
        message, again = str(status.get("message") or ""), float(status.get("next") or 0) / 1000
        trouble = Trouble(error=message, error_class=error_class(message), retry_at=again, waiting=True)
        if not sleeps_too_long(trouble, time.time()):
            return None
        if trouble.error_class == "quota" and again - time.time() < LONG_WAIT:
            return msgspec.structs.replace(trouble, retry_at=0.0)  # its own next try, not the reset
        return trouble


def _usage(info: dict[str, Any]) -> Usage:
    tokens = info.get("tokens") or {}
    cache = tokens.get("cache") or {}
    read, written = int(cache.get("read") or 0), int(cache.get("write") or 0)
    return Usage(
        input_tokens=int(tokens.get("input") or 0) + read + written,
        output_tokens=int(tokens.get("output") or 0) + int(tokens.get("reasoning") or 0),
        cached_tokens=read,
        cost_usd=float(info["cost"]) if info.get("cost") else None,  # 0: it knows no price
    )


def _total(used: list[Usage]) -> Usage:
    costs = [one.cost_usd for one in used if one.cost_usd is not None]
    return Usage(
        input_tokens=sum(one.input_tokens for one in used),
        output_tokens=sum(one.output_tokens for one in used),
        cached_tokens=sum(one.cached_tokens for one in used),
        cost_usd=sum(costs) if costs else None,
    )


def _failure(info: dict[str, Any], now: float) -> Trouble | None:
    error = info.get("error")
    if not isinstance(error, dict) or error.get("name") == "MessageAbortedError":
        return None
    data = error.get("data") or {}
    message = str(data.get("message") or error.get("name") or "its turn failed")
    body = str(data.get("responseBody") or "")
    kind = _BY_NAME.get(str(error.get("name"))) or error_class(
        f"{message} {body}", int(data.get("statusCode") or 0)
    )
    limited = kind in ("rate_limit", "quota")
    at = retry_time(message, data.get("responseHeaders") or {}, now) if limited else 0.0
    return Trouble(error=message, error_class=kind, retry_at=at)
