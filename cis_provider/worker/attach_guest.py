"""One who is attached, on a connection: gets what the program writes, or pictures of its screen."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from cis_provider.wire.terminal import Attached, Gone
from cis_provider.worker.attach_feed import Feed
from cis_provider.worker.attach_live import LiveTerminal

if TYPE_CHECKING:
    from cis_provider.worker.attach_paint import Excerpt


class Client:
    """
    A guest. Where its terminal is as large as the program's, it gets the program's own bytes; else pictures of as
    much of the screen as it can show.
    """

    def __init__(
        self, live: LiveTerminal, writer: asyncio.StreamWriter, *, who: str, size: tuple[int, int]
    ) -> None:
        self.who = who
        self.size = size
        self._live = live
        self._writer = writer
        self._feed = Feed(self._paint, time.monotonic)
        self._wake = asyncio.Event()
        self._excerpt: Excerpt | None = None
        self._leaves = False

    def wrote(self, data: bytes) -> None:
        if self._fits:
            self._feed.write(data)
        else:
            self._feed.repaint(soon=False)
        self._wake.set()

    def changed(self) -> None:
        self._excerpt = None
        self._feed.repaint()
        self._wake.set()

    def say(self, message: Attached | Gone) -> None:
        self._feed.say(message)
        self._leaves = self._leaves or isinstance(message, Gone)
        self._wake.set()

    async def send(self) -> None:
        """Until it was told that nothing more comes; or for as long as there is a connection."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._feed.waits:
                if pause := self._feed.pause:
                    await asyncio.sleep(pause)
                self._writer.write(self._feed.take())
                await self._writer.drain()
            if self._leaves:
                return

    @property
    def _fits(self) -> bool:
        screen = self._live.screen
        return screen is None or (screen.columns, screen.rows) == self.size

    def _paint(self) -> bytes:
        screen = self._live.screen
        if screen is None or self._fits:
            self._excerpt = None
            return self._live.paint()
        if self._excerpt is None:
            from cis_provider.worker.attach_paint import Excerpt

            self._excerpt = Excerpt(*self.size)
        return self._excerpt.paint(screen)
