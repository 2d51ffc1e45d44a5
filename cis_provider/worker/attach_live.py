"""A session's terminal as people see it: what it shows, who looks, who types, what is recorded."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from cis_provider.model.session import SessionRequest
from cis_provider.runtimes.audience import Audience, LiveProgram
from cis_provider.wire.terminal import Attached, Gone, Seen
from cis_provider.worker.attach_cut import Cutter
from cis_provider.worker.mask import SecretMask
from cis_provider.worker.output import OutputLog
from cis_provider.worker.recording import NAME, Recording

if TYPE_CHECKING:
    from cis_provider.screens.screen import Screen

log = logging.getLogger(__name__)

#: Columns and rows while nobody has the terminal: what agents' screens were measured at.
DEFAULT_SIZE = (120, 40)
#: Sizes that a human's terminal has; others are a mistake of some program in between.
_LEAST, _MOST = (8, 2), (1000, 500)
#: What a terminal says by itself: that it has the focus, or has it no more.
_REPORT = re.compile(rb"\x1b\[[IO]")
#: The end of ``output.log`` that is shown of an agent without a screen.
_TAIL = 16 * 1024


class Guest(Protocol):
    """One who is attached."""

    who: str
    size: tuple[int, int]

    def wrote(self, data: bytes) -> None:
        """The program wrote, and nothing else changed."""

    def changed(self) -> None:
        """What is shown has to be painted anew."""

    def say(self, message: Attached | Gone) -> None:
        """Tell it."""


class LiveTerminal(Audience):
    """
    One session's. It outlives its programs: between two of them it shows what was last there.

    :param output: ``output.log``: what is shown of an agent that has no screen.
    :param mask: For what is told as text.
    :param closed: Why nobody can type into it, in words; empty: they can.
    :param on_writer: Called when somebody has it to type, or nobody any more.
    """

    def __init__(
        self,
        *,
        output: Path,
        recording: Recording,
        mask: SecretMask,
        closed: str = "",
        on_writer: Callable[[], None] = lambda: None,
    ) -> None:
        self.closed = closed
        self.on_writer = on_writer
        self.writer: Guest | None = None
        self.since = 0.0
        self.program: LiveProgram | None = None
        #: How often somebody pressed keys.
        self.keys = 0
        #: Whether the screen is the agent's own, not an interface that was opened for a human.
        self.owned = True
        self._output = output
        self._recording = recording
        self._mask = mask
        self._guests: list[Guest] = []
        self._cutter = Cutter()
        self._last: LiveProgram | None = None

    # What programs do

    @property
    def attended(self) -> bool:
        return self.writer is not None

    @property
    def screen(self) -> Screen | None:
        """What is shown; ``None``: the end of the output."""
        return self._last.screen if self._last else None

    def begins(self, program: LiveProgram) -> None:
        self.program = self._last = program
        self._cutter = Cutter()
        self._fit()
        self._recording.resized(program.screen.columns, program.screen.rows)
        self._recording.output(b"\x1bc")
        self._repaint()

    def wrote(self, data: bytes) -> None:
        self._recording.output(data)
        if self._guests and (shown := self._cutter.feed(data)):
            for guest in self._guests:
                guest.wrote(shown)
        elif not self._guests:
            self._cutter.feed(data)

    def ends(self, program: LiveProgram) -> None:
        if self.program is program:
            self.program = None
            self.on_writer()

    def put_away(self, program: LiveProgram) -> None:
        """A human's interface is closed: its screen is no more what the agent does."""
        self.ends(program)
        if self._last is program:
            self._last = None
            self._recording.output(b"\x1bc")
            self._repaint()

    def text(self, data: bytes) -> None:
        """Output, masked, of an agent; shown and recorded where there is no screen."""
        if self._last is not None or (self._recording.over and not self._guests):
            return
        shown = data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        self._recording.output(shown)
        for guest in self._guests:
            guest.wrote(shown)

    def hide(self, secrets: Iterable[str]) -> None:
        """Values that are secret from now on."""
        self._recording.hide(secrets)

    def close(self, reason: str) -> None:
        """The session is over."""
        for guest in list(self._guests):
            guest.say(Gone(reason))
        self._guests.clear()
        self._pass_to(None)
        self._recording.close()

    # What people do

    def join(self, guest: Guest, *, read_only: bool, take: bool) -> None:
        """Somebody comes."""
        self._guests.append(guest)
        holder = self.writer
        if read_only or self.closed:
            guest.say(Attached(writer=False, note="" if read_only and not self.closed else self.closed))
        elif holder is None or take:
            self._pass_to(guest)
            note = "one moment: its own interface is opened for you" if self._last is None else ""
            guest.say(Attached(writer=True, note=f"taken over from {holder.who}" if holder else note))
            if holder is not None:
                holder.say(Attached(writer=False, note=f"{guest.who} has taken the terminal over; you watch"))
                holder.changed()
        else:
            since = time.strftime("%H:%M", time.localtime(self.since))
            note = f"{holder.who} has had the terminal since {since}; you watch (--take takes it over)"
            guest.say(Attached(writer=False, note=note))
        guest.changed()

    def leave(self, guest: Guest) -> None:
        """Somebody has left, or was lost. Safe twice."""
        if guest in self._guests:
            self._guests.remove(guest)
        if self.writer is guest:
            self._pass_to(None)

    def dismiss(self, reason: str) -> None:
        """Whoever has the terminal has it no more."""
        if (writer := self.writer) is not None:
            writer.say(Gone(reason))
            self.leave(writer)

    def demote(self, reason: str) -> None:
        """Whoever has the terminal, or waits for it, watches from now on."""
        if (writer := self.writer) is not None:
            writer.say(Attached(writer=False, note=f"{reason}; you watch"))
            self._pass_to(None)

    def shut(self, reason: str) -> None:
        """Nobody can type into it, now and later."""
        self.closed = reason
        self.demote(reason)

    def typed(self, guest: Guest, data: bytes) -> None:
        """Bytes of a keyboard; only of the one who may type."""
        if guest is self.writer and self.program is not None:
            self.keys += not _REPORT.fullmatch(data)
            self.program.type(data)

    def resized(self, guest: Guest) -> None:
        """A guest's terminal has another size."""
        if guest is self.writer:
            self._fit()
        guest.changed()

    def paint(self) -> bytes:
        """All that is shown, for a terminal of the same size."""
        if self._last is None:
            return self._tail()
        # Not before somebody looks: a worker of shell agents never needs it.
        from cis_provider.worker.attach_paint import repaint

        return repaint(self._last.screen)

    def seen(self) -> Seen:
        """What is shown, as text and as the rules judge it."""
        writer = self.writer.who if self.writer else ""
        watchers = len(self._guests) - (self.writer is not None)
        if self._last is None:
            text = self._tail(clear=False).decode("utf-8", "replace").replace("\r\n", "\n")
            columns, rows = DEFAULT_SIZE
            return Seen(
                source="output", columns=columns, rows=rows, text=text, writer=writer, watchers=watchers
            )
        watcher = self._last.watcher
        judgement = watcher.judge(time.monotonic())
        frame = watcher.screen.frame()
        return Seen(
            source="screen" if self.owned else "human",
            columns=watcher.screen.columns,
            rows=watcher.screen.rows,
            text=self._masked(frame.text()),
            state=judgement.state,
            kind=judgement.kind.value if judgement.kind else "",
            rule=judgement.rule,
            evidence=self._masked(judgement.evidence),
            title=self._masked(frame.title),
            program=watcher.book.program,
            version=watcher.version,
            writer=writer,
            watchers=watchers,
        )

    def _pass_to(self, guest: Guest | None) -> None:
        if guest is self.writer:
            return
        self.writer, self.since = guest, time.time()
        self._recording.mark(f"{guest.who} has the terminal" if guest else "nobody has the terminal")
        self._fit()
        self.on_writer()

    def _fit(self) -> None:
        """The program's window is as large as the terminal of the one who types."""
        columns, rows = self.writer.size if self.writer and sane(self.writer.size) else DEFAULT_SIZE
        if self.program is None or (self.program.screen.columns, self.program.screen.rows) == (columns, rows):
            return
        self.program.resize(columns, rows)
        self._recording.resized(columns, rows)
        self._repaint()

    def _repaint(self) -> None:
        for guest in self._guests:
            guest.changed()

    def _tail(self, *, clear: bool = True) -> bytes:
        try:
            with self._output.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(size - _TAIL, 0))
                data = file.read()
        except OSError:
            data = b""
        if len(data) == _TAIL:
            data = data.partition(b"\n")[2]
        shown = data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        return b"\x1b[?1049l\x1b[r\x1b[0m\x1b[H\x1b[2J\x1b[?25h" + shown if clear else shown

    def _masked(self, text: str) -> str:
        return self._mask.whole(text.encode("utf-8", "replace")).decode("utf-8", "replace")


def sane(size: tuple[int, int]) -> bool:
    """Whether a human's terminal may have this many columns and rows."""
    return all(least <= n <= most for least, n, most in zip(_LEAST, size, _MOST, strict=True))


def live_terminal(request: SessionRequest, output: OutputLog, folder: Path, mask: SecretMask) -> LiveTerminal:
    """
    A session's terminal, which is shown and recorded from now on.

    :param folder: The session's own.
    :param mask: Its output's.
    """
    recording = Recording(
        folder / NAME,
        size=DEFAULT_SIZE,
        mask=SecretMask(request.secrets.values()),
        title=f"{request.key}, {request.agent_type}",
    )
    live = LiveTerminal(output=output.path, recording=recording, mask=mask)
    output.on_write = live.text
    return live
