"""
Whether anybody still wants what a node does: the node itself, and each of its sessions.

Times are of a monotonic clock: what slept with its machine was not forsaken.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable

from cis_provider import settings
from cis_provider.errors import ConfigError

Clock = Callable[[], float]


class Lease:
    """
    How long ago anybody said something to a node.

    :param seconds: Asked each time, for how long a word is good.
    :param present: Whether a client is connected: one that watches need not say anything.
    :param clock: Seconds.
    """

    def __init__(
        self,
        seconds: Callable[[], float],
        *,
        present: Callable[[], bool] = lambda: False,
        clock: Clock = time.monotonic,
    ) -> None:
        self.seconds = seconds
        self._present = present
        self._clock = clock
        self._last_word = clock()

    def heard(self) -> None:
        """Somebody said something, came or left."""
        self._last_word = self._clock()

    def silence(self) -> float:
        """Seconds since the last word; 0 while somebody is there."""
        if self._present():
            self.heard()
        return self._clock() - self._last_word

    def is_over(self) -> bool:
        """Whether nobody has been there for as long as a word is good."""
        return self.silence() > self.seconds()


class LastGood:
    """A setting in seconds, asked each time; one that cannot be read stays as it was."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._value = float(settings.SETTINGS[name].default)  # type: ignore[arg-type]

    def __call__(self) -> float:
        with contextlib.suppress(ConfigError):
            self._value = settings.seconds(self._name)
        return self._value


class Vouchers:
    """
    When somebody last cared for each session: submitted it, vouched for it, or watched it.

    :param clock: Seconds.
    """

    def __init__(self, *, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._cared: dict[str, float] = {}
        self._watching: Counter[str] = Counter()
        self._last_sweep: float | None = None

    def cared(self, session_id: str) -> None:
        """Somebody wants this session."""
        self._cared[session_id] = self._clock()

    def vouched(self, session_ids: Iterable[str]) -> None:
        """A sweep was here; it knows these."""
        self._last_sweep = now = self._clock()
        self._cared.update(dict.fromkeys(session_ids, now))

    def watch_begins(self, session_id: str) -> None:
        """Somebody watches a session from now on."""
        self._watching[session_id] += 1

    def watch_ends(self, session_id: str) -> None:
        """They do not any more."""
        self.cared(session_id)
        self._watching[session_id] -= 1
        if not self._watching[session_id]:
            del self._watching[session_id]

    def forsaken(self, alive_ids: Collection[str], lease: float) -> list[str]:
        """
        Sessions that nobody cared for during ``lease`` seconds, although a sweep was here meanwhile: there is an
        Airflow, and it does not know them.

        :param alive_ids: All sessions that have not ended; what is known of others is forgotten. One that is
            new here counts as cared for now: nobody could vouch while no coordinator ran.
        """
        now = self._clock()
        self._cared = {
            session_id: now if session_id in self._watching else self._cared.get(session_id, now)
            for session_id in alive_ids
        }
        return [
            session_id
            for session_id, cared in self._cared.items()
            if now - cared > lease and self._last_sweep is not None and self._last_sweep > cared
        ]
