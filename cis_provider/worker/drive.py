"""An agent at work in a conversation: turn by turn, from the prompt to what came of it."""

from __future__ import annotations

import asyncio
import logging

import msgspec

from cis_provider import settings
from cis_provider.errors import AgentError, PermanentAgentError
from cis_provider.model import deciding
from cis_provider.model.blockage import ENDS_BY_ITSELF, Answer, Blockage, BlockageKind, Settled
from cis_provider.runtimes.base import ConversationRuntime
from cis_provider.runtimes.events import Ended, TurnEnded
from cis_provider.worker import conversations, journal, judging, wording
from cis_provider.worker.acceptance import Acceptance
from cis_provider.worker.account import Account
from cis_provider.worker.cleaning import clean, clean_outcome
from cis_provider.worker.context import Outcome, WorkContext
from cis_provider.worker.dialogue import Dialogue
from cis_provider.worker.patience import Called, HumanWanted, LimitReached, Patience, Stopped
from cis_provider.worker.pauses import Pauses
from cis_provider.worker.questions import Deliver, Questions
from cis_provider.worker.seat import Seat
from cis_provider.worker.stalls import StallWatch
from cis_provider.worker.workplace import Workplace
from cis_provider.worker.wrapping import wrapped_up

log = logging.getLogger(__name__)

#: How often a program that died is started again in one session.
_CRASHES = 2


