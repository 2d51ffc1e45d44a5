"""A program on its terminal, with the rules that say what its screen means."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence

from cis_provider.runtimes.audience import Audience
from cis_provider.runtimes.base import Setting
from cis_provider.runtimes.terminal.pty import Pty
from cis_provider.runtimes.terminal.transcript import Transcript
from cis_provider.screens import keys
from cis_provider.screens.rulebook import RuleBook
from cis_provider.screens.screen import Screen
from cis_provider.screens.watcher import Judgement, ScreenWatcher

#: Columns and rows: what agents' screens were measured at.
SIZE = (120, 40)

#: Seconds without output after which a screen is looked at, and at the latest while output flows.
_SETTLED, _BUSY = 0.15, 0.25
#: Seconds until a screen that has settled is looked at a second time, which is what makes a blockage known, and
#: between two looks at one on which nothing happens.
_AGAIN, _STILL = 0.25, 1.0

#: Seconds between two keys: programs take faster ones for a paste, or an escape for the start of a sequence.
_BETWEEN_KEYS = 0.1

#: Bytes of a human's that may wait for a program that does not read.
_UNREAD = 1024 * 1024

_BRACKETED_PASTE, _APPLICATION_CURSOR = 2004, 1


class Stage:
    """
    Made by :meth:`start`. Whoever has it calls :meth:`stop`.

    :param on_line: Gets each line of text that will not change any more.
    """

    def __init__(self, book: RuleBook, on_line: Callable[[str], None] = lambda line: None) -> None:
        self.watcher = ScreenWatcher(book, size=SIZE)
        self.transcript = Transcript(self.watcher.screen, on_line)
        self.written = 0
        self._changed = asyncio.Event()
        self._fresh = False
        self._last_output = time.monotonic()
        self._pty: Pty | None = None
        self._audience = Audience()

    @property
    def screen(self) -> Screen:
        """What it shows."""
        return self.watcher.screen

    def start(self, argv: Sequence[str], setting: Setting, env: dict[str, str]) -> None:
        """
        Start the program in the workspace.

        :raises PermanentAgentError: It cannot be executed.
        :raises TransientAgentError: Not now.
        """
        self._pty = Pty.spawn(argv, folder=setting.workspace, env=env, size=SIZE, on_output=self._on_output)
        self.watcher.screen.on_reply = self._pty.write
        self._audience = setting.audience
        setting.on_process(self._pty.pid)
        self._audience.begins(self)

    async def stop(self) -> None:
        """End the program."""
        if self._pty is not None:
            await self._pty.stop()
            self._audience.ends(self)
            self._changed.set()

    def type(self, data: bytes) -> None:
        """Bytes of a human's keyboard. A program that has stopped reading gets a megabyte of them at most."""
        if self._pty is not None and self._pty.unread < _UNREAD:
            self._pty.write(data)

    def resize(self, columns: int, rows: int) -> None:
        """Its window has another size."""
        if self._pty is not None:
            self._pty.resize(columns, rows)
        self.watcher.resize(columns, rows)

    async def ended(self) -> int:
        """Its exit code, when it has ended by itself. No deadline: the caller has one."""
        assert self._pty is not None
        return await self._pty.wait()

    @property
    def exit_code(self) -> int | None:
        """``None`` while it runs."""
        return self._pty.exit_code if self._pty else None

    def judge(self) -> Judgement:
        """What its screen says now. Whether it has exited says its process: between two screens it may look so."""
        judgement = self.watcher.judge(time.monotonic())
        if judgement.state == "exited" and self.exit_code is None:
            return Judgement("unknown", rule=judgement.rule, evidence=judgement.evidence)
        return judgement

    async def looks(self) -> AsyncIterator[Judgement]:
        """
        A judgement whenever the screen has settled and once more soon after, four times a second while it does not
        settle, and each second while nothing happens. The last one is ``exited``, after everything the program wrote.
        """
        assert self._pty is not None
        end = asyncio.create_task(self._pty.wait())
        try:
            while not end.done():
                await self._settle(end)
                if not end.done():
                    yield self.judge()
            self.watcher.exited(await end)
            yield self.judge()
        finally:
            end.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await end

    async def press(self, names: Sequence[str], text: str = "") -> None:
        """Press keys, one by one; ``{text}`` is pasted."""
        assert self._pty is not None
        for number, name in enumerate(names):
            if number:
                await asyncio.sleep(_BETWEEN_KEYS)
            if name == keys.TEXT:
                self.paste(text)
            else:
                application = _APPLICATION_CURSOR in self.watcher.screen.modes
                self._pty.write(keys.encode(name, application_cursor=application))

    @property
    def takes_pastes(self) -> bool:
        """Whether the program tells a paste from typed keys."""
        return _BRACKETED_PASTE in self.watcher.screen.modes

    def paste(self, text: str) -> None:
        """Text as one paste, if the program knows pastes; what is :func:`typable` of it."""
        assert self._pty is not None
        data = typable(text).replace("\n", "\r").encode("utf-8", "replace")
        self._pty.write(b"\x1b[200~" + data + b"\x1b[201~" if self.takes_pastes else data)

    def _on_output(self, data: bytes) -> None:
        self.written += len(data)
        self._last_output = time.monotonic()
        self.watcher.feed(data, self._last_output)
        self._audience.wrote(data)
        self._changed.set()

    async def _settle(self, end: asyncio.Task[int]) -> None:
        """Until output came and paused, or too long did not pause; or nothing came for a while; or the end."""
        self._changed.clear()
        await self._wait(end, _AGAIN if self._fresh else _STILL)
        self._fresh = self._changed.is_set()
        deadline = time.monotonic() + _BUSY
        while self._changed.is_set() and not end.done():
            now = time.monotonic()
            pause = min(self._last_output + _SETTLED, deadline) - now
            if pause <= 0:
                return
            self._changed.clear()
            await self._wait(end, pause)
            self._changed.set()
            if time.monotonic() - self._last_output >= _SETTLED:
                return

    async def _wait(self, end: asyncio.Task[int], seconds: float) -> None:
        changed = asyncio.create_task(self._changed.wait())
        try:
            await asyncio.wait({changed, end}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()


def typable(text: str) -> str:
    """Text without control characters: it must hold no keys, and no end of a paste."""
    text = text.replace("\r\n", "\n")
    return "".join(char for char in text if char in "\n\t" or (char >= " " and not "\x7f" <= char <= "\x9f"))
