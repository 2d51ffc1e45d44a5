"""The program that is at work in an agent's conversation: opened, opened again, handed on, closed."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

from cis_provider.errors import AgentError, ConfigError, PermanentAgentError, TransientAgentError
from cis_provider.model.option_texts import filled
from cis_provider.model.placeholders import substitute
from cis_provider.runtimes.base import ConversationRuntime, Setting
from cis_provider.runtimes.events import TurnEnded
from cis_provider.worker import conversations, fallbacks, wording
from cis_provider.worker.account import Account
from cis_provider.worker.cleaning import clean_event
from cis_provider.worker.context import Outcome, WorkContext
from cis_provider.worker.conversations import Kept
from cis_provider.worker.dialogue import INTERRUPT, Ask, Dialogue
from cis_provider.worker.patience import Patience

log = logging.getLogger(__name__)

#: Seconds in which a program must be ready for a prompt.
_START = 120.0


class Workplace:
    """
    One conversation at a time, and the program in it.

    :param runtime: The runtime of the agent's type; fallbacks are loaded when they are needed.
    :param ask: And ``gone``: see :class:`~cis_provider.worker.dialogue.Dialogue`.
    :param on_change: Called after each event of the program.
    """

    def __init__(
        self,
        work: WorkContext,
        runtime: ConversationRuntime,
        patience: Patience,
        account: Account,
        *,
        ask: Ask,
        gone: Callable[[int], None],
        on_change: Callable[[], None],
    ) -> None:
        self.dialogue: Dialogue | None = None
        self.agent_type = work.request.agent_type
        self.conversation_id = ""
        self._work = work
        self._options = work.request.options
        self._runtime = runtime
        self._patience = patience
        self._account = account
        self._ask, self._gone, self._on_change = ask, gone, on_change
        self._fallbacks = list(self._options.fallback)

    async def begin(self, kept: Kept | None) -> str:
        """
        Start the program, in the conversation that is kept if there is one; the first prompt.

        :raises PermanentAgentError: The program cannot be started, or cannot take the prompt.
        """
        prompt = self.first_prompt()
        fallbacks.check_prompt(self._runtime, self._options, self.agent_type, prompt)
        if kept and kept.agent_type == self.agent_type and self._goes_on(kept):
            try:
                await self.open(resume=kept.conversation_id)
            except PermanentAgentError as error:
                # Not a passing trouble: what is kept would be overwritten, and lost for good.
                log.warning("session %s: its conversation cannot be gone on with: %s", self._id, error)
                await self.close()
            else:
                log.info("session %s goes on in conversation %s", self._id, kept.conversation_id)
                same = kept.prompt == conversations.digest(self._work.request.command)
                return wording.another_attempt(kept.error) if same and not kept.ended_well else prompt
        await self.open()
        return prompt

    def take_over(self, agent_type: str, conversation_id: str) -> None:
        """Its worker was lost while it waited: this conversation is opened next, by the agent that had it last."""
        if agent_type != self.agent_type:
            self._runtime, self._options = fallbacks.taking_over(self._work.request, agent_type)
            self.agent_type = agent_type
            if agent_type in self._fallbacks:
                del self._fallbacks[: self._fallbacks.index(agent_type) + 1]
        self.conversation_id = conversation_id

    async def reopened(self, go_on: str) -> str:
        """Start the program again, in its conversation if that can be had; the prompt to go on with."""
        if resume := self.conversation_id:
            try:
                await self.open(resume=resume)
                return go_on
            except PermanentAgentError as error:
                # A program that dies in its first turn may not have written down that there was one.
                log.warning(
                    "session %s: conversation %s is lost, a new one begins: %s", self._id, resume, error
                )
                self.conversation_id = ""
        await self.open()
        return self.first_prompt()

    async def open(self, resume: str = "") -> None:
        """
        Start the program, ready for a prompt.

        :raises AgentError: It cannot be started.
        """
        await self.close()
        request = self._work.request
        setting = Setting(
            workspace=self._work.workspace,
            folder=self._work.folder,
            env=self._work.env,
            options=filled(self._options, request.secrets),
            resume=resume,
            on_process=self._work.on_process,
            audience=self._work.humans.audience,
        )
        conversation = self._runtime.open(setting)
        self.dialogue = dialogue = Dialogue(
            conversation,
            write=self._work.write,
            on_change=self._on_change,
            ask=self._ask,
            gone=self._gone,
            clean=lambda event: clean_event(event, self._work.mask),
        )
        try:
            await self._patience.until(dialogue.start(), limit=_START)
        except TimeoutError:
            raise TransientAgentError(
                f"{self.agent_type} was not ready for a prompt after {_START:.0f} s"
            ) from None
        self._work.humans.follow(conversation)
        self.know_conversation()

    async def ready(self, prompt: str) -> tuple[Dialogue, str]:
        """The program, started again if it left between two turns, which is no crash; and the prompt for it."""
        if self.dialogue is None or self.dialogue.over:
            prompt = await self.reopened(prompt)
        assert self.dialogue is not None
        return self.dialogue, prompt

    async def interrupt(self) -> None:
        """End the turn that runs, if there is one; a program that goes on all the same is stopped."""
        if self.dialogue and not await self.dialogue.interrupt(INTERRUPT):
            await self.close()
        self.know_conversation()

    async def close(self) -> None:
        """Stop the program; what it used is counted."""
        if self.dialogue:
            dialogue, self.dialogue = self.dialogue, None
            self._account.settle(dialogue)
            await dialogue.close()

    async def handed_over(self, end: TurnEnded) -> str | None:
        """At a usage limit: another agent takes over; the prompt for it. ``None``: there is none that can."""
        said = self.dialogue.said if self.dialogue else ""
        await self.close()
        before = self.agent_type, self._runtime, self._options, self.conversation_id
        while self._fallbacks:
            agent_type = self._fallbacks.pop(0)
            prompt = wording.taken_over(self.first_prompt(), by=before[0], said=said)
            try:
                runtime, options = fallbacks.taking_over(self._work.request, agent_type)
                fallbacks.check_prompt(runtime, options, agent_type, prompt)
                self.agent_type, self._runtime, self._options = agent_type, runtime, options
                self.conversation_id = ""
                await self.open()
            except AgentError as error:
                log.warning("session %s: %s cannot take over: %s", self._id, agent_type, error)
                await self.close()
                # Whose limit ends: it is rested for that one's, not for this one's.
                self.agent_type, self._runtime, self._options, self.conversation_id = before
                continue
            log.info("session %s: %s takes over from %s: %s", self._id, agent_type, before[0], end.error)
            return prompt
        return None

    def first_prompt(self) -> str:
        """
        What the agent is to do, with the form of its answer where one is wanted.

        :raises PermanentAgentError: A ``${NAME}`` has no value.
        """
        request, schema = self._work.request, self._options.output_schema
        try:
            prompt = substitute(request.command, request.secrets.get)
        except ConfigError as error:
            raise PermanentAgentError(f"its prompt: {error}") from None
        return wording.output_wanted(prompt, json.dumps(schema, indent=1)) if schema else prompt

    def know_conversation(self) -> None:
        """Keep what the program resumes by, as soon as it says so: a killed worker's is to be found, too."""
        if self.dialogue and (conversation_id := self.dialogue.conversation.conversation_id):
            changed = conversation_id != self.conversation_id
            self.conversation_id = conversation_id
            if changed:
                self.keep(Outcome(subtype="interrupted", error="its worker was interrupted"))

    def keep(self, outcome: Outcome) -> None:
        """Remember the conversation, and how it ended."""
        if self.conversation_id:
            conversations.keep_of(
                self._work.request,
                agent_type=self.agent_type,
                conversation_id=self.conversation_id,
                workspace=str(self._work.workspace),
                error="" if outcome.subtype == "success" else outcome.error or outcome.subtype,
            )

    def _goes_on(self, kept: Kept) -> bool:
        # A task that succeeded and runs again is to be done again; what has a name goes on for ever.
        return bool(self._options.session or self._options.session_from) or not kept.ended_well

    @property
    def _id(self) -> str:
        return self._work.session_id
