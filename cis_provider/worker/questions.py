"""What an agent waits for, by number, and what became of each: asked, decided by a rule, answered, or gone."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from cis_provider.errors import AnswerRefused, CisError, StaleAnswer, StoreError
from cis_provider.model import deciding
from cis_provider.model.blockage import ENDS_BY_ITSELF, Answer, Blockage, Settled
from cis_provider.model.on_blocked import OnBlocked
from cis_provider.worker import journal
from cis_provider.worker.journal import Asker, settled_of
from cis_provider.worker.takeover import Humans

log = logging.getLogger(__name__)

#: Seconds in which an agent must have taken an answer.
_DELIVERY = 8.0

Deliver = Callable[[Answer], Awaitable[None]]

#: What stands in the place of an answer when a worker died while one waited.
LOST = "its worker was lost while it waited; what is still wanted is asked again"


@dataclass
class _Open:
    blockage: Blockage
    deliver: Deliver
    #: Held while an answer is delivered: one at a time.
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    #: Whether a rule decides: nobody is asked.
    decided: bool = False
    rule: Answer | None = None
    #: It went away while an answer was on its way, by whom.
    gone: str | None = None
    timer: asyncio.TimerHandle | None = None


class Questions:
    """
    The blockages of one session, over all its programs and workers.

    :param path: The session's journal.
    :param clean: Makes a text fit to be kept.
    :param asker: Who asks, and what it has used.
    :param on_open: Called when it begins to wait for anything, and ``on_clear`` when for nothing any more.
    :param on_trouble: Gets what kept a question from the disk.
    """

    def __init__(
        self,
        path: Path,
        rules: OnBlocked,
        humans: Humans,
        *,
        clean: Callable[[str], str] = lambda text: text,
        asker: Callable[[], Asker] = Asker,
        on_change: Callable[[], None] = lambda: None,
        on_open: Callable[[], None] = lambda: None,
        on_clear: Callable[[], None] = lambda: None,
        on_trouble: Callable[[OSError], None] = lambda error: None,
    ) -> None:
        #: What an earlier worker left behind.
        self.past = journal.read(path)
        self.settled: list[Settled] = list(self.past.settled)
        self._journal = journal.Journal(path)
        self._rules = rules
        self._humans = humans
        self._clean = clean
        self._asker = asker
        self._on_change, self._on_open, self._on_clear = on_change, on_open, on_clear
        self._on_trouble = on_trouble
        self._last = self.past.last
        self._delivered = set(self.past.delivered)
        self._open: dict[int, _Open] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        for blockage in self.past.open.values():
            # Who asked is known already: nobody else is at work yet.
            self._note(settled_of(blockage, text=LOST), asker=self.past.asker)

    @property
    def blockage(self) -> Blockage | None:
        """What a human is asked now: the oldest, where several wait side by side."""
        return next((one.blockage for one in self._open.values() if not one.decided), None)

    @property
    def waits(self) -> bool:
        """Whether it waits for anything, be it for what a rule decides."""
        return bool(self._open)

    def open(
        self, blockage: Blockage, deliver: Deliver, *, nudged: bool = False, ruled: bool = True
    ) -> Blockage:
        """
        It waits. A rule's answer follows by itself, and nobody is asked.

        :param deliver: Gives the agent its answer; raises :class:`AnswerRefused`, and it waits on.
        :param ruled: Whether a rule may decide it.
        :return: The blockage under the session's own number.
        """
        self._last += 1
        blockage = msgspec.structs.replace(blockage, number=self._last, since=blockage.since or time.time())
        self._written(lambda: self._journal.asked(blockage, self._asker()))
        if not self._open:
            self._on_open()
        self._open[blockage.number] = opened = _Open(blockage, deliver)
        opened.rule = deciding.decide(blockage, self._rules, nudged=nudged) if ruled else None
        self._decide(opened)
        self._set_timer(opened)
        self._on_change()
        return blockage

    def reconsider(self) -> None:
        """Nobody is at its terminal any more: the rules hold again."""
        for opened in self._open.values():
            self._decide(opened)

    def is_decided(self, number: int) -> bool:
        """Whether a rule decides it, so that nobody is asked."""
        return (opened := self._open.get(number)) is not None and opened.decided

    def gone(self, number: int, by: str = "") -> None:
        """It waits no more, and not because of an answer that came by here."""
        if (opened := self._open.get(number)) is None:
            return
        if opened.lock.locked():
            opened.gone = by
        else:
            self._settle(opened, by=by)

    def taken(self, name: str) -> None:
        """A human takes the conversation: what it waited for is theirs, also should this worker be killed."""
        self._written(lambda: self._journal.taken(name, self._asker()))
        self.all_gone(f"terminal:{name}")

    def handed_back(self) -> None:
        """They have left, or it was decided what is to follow."""
        self._written(self._journal.handed_back)

    def all_gone(self, by: str) -> None:
        """It waits for nothing any more."""
        for number in list(self._open):
            self.gone(number, by)

    async def answer(self, answer: Answer) -> None:
        """
        Deliver a decision; one that was delivered before, by its id, is not delivered again.

        :raises StaleAnswer: Nothing waits under its number; says what became of it, and what waits now.
        :raises InvalidAnswer: It offers no such option; says which.
        :raises AnswerRefused: Somebody has the agent's terminal.
        :raises StoreError: It could not be written down; nothing was delivered.
        """
        # Whoever asked may hang up. An answer that is half typed is not left there.
        task = self._spawn(self._answer(answer))
        await asyncio.shield(task)

    def close(self) -> None:
        """Nothing is asked any more."""
        self.all_gone("")
        for task in self._tasks:
            task.cancel()
        self._journal.close()

    def _decide(self, opened: _Open) -> None:
        # At its terminal the human decides. A rule's answer that the agent did not take is not tried again.
        if opened.rule and not opened.decided and not self._humans.attached:
            answer, opened.rule = opened.rule, None
            opened.decided = True
            self._spawn(self._answer_unasked(opened, answer))

    async def _answer(self, answer: Answer) -> None:
        opened = self._open.get(answer.number)
        if opened is None:
            self._refuse_unless_delivered(answer)
            return
        async with opened.lock:
            if self._open.get(answer.number) is not opened:
                self._refuse_unless_delivered(answer)
                return
            if self._humans.attached:
                raise AnswerRefused(
                    f"{self._humans.attached} has its terminal, where question {answer.number} can be answered; "
                    "nothing was delivered"
                )
            await self._deliver(opened, deciding.choose(opened.blockage, answer))

    async def _deliver(self, opened: _Open, answer: Answer) -> None:
        try:
            self._journal.answering(answer)
        except OSError as error:
            raise StoreError(
                f"the answer could not be written down, nothing was delivered: {error}"
            ) from None
        try:
            async with asyncio.timeout(_DELIVERY):
                await opened.deliver(answer)
        except TimeoutError:
            self._waits_on(opened, answer)
            raise AnswerRefused(
                f"question {answer.number}: its program has not taken the answer within {_DELIVERY:.0f} s; "
                "look at its terminal, or answer again"
            ) from None
        except BaseException:
            self._waits_on(opened, answer)
            raise
        self._settle(opened, answer=answer, by=answer.by or "somebody")

    def _waits_on(self, opened: _Open, answer: Answer) -> None:
        self._written(lambda: self._journal.refused(answer))
        if opened.gone is not None:
            self._settle(opened, by=opened.gone)

    async def _answer_unasked(self, opened: _Open, answer: Answer) -> None:
        """A rule's decision. One that the agent does not take is a human's."""
        try:
            await self._answer(answer)
            log.info("question %d (%s): %s", answer.number, opened.blockage.title, answer.by)
        except CisError as error:
            log.warning("question %d: %s does not work: %s", answer.number, answer.by, error)
            opened.decided = False
            self._on_change()

    def _set_timer(self, opened: _Open) -> None:
        seconds, kind = self._rules.answer_timeout, opened.blockage.kind
        if seconds and self._rules.after_timeout == "deny" and kind not in ENDS_BY_ITSELF:
            opened.timer = asyncio.get_running_loop().call_later(seconds, self._time_is_over, opened)

    def _time_is_over(self, opened: _Open) -> None:
        if answer := deciding.refusal(opened.blockage):
            self._spawn(self._answer_unasked(opened, answer))

    def _settle(self, opened: _Open, *, answer: Answer | None = None, by: str = "") -> None:
        blockage = opened.blockage
        del self._open[blockage.number]
        if opened.timer:
            opened.timer.cancel()
        option = deciding.label_of(blockage, answer.option) if answer and answer.option else ""
        text = self._clean(answer.text) if answer else ""
        settled = settled_of(blockage, option=option, text=text, by=by)
        self._note(settled, answer.id if answer else "", asker=self._asker())
        if not self._open:
            self._on_clear()
        self._on_change()

    def _note(self, settled: Settled, answer_id: str = "", *, asker: Asker) -> None:
        if settled not in self.settled:
            self.settled.append(settled)
        if answer_id:
            self._delivered.add(answer_id)
        self._written(lambda: self._journal.settled(settled, answer_id, asker))

    def _written(self, step: Callable[[], None]) -> None:
        try:
            step()
        except OSError as error:
            self._on_trouble(error)

    def _refuse_unless_delivered(self, answer: Answer) -> None:
        if not (answer.id and answer.id in self._delivered):
            raise StaleAnswer(f"{self._what_became(answer.number)}{self._what_waits()}")

    def _what_became(self, number: int) -> str:
        settled = next((one for one in self.settled if one.number == number), None)
        if settled is None:
            return f"there is no question {number}"
        return deciding.became(settled)

    def _what_waits(self) -> str:
        if (blockage := self.blockage) is None:
            return "; nothing waits now, and nothing was delivered"
        return (
            f"; it waits for question {blockage.number} now: {blockage.title}, "
            f"options: {deciding.takes(blockage)}; nothing was delivered"
        )

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waits for it gets it, too
