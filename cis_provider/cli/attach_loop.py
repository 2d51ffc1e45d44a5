"""
A person's terminal, connected to an agent's: keys there, pictures here, until somebody leaves.

Whatever happens, the terminal is afterwards as it was: also after a signal that ends us. It is written to without
waiting: one that is stopped (Ctrl+S, a slow line) holds nobody up, since what it does not take is not fetched.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import termios
import time
import tty
from collections.abc import Iterator
from types import FrameType
from typing import NamedTuple

from cis_provider.errors import NodeUnreachable, UsageError
from cis_provider.wire.terminal import Attached, Detach, Drawn, Gone, Resized, Typed
from cis_provider.worker.attach_client import TerminalLink
from cis_provider.worker.attach_undo import UNDO

#: Bytes that wait for the terminal before more are fetched.
_ENOUGH = 16 * 1024
#: Seconds for which a note lies over the last line, and that a terminal has to take what undoes it all.
_NOTE, _LAST = 4.0, 2.0
_ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)

_SAVE_TITLE, _GIVE_BACK_TITLE = b"\x1b[22;0t", b"\x1b[23;0t"


class Left(NamedTuple):
    """
    How it ended.

    :param reason: In words; empty: they left.
    :param signal: The number of the signal that ended us; 0: none.
    """

    reason: str = ""
    signal: int = 0


def check_terminal() -> None:
    """
    :raises UsageError: Nobody sits before us.
    """
    if not (os.isatty(0) and os.isatty(1)):
        raise UsageError(
            "attach needs a terminal as its input and output; `cis dag logs -f` follows an agent without one"
        )


class Seat:
    """
    The person's side of a connection.

    :param leave: What their keyboard says for "leave".
    """

    def __init__(self, link: TerminalLink, leave: re.Pattern[bytes]) -> None:
        self._link = link
        self._leave = leave
        self._out = bytearray()
        self._size = terminal_size()
        self._note = ""
        self._note_until = 0.0
        self._signal = 0

    def run(self, first: Attached) -> Left:
        """
        Until they leave, or nothing more comes.

        :raises NodeUnreachable: The worker is gone.
        """
        self._link.socket.settimeout(5.0)
        with _raw(), self._woken() as woken, _opened() as screen:
            self._out += _SAVE_TITLE + b"\n" * self._size[1]
            self._tell(first.note)
            try:
                return self._serve(screen, woken)
            finally:
                with contextlib.suppress(NodeUnreachable):
                    self._link.send(Detach())
                self._undo(screen)

    def _serve(self, screen: int, woken: int) -> Left:
        while True:
            if self._signal:
                return Left(signal=self._signal)
            reads: list[int | TerminalLink] = [0, woken]
            if len(self._out) < _ENOUGH and not self._link.pending:
                reads.append(self._link)
            ready, writable, _ = select.select(reads, [screen] if self._out else [], [], self._patience())
            if woken in ready:
                os.read(woken, 4096)
                self._look_at_size()
            if 0 in ready and (left := self._typed()):
                return left
            if (self._link in ready or self._link.pending) and (left := self._shown()):
                self._flush(screen)
                return left
            if writable:
                self._flush_some(screen)
            self._clear_note()

    def _typed(self) -> Left | None:
        data = os.read(0, 65536)
        if not data:
            return Left("its terminal was closed")
        found = self._leave.search(data)
        if typed := data[: found.start()] if found else data:
            self._link.send(Typed(typed))
        return Left() if found else None

    def _shown(self) -> Left | None:
        for message in self._link.receive():
            match message:
                case Drawn(data=data):
                    self._out += data
                    self._draw_note()
                case Attached(note=note):
                    self._tell(note)
                case Gone(reason=reason):
                    return Left(reason)
        return None

    # A note lies over the last line for a while; then the screen is asked for anew.

    def _tell(self, note: str) -> None:
        if note:
            self._note, self._note_until = note, time.monotonic() + _NOTE

    def _draw_note(self) -> None:
        if self._note:
            columns, rows = self._size
            words = f" {self._note} "[:columns].encode()
            self._out += b"\x1b7\x1b[r\x1b[%d;1H\x1b[0;7m%s\x1b[0m\x1b[K\x1b8" % (rows, words)

    def _clear_note(self) -> None:
        if self._note and time.monotonic() >= self._note_until:
            self._note = ""
            self._link.send(Resized(*self._size))

    def _patience(self) -> float | None:
        if self._link.pending:
            return 0.0
        return max(self._note_until - time.monotonic(), 0.0) if self._note else None

    def _look_at_size(self) -> None:
        if (size := terminal_size()) != self._size:
            self._size = size
            self._link.send(Resized(*size))

    # The terminal.

    def _flush_some(self, screen: int) -> None:
        with contextlib.suppress(BlockingIOError):
            del self._out[: os.write(screen, self._out[:4096])]

    def _flush(self, screen: int) -> None:
        deadline = time.monotonic() + _LAST
        while self._out and time.monotonic() < deadline:
            if select.select([], [screen], [], deadline - time.monotonic())[1]:
                self._flush_some(screen)

    def _undo(self, screen: int) -> None:
        # Half a sequence may have been written: CAN ends it.
        self._out[:] = b"\x18" + UNDO + b"\x1b[%d;1H" % self._size[1] + _GIVE_BACK_TITLE + b"\r\n"
        with contextlib.suppress(OSError):
            self._flush(screen)

    @contextlib.contextmanager
    def _woken(self) -> Iterator[int]:
        """A file to wait for: readable when there was a signal."""
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

        def ended(number: int, _frame: FrameType | None) -> None:
            self._signal = number

        before = {number: signal.signal(number, ended) for number in _ENDING}
        before[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, lambda *_: None)
        wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        try:
            yield reader
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(reader)
            os.close(writer)


def terminal_size() -> tuple[int, int]:
    """Columns and rows of the terminal."""
    size = os.get_terminal_size(1)
    return size.columns, size.lines


@contextlib.contextmanager
def _raw() -> Iterator[None]:
    before = termios.tcgetattr(0)
    tty.setraw(0, termios.TCSANOW)
    try:
        yield
    finally:
        # Not TCSAFLUSH: it waits for a terminal that may stand still.
        termios.tcsetattr(0, termios.TCSANOW, before)
        # What was typed or answered too late is not for the shell.
        termios.tcflush(0, termios.TCIFLUSH)


@contextlib.contextmanager
def _opened() -> Iterator[int]:
    """The terminal opened anew: that we do not wait for it must not change it for the shell."""
    screen = os.open(os.ttyname(1), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        yield screen
    finally:
        os.close(screen)
