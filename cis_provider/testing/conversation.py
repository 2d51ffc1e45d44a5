"""A runtime whose agent says what a test tells it to: for tests of what stands above a runtime."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence

from cis_provider.errors import AgentError, StaleAnswer
from cis_provider.model.blockage import Answer
from cis_provider.runtimes.base import Conversation, ConversationRuntime, Launch, Setting
from cis_provider.runtimes.events import Blocked, Ended, Event, Started, TurnEnded, Unblocked


class ScriptedRuntime(ConversationRuntime):
    """
    Each prompt is answered by the next turn of the script, over all conversations that are opened.

    :param turns: For each prompt the events that follow. A turn without an end (``TurnEnded``, ``Ended``)
        goes on until it is interrupted or answered; then comes the next turn of the script.
    :param refuse_resume: Raised when a conversation is to be gone on with.
    """

    name = "scripted"

    def __init__(
        self, turns: Sequence[Sequence[Event]], *, refuse_resume: AgentError | None = None, limit: int = 0
    ) -> None:
        self.turns = deque(turns)
        self.prompts: list[str] = []
        self.answers: list[Answer] = []
        self.settings: list[Setting] = []
        self.at_work = 0
        self.refuse_resume = refuse_resume
        self.prompt_limit = limit  # type: ignore[misc]
        self.deaf = False
        """Whether interrupts are ignored."""
        self.launch: Launch | None = None
        """How a human goes on in its terminal interface."""
        self.refuse_answer: AgentError | None = None
        """Raised instead of taking an answer."""

    def open(self, setting: Setting) -> ScriptedConversation:
        return ScriptedConversation(self, setting)


class ScriptedConversation(Conversation):
    """One conversation of a :class:`ScriptedRuntime`."""

    def __init__(self, runtime: ScriptedRuntime, setting: Setting) -> None:
        self._runtime = runtime
        self._setting = setting
        self._id = setting.resume or f"conversation-{len(runtime.settings) + 1}"
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._waiting: int | None = None
        self._running = False

    @property
    def conversation_id(self) -> str:
        return self._id

    async def start(self) -> None:
        self._runtime.settings.append(self._setting)
        if self._setting.resume and self._runtime.refuse_resume:
            raise self._runtime.refuse_resume
        self._runtime.at_work += 1
        self._running = True
        self._events.put_nowait(Started(conversation_id=self._id))

    async def send(self, prompt: str) -> None:
        self._runtime.prompts.append(prompt)
        self._next_turn()

    def _next_turn(self) -> None:
        for event in self._runtime.turns.popleft() if self._runtime.turns else ():
            if isinstance(event, Blocked):
                self._waiting = event.blockage.number
            self._events.put_nowait(event)

    async def events(self) -> AsyncIterator[Event]:
        while True:
            event = await self._events.get()
            yield event
            if isinstance(event, Ended):
                return

    async def answer(self, answer: Answer) -> None:
        if answer.number != self._waiting:
            raise StaleAnswer(f"question {answer.number} waits no more")
        if self._runtime.refuse_answer:
            raise self._runtime.refuse_answer
        self._runtime.answers.append(answer)
        self._waiting = None
        self._events.put_nowait(Unblocked(number=answer.number))
        self._next_turn()

    async def interrupt(self) -> None:
        if not self._runtime.deaf:
            self._events.put_nowait(TurnEnded(stop_reason="cancelled"))

    def terminal(self) -> Launch | None:
        return self._runtime.launch

    async def stop(self) -> None:
        if self._running:
            self._running = False
            self._runtime.at_work -= 1
            self._events.put_nowait(Ended())
