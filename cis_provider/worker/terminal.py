"""A program on a terminal of its own, read by the event loop."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import signal
import termios
from collections.abc import Callable
from pathlib import Path

from ptyprocess import PtyProcess

#: Columns and rows while nobody is attached: what agents' screens were measured at.
DEFAULT_ROWS, DEFAULT_COLUMNS = 40, 120

_READ = 64 * 1024
_READS_AT_ONCE = 16


class Terminal:
    """
    A child process as the leader of its own session, with a PTY as its terminal.

    The terminal is always drained: a child never waits because nobody looks. ``on_output`` gets each chunk.
    """

    def __init__(self, process: PtyProcess, on_output: Callable[[bytes], None]) -> None:
        self.pid: int = process.pid
        self._process = process
        self._on_output = on_output
        self._loop = asyncio.get_running_loop()
        self._hung_up = asyncio.Event()
        self._exited: asyncio.Future[None] = self._loop.create_future()
        self._pidfd = os.pidfd_open(self.pid)
        os.set_blocking(process.fd, False)
        self._loop.add_reader(process.fd, self._read)
        self._loop.add_reader(self._pidfd, self._child_exited)

    @classmethod
    def spawn(
        cls, argv: list[str], *, folder: Path, env: dict[str, str], on_output: Callable[[bytes], None]
    ) -> Terminal:
        """
        Start a program. Its standard input is empty: nobody is there to type.

        :raises OSError: It cannot be started.
        """
        process = PtyProcess.spawn(
            argv,
            cwd=str(folder),
            env=env,
            echo=False,
            preexec_fn=_before_exec,
            dimensions=(DEFAULT_ROWS, DEFAULT_COLUMNS),
        )
        return cls(process, on_output)

    async def exited(self) -> None:
        """Wait until the program has exited. It stays a zombie, so that its group's number stays its own."""
        await asyncio.shield(self._exited)

    async def drained(self, timeout: float) -> bool:
        """Read what is left; whether every process let go of the terminal within ``timeout`` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._hung_up.wait()
        except TimeoutError:
            return False
        return True

    def close(self) -> int:
        """Reap the exited program and let go of the terminal; its exit code, 128 + N for signal N."""
        self._read()
        self._forget_terminal()
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        _pid, status = os.waitpid(self.pid, 0)
        # ptyprocess would wait and signal again when it is collected.
        self._process.fileobj.close()
        self._process.closed = True
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else 128 - code

    def _read(self) -> None:
        for _ in range(_READS_AT_ONCE):
            if self._hung_up.is_set():
                return
            try:
                chunk = os.read(self._process.fd, _READ)
            except BlockingIOError:
                return
            except OSError as error:
                # Linux says EIO when the last process has closed the terminal.
                if error.errno != errno.EIO:
                    raise
                chunk = b""
            if not chunk:
                self._forget_terminal()
                return
            self._on_output(chunk)

    def _forget_terminal(self) -> None:
        if not self._hung_up.is_set():
            self._loop.remove_reader(self._process.fd)
            self._hung_up.set()

    def _child_exited(self) -> None:
        self._loop.remove_reader(self._pidfd)
        if not self._exited.done():
            self._exited.set_result(None)


def _before_exec() -> None:
    # A controlling terminal would have the kernel hang up on the program's children (a `tee`, for one) in the
    # moment it exits, before they have written their last words. The terminal itself stays.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    terminal = os.open("/dev/tty", os.O_RDWR)
    fcntl.ioctl(terminal, termios.TIOCNOTTY)
    os.close(terminal)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # Python ignores these two, and a child would inherit that: `producer | head` would never end quietly.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
