"""``cis session play``: an agent's recording, in the terminal, as it was."""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from cis_provider.cli.screen import note
from cis_provider.errors import UsageError

app = typer.Typer(add_completion=False, rich_markup_mode=None)

#: Questions that programs ask a terminal: the one that shows the recording must not answer them.
_QUESTIONS = re.compile(
    rb"\x1b\[(?:[>=]?\d*c|\??[56]n|\?\d+\$p|\?u|>\d*q|1[48]t)"
    rb"|\x1b\](?:4;\d+|1[0-9]);\?(?:\x07|\x1b\\)|\x1bP[+$]q[^\x1b]*\x1b\\"
)


class Frame(NamedTuple):
    """What to show, and how many seconds after the one before."""

    wait: float
    data: bytes


@app.command()
def play(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run, as for `cis dag attach`; or a file.")],
    agent: Annotated[
        str | None, typer.Argument(metavar="AGENT", help="An agent's id, ID, or place in the file.")
    ] = None,
    speed: Annotated[float, typer.Option("--speed", "-s", metavar="N", help="N times as fast.")] = 1.0,
    idle_limit: Annotated[
        float, typer.Option("--idle-limit", "-i", metavar="S", help="Wait for nothing longer than S seconds.")
    ] = 2.0,
) -> None:
    """Play an agent's recording. Space stops and goes on, a dot shows the next frame, q or Ctrl+C leaves."""
    if speed <= 0 or idle_limit < 0:
        raise UsageError("--speed must be more than 0, --idle-limit at least 0")
    path = Path(run) if agent is None and Path(run).is_file() else _recording(run, agent)
    raise typer.Exit(show(path, speed=speed, idle_limit=idle_limit))


def show(path: Path, *, speed: float, idle_limit: float) -> int:
    """
    Play a recording on stdout; the exit code. Where that is no terminal, all of it is written at once.

    :raises UsageError: It cannot be read.
    """
    from cis_provider.screens.recording import Recording

    recording = Recording(path)
    frames = paced(_timed(recording.events()), speed=speed, idle_limit=idle_limit)
    if not (os.isatty(0) and os.isatty(1)):
        for frame in frames:
            sys.stdout.buffer.write(frame.data)
        sys.stdout.buffer.flush()
        return 0
    _warn(recording.header.size)
    with _terminal():
        left = Player().run(frames)
    note("left" if left else f"the end of {path}")
    return 0


def paced(events: Iterator[tuple[float, bytes]], *, speed: float, idle_limit: float) -> Iterator[Frame]:
    """Events with times since the start, as frames with waits. Pure."""
    before = 0.0
    for at, data in events:
        wait = min(max(at - before, 0.0), idle_limit) / speed
        before = at
        yield Frame(wait, _QUESTIONS.sub(b"", data))


def _timed(events: Iterator[object]) -> Iterator[tuple[float, bytes]]:
    from cis_provider.screens.recording import Event

    for event in events:
        if isinstance(event, Event):
            yield event.at, event.data if event.code == "o" else b""


class Player:
    """Shows frames at their times, and listens to the keyboard meanwhile."""

    def __init__(self) -> None:
        self._stands = False

    def run(self, frames: Iterator[Frame]) -> bool:
        """Whether somebody left before the end."""
        due = time.monotonic()
        for frame in frames:
            due += frame.wait
            while True:
                began = time.monotonic()
                key = _key(None if self._stands else due - began)
                if self._stands:  # that does not count
                    due += time.monotonic() - began
                if key in ("q", "\x03", "\x04"):
                    return True
                if key == " ":
                    self._stands = not self._stands
                elif not key or (key == "." and self._stands):
                    break
            if frame.data:
                _write(frame.data)
        return False


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def _key(seconds: float | None) -> str:
    ready = select.select([0], [], [], None if seconds is None else max(seconds, 0.0))[0]
    return os.read(0, 1).decode("latin-1") if ready else ""


@contextmanager
def _terminal() -> Iterator[None]:
    """Keys come one by one; afterwards it is as it was, whatever the recording did to it."""
    from cis_provider.worker.attach_undo import UNDO

    before = termios.tcgetattr(0)
    rows = os.get_terminal_size(1).lines
    tty.setcbreak(0)
    attributes = termios.tcgetattr(0)
    attributes[3] &= ~termios.ISIG
    termios.tcsetattr(0, termios.TCSANOW, attributes)
    # What ends us must not leave the terminal to the shell as the recording has it.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    _write(b"\x1b[22;0t" + b"\n" * rows + b"\x1b[H\x1b[2J")
    try:
        yield
    finally:
        _write(b"\x18" + UNDO + b"\x1b[%d;1H\x1b[23;0t\r\n" % rows)
        termios.tcsetattr(0, termios.TCSAFLUSH, before)


def _warn(size: tuple[int, int] | None) -> None:
    here = os.get_terminal_size(1)
    if size and (here.columns < size[0] or here.lines < size[1]):
        note(
            f"recorded at {size[0]}x{size[1]}, and this terminal has {here.columns}x{here.lines}: lines will break"
        )
        time.sleep(1)


def _recording(run: str, agent: str | None) -> Path:
    from cis_provider import paths
    from cis_provider.cli.agents import find_rows, with_session

    row = with_session(*find_rows(run, agent))
    path = paths.recording_file(row.session_id)
    if not path.exists():
        raise UsageError(f"{row.title} has no recording: it has shown nothing, or it is gone ({path})")
    return path
