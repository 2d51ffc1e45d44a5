"""What the app-server says, told as events. It waits for nothing: it is called while reading."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from cis_provider.model.blockage import Answer
from cis_provider.model.options import Permissions
from cis_provider.runtimes.codex import requests
from cis_provider.runtimes.codex.permissions import decide
from cis_provider.runtimes.codex.requests import ACCEPT, DECLINE, Request
from cis_provider.runtimes.codex.trouble import Trouble
from cis_provider.runtimes.codex.turn import Meter, Turn
from cis_provider.runtimes.codex.waiting import Waiting
from cis_provider.runtimes.events import Blocked, Event, Output, Started, ToolCall, Unblocked
from cis_provider.runtimes.jsonrpc import RequestId


class Listener:
    """
    :param permissions: What needs no human.
    :param patience: Seconds that Codex may repeat a failed call without progress.
    :param respond: Sends the response to a request; with ``None`` it is refused as unknown.
    :param give_up: Interrupts the turn.
    :ivar events: For the owner to take from.
    :ivar thread: The conversation's own; helpers of the agent have others.
    :ivar turn: The turn that runs.
    """

    def __init__(
        self,
        permissions: Permissions,
        patience: float,
        respond: Callable[[RequestId, Any], Awaitable[None]],
        give_up: Callable[[], Awaitable[None]],
    ) -> None:
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        self.waiting = Waiting()
        self.thread = ""
        self.turn: Turn | None = None
        self.turn_id = ""
        self._permissions = permissions
        self._patience = patience
        self._respond = respond
        self._give_up = give_up
        self._mid_line = False
        self._early: list[Event] | None = []
        self._meter = Meter()
        self._limits: dict[str, Any] | None = None
        self._retrying: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Future[None]] = set()

    def tell(self, event: Event) -> None:
        """An event. What comes before ``Started`` is told after it."""
        if isinstance(event, Output) and not event.thought:
            self._mid_line = not event.text.endswith("\n")
        if isinstance(event, Started):
            early, self._early = self._early or [], None
            for one in (event, *early):
                self.events.put_nowait(one)
        elif self._early is not None:
            self._early.append(event)
        else:
            self.events.put_nowait(event)

    def begin(self, turn: Turn) -> None:
        """A turn is about to be started."""
        self.turn, self.turn_id = turn, ""

    def finish(self) -> None:
        """No turn runs any more; what waited waits no more."""
        self._calm()
        for number in self.waiting.clear():
            self.tell(Unblocked(number=number, how="by_itself"))
        self.turn = None

    def close(self) -> None:
        """Leave nothing behind in the event loop."""
        self._calm()
        for task in list(self._tasks):
            task.cancel()

    # Requests.

    def on_request(self, number: RequestId, method: str, params: dict[str, Any]) -> None:
        """The app-server asks something."""
        known = self.turn.items if self.turn else {}
        request = requests.read(method, params, known)
        if request is None:
            self._spawn(self._respond(number, None))
            return
        if (wish := request.wish()) is not None:
            verdict, why = decide(self._permissions, wish)
            if verdict != "ask":
                self._decide(number, request, verdict == "allow", why)
                return
        self.tell(Blocked(blockage=self.waiting.add(number, request, time.time())))

    def _decide(self, number: RequestId, request: Request, allow: bool, why: str) -> None:
        """Answer without a human, and say so."""
        option = ACCEPT if allow else DECLINE
        response = request.response([Answer(number=0, option=option.id)])
        if not allow and self.turn is not None:
            self.turn.deny(request.denied)
        call = request.item_id or f"request-{number}"
        self.tell(ToolCall(id=call, title=request.title, status="in_progress", detail=why))
        self._spawn(self._respond(number, response))

    # Notifications.

    def on_notification(self, method: str, params: dict[str, Any]) -> None:
        """The app-server tells something."""
        thread = params.get("threadId")
        match method:
            case "thread/tokenUsage/updated":
                self._on_usage(str(thread), params)
            case "account/rateLimits/updated":
                self._on_limits(params.get("rateLimits"))
            case "serverRequest/resolved":
                if number := self.waiting.resolved(params.get("requestId", "")):
                    self.tell(Unblocked(number=number, how="by_itself"))
            case "warning" | "configWarning":
                self.tell(Output(text=f"{params.get('message') or params.get('summary')}\n", thought=True))
            case _ if thread == self.thread and self.turn is not None:
                self._on_turn(self.turn, method, params)

    def _on_turn(self, turn: Turn, method: str, params: dict[str, Any]) -> None:
        match method:
            case "turn/started":
                self.turn_id = str(_record(params, "turn").get("id") or self.turn_id)
            case "item/started" | "item/completed":
                self._progress(turn.item(_record(params, "item"), ended=method == "item/completed"))
            case "item/agentMessage/delta" | "item/plan/delta":
                self._progress(turn.delta(*_piece(params), thought=False))
            case "item/reasoning/textDelta" | "item/reasoning/summaryTextDelta":
                self._progress(turn.delta(*_piece(params), thought=True))
            case "error":
                self._on_error(params)
            case "turn/completed":
                ended = turn.end(_record(params, "turn"), self._limits, time.time())
                self.finish()
                self.tell(ended)

    def _progress(self, events: list[Event]) -> None:
        self._calm()
        for event in events:
            self.tell(event)

    def _on_usage(self, thread: str, params: dict[str, Any]) -> None:
        # A resumed thread's old total is told once more, and may come when our turn runs already.
        running = self.turn is not None and (thread != self.thread or params.get("turnId") == self.turn_id)
        usage = self._meter.take(thread, _record(params, "tokenUsage"), running=running)
        if usage is not None:
            self._progress([usage])

    def _on_limits(self, limits: Any) -> None:
        """An update names what changed; what it leaves out stays."""
        if isinstance(limits, dict):
            told = {key: value for key, value in limits.items() if value is not None}
            self._limits = {**(self._limits or {}), **told}

    # Its own retries.

    def _on_error(self, params: dict[str, Any]) -> None:
        """An error that it does not try again is told again by ``turn/completed``."""
        if not params.get("willRetry"):
            return
        error = _record(params, "error")
        said = f"{error.get('message', '')}: {error.get('additionalDetails') or ''}".strip(": ")
        start, self._mid_line = "\n" if self._mid_line else "", False
        self.tell(Output(text=f"{start}[retrying] {said}\n"))
        if self._retrying is None:
            loop = asyncio.get_running_loop()
            self._retrying = loop.call_later(self._patience, self._lose_patience, said)

    def _lose_patience(self, said: str) -> None:
        if self.turn is not None:
            words = f"codex got no answer and tried again for {self._patience:g} s: {said}"
            self.turn.gave_up = Trouble(error=words, error_class="transient")
            self._spawn(self._give_up())

    def _calm(self) -> None:
        """It goes on, or nothing can any more."""
        if self._retrying is not None:
            self._retrying.cancel()
            self._retrying = None

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _record(params: dict[str, Any], key: str) -> dict[str, Any]:
    value = params.get(key)
    return value if isinstance(value, dict) else {}


def _piece(params: dict[str, Any]) -> tuple[str, str]:
    return str(params.get("itemId")), str(params.get("delta") or "")
