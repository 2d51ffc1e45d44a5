"""An agent at work in a conversation: turn by turn, from the prompt to what came of it."""

from __future__ import annotations

import asyncio
import logging

import msgspec

from cis_provider import settings
from cis_provider.errors import AgentError, CisError, PermanentAgentError
from cis_provider.model import deciding
from cis_provider.model.blockage import ENDS_BY_ITSELF, Answer, Blockage, BlockageKind, Settled
from cis_provider.runtimes.base import ConversationRuntime
from cis_provider.runtimes.events import Ended, TurnEnded
from cis_provider.worker import conversations, journal, judging, wording
from cis_provider.worker.acceptance import Acceptance
from cis_provider.worker.account import Account
from cis_provider.worker.cleaning import clean
from cis_provider.worker.context import Outcome, WorkContext
from cis_provider.worker.dialogue import Dialogue
from cis_provider.worker.patience import Called, HumanWanted, LimitReached, Patience, Stopped
from cis_provider.worker.pauses import Pauses
from cis_provider.worker.questions import Deliver, Questions
from cis_provider.worker.seats import at_the_terminal
from cis_provider.worker.stalls import StallWatch
from cis_provider.worker.workplace import Workplace
from cis_provider.worker.wrapping import INTERRUPT, wrapped_up

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
        self._budget = work.request.options.budget
        self._humans = work.humans
        self._account = Account()
        self._crashes = self._rests = 0
        self._patience = patience = Patience(
            work.stop,
            work.request.timeout,
            lambda: self.blockage,
            work.humans,
            blocked_at_most=rules.answer_timeout if rules.after_timeout == "fail" else 0.0,
        )
        self.questions = Questions(
            journal.journal_file(work.folder),
            rules,
            work.humans,
            clean=lambda text: clean(text, work.mask),
            whose=lambda: (self._place.agent_type, self._place.conversation_id),
            on_change=work.on_change,
            on_open=patience.pause,
            on_clear=patience.resume,
            on_trouble=work.not_written,
        )
        self._place = Workplace(
            work, runtime, patience, self._account, ask=self._ask, gone=self._gone, on_change=self._changed
        )
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
        outcome = outcome.cleaned(self._work.mask)
        self._place.keep(outcome)
        return outcome

    async def _run(self) -> Outcome:
        prompt = await self._begin()
        while True:
            came = await self._step(prompt)
            if isinstance(came, str):
                prompt = came
            elif self._humans.wanted.is_set() or self._humans.attached:
                prompt = await self._human_comes()
            else:
                return came

    async def _begin(self) -> str:
        past = self.questions.past
        if not past.open or not past.conversation_id:
            kept = conversations.recall_for(self._work.request, self._work.session_id)
            return await self._place.begin(kept)
        log.info("session %s goes on: its worker was lost while it waited", self._work.session_id)
        limit = next((one for one in past.open.values() if one.kind in ENDS_BY_ITSELF), None)
        if limit:
            await self._pauses.rest_until(limit.kind, limit.title, limit.until)
        return await self._place.begin_again(past.agent_type, past.conversation_id)

    async def _step(self, prompt: str) -> Outcome | str:
        """One turn, and what follows from it: the end, or the next prompt."""
        try:
            end = await self._turn(prompt)
            return end if isinstance(end, str) else await self._judged(end)
        except HumanWanted:
            return await self._human_comes()
        except Called as called:
            return await self._stalled(called.answer)
        except LimitReached as reached:
            if reached.subtype != "budget" or self._rules.budget != "ask":
                raise
            return await self._out_of_budget(reached)

    async def _turn(self, prompt: str) -> TurnEnded | Ended | str:
        dialogue, prompt = await self._place.ready(prompt)
        turn = asyncio.ensure_future(dialogue.turn(prompt))
        watch = asyncio.ensure_future(self._watch(dialogue))
        try:
            while True:
                try:
                    end = await self._patience.until(asyncio.shield(turn), calls=True)
                    break
                except HumanWanted:
                    # One that cannot have it is told so, and the turn goes on.
                    if seat := at_the_terminal(self._humans, self._place):
                        return await self._seated(seat)
        finally:
            watch.cancel()
            turn.cancel()
            await asyncio.wait({turn, watch}, timeout=INTERRUPT)
        self._place.know_conversation()
        return end

    async def _judged(self, end: TurnEnded | Ended) -> Outcome | str:
        if isinstance(end, Ended):
            return await self._crashed(end)
        self._stalls.new_task()
        self._account.deny(end.denied)
        if end.error_class in ("rate_limit", "quota"):
            return await self._limited(end)
        self._rests = 0
        if end.error_class == "login":
            return await self._locked_out(end)
        if bad := judging.bad_end(end):
            return Outcome(subtype=bad[0], error=bad[1], text=end.text or None)
        return await self._acceptance.judge(end)

    async def _crashed(self, end: Ended) -> Outcome | str:
        self._crashes += 1
        if self._crashes > _CRASHES:
            return Outcome(subtype="interrupted", error=_last_words(end))
        log.warning(
            "session %s: its program died, %d: %s", self._work.session_id, self._crashes, _last_words(end)
        )
        return await self._place.reopened(wording.go_on_after_crash())
