"""Questions that a program asks, and takes the answers to, beside the protocol."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from typing import Any

from cis_provider.runtimes.acp.requests import Requests
from cis_provider.runtimes.acp.turn import Turn

log = logging.getLogger(__name__)

#: Seconds between two looks while a turn runs.
EVERY = 0.5


@dataclass(frozen=True)
class Form:
    """
    Some questions that are asked, and answered, together.

    :param fields: Each as a property of a form of the protocol (``elicitation/create``).
    """

    id: str
    fields: tuple[dict[str, Any], ...]


class SideDoor:
    """
    Where a program asks. This one asks nothing; programs have theirs. Called in a thread; 2 s at most.

    What it raises of ``OSError`` and ``ValueError`` is passed over, and tried again.
    """

    def pending(self) -> list[Form]:
        """What waits for an answer now."""
        return []

    def accept(self, form_id: str, answers: list[list[str]]) -> None:
        """Answer all questions of a form: for each what was chosen, or words; none: it was skipped."""

    def reject(self, form_id: str) -> None:
        """Nobody wants to answer."""


class DoorKeeper:
    """Asks humans what comes through the side door while a turn runs."""

    def __init__(self, door: SideDoor, requests: Requests) -> None:
        self._door, self._requests = door, requests
        self._asking: dict[str, asyncio.Task[None]] = {}

    async def watch(self, turn: Turn) -> None:
        """Until this is cancelled."""
        if type(self._door) is SideDoor:
            return
        try:
            while True:
                await asyncio.sleep(EVERY)
                with contextlib.suppress(OSError, ValueError):
                    self._follow(turn, await asyncio.to_thread(self._door.pending))
        finally:
            self._drop(set(self._asking))

    def _follow(self, turn: Turn, pending: list[Form]) -> None:
        # What was answered elsewhere waits for nobody any more.
        self._drop(self._asking.keys() - {form.id for form in pending})
        for form in pending:
            if form.id not in self._asking:
                self._asking[form.id] = asyncio.create_task(self._ask(turn, form))

    def _drop(self, form_ids: set[str]) -> None:
        for form_id in form_ids:
            self._asking.pop(form_id).cancel()

    async def _ask(self, turn: Turn, form: Form) -> None:
        answers = await self._requests.side_form(turn, form.fields)
        while True:
            try:
                if answers is None:
                    await asyncio.to_thread(self._door.reject, form.id)
                else:
                    await asyncio.to_thread(self._door.accept, form.id, answers)
                return
            except (OSError, ValueError) as error:
                log.warning("an answer did not reach the agent; it is tried again: %s", error)
                await asyncio.sleep(EVERY)
