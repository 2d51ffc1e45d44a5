"""One program with one conversation, seen from the worker: its events kept in order, its state at hand."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import msgspec

from cis_provider.errors import StaleAnswer
from cis_provider.model.blockage import ENDS_BY_ITSELF, Answer, Blockage
from cis_provider.runtimes.base import Conversation
from cis_provider.runtimes.events import (
    Blocked,
    Ended,
    Event,
    Output,
    Started,
    ToolCall,
    TurnEnded,
    Unblocked,
    Usage,
)

log = logging.getLogger(__name__)

#: Seconds that a program may take to be stopped; its group is killed after that by whoever owns the session.
_STOP = 10.0


class Dialogue:
    """
    Follows a conversation's events.

    :param write: Gets what a human may read.
    :param on_change: Called after each event that changed something.
    :param number: Gives each blockage of the session its number.
    :param clean: Makes an event fit to be kept and sent: see :func:`cis_provider.worker.cleaning.clean`.
    """

    def __init__(
        self,
        conversation: Conversation,
        *,
        write: Callable[[bytes], None],
        on_change: Callable[[], None],
        number: Callable[[], int],
        clean: Callable[[Event], Event] = lambda event: event,
    ) -> None:
        self.conversation = conversation
        self.usage = Usage()
        self.said = ""
        self.turns = 0
        self.started: Started | None = None
        self._waiting: dict[int, Blockage] = {}
        self._number = number
        self._write = write
        self._clean = clean
        self._on_change = on_change
        self._tools: set[str] = set()
        self._at_line_start = True
        self._turn: asyncio.Future[TurnEnded | Ended] = asyncio.get_running_loop().create_future()
        self._over: Ended | None = None
        self._following: asyncio.Task[None] | None = None

    @property
    def blockage(self) -> Blockage | None:
        """What it waits for: the oldest, where tools are called side by side and several wait."""
        return next(iter(self._waiting.values()), None)

    @property
    def over(self) -> bool:
        """Whether the program is gone."""
        return self._over is not None

    async def start(self) -> None:
        """Start the program; errors are the conversation's own."""
        await self.conversation.start()
        self._following = asyncio.create_task(self._follow())

    async def turn(self, prompt: str) -> TurnEnded | Ended:
        """Send a prompt and wait for the end of its turn, or of the program."""
        if self._over:
            return self._over
        self._turn = asyncio.get_running_loop().create_future()
        self._tools.clear()
        self.turns += 1
        await self.conversation.send(prompt)
        return await asyncio.shield(self._turn)

    async def answer(self, answer: Answer) -> None:
        """
        Deliver a decision.

        :raises StaleAnswer: Nothing waits under that number any more.
        :raises InvalidAnswer: It offers no such option.
        """
        waiting = self._waiting.items()
        own = next((own for own, blockage in waiting if blockage.number == answer.number), None)
        if own is None:
            raise StaleAnswer(f"question {answer.number} waits no more: nothing was delivered")
        await self.conversation.answer(msgspec.structs.replace(answer, number=own))

    async def interrupt(self, patience: float) -> bool:
        """End the turn that runs; whether it has ended within so many seconds."""
        if self._following is None or self._over:
            return False
        if self._turn.done():
            # It is over already. An interrupt now might end the next one.
            return True
        try:
            async with asyncio.timeout(patience):
                await self.conversation.interrupt()
                return isinstance(await asyncio.shield(self._turn), TurnEnded)
        except TimeoutError:
            return False

    async def close(self) -> None:
        """Stop the program. Trouble is logged: whoever owns the session kills what is left."""
        try:
            async with asyncio.timeout(_STOP):
                await self.conversation.stop()
        except Exception as error:
            log.warning("a program did not stop: %s: %s", type(error).__name__, error)
        if self._following:
            self._following.cancel()
            await asyncio.wait({self._following}, timeout=_STOP)
        self._waiting.clear()

    async def _follow(self) -> None:
        error = "its program said nothing more, and did not say that it ended"
        try:
            async for event in self.conversation.events():
                self._take(self._clean(event))
                if self._over:
                    return
        except Exception as trouble:
            log.exception("a conversation could not be followed")
            error = f"what its program says could not be understood: {type(trouble).__name__}: {trouble}"
        self._take(Ended(error=error))

    def _take(self, event: Event) -> None:
        match event:
            case Started():
                self.started = event
            case Output(text=text, thought=False):
                self._say(text)
            case ToolCall():
                self._tool(event)
            case Blocked(blockage=blockage):
                self._block(blockage)
            case Unblocked(number=number):
                self._waiting.pop(number, None)
            case Usage():
                self.usage = event
            case TurnEnded() | Ended():
                self._waiting.clear()
                if isinstance(event, Ended):
                    self._over = event
                elif event.num_turns:
                    self.turns += max(0, event.num_turns - 1 - len(self._tools))
                self._finish_line()
                if not self._turn.done():
                    self._turn.set_result(event)
        self._on_change()

    def _block(self, blockage: Blockage) -> None:
        if blockage.kind in ENDS_BY_ITSELF and not self._turn.done():
            # Seen on a screen: the program waits for it, and so may we, without the program.
            self._turn.set_result(
                TurnEnded(
                    stop_reason="error",
                    error=blockage.title,
                    error_class="quota" if blockage.kind == "quota" else "rate_limit",
                    retry_at=blockage.until,
                )
            )
            return
        self._finish_line()
        self._say(f"[waits for a human: {blockage.kind}] {blockage.title}\n", spoken=False)
        number = self._number()
        since = blockage.since or time.time()
        self._waiting[blockage.number] = msgspec.structs.replace(blockage, number=number, since=since)

    def _tool(self, call: ToolCall) -> None:
        if call.id not in self._tools:
            self._tools.add(call.id)
            self.turns += 1
            self._finish_line()
            self._say(f"[{call.kind or 'tool'}] {call.title}\n", spoken=False)
        elif call.status == "failed":
            self._finish_line()
            self._say(f"[{call.kind or 'tool'} failed] {call.detail or call.title}\n", spoken=False)

    def _say(self, text: str, *, spoken: bool = True) -> None:
        if not text:
            return
        if spoken:
            self.said = (self.said + text)[-64 * 1024 :]
        self._at_line_start = text.endswith("\n")
        self._write(text.encode("utf-8", "replace"))

    def _finish_line(self) -> None:
        if not self._at_line_start:
            self._say("\n", spoken=False)
