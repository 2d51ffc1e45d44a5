"""How long an agent may go on: its session's stop, its time limit, its budget, and how long it may be blocked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from cis_provider.model.blockage import Blockage
from cis_provider.model.duration import format_duration
from cis_provider.model.result import Subtype
from cis_provider.worker.context import StopOrder

T = TypeVar("T")

#: Seconds that a blockage may last where the agent has no time limit.
BLOCKED_AT_MOST = 24 * 3600.0

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


class Patience:
    """
    Waits for things, and ends the wait when it must.

    :param timeout: Seconds the agent may be at work; 0: no limit.
    :param blockage: What the agent waits for now.
    """

    def __init__(
        self, stop: asyncio.Future[StopOrder], timeout: float, blockage: Callable[[], Blockage | None]
    ) -> None:
        self._stop = stop
        self._timeout = timeout
        self._deadline = self._now() + timeout if timeout else 0.0
        self._blockage = blockage
        self._budget: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def reach_budget(self, limit: str) -> None:
        """A limit of the agent's budget is reached; the first one counts, once."""
        if not self._budget.done():
            self._budget.set_result(limit)

    def extend(self, seconds: float) -> None:
        """Time that is no work: it does not count."""
        if self._deadline:
            self._deadline += seconds

    def forget_limits(self) -> None:
        """One was reached: what follows is bounded by itself."""
        self._deadline = 0.0
        if not self._budget.done():
            self._budget.set_result("")

    async def until(self, awaitable: Awaitable[T], *, limit: float = 0.0) -> T:
        """
        Wait for it.

        :param limit: Seconds for this wait alone.
        :raises Stopped: The session is to end.
        :raises LimitReached: One of the agent's own limits.
        :raises TimeoutError: ``limit`` is over.
        """
        task = asyncio.ensure_future(awaitable)
        until = self._now() + limit if limit else 0.0
        budget_told = self._budget.done()
        try:
            while not task.done():
                waits: set[asyncio.Future[Any]] = {task, self._stop}
                if not budget_told:
                    waits.add(self._budget)
                await asyncio.wait(waits, timeout=self._seconds(until), return_when=asyncio.FIRST_COMPLETED)
                if not task.done():
                    self._judge(until, budget_told)
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=_LET_GO)

    def _judge(self, until: float, budget_told: bool) -> None:
        if self._stop.done():
            raise Stopped(self._stop.result())
        if not budget_told and self._budget.done():
            raise LimitReached("budget", self._budget.result())
        if until and self._now() >= until:
            raise TimeoutError
        over = bool(self._deadline) and self._now() >= self._deadline
        if blockage := self._unanswered():
            waited = time.time() - blockage.since
            if over or (not self._deadline and waited >= BLOCKED_AT_MOST):
                words = format_duration(max(1, round(waited)))
                raise LimitReached("blocked", f"{words} for an answer to: {blockage.kind}: {blockage.title}")
        if over:
            raise LimitReached("timeout", f"its time limit of {format_duration(self._timeout)}")

    def _seconds(self, until: float) -> float:
        ends = [end - self._now() for end in (until, self._deadline) if end]
        if not self._deadline and (blockage := self._unanswered()):
            ends.append(blockage.since + BLOCKED_AT_MOST - time.time())
        return max(0.0, min([*ends, _LOOK]))

    def _unanswered(self) -> Blockage | None:
        blockage = self._blockage()
        # What says when it ends is waited for, however long.
        return blockage if blockage and not blockage.until else None

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
