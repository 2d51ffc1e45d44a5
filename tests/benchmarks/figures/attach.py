"""
Attaching to a terminal, beside tmux, whose server and client stand as ours do: one process has the program's
terminal, another shows it on a terminal of its own.

Both run the same program on 120x40. A flood is 10 MB of coloured lines and then one word; its bytes are what the
client writes to its terminal from the key that begins it until that terminal's screen shows the last word. An echo is
the time from a key on the client's terminal to its answer there. Reattaching is the time from starting the client to a
whole screen, Python's start included; on the bare socket, without it. The slow client is attached beside, and does not
read during the flood.
"""

from __future__ import annotations

import contextlib
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from fcntl import ioctl
from pathlib import Path
from statistics import median
from termios import TIOCSWINSZ

from kit.home import eventually, temporary_home
from kit.rows import Row, Scale, Target, spread

from cis_provider.model.options import AgentOptions
from cis_provider.model.session import SessionKey, SessionRequest
from cis_provider.node.client import NodeClient
from cis_provider.node.terminals import socket_of
from cis_provider.screens.screen import Screen
from cis_provider.wire.terminal import Attach
from cis_provider.worker.attach_client import TerminalLink

_COLUMNS, _ROWS = 120, 40
_PROGRAM = """
import os, sys, tty
tty.setraw(0)
os.write(1, b"ready\\r\\n")
words = b"\\x1b[3%dm%07d some words of a flood, in colours, as they may be\\x1b[0m\\r\\n"
block = b"".join(words % (n % 8, n) for n in range(1000))
while True:
    key = os.read(0, 1)
    if key == b"q":
        break
    if key != b"f":
        os.write(1, b"<" + key + b">")
        continue
    for _ in range(SIZE // len(block)):
        view = memoryview(block)
        while view:
            view = view[os.write(1, view):]
    os.write(1, b"\\x1b[2J\\x1b[HTHE END")
"""
_CLIENT = (
    "import sys; from cis_provider.cli.attach import sit_down; "
    "sys.exit(sit_down(sys.argv[1], 'agent', read_only='-r' in sys.argv, take=False))"
)


class Window:
    """A client on a terminal of its own, whose screen is our model of one."""

    def __init__(self, argv: list[str], env: dict[str, str]) -> None:
        self.screen = Screen(_COLUMNS, _ROWS)
        self.received = 0
        self.began = time.perf_counter()
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.execvpe(argv[0], argv, env)
        ioctl(self.fd, TIOCSWINSZ, struct.pack("4H", _ROWS, _COLUMNS, 0, 0))
        self.screen.on_reply = lambda data: os.write(self.fd, data)

    def sees(self, words: str, seconds: float = 120) -> float:
        """Read until the screen shows these words; the time of that."""
        deadline = time.perf_counter() + seconds
        while words not in self.screen.frame().text():
            left = deadline - time.perf_counter()
            if left < 0 or not select.select([self.fd], [], [], left)[0]:
                raise TimeoutError(f"{words!r} is not to be seen:\n{self.screen.frame().text()}")
            self.screen.feed(self._read())
        return time.perf_counter()

    def hears(self, data: bytes, seconds: float = 10) -> float:
        """Read until these bytes come; the time of that. Cheaper than a whole screen."""
        got = b""
        while data not in got:
            if not select.select([self.fd], [], [], seconds)[0]:
                raise TimeoutError(f"{data!r} did not come: {got[-200:]!r}")
            got += self._read()
        now = time.perf_counter()
        self.screen.feed(got)
        return now

    def drain(self) -> None:
        """Take in what is there."""
        while select.select([self.fd], [], [], 0.3)[0]:
            self.screen.feed(self._read())

    def type(self, keys: bytes) -> None:
        os.write(self.fd, keys)

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)

    def _read(self) -> bytes:
        data = os.read(self.fd, 65536)
        self.received += len(data)
        return data


Open = Callable[[bool], Window]


def measure(scale: Scale) -> list[Row]:
    """Ours and tmux in turn, on the same machine in the same minutes."""
    if shutil.which("tmux") is None:
        raise FileNotFoundError("tmux is not installed: apt-get install tmux")
    size = scale.of(10_000_000, 2_000_000)
    with _ours(size) as (session_id, open_):
        ours = _figures(open_, scale)
        socket = [_picture(session_id) for _ in range(scale.of(30, 5))]
    with _tmux(size) as open_:
        theirs = _figures(open_, scale)
    about = f"of {size / 1e6:.0f} MB"
    echo, reattach = "key to echo, p50", "attach again: whole screen, Python's start included"
    return [
        Row(f"flood {about}: bytes until the screen is right", ours.bytes / 1e3, "kB", theirs.bytes / 1e3,
            Target.RATIO_AT_MOST, 1.0),
        Row(f"flood {about}: seconds", ours.flood, "s", theirs.flood),
        Row(f"flood {about} beside a client that does not read: seconds", ours.beside, "s", theirs.beside,
            note=f"without it {ours.flood:.2f} s, and tmux {theirs.flood:.2f} s"),
        Row("bytes that the client that did not read got afterwards", ours.lazy / 1e3, "kB", theirs.lazy / 1e3),
        Row(echo, 1e3 * median(ours.echoes), "ms", 1e3 * median(theirs.echoes), Target.AT_MOST, 10.0,
            f"{spread([1e3 * value for value in ours.echoes])} ms"),
        Row(reattach, 1e3 * median(ours.attached), "ms", 1e3 * median(theirs.attached)),
        Row("attach again: whole screen, on the bare socket", 1e3 * median(socket), "ms",
            1e3 * median(theirs.attached), Target.RATIO_AT_MOST, 1.0),
    ]  # fmt: skip


