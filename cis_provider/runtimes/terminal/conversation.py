"""What the two ways to drive a terminal program share: events, blockages, and the end."""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from cis_provider.model.blockage import Answer
from cis_provider.runtimes.base import Conversation, Setting
from cis_provider.runtimes.events import Ended, Event, Output
from cis_provider.runtimes.terminal.stage import Stage
from cis_provider.runtimes.terminal.waiting import ScreenWaiting
from cis_provider.screens.rulebook import RuleBook
from cis_provider.screens.watcher import Judgement

log = logging.getLogger(__name__)


class ScreenConversation(Conversation):
    """A conversation on a screen. Nothing is typed but a prompt into an idle program, and answers."""

    on_screen = True

    def __init__(self, setting: Setting, book: RuleBook) -> None:
        self._setting = setting
        self._book = book
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._waiting = ScreenWaiting(self._events.put_nowait, self._unasked)
        self._stage: Stage | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = False

    @property
    def conversation_id(self) -> str:
        return ""

    async def events(self) -> AsyncIterator[Event]:
        while True:
            event = await self._events.get()
            yield event
            if isinstance(event, Ended):
                return

    async def answer(self, answer: Answer) -> None:
        await self._waiting.answer(self._stage, answer)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        try:
            if self._stage is not None:
                await self._stage.stop()
        finally:
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._end(self._stage.exit_code if self._stage else None)

    def unasked(self, judgement: Judgement, title: str) -> str:
        """
        The answer that the options give already, by its name in ``judgement.keys``; empty: a human is asked.

        :param title: The line of the question.
        """
        return ""

    @abstractmethod
    async def start(self) -> None: ...

    def _unasked(self, judgement: Judgement, title: str) -> str:
        # A human who has the terminal may be about to press a key themselves.
        return "" if self._setting.audience.attended else self.unasked(judgement, title)

    def _end(self, exit_code: int | None, error: str = "") -> None:
        if not self._ended:
            self._ended = True
            self._waiting.drop()
            self._events.put_nowait(Ended(exit_code=exit_code, error=error))

    def _say(self, line: str) -> None:
        self._events.put_nowait(Output(text=f"{line}\n"))

    def _look(self, stage: Stage, judgement: Judgement) -> None:
        """Tell what a look at the screen says, if it says something new."""
        if pressed := self._waiting.look(stage, judgement):
            self._spawn(stage.press(pressed))

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("a terminal program could not be followed", exc_info=error)
            self._end(None, f"it could not be followed: {type(error).__name__}: {error}")