class Drive:
    """
    Drives one agent. Never leaves a program behind.

    :param runtime: The runtime of the agent's type; fallbacks are loaded when they are needed.
    """

    def __init__(self, work: WorkContext, runtime: ConversationRuntime) -> None:
        self._work = work
        self._rules = rules = work.request.options.on_blocked
        self._humans = work.humans
        self._account = Account(work.request.options.budget)
        self._patience = patience = Patience(
            work.stop,
            work.request.timeout,
            lambda: self.blockage,
            work.humans,
            why_no_seat=lambda: self._seat.why_not(),
            blocked_at_most=rules.answer_timeout if rules.after_timeout == "fail" else 0.0,
        )
        self.questions = Questions(
            journal.journal_file(work.folder),
            rules,
            work.humans,
            clean=lambda text: clean(text, work.mask),
            asker=self._asker,
            on_change=work.on_change,
            on_open=patience.pause,
            on_clear=patience.resume,
            on_trouble=work.not_written,
        )
        self._place = Workplace(
            work, runtime, patience, self._account, ask=self._ask, gone=self._gone, on_change=self._changed
        )
        self._seat = Seat(work.humans, self._place, patience, self.questions)
        self._pauses = Pauses(work, patience, self.questions)
        self._stalls = StallWatch(
            self.questions,
            patience,
            settings.seconds("worker.stalled_after"),
            lambda: bool(work.humans.attached),
        )
        self._acceptance = Acceptance(work, patience, self._account)

    @property
    def blockage(self) -> Blockage | None:
        """What a human is asked now."""
        return self.questions.blockage

    @property
    def settled(self) -> tuple[Settled, ...]:
        """Its blockages that are over, the newest last."""
        return tuple(self.questions.settled)

    @property
    def resting(self) -> bool:
        """Whether its program is stopped until a limit ends."""
        return self._pauses.resting

    async def answer(self, answer: Answer) -> None:
        """Deliver a decision; see :meth:`~cis_provider.worker.questions.Questions.answer`."""
        await self.questions.answer(answer)

    async def run(self) -> Outcome:
        """From the prompt to what came of it."""
        try:
            outcome = await self._run()
        except Stopped as stopped:
            outcome = Outcome(subtype=stopped.order.subtype, error=stopped.order.reason)
        except LimitReached as reached:
            outcome = await wrapped_up(self._place.dialogue, self._patience, reached, self._work.session_id)
        except PermanentAgentError as error:
            outcome = Outcome(subtype="unsupported", error=str(error))
        except AgentError as error:
            outcome = Outcome(subtype="not_started", error=str(error))
        except Exception as error:
            log.exception("session %s: its agent could not be driven on", self._work.session_id)
            outcome = Outcome(subtype="interrupted", error=f"{type(error).__name__}: {error}")
        finally:
            await self._place.close()
            self.questions.close()
        outcome = self._account.entered(outcome)
        outcome = msgspec.structs.replace(
            outcome,
            conversation_id=self._place.conversation_id,
            agent_type=self._place.agent_type,
            answers=self.settled,
        )
        outcome = clean_outcome(outcome, self._work.mask)
        self._place.keep(outcome)
        return outcome

    async def _run(self) -> Outcome:
        prompt = await self._begin()
        while True:
            came = await self._step(prompt)
            if isinstance(came, str):
                prompt = came
            elif go_on := await self._seat.before_the_end():
                prompt = go_on
            else:
                return came

    async def _begin(self) -> str:
        past = self.questions.past
        self._account.take_over(past.asker)
        self._patience.spend(past.asker.worked)
        if limit := next((one for one in past.open.values() if one.kind in ENDS_BY_ITSELF), None):
            await self._pauses.rest_until(limit.kind, limit.title, limit.until)
        if not (past.open or past.taken) or not past.asker.conversation_id:
            kept = conversations.recall_for(self._work.request, self._work.session_id)
            return await self._place.begin(kept)
        log.info("session %s goes on: its worker was lost while it waited", self._work.session_id)
        self._place.take_over(past.asker.agent_type, past.asker.conversation_id)
        return await self._place.reopened(
            wording.go_on_after_human() if past.taken else wording.go_on_after_loss()
        )

    async def _step(self, prompt: str) -> Outcome | str:
        """One turn, and what follows from it: the end, or the next prompt."""
        try:
            return await self._left_alone() or await self._worked(prompt)
        except HumanWanted:
            prompt = await self._seat.taken()
            # A budget that was asked about is reached still: it is asked about again.
            self._patience.renew_budget()
            return prompt

    async def _left_alone(self) -> Outcome | None:
        """What a human had begun at the terminal when the worker was lost is not gone on with blindly."""
        name, self.questions.past.taken = self.questions.past.taken, ""
        if not name:
            return None
        answer = await self._pauses.left_alone(name)
        if answer.option == deciding.STOP:
            return _stopped(answer, f"the worker died while {name} had the agent's terminal")
        self.questions.handed_back()
        return None

    async def _worked(self, prompt: str) -> Outcome | str:
        unsent = ""
        try:
            if spent := self._account.over_budget(self._place.dialogue):
                # Under another worker, or at the terminal: no wait was on that could end.
                unsent = prompt
                raise LimitReached("budget", spent)
            end = await self._turn(prompt)
        except Called as called:
            return await self._stalled(called.answer)
        except LimitReached as reached:
            if reached.subtype != "budget" or self._rules.budget != "ask":
                raise
            return await self._out_of_budget(reached, unsent)
        # However it ended: what comes of it is seen when the human who is there has left.
        return await self._seat.before_the_end() or await self._judged(end)

    async def _turn(self, prompt: str) -> TurnEnded | Ended:
        """One turn. When this is cut short, the turn itself is not."""
        dialogue, prompt = await self._place.ready(prompt)
        watch = asyncio.ensure_future(self._watch(dialogue))
        try:
            end = await self._patience.until(dialogue.turn(prompt), calls=True)
        finally:
            watch.cancel()
        self._place.know_conversation()
        return end

    async def _judged(self, end: TurnEnded | Ended) -> Outcome | str:
        if isinstance(end, Ended):
            return await self._crashed(end)
        self._stalls.new_task()
        if end.error_class in ("rate_limit", "quota"):
            return await self._limited(end)
        self._account.rests = 0
        if end.error_class == "login":
            return await self._locked_out(end)
        if bad := judging.bad_end(end):
            return Outcome(subtype=bad[0], error=bad[1], text=end.text or None)
        return await self._acceptance.judge(end)

    async def _crashed(self, end: Ended) -> Outcome | str:
        self._account.crashes = crashes = self._account.crashes + 1
        if crashes > _CRASHES:
            return Outcome(subtype="interrupted", error=_last_words(end))
        log.warning("session %s: its program died, %d: %s", self._work.session_id, crashes, _last_words(end))
        return await self._place.reopened(wording.go_on_after_crash())

    async def _limited(self, end: TurnEnded) -> str:
        """A usage limit: another agent takes over, or it rests until it is over."""
        self._account.rests = rests = self._account.rests + 1
        if prompt := await self._place.handed_over(end):
            return prompt
        await self._pauses.rest(end, rests - 1)
        return await self._place.reopened(wording.go_on_after_limit())

    async def _locked_out(self, end: TurnEnded) -> Outcome | str:
        await self._place.close()
        answer = await self._pauses.mended(end.error)
        if answer.option == deciding.STOP:
            return _stopped(answer, f"login: {end.error}")
        return await self._place.reopened(wording.go_on_after_login())

    async def _stalled(self, answer: Answer) -> Outcome | str:
        if answer.option == deciding.STOP and answer.by.startswith("rule:"):
            why = "there was no sign of life in the middle of its turn"
            return Outcome(subtype="provider", error=f"{why} ({answer.by})")
        if answer.option == deciding.STOP:
            return _stopped(answer, "there was no sign of life in the middle of its turn")
        await self._place.interrupt()
        return wording.nudge()

    async def _out_of_budget(self, reached: LimitReached, unsent: str) -> str:
        await self._place.interrupt()
        answer = await self._pauses.granted(reached.limit)
        if answer.option != deciding.MORE:
            raise reached
        self._account.raise_budget(self._place.dialogue)
        self._patience.renew_budget()
        return wording.more_budget(reached.limit, unsent)

    # What is heard of the program

    def _ask(self, blockage: Blockage, deliver: Deliver) -> Blockage:
        if blockage.kind is BlockageKind.STALLED:
            blockage = self._stalls.ask(blockage)
        else:
            blockage = self.questions.open(blockage, deliver)
        if self._place.dialogue:
            who = "decided by a rule" if self.questions.is_decided(blockage.number) else "waits for a human"
            self._place.dialogue.note(f"[{who}: {blockage.kind}] {blockage.title}")
        return blockage

    def _gone(self, number: int) -> None:
        # A program may end so soon after an answer on its screen that it tells no more.
        name = self._humans.at_hand
        self.questions.gone(number, f"terminal:{name}" if name else "")

    async def _watch(self, dialogue: Dialogue) -> None:
        if not dialogue.conversation.on_screen:
            await self._stalls.watch(dialogue)

    def _changed(self) -> None:
        if limit := self._account.over_budget(self._place.dialogue):
            self._patience.reach_budget(limit)
        if self._place.dialogue:
            self._stalls.heard(self._place.dialogue.heard_at)
        self._work.on_change()

    def _asker(self) -> journal.Asker:
        return self._account.asker(
            self._place.dialogue,
            conversation_id=self._place.conversation_id,
            agent_type=self._place.agent_type,
            worked=self._patience.worked,
        )


def _stopped(answer: Answer, why: str) -> Outcome:
    return Outcome(subtype="blocked", error=f"stopped by {answer.by or 'somebody'}: {why}")


def _last_words(end: Ended) -> str:
    code = f" with exit code {end.exit_code}" if end.exit_code is not None else ""
    return f"its program ended{code} in the middle of its work" + (f": {end.error}" if end.error else "")
