"""A terminal with a program on it: what it writes is kept with its time, and drawn."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

from cis_provider.screens.frame import Frame
from cis_provider.screens.keys import encode
from cis_provider.screens.screen import Screen

#: Colours that a dark terminal answers with; programs choose theirs by them.
_COLOURS = {b"10": b"e5e5/e5e5/e5e5", b"11": b"1e1e/1e1e/1e1e"}
_COLOUR_ASKED = re.compile(rb"\x1b\](1[01]);\?(?:\x07|\x1b\\)")


class Gone(Exception):
    """The program has ended."""


class Terminal:
    """
    A program on a pseudo terminal.

    :param size: Columns and rows.
    :param mute: Answers no question of the program's (where the cursor is, which colours there are).
    """

    def __init__(
        self, command: list[str], env: dict[str, str], size: tuple[int, int], mute: bool = False
    ) -> None:
        self.events: list[tuple[float, str, str]] = []
        self._mute = mute
        self.screen = Screen(*size, on_reply=self._reply)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._began = time.monotonic()
        self.last_byte = self._began
        self.status: int | None = None
        self.pid, self._fd = pty.fork()
        if self.pid == 0:  # the child: nothing but exec
            time.sleep(0.05)  # its window has a size by then
            os.execvpe(command[0], command, env)
        self._set_size(size)

    def pump(self, seconds: float) -> bool:
        """
        Take what it writes within so many seconds; whether there was something.

        :raises Gone: It has ended.
        """
        ready, _, _ = select.select([self._fd], [], [], seconds)
        if not ready:
            return False
        try:
            data = os.read(self._fd, 65536)
        except OSError:
            data = b""
        if not data:
            self._ended()
            raise Gone
        self.last_byte = time.monotonic()
        if text := self._decoder.decode(data):
            self._add("o", text)
        self.screen.feed(data, self.last_byte - self._began)
        for match in _COLOUR_ASKED.finditer(data):
            self._reply(b"\x1b]" + match[1] + b";rgb:" + _COLOURS[match[1]] + b"\x1b\\")
        return True

    def run_for(self, seconds: float) -> None:
        """Let it go on."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.pump(left)

    def frame(self) -> Frame:
        """What is on it now."""
        return self.screen.frame(time.monotonic() - self._began)

    def press(self, key: str) -> None:
        """A key, by its name in rules."""
        self._write(encode(key))

    def type(self, text: str) -> None:
        """As a human does: a program takes what comes at once for a paste."""
        for character in text:
            self._write(character.encode())
            self.run_for(0.02)

    def paste(self, text: str) -> None:
        """Bracketed. A program that is handed Enter in the same moment may take it for a part of the text."""
        self._write(b"\x1b[200~" + text.encode() + b"\x1b[201~")
        self.run_for(0.4)

    def resize(self, size: tuple[int, int]) -> None:
        """Another size of the window."""
        self.screen.resize(*size)
        self._set_size(size)
        self._add("r", f"{size[0]}x{size[1]}")

    def close(self) -> None:
        """End what still runs: the namespace's processes die with the one that we started."""
        if self.status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self._ended()

    def now(self) -> float:
        """Seconds since its start."""
        return time.monotonic() - self._began

    def _ended(self) -> None:
        if self.status is None:
            _, status = os.waitpid(self.pid, 0)
            self.status = os.waitstatus_to_exitcode(status)
            self._add("x", str(self.status))
            os.close(self._fd)

    def _add(self, code: str, data: str) -> None:
        self.events.append((time.monotonic() - self._began, code, data))

    def _reply(self, data: bytes) -> None:
        if not self._mute:
            self._write(data)

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._fd, data) :]

    def _set_size(self, size: tuple[int, int]) -> None:
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
