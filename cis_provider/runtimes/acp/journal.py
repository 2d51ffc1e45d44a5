"""What a program knows of its conversation and does not say over the protocol."""

from __future__ import annotations

import msgspec

from cis_provider.runtimes.acp.trouble import Trouble
from cis_provider.runtimes.events import Usage


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """
    What is known now.

    :param trouble: Of the turn that runs, or ran last. ``waiting``: it runs on, the program tries again.
    :param usage: Totals since the program started; ``None``: it does not say.
    :param calls: Model calls since the program started; 0: it does not say.
    :param text: The final text, where pieces of failed tries came before it; ``None``: as the protocol told it.
    """

    trouble: Trouble | None = None
    usage: Usage | None = None
    calls: int = 0
    text: str | None = None


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
