"""Requests of the app-server that wait for a decision, under the numbers of their blockages."""

from __future__ import annotations

from cis_provider.errors import StaleAnswer
from cis_provider.model.blockage import Answer, Blockage
from cis_provider.runtimes.codex.requests import Ask, Request
from cis_provider.runtimes.jsonrpc import RequestId


class Pending:
    """
    A request and the answers that it has so far.

    :param number: Number of the blockage that stands for the ask that is open.
    """

    def __init__(self, request_id: RequestId, request: Request, number: int) -> None:
        self.request_id = request_id
        self.request = request
        self.number = number
        self.asks = request.asks()
        self.answers: list[Answer] = []

    @property
    def ask(self) -> Ask:
        """What is to be decided next."""
        return self.asks[len(self.answers)]

    @property
    def is_last(self) -> bool:
        """Whether nothing is left to be decided after the open ask."""
        return len(self.answers) + 1 == len(self.asks)


class Waiting:
    """All that waits. One blockage for each request at a time."""

    def __init__(self) -> None:
        self._pending: dict[int, Pending] = {}
        self._number = 0

    def add(self, request_id: RequestId, request: Request, now: float) -> Blockage:
        """A request came; its first blockage."""
        return self._open(Pending(request_id, request, 0), now)

    def next(self, pending: Pending, answer: Answer, now: float) -> Blockage:
        """An ask of several was answered; the blockage of the next."""
        del self._pending[pending.number]
        pending.answers.append(answer)
        return self._open(pending, now)

    def get(self, number: int) -> Pending:
        """:raises StaleAnswer: Nothing waits under that number."""
        if number not in self._pending:
            raise StaleAnswer(f"question {number} waits no more: nothing was delivered")
        return self._pending[number]

    def remove(self, number: int) -> None:
        """It was answered."""
        self._pending.pop(number, None)

    def resolved(self, request_id: RequestId) -> int:
        """The app-server says that a request waits no more: the number under which it did; 0: under none."""
        number = next((number for number, one in self._pending.items() if one.request_id == request_id), 0)
        self._pending.pop(number, None)
        return number

    def clear(self) -> list[int]:
        """The turn is over: the numbers of all that waited."""
        numbers = sorted(self._pending)
        self._pending.clear()
        return numbers

    def _open(self, pending: Pending, now: float) -> Blockage:
        self._number += 1
        pending.number = self._number
        self._pending[self._number] = pending
        ask, wish = pending.ask, pending.request.wish()
        return Blockage(
            number=self._number,
            kind=ask.kind,
            title=ask.title,
            detail=ask.detail,
            tool=ask.tool,
            names=wish.names if wish else (),
            subjects=wish.subjects if wish else (),
            options=ask.options,
            free_text=ask.free_text,
            since=now,
        )
