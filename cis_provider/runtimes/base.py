"""What a runtime must be able to do. There are two ways to drive a program: watch it run, or talk with it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from cis_provider.model.blockage import Answer
from cis_provider.model.options import AgentOptions
from cis_provider.model.result import Subtype
from cis_provider.model.session import SessionRequest
from cis_provider.runtimes.audience import Audience
from cis_provider.runtimes.events import Event


@dataclass(frozen=True)
class Launch:
    """
    A program to start.

    :param argv: Never holds a secret: any user of the machine may read it.
    :param env: Variables that the program needs besides the agent's.
    """

    argv: list[str]
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """How a program's end is to be understood; ``error`` is empty on success."""

    subtype: Subtype
    error: str = ""


class Runtime(ABC):
    """One kind of agent. Stateless: one object serves many sessions."""

    name: ClassVar[str]


class ProgramRuntime(Runtime):
    """A program that runs from start to end on a terminal, and whose exit code is the result."""

    @abstractmethod
    def launch(self, request: SessionRequest, folder: Path) -> Launch:
        """
        Write what the program needs into ``folder`` (the session's own) and say how to start it.

        :raises PermanentAgentError: It cannot be started, now or later.
        """

    @abstractmethod
    def verdict(self, exit_code: int, tail: bytes) -> Verdict:
        """
        Judge the end of the program.

        :param exit_code: As a shell would say it: 128 + N for signal N.
        :param tail: The last few KB of its output.
        """


@dataclass(frozen=True, kw_only=True)
class Setting:
    """
    Where and how a conversation takes place.

    :param workspace: The agent's folder of work.
    :param folder: The session's own folder, for configuration and logs; not the agent's to work in.
    :param env: The program's whole environment, secrets included: exactly this, nothing of the worker's own.
    :param options: What the agent's file says.
    :param resume: Id of a conversation to go on with; empty: a new one.
    :param on_process: To be called with the pid of each process that is started, so that a killed worker's
        are found. Every process must get ``CIS_SESSION_ID`` of ``env``, and lead a process group of its own.
    :param audience: To be told of each program that has a terminal, and what it writes there.
    """

    workspace: Path
    folder: Path
    env: dict[str, str]
    options: AgentOptions
    resume: str = ""
    on_process: Callable[[int], None] = lambda pid: None
    audience: Audience = field(default_factory=Audience)


class Conversation(ABC):
    """
    One program with one conversation, in this process's event loop. Used by one task at a time.

    Life: :meth:`start`, then :meth:`send` and events until ``TurnEnded``, again as often as one likes,
    then :meth:`stop`. Between two turns the program may be gone (``Ended``); a new conversation object with
    ``resume`` goes on. No method waits for a model without the caller's deadline being able to end it: they
    can all be cancelled, and :meth:`stop` is safe at any time, twice, and after a failed start.
    """

    #: Whether the program is on a screen all the time, which says how it is, and at which a human may sit down.
    on_screen: ClassVar[bool] = False

    @property
    @abstractmethod
    def conversation_id(self) -> str:
        """What the program resumes this conversation by; empty until it is known."""

    @abstractmethod
    async def start(self) -> None:
        """
        Start the program, ready for a prompt. ``Started`` is the first event.

        :raises PermanentAgentError: It cannot be started, now or later: not installed, or a setting it
            refuses; the message says what to do.
        :raises TransientAgentError: It could not be started now.
        """

    @abstractmethod
    async def send(self, prompt: str) -> None:
        """
        Begin a turn. Never twice for one prompt.

        :raises PermanentAgentError: The program cannot take this prompt (its size); nothing was sent.
        """

    @abstractmethod
    def events(self) -> AsyncIterator[Event]:
        """All that happens, in order, until ``Ended``. To be iterated once."""

    @abstractmethod
    async def answer(self, answer: Answer) -> None:
        """
        Deliver a decision to the blockage it names.

        :raises StaleAnswer: Nothing waits under that number any more; nothing was delivered.
        :raises InvalidAnswer: It offers no such option, or takes no words of one's own.
        """

    @abstractmethod
    async def interrupt(self) -> None:
        """End the turn that runs, keep program and conversation; ``TurnEnded("cancelled")`` follows."""

    @abstractmethod
    async def stop(self) -> None:
        """End the program and all it started within a few seconds; the conversation stays on disk."""

    def terminal(self) -> Launch | None:
        """
        How a human goes on in this conversation in the program's own terminal interface, after
        :meth:`stop`; ``None`` if the program has none.
        """
        return None


class ConversationRuntime(Runtime):
    """A program that one talks with: by a protocol, or on its screen."""

    #: Bytes of UTF-8 that the program takes as one prompt; 0: no limit that we know.
    prompt_limit: ClassVar[int] = 0

    def largest_prompt(self, options: AgentOptions) -> int:
        """Bytes of UTF-8 that the program takes as one prompt with these options; 0: no limit that we know."""
        return self.prompt_limit

    @abstractmethod
    def open(self, setting: Setting) -> Conversation:
        """A conversation that is not started yet. Starts nothing, reads nothing."""
