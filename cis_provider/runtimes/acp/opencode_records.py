"""
What OpenCode knows of a conversation: asked from the server that ``opencode acp`` is, measured on 1.18.33.

Over the protocol an error has no status, the tokens are those of the last model call alone, and a wait for
the provider of an hour looks like a model that thinks.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple
from urllib.parse import quote

from cis_provider.runtimes.acp.journal import Journal, Look
from cis_provider.runtimes.acp.opencode_server import OpenCodeServer
from cis_provider.runtimes.acp.trouble import Trouble, error_class, retry_time
from cis_provider.runtimes.events import ErrorClass, Usage

#: Messages that one look reads: while a turn runs, and after it.
_SOME, _MANY = 10, 200

#: Reasons of an answer's end after which it asks the model again; with a tool's result, if it called one.
_NO_END = ("unknown", "tool-calls", None)
#: How many such answers, one after the other, are no accident.
_LOOP = 3

_BY_NAME: dict[str, ErrorClass] = {"ProviderAuthError": "login", "ContextOverflowError": "permanent"}


class OpenCodeJournal(Journal):
    """Its messages and its state, from its server."""

    def __init__(self, server: OpenCodeServer, conversation_id: str) -> None:
        self._server = server
        self._session = quote(conversation_id, safe="")
        self._since = time.time()
        self._turn_since = self._since
        self._used: dict[str, Usage] = {}
        self._failing: _Failing | None = None
        self._unended: dict[str, float] = {}

    def begin(self) -> None:
        self._failing = None
        self._unended.clear()
        self._turn_since = int(time.time() * 1000) / 1000  # its own times have no more than that

    def look(self, final: bool) -> Look:
        messages = self._server.get(f"/session/{self._session}/message?limit={_MANY if final else _SOME}")
        trouble, text = None, None
        for message in messages if isinstance(messages, list) else []:
            info = message.get("info") or {}
            created = float((info.get("time") or {}).get("created") or 0) / 1000
            if info.get("role") != "assistant" or created < self._since:
                continue
            self._used[str(info.get("id"))] = _usage(info)
            if created >= self._turn_since:
                trouble, text = _failure(info, time.time()), _text(message.get("parts") or [])
                self._count_unended(info, message.get("parts") or [])
        calls = sum(1 for used in self._used.values() if used.output_tokens)
        if not final:
            trouble = self._retry(calls) or self._loop()
        usage = _total(list(self._used.values())) if calls else None
        return Look(trouble=trouble, usage=usage, calls=calls, text=text)

    def _count_unended(self, info: dict[str, Any], parts: list[dict[str, Any]]) -> None:
        """Answers without a word of why they end (a web page of a proxy, say): it asks again, without a pause."""
        ended = float((info.get("time") or {}).get("completed") or 0) / 1000
        if ended and (info.get("finish") not in _NO_END or any(part.get("type") == "tool" for part in parts)):
            self._unended.clear()
        elif ended:
            self._unended.setdefault(str(info.get("id")), ended)

    def _loop(self) -> Trouble | None:
        if len(self._unended) < _LOOP:
            return None
        return Trouble(
            error="the model's answers are empty, or break off without a reason",
            error_class="transient",
            waiting=True,
            tries=len(self._unended),
            since=min(self._unended.values()),
        )

    def _retry(self, calls: int) -> Trouble | None:
        status = (self._server.get("/session/status") or {}).get(self._session) or {}
        if status.get("type") != "retry":
            return None
        message, again = str(status.get("message") or ""), float(status.get("next") or 0) / 1000
        failing = _Failing(
            tries=int(status.get("attempt") or 1), retry_at=again, calls=calls, since=time.time()
        )
        self._failing = failing.following(self._failing)
        return Trouble(
            error=message,
            error_class=error_class(message),
            retry_at=again,
            waiting=True,
            tries=failing.tries,
            since=self._failing.since,
        )


class _Failing(NamedTuple):
    """
    A state of its tries of one call; it counts them, and does not say when they began.

    :param calls: That have gone well by now.
    :param since: When it was seen, at first.
    """

    tries: int
    retry_at: float
    calls: int
    since: float

    def following(self, before: _Failing | None) -> _Failing:
        """This, with the time at which the first of its tries was seen to have failed."""
        if before is None or before.calls != self.calls:
            return self
        same = (self.tries, self.retry_at) == (before.tries, before.retry_at)
        return self._replace(since=before.since) if same or self.tries > before.tries else self


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


def _text(parts: list[dict[str, Any]]) -> str | None:
    """What the last try said, if a message took several; over the protocol all of them were told."""
    tries = [number for number, part in enumerate(parts) if part.get("type") == "step-start"]
    if len(tries) < 2:
        return None
    said = [str(part.get("text") or "") for part in parts[tries[-1] :] if part.get("type") == "text"]
    return "".join(said).strip()


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
