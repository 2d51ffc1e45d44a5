"""One writer at a time for each conversation that several sessions of a worker go on in."""

from __future__ import annotations

import asyncio
from typing import Any


class Names:
    """Conversations by name, while somebody has them or waits for them."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._users: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._locks)

    def is_taken(self, name: str) -> bool:
        """Whether somebody has it, or is about to."""
        return name in self._users

    async def take(self, name: str, stop: asyncio.Future[Any], seconds: float) -> bool:
        """
        Wait for it; whoever gets it calls :meth:`let_go`.

        :param stop: Ends the wait.
        :param seconds: How long to wait.
        :return: Whether it was had.
        """
        lock = self._locks.setdefault(name, asyncio.Lock())
        self._users[name] = self._users.get(name, 0) + 1
        taking = asyncio.ensure_future(lock.acquire())
        had = False
        try:
            either: set[asyncio.Future[Any]] = {taking, stop}
            await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            had = taking.done()
        finally:
            # Also when the wait is cancelled: nobody else would let go of the name.
            if not had:
                if taking.done():
                    lock.release()
                else:
                    taking.cancel()
                self._forget(name)
        return had

    def let_go(self, name: str) -> None:
        """The next may have it."""
        self._locks[name].release()
        self._forget(name)

    def _forget(self, name: str) -> None:
        self._users[name] -= 1
        if not self._users[name]:
            del self._users[name], self._locks[name]
