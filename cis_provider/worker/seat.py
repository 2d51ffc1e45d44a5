"""An agent's seat at its own terminal: a human takes it, and hands the conversation back."""

from __future__ import annotations

from cis_provider.errors import CisError
from cis_provider.worker import wording
from cis_provider.worker.patience import Patience
from cis_provider.worker.questions import Questions
from cis_provider.worker.takeover import Humans
from cis_provider.worker.workplace import Workplace


class Seat:
    """Lets humans take the conversation of one agent."""

    def __init__(self, humans: Humans, place: Workplace, patience: Patience, questions: Questions) -> None:
        self._humans = humans
        self._place = place
        self._patience = patience
        self._questions = questions

    def why_not(self) -> str:
        """Why nobody can go on in the conversation at a terminal now, in words; empty: one can."""
        conversation = self._humans.conversation
        if conversation is None or not conversation.conversation_id:
            return "its conversation has not begun yet; try again in a moment"
        try:
            launch = conversation.terminal()
        except CisError as error:
            return f"its terminal interface cannot be started: {error}"
        return "" if launch else f"{self._place.agent_type} has no terminal interface of its own"

    async def before_the_end(self) -> str:
        """
        An agent that says it is done is not, while a human has its terminal, or wants it.

        :return: What to go on with when they have left; empty: nobody was there.
        """
        if self._humans.live:
            if not (self._humans.attached or self._humans.wanted.is_set()):
                return ""
            untouched = await self._undisturbed()
            return "" if untouched else wording.go_on_after_human()
        if not self._humans.wanted.is_set():
            return ""
        if reason := self.why_not():
            self._humans.refuse(reason)
            return ""
        return await self.taken()

    async def taken(self) -> str:
        """Let go of the conversation, have the human in it, take it up again; the prompt to go on with."""
        name = self._humans.name
        self._questions.taken(name)
        self._patience.pause()
        try:
            await self._place.interrupt()
            await self._place.close()
            # Again: what the turn used is known by its end.
            self._questions.taken(name)
            conversation = self._humans.conversation
            if conversation and (launch := conversation.terminal()):
                await self._patience.until(self._humans.host(launch, self._alone))
            else:
                self._humans.refuse(f"{self._place.agent_type} has no terminal interface of its own")
        finally:
            self._patience.resume()
        prompt = await self._place.reopened(wording.go_on_after_human())
        self._questions.handed_back()
        return prompt

    def _alone(self, alone: bool) -> None:
        """A turn that a human has left behind is the agent's work, within its time limit."""
        (self._patience.resume if alone else self._patience.pause)()

    async def _undisturbed(self) -> bool:
        """Whether they left all as it was."""
        self._patience.pause()
        self._questions.taken(self._humans.name)
        try:
            untouched = bool(await self._patience.until(self._humans.left()))
            self._questions.handed_back()
            return untouched
        finally:
            self._patience.resume()
            self._questions.reconsider()
