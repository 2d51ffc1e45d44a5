"""What the two ways of driving a program share: the session they work for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from cis_provider.model.blockage import Settled
from cis_provider.model.result import Subtype
from cis_provider.model.session import SessionRequest, with_secrets
from cis_provider.worker.mask import SecretMask
from cis_provider.worker.output import OutputLog
from cis_provider.worker.takeover import Humans


class StopOrder(NamedTuple):
    """Why a session is to end before its program does."""

    subtype: Subtype
    reason: str


@dataclass(kw_only=True)
class WorkContext:
    """
    One session at work.

    :param folder: The session's own folder.
    :param env: The agent's whole environment.
    :param stop: Done when the session is to end.
    :param on_process: To be called with the pid of each process.
    :param on_change: To be called when something can be seen from outside.
    :param humans: Who is at the agent's terminal, or wants it.
    :param renewed: The environment that a changed request has; ``None``: the same as before.
    """

    session_id: str
    worker: str
    request: SessionRequest
    folder: Path
    workspace: Path
    env: dict[str, str]
    output: OutputLog
    mask: SecretMask
    stop: asyncio.Future[StopOrder]
    on_process: Callable[[int], None]
    on_change: Callable[[], None]
    humans: Humans = field(default_factory=Humans)
    renewed: Callable[[SessionRequest], dict[str, str]] | None = None
    broken: OSError | None = field(default=None)

    def order(self, order: StopOrder) -> None:
        """Have it end; the first order counts."""
        if not self.stop.done():
            self.stop.set_result(order)

    def take_secrets(self, secrets: dict[str, str]) -> None:
        """
        New values, for the programs that are started from now on.

        :raises ConfigError: A program cannot be given them.
        """
        if not secrets:
            return
        self.mask.add(secrets.values())
        self.humans.hide(secrets.values())
        request = with_secrets(self.request, secrets)
        if self.renewed:
            self.env = self.renewed(request)
        self.request = request

    def write(self, chunk: bytes) -> None:
        """Put output into the log, secrets masked. A full disk ends the session."""
        if self.broken:
            return
        try:
            if shown := self.mask.feed(chunk):
                self.output.write(shown)
        except OSError as error:
            # An agent whose words are lost must not look like one that succeeded.
            self.broken = error
            self.order(StopOrder("not_started", f"its output could not be written to disk: {error}"))
        self.on_change()

    def not_written(self, error: OSError) -> None:
        """What it asks must be on disk before anybody is asked: it ends."""
        self.order(StopOrder("not_started", f"what it asks could not be written to disk: {error}"))


class Outcome(msgspec.Struct, kw_only=True):
    """
    What came of the work, before the workspace is concluded.

    :param text: The agent's final text; ``None``: what it printed is what it says.
    :param checked: What was checked and how it ended; empty: nothing.
    :param agent_type: Who ended it, where another agent took over.
    :param answers: Every blockage there was, and what ended it.
    """

    subtype: Subtype
    error: str = ""
    text: str | None = None
    exit_code: int | None = None
    num_turns: int = 1
    usage: dict[str, Any] = {}
    cost_usd: float | None = None
    denied: tuple[str, ...] = ()
    checked: dict[str, Any] = {}
    structured: Any = None
    conversation_id: str = ""
    agent_type: str = ""
    answers: tuple[Settled, ...] = ()
