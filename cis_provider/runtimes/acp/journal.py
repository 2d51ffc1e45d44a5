"""What a program knows of its conversation and does not say over the protocol."""

from __future__ import annotations

import msgspec

from cis_provider.runtimes.acp.trouble import Trouble
from cis_provider.runtimes.events import Usage

#: Seconds. A program that would sleep longer before it asks its provider again is interrupted: waiting
#: can be done without its process.
LONG_WAIT = 60.0


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """
    What is known now.

    :param trouble: Of the turn that runs, or ran last.
    :param usage: Totals since the program started; ``None``: it does not say.
    :param calls: Model calls since the program started; 0: it does not say.
    """

    trouble: Trouble | None = None
    usage: Usage | None = None
    calls: int = 0


def sleeps_too_long(trouble: Trouble, now: float) -> bool:
    """Whether a program that waits for its provider is to be interrupted: it would wait long, or for nothing."""
    return trouble.waiting and (trouble.error_class == "quota" or trouble.retry_at - now >= LONG_WAIT)


class Journal:
    """
    A program's own records of one conversation. This one knows nothing; programs have theirs.

    Called in a thread, never twice at once, so it may read files and ask a local server; 2 s at most.
    What it raises of ``OSError`` and ``ValueError`` is passed over: records are a help, no more.
    """

    def begin(self) -> None:
        """A turn begins: what went wrong before is over."""

    def look(self, final: bool) -> Look:
        """
        :param final: The turn is over; what it says now is all that will be known.
        """
        return Look()
