"""What a program knows of its conversation and does not say over the protocol."""

from __future__ import annotations

import msgspec

from cis_provider.runtimes.acp.trouble import Trouble
from cis_provider.runtimes.events import Usage


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


class Journal:
    """
    A program's own records of one conversation. This one knows nothing; programs have theirs.

    Called in a thread, never twice at once, so it may read files and ask a local server; a second at most.
    """

    def begin(self) -> None:
        """A turn begins: what went wrong before is over."""

    def look(self, final: bool) -> Look:
        """
        :param final: The turn is over; what it says now is all that will be known.
        """
        return Look()
