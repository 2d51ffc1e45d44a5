"""
What a runtime tells of its agent while it is at work: one vocabulary for all programs.

Names follow the Agent Client Protocol (agentclientprotocol.com) where it has one: tool call and its status,
permission option, stop reason.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from cis_provider.model.blockage import Blockage

ToolStatus = Literal["pending", "in_progress", "completed", "failed"]

StopReason = Literal["end_turn", "max_tokens", "max_turn_requests", "refusal", "cancelled", "error"]
"""ACP's, and ``error``: the turn ended because something went wrong; the event says what."""

ErrorClass = Literal["", "permanent", "transient", "login", "rate_limit", "quota"]
"""
Of a turn that ended in an error. ``permanent``: another try would meet it again (a bad model name, a prompt
that is too long). ``transient``: it would not (an overloaded or broken provider). ``login``, ``rate_limit``
and ``quota`` are blockages, not failures.
"""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened."""


class Started(Event, frozen=True, kw_only=True):
    """
    The program is ready for a prompt.

    :param conversation_id: What the program resumes this conversation by.
    :param version: The program's own version; empty: unknown.
    """

    conversation_id: str
    model: str = ""
    version: str = ""


class Output(Event, frozen=True, kw_only=True):
    """
    Text for a human to read, a piece at a time.

    :param thought: It thinks aloud: no part of the answer.
    """

    text: str
    thought: bool = False


class ToolCall(Event, frozen=True, kw_only=True):
    """A tool is called, or its call goes on; ``id`` ties the reports of one call together."""

    id: str
    title: str
    kind: str = ""
    status: ToolStatus = "pending"
    detail: str = ""


class Blocked(Event, frozen=True, kw_only=True):
    """It waits; see the blockage. Its ``number`` is given by the runtime: 1, 2, ..."""

    blockage: Blockage


class Unblocked(Event, frozen=True, kw_only=True):
    """
    It goes on.

    :param how: ``answered``, ``elsewhere`` (at its own terminal) or ``by_itself``.
    """

    number: int
    how: Literal["answered", "elsewhere", "by_itself"] = "answered"


class Usage(Event, frozen=True, kw_only=True):
    """What the conversation has used since this process of the program began: totals, never differences."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost_usd: float | None = None


class TurnEnded(Event, frozen=True, kw_only=True):
    """
    The agent is done with a prompt, well or not.

    :param text: Its final text: what it said after its last tool call.
    :param structured: Its structured answer as JSON, where the program has such a thing.
    :param num_turns: Model calls of this turn that the program counted; 0: it does not say.
    :param denied: What it wanted to do and was not allowed to.
    :param error: For ``stop_reason="error"``: what the program says, in its words.
    :param retry_at: For a limit: when it ends, seconds since the epoch; 0: it does not say.
    """

    stop_reason: StopReason = "end_turn"
    text: str = ""
    structured: str = ""
    num_turns: int = 0
    denied: tuple[str, ...] = ()
    error: str = ""
    error_class: ErrorClass = ""
    retry_at: float = 0.0


class Ended(Event, frozen=True, kw_only=True):
    """
    The program is gone. Always the last event.

    :param exit_code: 128 + N for signal N; ``None``: it is not known.
    :param error: Its last words, where it left by itself and nobody asked it to.
    """

    exit_code: int | None = None
    error: str = ""
