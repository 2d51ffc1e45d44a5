"""What one turn has said and done so far, from the notifications of the app-server. No side effects."""

from __future__ import annotations

from typing import Any

import msgspec

from cis_provider.runtimes.codex import items
from cis_provider.runtimes.codex.trouble import Trouble, judge
from cis_provider.runtimes.events import Event, Output, TurnEnded, Usage

#: What the sandbox's helper programs write where the kernel lets them make no sandbox.
_NO_SANDBOX = ("bwrap:", "bubblewrap:", "Landlock", "landlock")


class Turn:
    """
    A turn that runs.

    :param structured: Whether its answer has a schema.
    """

    def __init__(self, *, structured: bool = False) -> None:
        self.items: dict[str, dict[str, Any]] = {}
        self.gave_up: Trouble | None = None
        self._structured = structured
        self._said: list[str] = []
        self._denied: list[str] = []
        self._streamed: set[str] = set()

    def item(self, item: dict[str, Any], *, ended: bool) -> list[Event]:
        """``item/started`` and ``item/completed``."""
        number = str(item.get("id", ""))
        self.items[number] = item
        if item.get("type") in ("agentMessage", "plan"):
            return self._message(number, item) if ended else []
        call = items.tool_call(item, ended=ended)
        if call is None:
            return []
        self._said.clear()  # the final text is what is said after the last call
        events: list[Event] = [call]
        if ended and item.get("status") == "declined":
            self.deny(call.title)
        if ended and (trouble := _sandbox_trouble(item)):
            self.deny(f"{call.title} ({trouble})")
            events.append(Output(text=f"{trouble}\n", thought=True))
        return events

    def deny(self, title: str) -> None:
        """Something was not allowed."""
        if title not in self._denied:
            self._denied.append(title)

    def delta(self, item_id: str, text: str, *, thought: bool) -> list[Event]:
        """A piece of a message or of a thought."""
        self._streamed.add(item_id)
        return [Output(text=text, thought=thought)] if text else []

    def _message(self, item_id: str, item: dict[str, Any]) -> list[Event]:
        text = str(item.get("text") or "")
        if text:
            self._said.append(text)
        # Messages are told apart by an empty line; one that did not come in pieces comes whole.
        rest = "\n" if item_id in self._streamed else f"{text}\n"
        return [Output(text=rest)] if text else []

    def end(self, turn: dict[str, Any], limits: dict[str, Any] | None, now: float) -> TurnEnded:
        """
        ``turn/completed``.

        :param limits: The last ``RateLimitSnapshot``.
        :param now: Seconds since the epoch.
        """
        text, denied = "\n\n".join(self._said), tuple(self._denied)
        status = turn.get("status")
        if status == "failed" or self.gave_up:
            trouble = self.gave_up or judge(turn.get("error"), limits, now)
            return TurnEnded(
                stop_reason="error",
                text=text,
                denied=denied,
                error=trouble.error,
                error_class=trouble.error_class,
                retry_at=trouble.retry_at,
            )
        return TurnEnded(
            stop_reason="cancelled" if status == "interrupted" else "end_turn",
            text=text,
            structured=self._answer(),
            denied=denied,
        )

    def _answer(self) -> str:
        """The last message, if a schema was asked for and it is JSON."""
        if not self._structured or not self._said:
            return ""
        try:
            msgspec.json.decode(self._said[-1])
        except msgspec.DecodeError:
            return ""
        return self._said[-1]


class Meter:
    """
    Tokens of this process.

    Codex counts per thread and goes on counting when a thread is resumed (``thread/tokenUsage/updated``:
    ``total``, and ``last`` for the last model call).
    """

    def __init__(self) -> None:
        self._before: dict[str, dict[str, Any]] = {}
        self._total: dict[str, dict[str, Any]] = {}

    def take(self, thread: str, usage: dict[str, Any], *, running: bool) -> Usage | None:
        """
        A report.

        :param running: Whether a turn of ours is meant; else it tells what was used before.
        """
        total, last = usage.get("total"), usage.get("last")
        if not isinstance(total, dict):
            return None
        if thread not in self._before:
            spent = last if running and isinstance(last, dict) else {}
            self._before[thread] = {
                key: int(value or 0) - int(spent.get(key) or 0) for key, value in total.items()
            }
        self._total[thread] = total
        return self._usage() if running else None

    def _usage(self) -> Usage:
        def of(key: str) -> int:
            return sum(
                max(0, int(total.get(key) or 0) - int(self._before[thread].get(key) or 0))
                for thread, total in self._total.items()
            )

        return Usage(
            input_tokens=of("inputTokens"),
            output_tokens=of("outputTokens"),
            cached_tokens=of("cachedInputTokens"),
        )


def _sandbox_trouble(item: dict[str, Any]) -> str:
    said = str(item.get("aggregatedOutput") or "")
    if item.get("type") != "commandExecution" or not item.get("exitCode") or not said.startswith(_NO_SANDBOX):
        return ""
    return (
        f"Codex can make no sandbox on this machine: {items.first_line(said)}; let its kernel allow "
        "unprivileged user namespaces, or use the permission policy 'everything' in an isolated machine"
    )
