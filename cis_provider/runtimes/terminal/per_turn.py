"""A program that is started for each prompt, gets it in a file, and is done when it exits."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

from cis_provider.errors import PermanentAgentError, TransientAgentError
from cis_provider.files import write_atomic
from cis_provider.runtimes.base import Setting
from cis_provider.runtimes.events import Started, TurnEnded, Usage
from cis_provider.runtimes.terminal.conversation import ScreenConversation
from cis_provider.runtimes.terminal.stage import Stage
from cis_provider.screens.rulebook import RuleBook
from cis_provider.screens.watcher import Judgement

#: Seconds in which a program that got Ctrl+C must be gone.
_INTERRUPT = 3.0
#: Lines of the screen that are repeated in an error.
_LAST_LINES = 10


class PerTurnConversation(ScreenConversation):
    """One process for each turn; between two turns there is none. A subclass says how it is started."""

    def __init__(self, setting: Setting, book: RuleBook) -> None:
        super().__init__(setting, book)
        self._running = False
        self._cancelled = False

    @abstractmethod
    def argv(self, prompt_file: Path) -> Sequence[str]:
        """
        The command of one turn.

        :raises PermanentAgentError: The program is not there, or cannot do what the options ask for.
        """

    def env(self, prompt_file: Path) -> dict[str, str]:
        """Its environment."""
        return {"TERM": "xterm-256color", **self._setting.env, "CIS_PROMPT_FILE": str(prompt_file)}

    def prompt(self, prompt: str) -> str:
        """What is written into the file."""
        return prompt

    def ended(self, exit_code: int, said: str) -> TurnEnded:
        """
        What a turn's exit means.

        :param said: Everything it wrote, as a screen showed it.
        """
        if exit_code == 0:
            return TurnEnded(text=said)
        last = "\n".join([line for line in said.splitlines() if line.strip()][-_LAST_LINES:])
        signal = f" (signal {exit_code - 128})" if exit_code > 128 else ""
        return TurnEnded(
            stop_reason="error",
            text=said,
            error=f"the program ended with exit code {exit_code}{signal}; its last lines:\n{last}",
            error_class="permanent" if exit_code in (126, 127) else "transient",
        )

    def hopeless(self, judgement: Judgement) -> bool:
        """Whether its screen says that it repeats a failed call by itself, and has done so for long enough."""
        return False

    def usage(self) -> Usage | None:
        """What the conversation has used so far; asked after each turn."""
        return None

    async def start(self) -> None:
        self.argv(self._prompt_file)  # a program that is not there is told now, not at the first prompt
        self._events.put_nowait(Started(conversation_id=self.conversation_id))

    async def send(self, prompt: str) -> None:
        if self._ended:
            raise TransientAgentError("the conversation was stopped; open it again")
        if self._running:
            raise PermanentAgentError("a turn runs already; wait for its end")
        file = self._prompt_file
        await asyncio.to_thread(write_atomic, file, self.prompt(prompt).encode("utf-8", "replace"))
        argv = self.argv(file)
        if self._stage is not None:
            await self._stage.stop()
        self._stage = stage = Stage(self._book, self._say)
        stage.start(argv, self._setting, self.env(file))
        self._running, self._cancelled = True, False
        self._spawn(self._run(stage))

    async def interrupt(self) -> None:
        if not self._running or self._stage is None:
            return
        self._cancelled = True
        await self._stage.press(["ctrl+c"])
        self._spawn(self._insist(self._stage))

    @property
    def _prompt_file(self) -> Path:
        return self._setting.folder / "prompt.txt"

    async def _run(self, stage: Stage) -> None:
        async for judgement in stage.looks():
            self._look(stage, judgement)
            if self.hopeless(judgement):
                await stage.stop()
            stage.transcript.tell()
        self._waiting.drop()
        stage.transcript.tell(last=True)
        await stage.stop()  # what the program left behind in its group
        self._running = False
        code = stage.exit_code
        end = await asyncio.to_thread(self.ended, 255 if code is None else code, stage.transcript.text())
        if self._cancelled:
            end = TurnEnded(stop_reason="cancelled", text=end.text)
        if (usage := self.usage()) is not None:
            self._events.put_nowait(usage)
        self._events.put_nowait(end)

    async def _insist(self, stage: Stage) -> None:
        await asyncio.sleep(_INTERRUPT)
        if self._running and self._stage is stage:
            await stage.stop()
