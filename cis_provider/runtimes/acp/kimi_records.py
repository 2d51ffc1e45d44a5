"""
What Kimi writes down of a conversation: ``sessions/*/ID/agents/*/wire.jsonl`` in its home, read on 2.1.0.

Over the protocol a turn that failed ends like one that went well, with ``end_turn``, and a wait for the
provider of an hour looks like a model that thinks. These files have both, and the tokens.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cis_provider.runtimes.acp.journal import Journal, Look
from cis_provider.runtimes.acp.trouble import Trouble, error_class, retry_time
from cis_provider.runtimes.events import Usage

#: Seconds that the end of a turn may come later in the file than over the protocol; it takes some ms.
_LATE = 1.5

#: What stands in the lines that are read; others may be long.
_MARKS = (b'"turn.', b'"usage.record"', b'"step.begin"', b'"step.end"', b'"content.part"')

_INPUT = ("inputOther", "inputCacheRead", "inputCacheCreation")


class KimiJournal(Journal):
    """
    Reads what was appended since the last look.

    :param env: The agent's environment: where Kimi's home is.
    """

    def __init__(self, env: Mapping[str, str], conversation_id: str) -> None:
        home = Path(env.get("KIMI_CODE_HOME") or Path(env.get("HOME", "/")) / ".kimi-code")
        self._folder, self._pattern = home / "sessions", f"*/{conversation_id}/agents/*/wire.jsonl"
        self._offsets: dict[Path, int] = {}
        self._known = False
        self._usage = Usage()
        self._calls = 0
        self._trouble: Trouble | None = None
        self._over = False
        self._failing_since = 0.0
        self._said: list[str] = []
        self._retried = False

    def begin(self) -> None:
        if not self._known:  # what an earlier process used is not this one's
            self._offsets = {path: path.stat().st_size for path in self._files()}
            self._known = True
        self._trouble, self._over, self._retried = None, False, False

    def look(self, final: bool) -> Look:
        deadline = time.monotonic() + _LATE
        self._read()
        while final and not self._over and time.monotonic() < deadline:
            time.sleep(0.02)
            self._read()
        trouble = self._trouble
        if trouble and trouble.waiting and final:
            trouble = None
        return Look(
            trouble=trouble,
            usage=self._usage if self._calls else None,
            calls=self._calls,
            text="".join(self._said).strip() if self._retried else None,
        )

    def _read(self) -> None:
        for path in self._files():
            for record in self._new_records(path):
                self._take(record, main=path.parent.name == "main")

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob(self._pattern))

    def _new_records(self, path: Path) -> Iterator[dict[str, Any]]:
        with path.open("rb") as file:
            file.seek(self._offsets.get(path, 0), os.SEEK_SET)
            data = file.read()
        whole, _, _ = data.rpartition(b"\n")
        self._offsets[path] = self._offsets.get(path, 0) + len(whole) + bool(whole)
        for line in whole.split(b"\n"):
            if any(mark in line for mark in _MARKS):
                with contextlib.suppress(ValueError):
                    record = json.loads(line)
                    if isinstance(record, dict):
                        yield record

    def _take(self, record: dict[str, Any], *, main: bool) -> None:
        match record.get("type"):
            case "usage.record":
                self._count(record.get("usage") or {})
            case "turn.prompt" if main:
                self._trouble, self._over = None, False
            case "context.append_loop_event" if main:
                self._step(record.get("event") or {})
            case "turn.step.retrying" if main:
                self._retried = True
                self._trouble = self._waiting(record)
            case "turn.ended" if main:
                self._over = True
                self._trouble = _failure(record) if record.get("reason") == "failed" else None

    def _step(self, event: dict[str, Any]) -> None:
        """What it says in the step that runs. Over the protocol, the words of one that failed stay."""
        match event.get("type"):
            case "step.begin":
                self._said.clear()
            case "step.end" if event.get("finishReason") == "error":
                self._said.clear()
            case "content.part" if (part := event.get("part") or {}).get("type") == "text":
                self._said.append(str(part.get("text") or ""))

    def _count(self, used: dict[str, Any]) -> None:
        self._calls += 1
        self._usage = Usage(
            input_tokens=self._usage.input_tokens + sum(int(used.get(key) or 0) for key in _INPUT),
            output_tokens=self._usage.output_tokens + int(used.get("output") or 0),
            cached_tokens=self._usage.cached_tokens + int(used.get("inputCacheRead") or 0),
        )

    def _waiting(self, record: dict[str, Any]) -> Trouble:
        message, status = str(record.get("errorMessage") or ""), int(record.get("statusCode") or 0)
        tries, failed = int(record.get("failedAttempt") or 1), float(record.get("time") or 0) / 1000
        if tries == 1 or not self._failing_since:
            self._failing_since = failed
        return Trouble(
            error=message,
            error_class=error_class(message, status),
            retry_at=failed + float(record.get("delayMs") or 0) / 1000,
            waiting=True,
            tries=tries,
            since=self._failing_since,
        )


def _failure(record: dict[str, Any]) -> Trouble:
    error = record.get("error") or {}
    message = str(error.get("message") or error.get("code") or "its turn failed")
    kind = error_class(message, int((error.get("details") or {}).get("statusCode") or 0))
    if kind == "transient" and str(error.get("code", "")).startswith(("auth.", "provider.auth")):
        kind = "login"
    limited = kind in ("rate_limit", "quota")
    ended = float(record.get("time") or 0) / 1000
    return Trouble(
        error=message, error_class=kind, retry_at=retry_time(message, {}, ended) if limited else 0.0
    )
