"""An agent at work in a conversation: its turns, limits, checks and rests, from the prompt to what came of it."""

from __future__ import annotations

import asyncio
import json
import logging
import time

import msgspec

from cis_provider.errors import AgentError, CisError, PermanentAgentError, StaleAnswer, TransientAgentError
from cis_provider.model.blockage import Answer, Blockage, BlockageKind
from cis_provider.model.duration import format_duration
from cis_provider.model.option_texts import filled
from cis_provider.runtimes import registry
from cis_provider.runtimes.base import ConversationRuntime, Setting
from cis_provider.runtimes.events import Ended, TurnEnded
from cis_provider.worker import conversations, judging, wording
from cis_provider.worker.acceptance import Acceptance
from cis_provider.worker.account import Account
from cis_provider.worker.cleaning import clean, clean_event
from cis_provider.worker.context import Outcome, WorkContext
from cis_provider.worker.conversations import Kept
from cis_provider.worker.dialogue import Dialogue
from cis_provider.worker.patience import LimitReached, Patience, Stopped

log = logging.getLogger(__name__)

#: Seconds in which a program must be ready for a prompt, in which an interrupted turn must end, and which an
#: agent has to wrap up.
_START, _INTERRUPT, _WRAP_UP = 120.0, 5.0, 60.0

#: How often a program that died is started again in one session.
_CRASHES = 2


