"""
One program that is talked with over its pipes: started, watched and ended.

It leads a session (and so a process group) of its own: a signal reaches what it started, and nothing of ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import functools
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from cis_provider.errors import PermanentAgentError, TransientAgentError
from cis_provider.runtimes.base import Setting
from cis_provider.runtimes.catalogue import BUILT_IN

_PR_SET_PDEATHSIG = 1
#: Looked up here: nothing may be loaded between fork and exec.
_PRCTL = ctypes.CDLL(None).prctl

#: Bytes of standard error that are kept: the end of a stack trace.
_TAIL = 16 * 1024

#: Seconds between SIGTERM and SIGKILL, and how long the end is awaited after that.
_GRACE = 3.0
_REAP = 5.0

#: Characters of standard error in a message.
_LAST_WORDS = 2000


def find_program(name: str, setting: Setting) -> list[str]:
    """
    Program and leading arguments: ``options.program``, else ``name`` on the ``PATH`` of the agent's environment.

    :raises PermanentAgentError: It is not there.
    """
    program = list(setting.options.program) or [name]
    path = setting.env.get("PATH", os.defpath)
    found = look_up(program[0], path=path, folder=setting.workspace)
    if found is None:
        where = (
            f"a relative path begins in the agent's workspace, {setting.workspace}"
            if os.sep in program[0]
            else f"PATH of the agent: {path}"
        )
        raise PermanentAgentError(
            f"program {program[0]!r} is not there or not executable ({where}): "
            f"install it on this node{_how_to_install(program[0])}, or name its file with 'program' in the agent's "
            "options"
        )
    return [found, *program[1:]]


def look_up(name: str, *, path: str, folder: Path) -> str | None:
    """
    The file of a program that is run in ``folder``, whichever folder this process is in; ``None``: there is none.

    :param path: Where a name without a slash is looked for, as in ``PATH``.
    """
    if os.sep in name:
        return shutil.which(str(folder / name))  # given a path, it returns one
    entries = [str(folder / entry) for entry in path.split(os.pathsep) if entry]
    return shutil.which(name, path=os.pathsep.join(entries))


def _how_to_install(program: str) -> str:
    how = [known.how_to_install for known in BUILT_IN if known.program == program]
    return f" ({how[0]})" if how else ""


class AgentProcess:
    """
    A running program with three pipes. Made by :func:`spawn`; whoever has it calls :meth:`stop`.

    :ivar stdin: To be written and drained by the owner.
    :ivar stdout: To be read by the owner, else the program waits for us. Standard error is read here.
    """

    def __init__(self, process: asyncio.subprocess.Process, gone: asyncio.Event) -> None:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        self.stdin = process.stdin
        self.stdout = process.stdout
        self.pid = process.pid
        self._process = process
        self._gone = gone
        self._tail = bytearray()
        self._reader = asyncio.create_task(self._keep_tail(process.stderr))

    @property
    def exit_code(self) -> int | None:
        """As a shell would say it, 128 + N for signal N; ``None`` while it runs."""
        code = self._process.returncode
        return 128 - code if code is not None and code < 0 else code

    @property
    def last_words(self) -> str:
        """The end of what it wrote on standard error."""
        return self._tail.decode(errors="replace").strip()[-_LAST_WORDS:]

    async def wait(self) -> int:
        """
        Its exit code, when it has ended, though a child of it may still hold its pipes. No deadline: the caller
        has one.
        """
        await self._gone.wait()
        code = self.exit_code
        assert code is not None
        return code

    async def settle(self, timeout: float = 1.0) -> None:
        """
        After its end: let its last words arrive.

        :param timeout: Seconds. A child it left behind may hold the pipe for ever.
        """
        await asyncio.wait((self._reader,), timeout=timeout)

    async def stop(self) -> None:
        """
        End the group: SIGTERM, after 3 s SIGKILL. Safe twice, and when it has ended by itself.

        What the program left in its group is killed too. What left the group is the caller's to find
        (``CIS_SESSION_ID``).
        """
        try:
            if self.exit_code is None:
                self._signal(signal.SIGTERM)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_GRACE):
                        await self._gone.wait()
        finally:
            # Also when this call is cancelled. The leader may be gone while the group is not.
            self._signal(signal.SIGKILL)
            self._reader.cancel()
            self.stdin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_REAP):
                await self._gone.wait()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    async def _keep_tail(self, stream: asyncio.StreamReader) -> None:
        while chunk := await stream.read(_TAIL):
            self._tail += chunk
            del self._tail[:-_TAIL]


def _die_with(parent: int) -> None:
    """
    In the new process, before the program: it is killed when the worker dies.

    Else it would go on alone. Claude Code (2.1.329) takes the end of its pipes for a no to what it asked, tells
    its model so, and works on with nobody there.
    """
    _PRCTL(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


class _Streams(asyncio.subprocess.SubprocessStreamProtocol):
    """Tells of the end of the process itself; asyncio's own ``wait`` waits for its pipes, too."""

    def __init__(self, gone: asyncio.Event, limit: int, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit=limit, loop=loop)
        self._gone = gone

    def process_exited(self) -> None:
        super().process_exited()
        self._gone.set()


async def spawn(
    argv: Sequence[str],
    setting: Setting,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    line_limit: int = 64 * 1024 * 1024,
) -> AgentProcess:
    """
    Start a program in the workspace with exactly the agent's environment, and tell ``setting.on_process``.

    :param cwd: Its working folder, where that is not the workspace.
    :param env: Instead of the setting's, where the runtime has something to add.
    :param line_limit: Bytes of the longest line that ``stdout.readline`` takes.
    :raises PermanentAgentError: It cannot be executed.
    :raises TransientAgentError: There is no memory, process or file handle for it now.
    """
    folder = cwd or setting.workspace
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    try:
        transport, protocol = await loop.subprocess_exec(
            lambda: _Streams(gone, line_limit, loop),
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=folder,
            env=dict(setting.env if env is None else env),
            start_new_session=True,
            preexec_fn=functools.partial(_die_with, os.getpid()),
        )
    except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
        raise PermanentAgentError(
            f"{argv[0]!r} cannot be started in {folder}: {error.strerror}; "
            "check that both are there, and that the file may be executed"
        ) from error
    except OSError as error:
        raise TransientAgentError(f"{argv[0]!r} cannot be started now: {error}") from error
    running = AgentProcess(asyncio.subprocess.Process(transport, protocol, loop), gone)
    setting.on_process(running.pid)
    return running
