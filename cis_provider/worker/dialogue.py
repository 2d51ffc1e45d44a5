"""One program with one conversation, seen from the worker: its events kept in order, its state at hand."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

import msgspec

from cis_provider.model.blockage import ENDS_BY_ITSELF, Answer, Blockage, BlockageKind
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

#: Opens a blockage: it, and how its answer is delivered.
Ask = Callable[[Blockage, Callable[[Answer], Awaitable[None]]], Blockage]

#: Seconds that a program may take to be stopped; its group is killed after that by whoever owns the session.
_STOP = 10.0

#: Seconds in which an interrupted turn must end.
INTERRUPT = 5.0


class Dialogue:
    """
    Follows a conversation's events.

    :param write: Gets what a human may read.
    :param on_change: Called after each event that changed something.
    :param ask: Opens a blockage, and gives it the session's own number; ``gone``: it waits no more, or was
        answered at the agent's own terminal.
    :param clean: Makes an event fit to be kept and sent: see :func:`cis_provider.worker.cleaning.clean`.
    """

    def __init__(
        self,
        conversation: Conversation,
        *,
        write: Callable[[bytes], None],
        on_change: Callable[[], None],
        ask: Ask,
        gone: Callable[[int], None],
        clean: Callable[[Event], Event] = lambda event: event,
    ) -> None:
        self.conversation = conversation
        self.usage = Usage()
        self.said = ""
        self.turns = 0
        self.started: Started | None = None
        self.heard_at = time.monotonic()
        self._waiting: dict[int, int] = {}
        self._denied: dict[str, None] = {}
        #: In the turn that runs, as far as it came by here: its end says so in the program's own words.
        self._denied_now: dict[str, None] = {}
        self._ask = ask
        self._gone = gone
        self._write = write
        self._clean = clean
        self._on_change = on_change
        self._tools: set[str] = set()
        self._tools_at_work: set[str] = set()
        self._at_line_start = True
        self._turn: asyncio.Future[TurnEnded | Ended] = asyncio.get_running_loop().create_future()
        self._over: Ended | None = None
        self._following: asyncio.Task[None] | None = None

    @property
    def uses_tools(self) -> bool:
        """Whether a tool is at work for it, which may take long and say nothing."""
        return bool(self._tools_at_work)

    @property
    def denied(self) -> tuple[str, ...]:
        """What it wanted to do and was not allowed to."""
        return tuple(self._denied | self._denied_now)

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
        self._tools_at_work.clear()
        self.heard_at = time.monotonic()
        self.turns += 1
        await self.conversation.send(prompt)
        return await asyncio.shield(self._turn)

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
        self._forget_waiting()

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
        self.heard_at = time.monotonic()
        match event:
            case Started():
                self.started = event
            case Output(text=text, thought=False):
                self._say(text)
            case ToolCall():
                self._tool(event)
            case Blocked(blockage=blockage):
                self._block(blockage)
            case Unblocked(number=own):
                if number := self._waiting.pop(own, 0):
                    self._gone(number)
            case Usage():
                self.usage = event
            case TurnEnded() | Ended():
                self._forget_waiting()
                if isinstance(event, Ended):
                    self._over = event
                else:
                    self._count(event)
                self._finish_line()
                if not self._turn.done():
                    self._turn.set_result(event)
        self._on_change()

    def _count(self, end: TurnEnded) -> None:
        if end.num_turns:
            self.turns += max(0, end.num_turns - 1 - len(self._tools))
        told = end.denied or end.stop_reason == "end_turn"
        self._denied |= dict.fromkeys(end.denied) if told else self._denied_now
        self._denied_now.clear()

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
        own = blockage.number

        async def deliver(answer: Answer) -> None:
            await self.conversation.answer(msgspec.structs.replace(answer, number=own, secrets={}))
            kinds = {option.id: option.kind for option in blockage.options}
            if blockage.kind is BlockageKind.PERMISSION and kinds.get(answer.option, "").startswith("reject"):
                self._denied_now[blockage.title] = None

        self._waiting[own] = self._ask(blockage, deliver).number

    def note(self, line: str) -> None:
        """A line for the log that is not the agent's own."""
        self._finish_line()
        self._say(f"{line}\n", spoken=False)

    def _forget_waiting(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for number in waiting.values():
            self._gone(number)

    def _tool(self, call: ToolCall) -> None:
        if call.status in ("completed", "failed"):
            self._tools_at_work.discard(call.id)
        else:
            self._tools_at_work.add(call.id)
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
