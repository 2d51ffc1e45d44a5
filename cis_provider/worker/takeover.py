"""People at an agent's own terminal: who wants it, and how the work is handed to them and back."""

from __future__ import annotations

import asyncio

from cis_provider.runtimes.audience import Audience
from cis_provider.runtimes.base import Conversation, Launch


class Humans:
    """
    The people at one agent's terminal, as its drive sees them.

    A protocol's program is closed for a human, who goes on in its terminal interface: :meth:`host`. One that is
    on a screen all the time (:attr:`live`) is attached to as it is.
    """

    def __init__(self) -> None:
        #: Somebody wants the agent's terminal. Cleared by :meth:`host` and :meth:`refuse`.
        self.wanted = asyncio.Event()
        #: Who wants it.
        self.name = ""
        #: Who has it and may type; empty: nobody.
        self.attached = ""
        #: The conversation that is open, or was last; ``None``: there was none yet.
        self.conversation: Conversation | None = None
        #: Is told of the programs that have a terminal all the time.
        self.audience = Audience()

    @property
    def live(self) -> bool:
        """Whether the conversation's program is on a screen all the time: nothing is closed for a human."""
        return self.conversation is not None and self.conversation.on_screen

    def follow(self, conversation: Conversation) -> None:
        """This conversation is at work from now on."""
        self.conversation = conversation

    async def host(self, launch: Launch) -> None:
        """Run the program's terminal interface until the human has left. Nothing else of the agent runs."""
        self.wanted.clear()

    async def left(self) -> None:
        """Wait until nobody has the live terminal any more."""
        self.wanted.clear()

    def refuse(self, reason: str) -> None:
        """Its terminal cannot be had."""
        self.wanted.clear()
