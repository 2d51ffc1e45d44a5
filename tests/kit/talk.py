"""A conversation with an agent, for tests: what it told is kept, and every wait has an end."""

from __future__ import annotations

import asyncio
from typing import Any

from cis_provider.model.blockage import Answer, Blockage
from cis_provider.runtimes.base import Conversation, ConversationRuntime, Setting
from cis_provider.runtimes.events import Blocked, Ended, Event, Started, TurnEnded


class Talk:
    """
    A conversation and all that it told.

    :param patience: Seconds until the next event.
    """

    def __init__(self, runtime: ConversationRuntime, setting: Setting, patience: float = 20.0) -> None:
        self.setting = setting
        self.conversation: Conversation = runtime.open(setting)
        self.seen: list[Event] = []
        self._events = self.conversation.events()
        self.patience = patience

    async def start(self) -> Started:
        async with asyncio.timeout(self.patience):
            await self.conversation.start()
        event = await self.next()
        assert isinstance(event, Started)
        return event

    async def next(self) -> Event:
        async with asyncio.timeout(self.patience):
            event = await anext(self._events)
        self.seen.append(event)
        return event

    async def until(self, *types: type[Event]) -> Any:
        """The next event of one of these types."""
        while not isinstance(event := await self.next(), types):
            assert not isinstance(event, Ended), f"no {types} came: {self.seen}"
        return event

    def of(self, kind: type[Event]) -> list[Any]:
        """Events of a type so far."""
        return [event for event in self.seen if isinstance(event, kind)]

    async def end_of_turn(self) -> TurnEnded:
        """Of one that nobody is asked in."""
        while not isinstance(event := await self.next(), TurnEnded):
            assert not isinstance(event, Ended | Blocked), event
        return event

    async def end(self) -> Ended:
        while not isinstance(event := await self.next(), Ended):
            pass
        return event

    async def turn(self, prompt: str) -> TurnEnded:
        await self.conversation.send(prompt)
        return await self.end_of_turn()

    async def blocked(self) -> Blockage:
        while not isinstance(event := await self.next(), Blocked):
            assert not isinstance(event, Ended | TurnEnded), event
        return event.blockage

    async def answer(self, blockage: Blockage, option: str = "", text: str = "") -> None:
        await self.conversation.answer(Answer(number=blockage.number, option=option, text=text))

    async def choose(self, option: str) -> Blockage:
        """Wait for a blockage and answer it with an option."""
        blockage = await self.blocked()
        await self.answer(blockage, option)
        return blockage
