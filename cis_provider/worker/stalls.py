"""Turns of which nothing is heard any more: asked about, nudged, given up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec

from cis_provider.model import deciding
from cis_provider.model.blockage import Answer, Blockage, BlockageKind, Option
from cis_provider.model.duration import format_duration
from cis_provider.worker.dialogue import Dialogue
from cis_provider.worker.patience import Patience
from cis_provider.worker.questions import Questions

#: How many times longer a turn may be silent while a tool works for it: builds and tests take their time.
_TOOLS = 6.0

OPTIONS = (
    Option(deciding.NUDGE, "interrupt it and ask it to go on"),
    Option(deciding.WAIT, "wait on"),
    Option(deciding.STOP, "stop the agent", "reject_once"),
)


class StallWatch:
    """
    Looks after one agent's turns.

    :param seconds: Of silence, after which a turn counts as stalled.
    :param busy: Whether somebody is at its terminal.
    """

    def __init__(
        self, questions: Questions, patience: Patience, seconds: float, busy: Callable[[], bool]
    ) -> None:
        self._questions = questions
        self._patience = patience
        self._seconds = seconds
        self._busy = busy
        self._number = 0
        self._asked_at = 0.0
        self._waited_since = 0.0
        self._nudged = False

    async def watch(self, dialogue: Dialogue) -> None:
        """For as long as a turn lasts; whoever started it cancels this."""
        self._waited_since = 0.0
        while True:
            if self._questions.waits or self._busy():
                # Whoever is asked may take days; the turn's silence begins when it goes on.
                self._waited_since = time.monotonic()
            since = max(dialogue.heard_at, self._waited_since)
            seconds = self._seconds * (_TOOLS if dialogue.uses_tools else 1.0)
            left = since + seconds - time.monotonic()
            if left > 0:
                await asyncio.sleep(min(left, self._seconds / 5))
                continue
            words = format_duration(max(1, round(time.monotonic() - since)))
            self.ask(
                Blockage(
                    number=0,
                    kind=BlockageKind.STALLED,
                    title=f"no sign of life in the middle of a turn for {words}",
                    detail=dialogue.said[-2000:],
                )
            )

    def ask(self, blockage: Blockage) -> Blockage:
        """A turn has stalled, by this clock or by what its screen says."""
        asked = msgspec.structs.replace(blockage, options=OPTIONS, free_text=False)
        opened = self._questions.open(asked, self._deliver, nudged=self._nudged)
        self._number, self._asked_at = opened.number, time.monotonic()
        return opened

    def heard(self, at: float) -> None:
        """It lives: something was heard at that time, by the monotonic clock."""
        if self._number and at > self._asked_at:
            number, self._number = self._number, 0
            self._questions.gone(number)

    def new_task(self) -> None:
        """What comes is no answer to a nudge: it may be nudged again."""
        self._nudged = False

    async def _deliver(self, answer: Answer) -> None:
        self._number = 0
        self._waited_since = time.monotonic()
        if answer.option != deciding.WAIT:
            self._nudged = self._nudged or answer.option == deciding.NUDGE
            self._patience.call(answer)
