"""A person at a terminal of their own, who runs the client there. The terminal is our own model of one."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from typing import Any

from cis_provider.screens.screen import Screen

PROGRAM = (
    "from cis_provider.cli.attach import sit_down\n"
    "from cis_provider.errors import CisError\n"
    "try: code = sit_down(sys.argv[1], 'agent', read_only='-r' in sys.argv, take='--take' in sys.argv)\n"
    "except CisError as error: print(error); code = error.exit_code\n"
    "sys.exit(code)"
)


class Person:
    """Starts the client; the terminal outlives it."""

    def __init__(
        self, session_id: str, *words: str, size: tuple[int, int] = (120, 40), program: str = PROGRAM
    ) -> None:
        self.screen = Screen(*size)
        self.screen.on_reply = lambda data: os.write(self.master, data)
        self.raw = b""
        self.master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", size[1], size[0], 0, 0))
        self.before = termios.tcgetattr(slave)
        self.screen.feed(b"shell$ cis attach\r\n")
        self.process = subprocess.Popen(
            [sys.executable, "-c", f"import sys; {program}", session_id, *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        self.slave = slave

    def text(self) -> str:
        return self.screen.frame().text()

    def read(self, seconds: float) -> bool:
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        data = os.read(self.master, 65536)
        self.raw += data
        self.screen.feed(data)
        return True

    def until(self, condition: Callable[[], Any], seconds: float = 15) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"it did not happen; the screen:\n{self.text()}"
            self.read(0.05)

    def sees(self, words: str) -> None:
        self.until(lambda: words in self.text())

    def type(self, data: bytes) -> None:
        os.write(self.master, data)

    def resize(self, columns: int, rows: int) -> None:
        self.screen.resize(columns, rows)
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
        os.killpg(self.process.pid, signal.SIGWINCH)

    def left(self, seconds: float = 10) -> int:
        """Wait until the client has left; its exit code."""
        self.until(lambda: self.process.poll() is not None, seconds)
        while self.read(0.1):
            pass
        assert self.process.returncode is not None
        return self.process.returncode

    @property
    def restored(self) -> bool:
        """Whether the terminal is as it was before."""
        modes = self.screen.modes <= {7, 25} and 25 in self.screen.modes
        keyboard = self.screen.keyboard
        return (
            modes
            and termios.tcgetattr(self.slave) == self.before
            and self.screen.grid is self.screen.main
            and not keyboard.keypad
            and not keyboard.cursor_shape
            and not keyboard.flags(False)
            and (self.screen.top, self.screen.bottom) == (0, self.screen.rows - 1)
        )

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(timeout=10)
        os.close(self.master)
        os.close(self.slave)
