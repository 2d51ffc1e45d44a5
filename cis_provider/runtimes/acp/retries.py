"""A program that repeats a failed call by itself: what is told of it, and when it has tried for long enough. Pure."""

from __future__ import annotations

import msgspec

from cis_provider.runtimes.acp.trouble import Trouble
from cis_provider.runtimes.retrying import retry_line

#: Seconds. A program that would sleep longer before it asks its provider again is interrupted: waiting
#: can be done without its process.
LONG_WAIT = 60.0

#: Seconds that a program's own tries may take together, the wait for the next one included. Their pauses double:
#: those of Kimi 2.1.0 take 146 s in all, those of OpenCode 1.18.33 75 s, and this ends both after 15 to 20 s.
PATIENCE = 25.0

#: Tries without a pause between them.
_AT_ONCE = 10


class Retries:
    """
    Follows the tries of one turn.

    :param patience: See :data:`PATIENCE`.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._told: tuple[int, float] | None = None

    def take(self, trouble: Trouble, now: float) -> tuple[str, Trouble | None]:
        """
        What a look has found: see :class:`~cis_provider.runtimes.acp.journal.Look`.

        :param now: Seconds since the epoch.
        :returns: A line for the log, empty if it was told before; and why the turn is to be ended, if it is.
        """
        if (key := (trouble.tries, trouble.retry_at)) == self._told:
            return "", None
        self._told = key
        line = retry_line(trouble.tries, trouble.retry_at - now, trouble.error)
        return line, self._given_up(trouble, now) if self._is_hopeless(trouble, now) else None

    def _is_hopeless(self, trouble: Trouble, now: float) -> bool:
        if not trouble.retry_at:
            return trouble.tries >= _AT_ONCE
        wait = trouble.retry_at - now
        if trouble.error_class == "quota" or wait >= LONG_WAIT:
            return True
        # A try that has begun by now may be the one that goes well.
        return wait > 0 and trouble.retry_at - trouble.since > self._patience

    def _given_up(self, trouble: Trouble, now: float) -> Trouble:
        # A short wait is a pause of the program's own, and says nothing of a limit's end.
        limited = trouble.error_class in ("rate_limit", "quota") and trouble.retry_at - now >= LONG_WAIT
        times = f" ({trouble.tries} tries failed)" if trouble.tries > 1 else ""
        return msgspec.structs.replace(
            trouble, error=f"{trouble.error}{times}", retry_at=trouble.retry_at if limited else 0.0
        )
