"""``InterventionTrigger``: asleep beside an agent, until a human is needed or the agent is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TaskSkippedEvent, TaskSuccessEvent, TriggerEvent

from cis_provider.context.blockages import OPEN, Agent, BlockageBook, Entry, Waiting, last_number
from cis_provider.sensors.forms import closing_words, is_of_form
from cis_provider.triggers import supervisor
from cis_provider.triggers.lookout import Watch, lookout, open_book
from cis_provider.triggers.margin import not_too_soon

#: Seconds between two looks at a form that Airflow itself would tell of: an answer may have come in between.
_FORM_EVERY = 60.0

#: Seconds before something that failed is tried again; doubled up to the second.
_PAUSE, _LONGEST_PAUSE = 1.0, 30.0

#: Seconds for which the store is tried when the agent is over: after that, nobody was asked, as far as we know.
_LAST_WORDS = 60.0


class InterventionTrigger(BaseTrigger):
    """
    Sleeps beside an agent. Wakes its task when something has to be asked, was answered, or was not answered in
    time; closes a form that nobody has to fill in any more; ends its task, without a worker, with its agent.

    :param agent: Id of the agent's task.
    :param session_id: And ``number`` and ``asked_as``: what its form asks now; 0: nothing is asked.
    :param deadline: When the time for an answer is over, seconds since the epoch; 0: never.
    :param deferred_at: When a worker's process deferred, seconds since the epoch; 0: none did.
    :param attempt: How often asking or delivering has failed in a row.
    """

    def __init__(
        self,
        *,
        agent: str,
        session_id: str = "",
        number: int = 0,
        asked_as: int = 0,
        deadline: float = 0.0,
        deferred_at: float = 0.0,
        attempt: int = 0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.agent = agent
        self.session_id = session_id
        self.number = number
        self.asked_as = asked_as
        self.deadline = deadline
        self.deferred_at = deferred_at
        self.attempt = attempt

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """As Airflow keeps it in its database."""
        names = ("agent", "session_id", "number", "asked_as", "deadline", "deferred_at", "attempt")
        return (
            "cis_provider.triggers.intervention.InterventionTrigger",
            {name: getattr(self, name) for name in names},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """One event."""
        ti: Any = self.task_instance
        agent = (ti.dag_id, ti.run_id, self.agent)
        # Airflow itself resumes the task when its form is filled in, but for an answer that came before it slept.
        form_at = time.time()
        not_before = form_at + (min(_LONGEST_PAUSE, _PAUSE * 2**self.attempt) if self.attempt else 0.0)
        async with lookout().watch(agent) as watch:
            while not watch.over:
                try:
                    waking = await self._reason_to_wake(watch) if time.time() >= not_before else None
                    if waking is None and self.asked_as and time.time() >= form_at:
                        waking, form_at = await self._answer(), time.time() + _FORM_EVERY
                except Exception as error:
                    self.log.warning("trouble with the questions of %s; again soon: %s", self.agent, error)
                    await asyncio.sleep(_PAUSE)
                    continue
                if waking is not None:
                    await not_too_soon(self.deferred_at)
                    yield TriggerEvent({**waking, "attempt": self.attempt})  # type: ignore[no-untyped-call]
                    return
                await watch.news(self._patience(form_at, not_before))
            yield await self._last_words(agent)

    def _patience(self, form_at: float, not_before: float) -> float:
        moments = [time.time() + _FORM_EVERY]
        if self.asked_as:
            moments += [form_at, *([self.deadline] if self.deadline else [])]
        # A deadline that has passed is waited for, too, while the store cannot be read.
        return max(_PAUSE, max(not_before, min(moments)) - time.time())

    async def _reason_to_wake(self, watch: Watch) -> dict[str, Any] | None:
        """What the store says, apart from answers."""
        if not watch.known:
            return None
        if self.asked_as:
            asked = next((one for one in watch.waiting if self._is_asked(one)), None)
            if asked is not None and asked.state == OPEN:
                if not self.deadline or time.time() < self.deadline:
                    return None
                return await self._waking("timeout", self.number, self.session_id)
        new = next((one for one in watch.waiting if one.state == OPEN), None)
        if self.asked_as and new is None:
            await self._close(watch.agent)
        if new is None:
            return None
        self.log.info("agent %s is blocked: %s, number %d", self.agent, new.kind, new.number)
        return await self._waking("blocked", new.number, new.session_id)

    async def _waking(self, why: str, number: int, session_id: str) -> dict[str, Any]:
        # A try before this one may have asked, and may have been answered.
        response = await self._response()
        return {why: number, "session_id": session_id, "response": response}

    def _is_asked(self, one: Waiting) -> bool:
        return (one.session_id, one.number) == (self.session_id, self.number)

    async def _answer(self) -> dict[str, Any] | None:
        """
        An answer that came while no trigger was there, or that is to be delivered again.

        One to the question before, which slipped in as the form changed: the form has to be shown again.
        """
        response = await self._response()
        if response is None:
            return None
        if not is_of_form(response["chosen_options"], self.asked_as):
            self.log.info("an answer to another question stands in the form: %s", response["chosen_options"])
        return {"blocked": self.number, "session_id": self.session_id, "response": response}

    async def _response(self) -> dict[str, Any] | None:
        try:
            return await supervisor.form_response(self._ti_id)
        except supervisor.NoForm:
            return None

    async def _close(self, agent: Agent) -> None:
        """
        The question is over: take its form away, unless it was filled in, or shows the next question already.

        Airflow may take a second or two to cancel a trigger whose task went on with an answer.
        """
        entries = await asyncio.to_thread(lambda: open_book().of_agent(agent))
        asked = (self.session_id, self.number)
        entry = next((one for one in entries if (one.session_id, one.blockage.number) == asked), None)
        if last_number(entries) <= self.asked_as and not _by_form(entry):
            words = closing_words(entry.settled if entry else None, self.asked_as)
            await supervisor.close_form(self._ti_id, *words)
        self.log.info("question %d of agent %s is over", self.number, self.agent)
        self.session_id, self.number, self.asked_as, self.deadline = "", 0, 0, 0.0

    async def _last_words(self, agent: Agent) -> TriggerEvent:
        """The agent is over: what was decided, or nothing."""
        until = time.monotonic() + _LAST_WORDS
        entries: list[Entry] = []
        while time.monotonic() < until:
            try:
                entries = await asyncio.to_thread(_end, open_book, agent)
                if self.asked_as:
                    await self._close(agent)
                break
            except Exception as error:
                self.log.warning("the agent is over, but its questions cannot be closed: %s", error)
                await asyncio.sleep(_PAUSE)
        decisions = [decision(entry) for entry in entries if entry.asked_at]
        if not decisions:
            self.log.info("agent %s is over, and nobody was asked", self.agent)
            return TaskSkippedEvent()
        return TaskSuccessEvent(xcoms={"return_value": decisions})

    @property
    def _ti_id(self) -> Any:
        ti: Any = self.task_instance
        return ti.id


def _by_form(entry: Entry | None) -> bool:
    end = entry and (entry.settled or entry.answer)
    return bool(end and end.by.startswith("ui:"))


def decision(entry: Entry) -> dict[str, Any]:
    """What was asked, and what became of it, as people see it among the XComs."""
    blockage, settled, answer = entry.blockage, entry.settled, entry.answer
    labels = {option.id: option.label for option in blockage.options}
    return {
        "map_index": entry.key.map_index,
        "number": blockage.number,
        "kind": str(blockage.kind),
        "title": blockage.title,
        "option": settled.option if settled else labels.get(answer.option, "") if answer else "",
        "text": settled.text if settled else answer.text if answer else "",
        "by": settled.by if settled else answer.by if answer else "",
        "asked_at": entry.asked_at,
        "settled_at": settled.settled_at if settled else 0.0,
    }


def _end(opened: Any, agent: Agent) -> list[Entry]:
    book: BlockageBook = opened()
    book.settle(agent)
    return book.of_agent(agent)
