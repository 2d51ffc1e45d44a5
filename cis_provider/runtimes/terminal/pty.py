"""A program on a terminal that we hold the other end of: it is read, typed into, and ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ptyprocess import PtyProcess
from ptyprocess.ptyprocess import PtyProcessError

from cis_provider.errors import PermanentAgentError, TransientAgentError

_READ = 64 * 1024
#: Reads in one go of the event loop: a flood must not keep the others waiting.
_READS_AT_ONCE = 4

#: Seconds between SIGHUP and SIGKILL, and for what is still to be read after an exit.
_GRACE, _DRAIN = 2.0, 1.0


class Pty:
    """
    A running program, the leader of its own session, with a terminal as its stdin, stdout and stderr.

    It is always read. Whoever has it calls :meth:`stop`.
    """

    def __init__(self, process: PtyProcess, on_output: Callable[[bytes], None]) -> None:
        self.pid: int = process.pid
        self._process = process
        self._on_output = on_output
        self._loop = asyncio.get_running_loop()
        self._to_write = bytearray()
        self._hung_up = asyncio.Event()
        self._gone = asyncio.Event()
        self._reaped = False
        self._exit_code: int | None = None
        self._pidfd = os.pidfd_open(self.pid)
        os.set_blocking(process.fd, False)
        self._loop.add_reader(process.fd, self._read)
        self._loop.add_reader(self._pidfd, self._exited)

    @classmethod
    def spawn(
        cls,
        argv: Sequence[str],
        *,
        folder: Path,
        env: Mapping[str, str],
        size: tuple[int, int],
        on_output: Callable[[bytes], None],
    ) -> Pty:
        """
        Start a program.

        :param size: Columns and rows of its terminal.
        :raises PermanentAgentError: It cannot be executed.
        :raises TransientAgentError: There is no terminal or process for it now.
        """
        try:
            process = PtyProcess.spawn(
                list(argv),
                cwd=str(folder),
                env=dict(env),
                preexec_fn=_before_exec,
                dimensions=(size[1], size[0]),
            )
        except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
            raise PermanentAgentError(
                f"{argv[0]!r} cannot be started in {folder}: {error.strerror or error}; "
                "check that both are there, and that the file may be executed"
            ) from error
        except (OSError, PtyProcessError) as error:
            raise TransientAgentError(f"{argv[0]!r} cannot be started now: {error}") from error
        return cls(process, on_output)

    @property
    def exit_code(self) -> int | None:
        """As a shell would say it, 128 + N for signal N; ``None`` while it runs."""
        return self._exit_code

    @property
    def unread(self) -> int:
        """Bytes that were typed and that the terminal has not taken yet."""
        return len(self._to_write)

    async def wait(self) -> int:
        """Its exit code, when it has ended and what it wrote is read. No deadline: the caller has one."""
        await self._gone.wait()
        with contextlib.suppress(TimeoutError):  # a child that it left behind may hold the terminal for ever
            async with asyncio.timeout(_DRAIN):
                await self._hung_up.wait()
        assert self._exit_code is not None
        return self._exit_code

    def write(self, data: bytes) -> None:
        """Type. What the terminal does not take at once follows; nothing is typed to one that is gone."""
        if self._hung_up.is_set() or self._gone.is_set():
            return
        self._to_write += data
        self._write()

    def resize(self, columns: int, rows: int) -> None:
        """Its window has another size; the program is told by SIGWINCH."""
        if not self._reaped:
            with contextlib.suppress(OSError):
                self._process.setwinsize(rows, columns)

    async def stop(self) -> None:
        """End the program and its group: SIGHUP, after 2 s SIGKILL. Safe twice, and after its end."""
        try:
            if not self._gone.is_set():
                self._signal(signal.SIGHUP)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_GRACE):
                        await self._gone.wait()
        finally:
            self._signal(signal.SIGKILL)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN):
                await self._gone.wait()
        self._close()

    def _signal(self, number: signal.Signals) -> None:
        # Not reaped before `_close`: until then, the group's number is nobody else's.
        if not self._reaped:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    def _close(self) -> None:
        if self._reaped:
            return
        self._read()
        self._forget()
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0 if self._gone.is_set() else os.WNOHANG)
        self._reaped = True
        # ptyprocess would wait and signal again when it is collected.
        self._process.fileobj.close()
        self._process.closed = True

    def _read(self) -> None:
        for _ in range(_READS_AT_ONCE):
            if self._hung_up.is_set():
                return
            try:
                chunk = os.read(self._process.fd, _READ)
            except BlockingIOError:
                return
            except OSError:  # EIO: the last process has closed the terminal
                chunk = b""
            if not chunk:
                self._forget()
                return
            self._on_output(chunk)

    def _write(self) -> None:
        while self._to_write:
            try:
                written = os.write(self._process.fd, self._to_write)
            except BlockingIOError:
                self._loop.add_writer(self._process.fd, self._write)
                return
            except OSError:
                self._to_write.clear()
                break
            del self._to_write[:written]
        self._loop.remove_writer(self._process.fd)

    def _forget(self) -> None:
        if not self._hung_up.is_set():
            self._loop.remove_reader(self._process.fd)
            self._loop.remove_writer(self._process.fd)
            self._hung_up.set()

    def _exited(self) -> None:
        self._loop.remove_reader(self._pidfd)
        result = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        if result is not None:
            killed = result.si_code != os.CLD_EXITED
            self._exit_code = 128 + result.si_status if killed else result.si_status
        else:
            self._exit_code = 255
        self._gone.set()


def _before_exec() -> None:
    # Python ignores these two, and a child would inherit that: `producer | head` would never end quietly.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
