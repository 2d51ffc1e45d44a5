"""How long an agent may go on: its session's stop, its time limit, its budget, and how long it may be blocked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from cis_provider.model.blockage import Answer, Blockage
from cis_provider.model.duration import format_duration
from cis_provider.model.result import Subtype
from cis_provider.worker.context import StopOrder
from cis_provider.worker.takeover import Humans

T = TypeVar("T")

#: Seconds that a human has for an answer where nothing else is said.
BLOCKED_AT_MOST = 7 * 24 * 3600.0

#: Seconds after which is looked again whether it is blocked, which brings another end into sight.
_LOOK = 60.0

#: Seconds that something cancelled may take to let go.
_LET_GO = 5.0


class Stopped(Exception):
    """The session is to end now."""

    def __init__(self, order: StopOrder) -> None:
        super().__init__(order.reason)
        self.order = order


class LimitReached(Exception):
    """It was at work, or blocked, for too long or too much; ``limit`` says for what, in words."""

    def __init__(self, subtype: Subtype, limit: str) -> None:
        super().__init__(limit)
        self.subtype = subtype
        self.limit = limit


class HumanWanted(Exception):
    """A human wants the agent's terminal."""


class Called(Exception):
    """Somebody has decided that what is waited for is to end; ``answer`` says how."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.option)
        self.answer = answer


class Patience:
    """
    Waits for things, and ends the wait when it must.

    :param timeout: Seconds the agent may be at work; 0: no limit.
    :param blockage: What a human is asked now.
    :param humans: Who may want the agent's terminal.
    :param why_no_seat: Why they cannot have it now, in words; empty: they can.
    :param blocked_at_most: Seconds for an answer.
    """

    def __init__(
        self,
        stop: asyncio.Future[StopOrder],
        timeout: float,
        blockage: Callable[[], Blockage | None],
        humans: Humans | None = None,
        *,
        why_no_seat: Callable[[], str] = lambda: "",
        blocked_at_most: float = 0.0,
    ) -> None:
        self._why_no_seat = why_no_seat
        self._stop = stop
        self._timeout = timeout
        self._deadline = self._now() + timeout if timeout else 0.0
        self._blockage = blockage
        self._humans = humans or Humans()
        self._blocked_at_most = blocked_at_most or BLOCKED_AT_MOST
        self._pauses = 0
        self._attended = False
        self._paused_at = 0.0
        self._moved = self._future()
        self._called: Answer | None = None
        self._budget: asyncio.Future[str] = self._future()

    @property
    def worked(self) -> float:
        """Seconds of its time limit that are used up; 0 where there is none."""
        if not self._deadline:
            return 0.0
        return self._timeout - (self._deadline - (self._paused_at if self._pauses else self._now()))

    def spend(self, seconds: float) -> None:
        """So much of its time limit was used up before."""
        if self._deadline:
            self._deadline -= seconds

    def reach_budget(self, limit: str) -> None:
        """A limit of the agent's budget is reached; the first one counts, once."""
        if not self._budget.done():
            self._budget.set_result(limit)

    def renew_budget(self) -> None:
        """There is a new one."""
        self._budget = self._future()

    def pause(self) -> None:
        """Time from now on is no work: it does not count, until as many :meth:`resume`."""
        self._pauses += 1
        if self._pauses == 1:
            self._paused_at = self._now()
        self._move()

    def resume(self) -> None:
        """See :meth:`pause`."""
        self._pauses -= 1
        if not self._pauses and self._deadline:
            self._deadline += self._now() - self._paused_at
        self._move()

    def call(self, answer: Answer) -> None:
        """End a wait that may be ended."""
        self._called = answer
        self._move()

    def forget_limits(self) -> None:
        """One was reached: what follows is bounded by itself."""
        self._deadline = 0.0
        if not self._budget.done():
            self._budget.set_result("")

    async def until(self, awaitable: Awaitable[T], *, limit: float = 0.0, calls: bool = False) -> T:
        """
        Wait for it.

        :param limit: Seconds for this wait alone.
        :param calls: Whether others may end it: a human who wants the terminal, or :meth:`call`.
        :raises Stopped: The session is to end.
        :raises LimitReached: One of the agent's own limits.
        :raises HumanWanted: Only with ``calls``, and so is :class:`Called`.
        :raises TimeoutError: ``limit`` is over.
        """
        task = asyncio.ensure_future(awaitable)
        until = self._now() + limit if limit else 0.0
        budget_told = self._budget.done()
        self._called = None
        try:
            while not task.done():
                self._look_for_humans()
                waits: set[asyncio.Future[Any]] = {task, self._stop, self._moved}
                if not budget_told:
                    waits.add(self._budget)
                await self._first_of(waits, self._seconds(until), calls)
                self._look_for_humans()
                if not task.done():
                    self._judge(until, budget_told)
                    self._hear(calls)
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=_LET_GO)

    def _look_for_humans(self) -> None:
        """At an agent's terminal a human's time passes, not the agent's."""
        if bool(self._humans.attached) is not self._attended:
            self._attended = not self._attended
            (self.pause if self._attended else self.resume)()

    def _judge(self, until: float, budget_told: bool) -> None:
        if self._stop.done():
            raise Stopped(self._stop.result())
        if not budget_told and self._budget.done():
            raise LimitReached("budget", self._budget.result())
        if until and self._now() >= until:
            raise TimeoutError
        if blockage := self._unanswered():
            waited = time.time() - blockage.since
            if waited >= self._blocked_at_most:
                words = format_duration(max(1, round(waited)))
                raise LimitReached("blocked", f"{words} for an answer to: {blockage.kind}: {blockage.title}")
        elif self._deadline and not self._pauses and self._now() >= self._deadline:
            raise LimitReached("timeout", f"its time limit of {format_duration(self._timeout)}")

    async def _first_of(self, waits: set[asyncio.Future[Any]], seconds: float, calls: bool) -> None:
        wanted = (
            asyncio.ensure_future(self._humans.wanted.wait()) if calls and not self._humans.live else None
        )
        try:
            await asyncio.wait(
                waits | ({wanted} if wanted else set()),
                timeout=seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            if wanted:
                wanted.cancel()

    def _hear(self, calls: bool) -> None:
        if calls and self._called:
            answer, self._called = self._called, None
            raise Called(answer)
        if calls and self._humans.wanted.is_set() and not self._humans.live:
            if reason := self._why_no_seat():
                self._humans.refuse(reason)
            else:
                raise HumanWanted

    def _seconds(self, until: float) -> float:
        ends = [until - self._now()] if until else []
        if self._deadline and not self._pauses:
            ends.append(self._deadline - self._now())
        if blockage := self._unanswered():
            ends.append(blockage.since + self._blocked_at_most - time.time())
        return max(0.0, min([*ends, _LOOK]))

    def _unanswered(self) -> Blockage | None:
        blockage = self._blockage()
        # What says when it ends is waited for, however long.
        return blockage if blockage and not blockage.until else None

    def _move(self) -> None:
        """Whoever waits looks again."""
        moved, self._moved = self._moved, self._future()
        if not moved.done():
            moved.set_result(None)

    @staticmethod
    def _future() -> asyncio.Future[Any]:
        return asyncio.get_running_loop().create_future()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