class _Figures:
    def __init__(self) -> None:
        self.echoes: list[float] = []
        self.attached: list[float] = []
        self.bytes = self.lazy = 0
        self.flood = self.beside = 0.0


def _figures(open_: Open, scale: Scale) -> _Figures:
    found = _Figures()
    first = open_(False)
    try:
        first.sees("ready")
        first.drain()
        for number in range(scale.of(200, 20)):
            key = b"abcdeghijk"[number % 10 : number % 10 + 1]
            began = time.perf_counter()
            first.type(key)
            found.echoes.append(first.hears(b"<" + key + b">") - began)
            time.sleep(0.01)
        found.bytes, found.flood = _flood(first)
        for _ in range(scale.of(10, 3)):
            again = open_(True)
            found.attached.append(again.sees("THE END") - again.began)
            again.close()
        lazy = open_(True)
        lazy.sees("THE END")
        lazy.drain()
        first.type(b"a")
        first.sees("<a>")
        lazy.sees("<a>")
        before = lazy.received
        _bytes, found.beside = _flood(first)
        lazy.drain()
        found.lazy = lazy.received - before
        lazy.close()
    finally:
        first.close()
    return found


def _flood(window: Window) -> tuple[int, float]:
    """Bytes and seconds."""
    window.type(b"a")
    window.sees("<a>")
    window.drain()
    before, began = window.received, time.perf_counter()
    window.type(b"f")
    # The word itself, then the screen: a model of a screen is no part of what is measured while bytes flow.
    end = window.hears(b"THE END", 120)
    window.sees("THE END")
    return window.received - before, end - began


@contextlib.contextmanager
def _ours(size: int) -> Iterator[tuple[str, Open]]:
    with temporary_home(), NodeClient("bench") as node:
        request = SessionRequest(
            key=SessionKey("bench", "attach", "agent"), try_number=1, max_tries=0, agent_id="agent",
            agent_type="terminal", command="unused",
            options=AgentOptions(program=(sys.executable, "-c", f"SIZE = {size}\n{_PROGRAM}")),
        )  # fmt: skip
        session_id = node.submit(request).record.session_id
        eventually(lambda: node.sessions(session_id=session_id)[0].pid, 30, "the agent is at work")

        def open_(watch: bool) -> Window:
            words = ["-r"] if watch else []
            return Window([sys.executable, "-c", _CLIENT, session_id, *words], dict(os.environ))

        yield session_id, open_
        node.end(session_id, "measured")


@contextlib.contextmanager
def _tmux(size: int) -> Iterator[Open]:
    folder = Path(tempfile.mkdtemp(prefix="cis-bench-tmux-"))
    tmux = ["tmux", "-f", "/dev/null", "-S", str(folder / "socket")]
    env = {**os.environ, "TERM": "xterm-256color"}
    env.pop("TMUX", None)
    program = [sys.executable, "-c", f"SIZE = {size}\n{_PROGRAM}"]
    try:
        words = ["new-session", "-d", "-s", "bench", "-x", str(_COLUMNS), "-y", str(_ROWS)]
        subprocess.run([*tmux, *words, *program], env=env, check=True, timeout=30)
        subprocess.run([*tmux, "set", "-g", "status", "off"], env=env, check=True, timeout=30)
        yield lambda watch: Window([*tmux, "attach", "-t", "bench", *(["-r"] if watch else [])], env)
    finally:
        subprocess.run([*tmux, "kill-server"], env=env, check=False, timeout=30)
        shutil.rmtree(folder, ignore_errors=True)


def _picture(session_id: str) -> float:
    """Seconds to a whole screen on the bare socket."""
    path = socket_of(session_id)
    began = time.perf_counter()
    with TerminalLink(path) as link:
        link.attach(Attach(session_id=session_id, columns=_COLUMNS, rows=_ROWS, read_only=True))
        link.socket.settimeout(5.0)
        while not list(link.receive()):
            continue
    return time.perf_counter() - began
