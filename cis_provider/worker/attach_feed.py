"""
What one attached client is still to be sent. Pure but for the clock it is given.

A client is never waited for. What it does not take in time is dropped, and it gets the screen as it is then; so
does one that could take a flood, since nobody can read that.
"""

from __future__ import annotations

from collections.abc import Callable

from cis_provider.wire.terminal import Attached, Drawn, FromServer, Gone, encode

#: Bytes that may wait for a client before they are dropped for a picture of the screen.
LIMIT = 128 * 1024
#: Bytes a second that are shown as they come, and how many may come at once.
RATE, BURST = 256 * 1024, 64 * 1024
#: Seconds between two pictures when a flood begins, and when it has lasted: nobody can read along.
PACE, SLOWEST = 0.05, 0.25


class Feed:
    """
    One client's queue.

    :param paint: All of the screen, for this client, as it is now.
    :param clock: Seconds.
    """

    def __init__(self, paint: Callable[[], bytes], clock: Callable[[], float]) -> None:
        self._paint = paint
        self._clock = clock
        self._words: list[FromServer] = []
        self._bytes = bytearray()
        self._stale = False
        self._tokens = float(BURST)
        self._then = clock()
        self._next_picture = 0.0
        self._pace = PACE

    @property
    def waits(self) -> bool:
        """Whether there is anything to send."""
        return bool(self._words or self._bytes or self._stale)

    @property
    def pause(self) -> float:
        """Seconds until what there is should be sent."""
        if self._words or not self._stale:
            return 0.0
        return max(self._next_picture - self._clock(), 0.0)

    def say(self, message: Attached | Gone) -> None:
        """A message that is never dropped."""
        self._words.append(message)

    def write(self, data: bytes) -> None:
        """What the program wrote."""
        self._refill()
        self._tokens -= len(data)
        if self._stale:
            return
        if self._tokens < 0 or len(self._bytes) + len(data) > LIMIT:
            self.repaint(soon=False)
        else:
            self._bytes += data

    def repaint(self, *, soon: bool = True) -> None:
        """Whatever waits is of no use any more: the client gets a picture."""
        self._bytes.clear()
        self._stale = True
        if soon:
            self._next_picture = 0.0

    def take(self) -> bytes:
        """Frames to send now."""
        frames = [encode(word) for word in self._words]
        self._words.clear()
        if self._stale and not self.pause:
            self._stale = False
            now = self._clock()
            follows = now - self._next_picture < self._pace
            self._pace = min(self._pace * 1.2, SLOWEST) if follows else PACE
            self._next_picture = now + self._pace
            frames.append(encode(Drawn(self._paint(), whole=True)))
        elif self._bytes:
            frames.append(encode(Drawn(bytes(self._bytes))))
            self._bytes.clear()
        return b"".join(frames)

    def _refill(self) -> None:
        # A long flood is forgiven soon after its end.
        now, tokens = self._clock(), max(self._tokens, -RATE * PACE)
        self._tokens = min(tokens + (now - self._then) * RATE, BURST)
        self._then = now
