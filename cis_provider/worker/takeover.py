"""People at an agent's own terminal: who wants it, and how the work is handed to them and back."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from cis_provider.errors import AgentError
from cis_provider.runtimes.audience import Audience
from cis_provider.runtimes.base import Conversation, Launch, Setting
from cis_provider.worker.attach_live import LiveTerminal

if TYPE_CHECKING:
    from cis_provider.runtimes.terminal.stage import Stage
    from cis_provider.screens.rulebook import RuleBook
    from cis_provider.worker.context import WorkContext

log = logging.getLogger(__name__)

#: Seconds without output after which a program whose human has left, and that is not at work, is ended, and how
#: long it may go on writing.
_QUIET, _SETTLE = 0.5, 2.0

#: What its screen says of a turn that is at work. One that waits is ended: the agent asks anew where answers arrive.
_AT_WORK = frozenset({"working", "retrying"})

#: Seconds for which a turn is let go on without its human, where the agent has no time limit.
_WORKS_ON = 24 * 3600.0

#: Seconds within which the screen shows, and is understood to show, what a human has typed last.
_A_MOMENT = 3.0


class Humans:
    """
    The people at one agent's terminal, as its drive sees them.

    A protocol's program is closed for a human, who goes on in its terminal interface: :meth:`host`. One that is
    on a screen all the time (:attr:`live`) is attached to as it is.

    :param terminal: Where they come; ``None``: nobody ever does.
    :param on_change: Called when somebody has it, or nobody any more.
    """

    def __init__(
        self, terminal: LiveTerminal | None = None, on_change: Callable[[], None] = lambda: None
    ) -> None:
        #: Somebody wants the agent's terminal, whose program must be closed for that.
        self.wanted = asyncio.Event()
        #: Who wants it, or has it; empty: nobody.
        self.name = ""
        #: Who has it and may type; empty: nobody.
        self.attached = ""
        #: The conversation that is open, or was last; ``None``: there was none yet.
        self.conversation: Conversation | None = None
        #: Is told of the programs that have a terminal all the time.
        self.audience: Audience = terminal or Audience()
        #: Whose programs these are; there is none before it is at work.
        self.work: WorkContext | None = None
        self._terminal = terminal
        self._hosts = False
        self._on_change = on_change
        self._moved = asyncio.Event()
        self._left = "", 0.0
        if terminal is not None:
            terminal.on_writer = self._people_changed

    @property
    def live(self) -> bool:
        """Whether the conversation's program is on a screen all the time: nothing is closed for a human."""
        return self.conversation is not None and self.conversation.on_screen

    @property
    def at_hand(self) -> str:
        """Who has it, or had it a moment ago: what just changed on its screen was their doing."""
        name, when = self._left
        return self.attached or (name if time.monotonic() - when < _A_MOMENT else "")

    def follow(self, conversation: Conversation) -> None:
        """This conversation is at work from now on."""
        self.conversation = conversation
        self._note_people()

    def hide(self, secrets: Iterable[str]) -> None:
        """Values that are secret from now on: none of them may be recorded."""
        if self._terminal:
            self._terminal.hide(secrets)

    async def host(self, launch: Launch, on_alone: Callable[[bool], None] = lambda alone: None) -> None:
        """
        Run the program's terminal interface until the human has left, and a turn that is at work then has ended.
        Nothing else of the agent runs.

        :param on_alone: Called with true when it goes on without a human, then with false.
        """
        self.wanted.clear()
        if self._terminal is None or self._terminal.writer is None or self.work is None:
            return
        from cis_provider.runtimes.terminal.stage import Stage

        work = self.work
        stage = Stage(_rules(launch, work.request.agent_type))
        setting = Setting(
            workspace=work.workspace,
            folder=work.folder,
            env=work.env,
            options=work.request.options,
            on_process=work.on_process,
            audience=self._terminal,
        )
        self._hosts, self._terminal.owned = True, False
        log.info("session %s: %s goes on in its terminal interface", work.session_id, self.name)
        try:
            stage.start(launch.argv, setting, {"TERM": "xterm-256color", **work.env, **launch.env})
            self._note_people()
            while self._terminal.writer is not None:
                if await self._until_left(asyncio.create_task(stage.ended())):
                    self._terminal.dismiss("its interface was closed; the agent goes on by itself")
                else:
                    await self._let_finish(stage, on_alone)
        except AgentError as error:
            self.refuse(f"its terminal interface cannot be started: {error}")
        finally:
            self._hosts = False
            try:
                await stage.stop()
            finally:
                self._terminal.put_away(stage)
                self._terminal.owned = True
                self._note_people()

    async def left(self) -> bool:
        """Wait until nobody has the live terminal any more; whether they left all as it was."""
        self.wanted.clear()
        terminal = self._terminal
        before = terminal.keys if terminal else 0
        while terminal is not None and terminal.writer is not None:
            self._moved.clear()
            if terminal.program is not None:
                await self._moved.wait()
            elif launch := self.conversation.terminal() if self.conversation else None:
                await self.host(launch)
            else:
                terminal.dismiss("its program has ended")
        return terminal is None or terminal.keys == before

    def refuse(self, reason: str) -> None:
        """Its terminal cannot be had: whoever wants it watches."""
        self.wanted.clear()
        if self._terminal is not None:
            self._terminal.demote(reason)

    async def _let_finish(self, stage: Stage, on_alone: Callable[[bool], None]) -> None:
        """
        Until nothing is at work any more, or somebody comes back, who finds it open.

        Programs write a conversation down a moment after they have shown it: what was said last must stay.
        """
        assert self._terminal is not None and self.work is not None
        on_alone(True)
        try:
            worked_at = begun = time.monotonic()
            rested = 0
            while stage.exit_code is None and self._terminal.writer is None:
                written = stage.written
                await asyncio.sleep(_QUIET)
                now = time.monotonic()
                if stage.judge().state in _AT_WORK and now - begun < _WORKS_ON:
                    if worked_at == begun:
                        self.work.write(
                            b"[nobody has its interface any more; the turn that is at work there is let finish]\n"
                        )
                    worked_at, rested = now, 0
                elif stage.written == written or now - worked_at >= _SETTLE:
                    # Twice: between two steps of a turn a screen may look idle for a moment.
                    rested += 1
                    if worked_at == begun or rested > 1:
                        return
        finally:
            on_alone(False)

    async def _until_left(self, ended: asyncio.Task[int]) -> bool:
        """Whether the program ended before the human had left."""
        assert self._terminal is not None
        try:
            while self._terminal.writer is not None and not ended.done():
                self._moved.clear()
                moved = asyncio.create_task(self._moved.wait())
                try:
                    await asyncio.wait({ended, moved}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    moved.cancel()
            return ended.done()
        finally:
            ended.cancel()

    def _people_changed(self) -> None:
        self._moved.set()
        self._note_people()

    def _note_people(self) -> None:
        if self._terminal is None:
            return
        writer = self._terminal.writer
        if self.attached and writer is None:
            self._left = self.attached, time.monotonic()
        self.name = writer.who if writer else ""
        self.attached = self.name if self.live or self._hosts else ""
        if self.name and not self.attached:
            self.wanted.set()
        else:
            self.wanted.clear()
        self._on_change()


def _rules(launch: Launch, agent_type: str) -> RuleBook:
    """Rules for the screen of this program, where there are some: for those who ask what it shows."""
    from cis_provider.screens import rule_files

    known = rule_files.programs()
    words = [Path(word).stem for word in launch.argv[:2]]
    return rule_files.rule_book(next((word for word in (*words, agent_type) if word in known), "terminal"))
