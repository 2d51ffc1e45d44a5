"""What the server's thread and the test's thread share: the script as it is played, and what was asked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable

from .asked import Asked
from .play import Play
from .records import Recorded
from .steps import Step


class Stage:
    """Any thread may call everything here, except for :meth:`released`."""

    def __init__(
        self, steps: Iterable[Step], default: Step, on_request: Callable[[Recorded], None] | None = None
    ) -> None:
        self._play = Play(steps, default)
        self._on_request = on_request
        self._changed = threading.Condition()
        self._requests: list[Recorded] = []
        self._waiting: set[asyncio.Future[None]] = set()

    # For the test.

    @property
    def requests(self) -> list[Recorded]:
        """All requests so far."""
        with self._changed:
            return list(self._requests)

    @property
    def unused(self) -> list[int]:
        """Numbers of the steps that are not used up."""
        with self._changed:
            return self._play.unused()

    def push(self, *steps: Step) -> None:
        """Add steps."""
        with self._changed:
            self._play.push(*steps)

    def wait_until(self, condition: Callable[[list[Recorded]], bool], timeout: float) -> list[Recorded]:
        """
        Wait for a condition over all requests; return them.

        :raises TimeoutError: It did not hold in time; the message says what came.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self._requests), timeout):
                came = ", ".join(f"{one.path} ({one.side or 'main'})" for one in self._requests) or "none"
                raise TimeoutError(f"not what was waited for within {timeout} s; requests: {came}")
            return list(self._requests)

    def release(self) -> None:
        """Let all calls that hang now go on."""
        with self._changed:
            waiting = list(self._waiting)
        for future in waiting:
            future.get_loop().call_soon_threadsafe(_finish, future)

    # For the application.

    def next(self, asked: Asked) -> tuple[int | None, Step]:
        """The step of a main call."""
        with self._changed:
            return self._play.next(asked)

    def record(self, recorded: Recorded) -> None:
        """Note a request, and wake those who wait for it."""
        with self._changed:
            self._requests.append(recorded)
            self._changed.notify_all()
        if self._on_request is not None:
            self._on_request(recorded)

    def gone(self, recorded: Recorded) -> None:
        """Note that a client left before its answer was complete."""
        with self._changed:
            recorded.gone = True
            self._changed.notify_all()

    async def released(self, recorded: Recorded) -> None:
        """Hang until the next ``release()``."""
        future = asyncio.get_running_loop().create_future()
        with self._changed:
            self._waiting.add(future)
            recorded.hangs = True
            self._changed.notify_all()
        try:
            await future
        finally:
            with self._changed:
                self._waiting.discard(future)
                recorded.hangs = False
                self._changed.notify_all()


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
