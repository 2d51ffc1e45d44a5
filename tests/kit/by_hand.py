"""A human at a terminal, for tests: sees what is on the screen, and types."""

from __future__ import annotations

import time

import pexpect

from cis_provider.runtimes.base import Launch, Setting
from cis_provider.screens.screen import Screen


class Terminal:
    """
    A program on a terminal, and its screen. Whoever has it calls :meth:`close`.

    :param launch: Of :meth:`~cis_provider.runtimes.base.Conversation.terminal`.
    """

    def __init__(self, launch: Launch, setting: Setting) -> None:
        env = {**setting.env, **launch.env, "TERM": "xterm-256color"}
        self._screen = Screen(120, 40)
        self._child = pexpect.spawn(
            launch.argv[0], launch.argv[1:], env=env, cwd=str(setting.workspace), dimensions=(40, 120)
        )
        self.pid: int = self._child.pid

    def sees(self, words: str, without: str = "\0", seconds: float = 60) -> None:
        """Wait until the screen shows these words, and not those."""
        deadline = time.monotonic() + seconds
        while words not in (screen := "\n".join(self._screen.frame().lines)) or without in screen:
            assert time.monotonic() < deadline, screen
            try:
                self._screen.feed(self._child.read_nonblocking(65536, timeout=0.2))
            except pexpect.TIMEOUT:
                continue

    def rests(self) -> None:
        """Until it writes nothing for half a second, 5 s at most: a spinner may never rest."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            try:
                self._screen.feed(self._child.read_nonblocking(65536, timeout=0.5))
            except (pexpect.TIMEOUT, pexpect.EOF):
                return

    def type(self, keys: str) -> None:
        self._child.send(keys)

    def leaves(self) -> None:
        """Press Ctrl+C until it is gone: the first one may end a turn, or ask for a second."""
        for _ in range(40):
            self._child.send("\x03")
            if self._child.expect([pexpect.EOF, pexpect.TIMEOUT], timeout=0.5) == 0:
                return
        raise AssertionError("the program is still there after forty times Ctrl+C")

    def close(self) -> None:
        self._child.close(force=True)
