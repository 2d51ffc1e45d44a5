"""One turn of a conversation: its reports, as events, and what is to be said at its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cis_provider.runtimes.acp.tools import Tool
from cis_provider.runtimes.acp.trouble import Trouble
from cis_provider.runtimes.events import Event, Output, StopReason, ToolCall, TurnEnded

_REASONS: tuple[StopReason, ...] = ("end_turn", "max_tokens", "max_turn_requests", "refusal", "cancelled")


class Turn:
    """
    What happened since a prompt was sent.

    :param is_notice: See :meth:`AcpRuntime.is_notice`; such text is told as a thought.
    """

    def __init__(self, is_notice: Callable[[str], bool] = lambda text: False) -> None:
        self._is_notice = is_notice
        self.tools: dict[str, Tool] = {}
        self.denied: list[str] = []
        self.cancelled = False
        self.trouble: Trouble | None = None
        #: The final text, if what came over the protocol is more than that.
        self.corrected: str | None = None
        self._text: list[str] = []
        self._mid_line = False

    def take(self, update: dict[str, Any]) -> Event | None:
        """The event of a ``session/update``; ``None``: nothing that is told."""
        what = update.get("sessionUpdate")
        if what in ("agent_message_chunk", "agent_thought_chunk"):
            return self._chunk(update.get("content"), thought=what == "agent_thought_chunk")
        if what in ("tool_call", "tool_call_update"):
            name = str(update.get("toolCallId", ""))
            known = name in self.tools
            before = self.tools[name].event() if known else None
            after = self.tool(update).event()
            if not known:
                self._mid_line = False
                self._text.clear()  # what it said before a tool call is no answer
            # Some report every word of a call's arguments as they come.
            return None if before is not None and _same(before, after) else after
        return None

    def tool(self, report: dict[str, Any]) -> Tool:
        """The tool call that a report is about, with the report taken in."""
        name = str(report.get("toolCallId", ""))
        tool = self.tools.setdefault(name, Tool(id=name))
        tool.take(report)
        return tool

    @property
    def text(self) -> str:
        """What it said after its last tool call."""
        return "".join(self._text).strip() if self.corrected is None else self.corrected

    def note(self, line: str) -> Output:
        """A line of its own for whoever reads along; no part of the answer."""
        start, self._mid_line = "\n" if self._mid_line else "", False
        return Output(text=f"{start}{line}\n")

    def ended(self, stop_reason: str, calls: int = 0) -> TurnEnded:
        """
        The turn's end.

        :param stop_reason: The agent's. Some say ``end_turn`` for a turn that was cancelled, or failed.
        """
        trouble = self.trouble
        reason: StopReason = next((one for one in _REASONS if one == stop_reason), "end_turn")
        if trouble is not None and not self.cancelled:
            return TurnEnded(
                stop_reason="error",
                text=self.text,
                num_turns=calls,
                denied=tuple(self.denied),
                error=trouble.error,
                error_class=trouble.error_class,
                retry_at=trouble.retry_at,
            )
        return TurnEnded(
            stop_reason="cancelled" if self.cancelled else reason,
            text=self.text,
            num_turns=calls,
            denied=tuple(self.denied),
        )

    def _chunk(self, content: Any, *, thought: bool) -> Output | None:
        text = str(content.get("text") or "") if isinstance(content, dict) else ""
        thought = thought or self._is_notice(text)
        if text and not thought:
            self._text.append(text)
            self._mid_line = not text.endswith("\n")
        return Output(text=text, thought=thought) if text else None


def _same(one: ToolCall, other: ToolCall) -> bool:
    """Whether two reports of a call differ in nothing but a detail that grows."""
    return (one.title, one.kind, one.status) == (other.title, other.kind, other.status)
