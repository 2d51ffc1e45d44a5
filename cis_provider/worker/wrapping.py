"""The last minute of an agent that has reached a limit."""

from __future__ import annotations

import logging

from cis_provider.errors import CisError
from cis_provider.runtimes.events import TurnEnded
from cis_provider.worker import wording
from cis_provider.worker.context import Outcome
from cis_provider.worker.dialogue import INTERRUPT, Dialogue
from cis_provider.worker.patience import LimitReached, Patience, Stopped

log = logging.getLogger(__name__)

#: Seconds that an agent has for its last word.
_WRAP_UP = 60.0


async def wrapped_up(
    dialogue: Dialogue | None, patience: Patience, reached: LimitReached, session_id: str
) -> Outcome:
    """Ask for a last word, within a minute; one that was blocked for too long is not asked."""
    if reached.subtype == "blocked":
        return Outcome(subtype="blocked", error=f"nobody came: it has waited {reached.limit}")
    patience.forget_limits()
    error = f"still at work at {reached.limit}"
    try:
        if dialogue is None or not await dialogue.interrupt(INTERRUPT):
            return Outcome(subtype=reached.subtype, error=error)
        log.info("session %s is asked to wrap up: %s", session_id, reached.limit)
        end = await patience.until(dialogue.turn(wording.wrap_up(reached.limit)), limit=_WRAP_UP)
    except (TimeoutError, CisError):
        return Outcome(subtype=reached.subtype, error=f"{error}; it did not wrap up")
    except Stopped as stopped:
        return Outcome(subtype=stopped.order.subtype, error=stopped.order.reason)
    text = end.text if isinstance(end, TurnEnded) else ""
    return Outcome(subtype=reached.subtype, error=error, text=text or None)