class Drive:
    """
    Drives one agent. Never leaves a program behind.

    :param runtime: The runtime of the agent's type; fallbacks are loaded when they are needed.
    """

    def __init__(self, work: WorkContext, runtime: ConversationRuntime) -> None:
        self.resting = False
        self._work = work
        self._options = work.request.options
        self._runtime = runtime
        self._type = work.request.agent_type
        self._fallbacks = list(self._options.fallback)
        self._dialogue: Dialogue | None = None
        self._limit: Blockage | None = None
        self._numbers = 0
        self._account = Account()
        self._conversation_id = ""
        self._patience = Patience(work.stop, work.request.timeout, lambda: self.blockage)
        self._acceptance = Acceptance(work, self._patience, self._account)

    @property
    def blockage(self) -> Blockage | None:
        """What it waits for now."""
        return self._limit or (self._dialogue.blockage if self._dialogue else None)

    async def answer(self, answer: Answer) -> None:
        """
        Deliver a decision.

        :raises StaleAnswer: Nothing waits under that number.
        :raises InvalidAnswer: It offers no such option.
        """
        if self._dialogue is None:
            raise StaleAnswer(f"question {answer.number} waits no more: nothing was delivered")
        await self._dialogue.answer(answer)

    async def run(self) -> Outcome:
        """From the prompt to what came of it."""
        try:
            outcome = await self._run()
        except Stopped as stopped:
            outcome = Outcome(subtype=stopped.order.subtype, error=stopped.order.reason)
        except LimitReached as reached:
            outcome = await self._wrapped_up(reached)
        except PermanentAgentError as error:
            outcome = Outcome(subtype="unsupported", error=str(error))
        except AgentError as error:
            outcome = Outcome(subtype="not_started", error=str(error))
        except Exception as error:
            log.exception("session %s: its agent could not be driven on", self._id)
            outcome = Outcome(subtype="interrupted", error=f"{type(error).__name__}: {error}")
        finally:
            await self._close()
        outcome = msgspec.structs.replace(
            self._account.entered(outcome), conversation_id=self._conversation_id, agent_type=self._type
        )
        outcome = self._clean(outcome)
        if self._conversation_id:
            self._keep(outcome)
        return outcome

    async def _run(self) -> Outcome:
        kept = conversations.recall(conversations.starting_name(self._work.request))
        prompt = await self._begin(kept)
        crashes = rests = 0
        while True:
            end = await self._turn(prompt)
            if isinstance(end, Ended):
                crashes += 1
                if crashes > _CRASHES:
                    return Outcome(subtype="interrupted", error=_last_words(end))
                log.warning("session %s: its program died, %d: %s", self._id, crashes, _last_words(end))
                prompt = await self._reopened(wording.go_on_after_crash())
                continue
            self._account.deny(end.denied)
            if end.error_class in ("rate_limit", "quota"):
                prompt = await self._limited(end, rests)
                rests += 1
                continue
            rests = 0
            if end.error_class == "login":
                await self._locked_out(end)
            if bad := judging.bad_end(end):
                return Outcome(subtype=bad[0], error=bad[1], text=end.text or None)
            outcome = await self._acceptance.judge(end)
            if isinstance(outcome, Outcome):
                return outcome
            prompt = outcome

    # Begin, and begin again

    async def _begin(self, kept: Kept | None) -> str:
        """Start the program, in the conversation that is kept if there is one; the first prompt."""
        prompt = self._first_prompt()
        limit = self._runtime.prompt_limit
        if limit and len(prompt.encode()) > limit:
            raise PermanentAgentError(
                f"the prompt has {len(prompt.encode()):,} bytes, and {self._type} takes {limit:,} at most: "
                "shorten it, or let the agent read a file"
            )
        if kept and kept.agent_type == self._type and self._goes_on(kept):
            try:
                await self._open(resume=kept.conversation_id)
            except PermanentAgentError as error:
                # Not a passing trouble: what is kept would be overwritten, and lost for good.
                log.warning("session %s: its conversation cannot be gone on with: %s", self._id, error)
                await self._close()
            else:
                log.info("session %s goes on in conversation %s", self._id, kept.conversation_id)
                same = kept.prompt == conversations.digest(self._work.request.command)
                return wording.another_attempt(kept.error) if same and not kept.ended_well else prompt
        await self._open()
        return prompt

    def _first_prompt(self) -> str:
        prompt, schema = self._work.request.command, self._options.output_schema
        return wording.output_wanted(prompt, json.dumps(schema, indent=1)) if schema else prompt

    def _goes_on(self, kept: Kept) -> bool:
        # A task that succeeded and runs again is to be done again; what has a name goes on for ever.
        return bool(self._options.session or self._options.session_from) or not kept.ended_well

    async def _reopened(self, go_on: str) -> str:
        """Start the program again, in its conversation if that can be had; the prompt to go on with."""
        if resume := self._conversation_id:
            try:
                await self._open(resume=resume)
                return go_on
            except PermanentAgentError as error:
                # A program that dies in its first turn may not have written down that there was one.
                log.warning(
                    "session %s: conversation %s is lost, a new one begins: %s", self._id, resume, error
                )
                self._conversation_id = ""
        await self._open()
        return self._first_prompt()

    async def _open(self, resume: str = "") -> None:
        await self._close()
        setting = Setting(
            workspace=self._work.workspace,
            folder=self._work.folder,
            env=self._work.env,
            options=filled(self._options, self._work.request.secrets),
            resume=resume,
            on_process=self._work.on_process,
        )
        self._dialogue = dialogue = Dialogue(
            self._runtime.open(setting),
            write=self._work.write,
            on_change=self._changed,
            number=self._next_number,
            clean=lambda event: clean_event(event, self._work.mask),
        )
        try:
            await self._patience.until(dialogue.start(), limit=_START)
        except TimeoutError:
            raise TransientAgentError(
                f"{self._type} was not ready for a prompt after {_START:.0f} s"
            ) from None
        self._know_conversation()

    async def _turn(self, prompt: str) -> TurnEnded | Ended:
        if self._dialogue is None or self._dialogue.over:
            # Between two turns a program may leave: that is no crash, and the prompt still has to be sent.
            prompt = await self._reopened(prompt)
        assert self._dialogue is not None
        end = await self._patience.until(self._dialogue.turn(prompt))
        self._know_conversation()
        return end

    # Limits

    async def _limited(self, end: TurnEnded, rests: int) -> str:
        """A usage limit: hand over, or rest until it is over; the prompt to go on with."""
        assert self._dialogue is not None
        said = self._dialogue.said
        await self._close()
        before = self._type, self._runtime, self._conversation_id
        while self._fallbacks:
            fallback = self._fallbacks.pop(0)
            try:
                runtime = registry.load(fallback)
                if not isinstance(runtime, ConversationRuntime):
                    raise PermanentAgentError(f"{fallback} cannot take over a conversation")
                self._type, self._runtime, self._conversation_id = fallback, runtime, ""
                await self._open()
            except AgentError as error:
                log.warning("session %s: %s cannot take over: %s", self._id, fallback, error)
                await self._close()
                # Whose limit ends: it is rested for that one's, not for this one's.
                self._type, self._runtime, self._conversation_id = before
                continue
            log.info("session %s: %s takes over from %s: %s", self._id, fallback, before[0], end.error)
            return wording.taken_over(self._first_prompt(), by=before[0], said=said)
        await self._rest(end, rests)
        return await self._reopened(wording.go_on_after_limit())

    async def _rest(self, end: TurnEnded, rests: int) -> None:
        now = time.time()
        seconds = judging.rest(end.retry_at, rests, now)
        kind = BlockageKind.QUOTA if end.error_class == "quota" else BlockageKind.RATE_LIMIT
        self._limit = Blockage(
            number=self._next_number(),
            kind=kind,
            title=end.error or "a usage limit",
            since=now,
            until=now + seconds,
        )
        self.resting = True
        self._patience.extend(seconds)
        log.info("session %s: %s: rests for %s", self._id, end.error, format_duration(round(seconds)))
        self._work.on_change()
        try:
            await self._patience.until(asyncio.sleep(seconds))
        finally:
            self.resting, self._limit = False, None
            self._work.on_change()

    async def _locked_out(self, end: TurnEnded) -> None:
        """Wait for a human until the deadline; nobody can mend a login from here."""
        self._limit = Blockage(
            number=self._next_number(),
            kind=BlockageKind.LOGIN,
            title=end.error or "its login is missing or not accepted",
            since=time.time(),
        )
        await self._close()
        log.warning("session %s waits for a login: %s", self._id, end.error)
        self._work.on_change()
        await self._patience.until(asyncio.Event().wait())

    async def _wrapped_up(self, reached: LimitReached) -> Outcome:
        """Ask for a last word, within a minute."""
        if reached.subtype == "blocked":
            return Outcome(subtype="blocked", error=f"nobody came: it has waited {reached.limit}")
        self._patience.forget_limits()
        dialogue, error = self._dialogue, f"still at work at {reached.limit}"
        try:
            if dialogue is None or not await dialogue.interrupt(_INTERRUPT):
                return Outcome(subtype=reached.subtype, error=error)
            log.info("session %s is asked to wrap up: %s", self._id, reached.limit)
            end = await self._patience.until(dialogue.turn(wording.wrap_up(reached.limit)), limit=_WRAP_UP)
        except (TimeoutError, CisError):
            return Outcome(subtype=reached.subtype, error=f"{error}; it did not wrap up")
        except Stopped as stopped:
            return Outcome(subtype=stopped.order.subtype, error=stopped.order.reason)
        text = end.text if isinstance(end, TurnEnded) else ""
        return Outcome(subtype=reached.subtype, error=error, text=text or None)

    def _changed(self) -> None:
        usage, turns = self._account.usage(self._dialogue), self._account.turns(self._dialogue)
        if limit := judging.over_budget(self._options.budget, usage, turns):
            self._patience.reach_budget(limit)
        self._work.on_change()

    async def _close(self) -> None:
        if self._dialogue:
            dialogue, self._dialogue = self._dialogue, None
            self._account.settle(dialogue)
            await dialogue.close()

    def _clean(self, outcome: Outcome) -> Outcome:
        mask = self._work.mask
        return msgspec.structs.replace(
            outcome,
            error=clean(outcome.error, mask),
            structured=clean(outcome.structured, mask),
            checked=clean(outcome.checked, mask),
        )

    def _keep(self, outcome: Outcome) -> None:
        conversations.keep_of(
            self._work.request,
            agent_type=self._type,
            conversation_id=self._conversation_id,
            workspace=str(self._work.workspace),
            error="" if outcome.subtype == "success" else outcome.error or outcome.subtype,
        )

    def _know_conversation(self) -> None:
        if self._dialogue and (conversation_id := self._dialogue.conversation.conversation_id):
            changed = conversation_id != self._conversation_id
            self._conversation_id = conversation_id
            if changed:
                # Now, not at the end: a killed worker's conversation is to be found, too.
                self._keep(Outcome(subtype="interrupted", error="its worker was interrupted"))

    def _next_number(self) -> int:
        self._numbers += 1
        return self._numbers

    @property
    def _id(self) -> str:
        return self._work.session_id


def _last_words(end: Ended) -> str:
    code = f" with exit code {end.exit_code}" if end.exit_code is not None else ""
    return f"its program ended{code} in the middle of its work" + (f": {end.error}" if end.error else "")
