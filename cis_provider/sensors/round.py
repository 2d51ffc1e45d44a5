"""
One round of asking: what a filled-in form, a question or a passed deadline makes the task do before it sleeps again.

Everything is read from the context store and written there before it is done, so that a round that was killed is
made again by the next: an answer is delivered under the same id, which its node takes once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import msgspec

from cis_provider.context.blockages import OPEN, Agent, BlockageBook, Entry, last_number
from cis_provider.errors import (
    AnswerRefused,
    CisError,
    PermanentAgentError,
    StaleAnswer,
    UnreachableError,
    UsageError,
)
from cis_provider.model.blockage import Answer, BlockageKind
from cis_provider.model.duration import format_duration
from cis_provider.model.on_blocked import AfterTimeout
from cis_provider.sensors.forms import read_answer, refusing

#: Seconds for which an answer is tried to be delivered before the task sleeps, and comes again.
DELIVERY = 10.0

#: Seconds for which the agent's node goes first when the time for an answer is over: it has the same rule, unless
#: only this task was told.
GRACE = 10.0


#: Seconds in which an agent that has just got an answer may ask the next thing: before it sleeps, since whoever
#: sleeps may not be woken for some seconds.
NEXT, _LOOK = 1.0, 0.2


class Rules(NamedTuple):
    """Who is asked for an agent, for how long, and what if nobody answers."""

    approvers: tuple[str, ...] = ()
    escalate_to: tuple[str, ...] = ()
    answer_timeout: float = 0.0
    after_timeout: AfterTimeout = "remind"


class Sleep(NamedTuple):
    """What the task sleeps on: the question that its form shows, if any."""

    session_id: str = ""
    number: int = 0
    asked_as: int = 0
    deadline: float = 0.0
    attempt: int = 0


class Desk(Protocol):
    """Where forms are shown and answers handed over."""

    def show(self, entry: Entry, asked_as: int, users: tuple[str, ...], note: str) -> None:
        """Show the form of a question in place of the one before."""

    def deliver(self, session_id: str, answer: Answer) -> None:
        """
        Hand an answer to the agent.

        :raises AnswerRefused: It does not fit, or nothing waits for it.
        :raises UsageError: There is no such session.
        :raises UnreachableError: The node does not answer.
        """

    def end(self, session_id: str, reason: str) -> None:
        """End the agent."""

    def secrets(self) -> dict[str, str]:
        """
        Values of the agent's secrets as they are now.

        :raises PermanentAgentError: They are of no use.
        """

    def tell(self, entry: Entry, why: str) -> None:
        """Tell people besides the form: ``asked``, ``reminder`` or ``escalated``. Never raises."""


class Round:
    """
    One round for an agent.

    :param agent: DAG, run and task of the agent.
    """

    def __init__(
        self, agent: Agent, rules: Rules, book: BlockageBook, desk: Desk, log: logging.Logger | Any
    ) -> None:
        self._agent, self._rules, self._book, self._desk, self._log = agent, rules, book, desk, log
        self._note = ""

    def go_on(self, event: Mapping[str, Any]) -> Sleep:
        """
        Do what there is to do, and say what to sleep on.

        :param event: Of the trigger, or of Airflow for a form that was filled in.
        :raises CisError: Store or node cannot be used; nothing is lost, another round will do it.
        """
        refused = 0
        response = event if "chosen_options" in event else event.get("response")
        if response:
            entry, answer = self._read(response)
            if entry is not None and answer is not None:
                refused = 0 if self._hand_over(entry, answer) else entry.asked_as
                self._await_next()
        if event.get("timeout") and (late := self._late(event)):
            return late
        return self._ask_next(refused)

    def _read(self, response: Mapping[str, Any]) -> tuple[Entry | None, Answer | None]:
        """The question that a filled-in form belongs to, if it is still open."""
        for entry in self._open():
            answer_id = f"form:{entry.session_id}:{entry.blockage.number}:{entry.asked_as}"
            if entry.asked_at and (
                answer := read_answer(entry.blockage, entry.asked_as, response, answer_id)
            ):
                return entry, answer
        self._log.info("the form is another question's: %s", response.get("chosen_options"))
        return None, None

    def _open(self) -> list[Entry]:
        return [entry for entry in self._book.of_agent(self._agent) if entry.state == OPEN]

    def _hand_over(self, entry: Entry, answer: Answer) -> bool:
        """Deliver; ``False``: the agent does not take it, and has to be asked again."""
        title = entry.blockage.title
        try:
            if entry.blockage.kind is BlockageKind.LOGIN:
                answer = msgspec.structs.replace(answer, secrets=self._desk.secrets())
            self._deliver(entry.session_id, answer)
        except (StaleAnswer, UsageError) as error:
            self._log.warning("%s decided too late on %r: %s", answer.by, title, error)
        except (AnswerRefused, PermanentAgentError) as error:
            self._log.warning("the answer of %s to %r was not taken: %s", answer.by, title, error)
            self._note = f"The answer before was not taken: {error}"
            return False
        else:
            self._log.info("%s decided on %r: %s", answer.by, title, answer.option or answer.text)
        self._book.answered(entry, answer)
        return True

    def _await_next(self) -> None:
        deadline = time.monotonic() + NEXT
        while not self._open() and time.monotonic() < deadline:
            time.sleep(_LOOK)

    def _deliver(self, session_id: str, answer: Answer) -> None:
        deadline = time.monotonic() + DELIVERY
        while True:
            try:
                self._desk.deliver(session_id, answer)
                return
            except UnreachableError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.5)

    def _late(self, event: Mapping[str, Any]) -> Sleep | None:
        """The time for an answer may be over."""
        found = (event.get("session_id"), event["timeout"])
        entry = next((one for one in self._open() if (one.session_id, one.blockage.number) == found), None)
        if entry is None or not entry.asked_at or time.time() < self._deadline(entry):
            return None
        then = self._rules.after_timeout
        if then in ("deny", "fail"):
            self._refuse(entry, then)
            return None
        reminded = entry.reminded + 1
        self._book.asked(entry, entry.asked_as, reminded)
        entry = msgspec.structs.replace(entry, reminded=reminded)
        if then == "escalate" and reminded == 1:
            return self._show(entry, entry.asked_as, "escalated")
        self._desk.tell(entry, "reminder")
        return self._sleep(entry, entry.asked_as)

    def _refuse(self, entry: Entry, then: AfterTimeout) -> None:
        blockage = entry.blockage
        words = f"nobody answered within {format_duration(self._rules.answer_timeout)}"
        answer = Answer(
            number=blockage.number,
            option=refusing(blockage),
            text=f"No answer: {words}. Go on without what you asked for." if blockage.free_text else "",
            by=f"timeout:{then}",
            id=f"timeout:{entry.session_id}:{blockage.number}",
        )
        if then == "deny" and (answer.option or answer.text) and self._hand_over(entry, answer):
            return
        self._log.warning("the agent is ended: %s: %s", words, blockage.title)
        self._desk.end(entry.session_id, f"blocked too long: {words}: {blockage.kind}: {blockage.title}")
        self._book.answered(entry, msgspec.structs.replace(answer, by="timeout:fail", option="", text=""))

    def _ask_next(self, refused: int) -> Sleep:
        everything = self._book.of_agent(self._agent)
        entry = next((one for one in everything if one.state == OPEN), None)
        if entry is None:
            return Sleep()
        again = bool(entry.asked_at) and entry.asked_as != refused
        asked_as = entry.asked_as if again else max(entry.blockage.number, last_number(everything) + 1)
        self._book.asked(entry, asked_as, entry.reminded)
        entry = msgspec.structs.replace(entry, asked_at=entry.asked_at or time.time())
        return self._show(entry, asked_as, "" if again else "asked")

    def _show(self, entry: Entry, asked_as: int, why: str) -> Sleep:
        users = self._rules.approvers
        if entry.reminded and self._rules.after_timeout == "escalate" and users:
            users = (*users, *(name for name in self._rules.escalate_to if name not in users))
        self._desk.show(entry, asked_as, users, self._note)
        if why:
            self._desk.tell(msgspec.structs.replace(entry, asked_as=asked_as), why)
        return self._sleep(entry, asked_as)

    def _sleep(self, entry: Entry, asked_as: int) -> Sleep:
        return Sleep(entry.session_id, entry.blockage.number, asked_as, self._deadline(entry))

    def _deadline(self, entry: Entry) -> float:
        if not self._rules.answer_timeout:
            return 0.0
        grace = GRACE if self._rules.after_timeout in ("deny", "fail") else 0.0
        return entry.asked_at + self._rules.answer_timeout * (entry.reminded + 1) + grace


def sleep_after_trouble(event: Mapping[str, Any], error: Exception, log: logging.Logger | Any) -> Sleep:
    """Nothing is lost: it is in the store, and in the form. Sleep a while, and come again."""
    attempt = int(event.get("attempt") or 0) + 1
    words = str(error) if isinstance(error, CisError) else f"{type(error).__name__}: {error}"
    log.warning("asking or answering failed, and is tried again (attempt %d): %s", attempt, words)
    return Sleep(attempt=min(attempt, 10))
