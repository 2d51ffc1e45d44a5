"""
What a session asked and what was answered, on disk in its folder: numbers go on, and no answer counts twice,
however often program, worker and node are killed.

One line of JSON for each step, never changed, synced before the step is taken or told. Whoever finds the worker
gone reads here what its agent was waiting for.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Literal

import msgspec

from cis_provider.model.blockage import ENDS_BY_ITSELF, Answer, Blockage, BlockageKind, Settled
from cis_provider.model.options import Budget
from cis_provider.runtimes.events import Usage

#: What is waited for without a program.
_NO_PROGRAM = ENDS_BY_ITSELF | {BlockageKind.LOGIN}


class Asker(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    Who asked: what another worker needs to know in order to go on.

    :param conversation_id: What its program resumes by; empty: it cannot.
    :param usage: What the session had used by then, and ``turns``: its model calls.
    :param worked: Seconds of its time limit that were used up.
    :param budget: What it may use, where a human has raised it.
    :param denied: What it was not allowed to do.
    :param checked: Its last check, as in the result; empty: there was none.
    :param checks_sent_back: How often a failed check went back to it, and ``forms_sent_back``: an answer in the
        wrong form.
    :param crashes: How often its program died, and ``rests``: how often in a row it met a usage limit.
    """

    agent_type: str = ""
    conversation_id: str = ""
    usage: Usage = Usage()
    turns: int = 0
    worked: float = 0.0
    budget: Budget | None = None
    denied: tuple[str, ...] = ()
    checked: dict[str, Any] = {}
    checks_sent_back: int = 0
    forms_sent_back: int = 0
    crashes: int = 0
    rests: int = 0


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    One step.

    :param step: ``asked``: a blockage opened. ``answering``: an answer is about to be delivered. ``refused``: it
        was not taken, the blockage waits on. ``settled``: it is over. ``taken``: a human has the conversation, in
        the program's own interface. ``handed back``: no more.
    :param answer_id: Of the answer in question.
    :param by: Who answers, or has the conversation.
    :param asker: For ``asked``, ``settled`` and ``taken``: who asked, as of then.
    """

    step: Literal["asked", "answering", "refused", "settled", "taken", "handed back"]
    number: int = 0
    answer_id: str = ""
    by: str = ""
    blockage: Blockage | None = None
    settled: Settled | None = None
    asker: Asker | None = None


class Past(msgspec.Struct, kw_only=True):
    """
    What a journal says.

    :param last: The highest number there was.
    :param open: Blockages that were not over.
    :param delivered: Ids of answers that reached the agent.
    :param answering: Numbers of those for which an answer was on its way.
    :param taken: Who had the conversation; empty: the agent.
    """

    last: int = 0
    settled: list[Settled] = []
    open: dict[int, Blockage] = {}
    delivered: set[str] = set()
    answering: set[int] = set()
    taken: str = ""
    asker: Asker = Asker()

    @property
    def only_waited(self) -> bool:
        """
        Whether it waited for something, or a human was at work in its place, and it can go on: in its
        conversation, or, where there is none, with its first prompt, since no program was at work.
        """
        idle = any(one.kind in _NO_PROGRAM for one in self.open.values())
        return idle or (bool(self.open or self.taken) and bool(self.asker.conversation_id))


def journal_file(folder: Path) -> Path:
    """The journal in a session's folder."""
    return folder / "blockages.jsonl"


def read(path: Path) -> Past:
    """
    What a journal says; a line that was cut by a kill was never taken.

    :raises OSError: It is there, and cannot be read.
    """
    past = Past()
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return past
    for text in data.split(b"\n"):
        try:
            _take(past, msgspec.json.decode(text, type=Line))
        except msgspec.DecodeError:
            continue
    return past


def _take(past: Past, line: Line) -> None:
    past.last = max(past.last, line.number)
    match line.step:
        case "asked":
            if line.blockage:
                past.open[line.number] = line.blockage
            past.asker = line.asker or past.asker
        case "taken":
            past.taken, past.asker = line.by, line.asker or past.asker
        case "handed back":
            past.taken = ""
        case "answering":
            past.answering.add(line.number)
        case "refused":
            past.answering.discard(line.number)
        case "settled":
            past.asker = line.asker or past.asker
            past.open.pop(line.number, None)
            past.answering.discard(line.number)
            if line.settled:
                past.settled.append(line.settled)
            if line.answer_id:
                past.delivered.add(line.answer_id)


class Journal:
    """
    A session's journal, to be written; every method is on disk when it returns.

    :raises OSError: From any method: a full disk, for one; the step must not be taken.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self._closed = False

    def asked(self, blockage: Blockage, asker: Asker) -> None:
        """A blockage opened."""
        self._write(Line(step="asked", number=blockage.number, blockage=blockage, asker=asker))

    def answering(self, answer: Answer) -> None:
        """An answer is about to be delivered. What it says stands in the settled blockage."""
        self._write(Line(step="answering", number=answer.number, answer_id=answer.id, by=answer.by))

    def refused(self, answer: Answer) -> None:
        """It was not taken."""
        self._write(Line(step="refused", number=answer.number, answer_id=answer.id))

    def settled(self, settled: Settled, answer_id: str = "", asker: Asker | None = None) -> None:
        """A blockage is over."""
        self._write(
            Line(step="settled", number=settled.number, settled=settled, answer_id=answer_id, asker=asker)
        )

    def taken(self, by: str, asker: Asker) -> None:
        """A human has the conversation."""
        self._write(Line(step="taken", by=by, asker=asker))

    def handed_back(self) -> None:
        """The agent has it again."""
        self._write(Line(step="handed back"))

    def close(self) -> None:
        """Let go of the file. What is written later, by a delivery that is just being cut off, is written too."""
        self._closed = True
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _write(self, line: Line) -> None:
        if self._fd < 0:
            self._fd = os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        # A line begins anew: what a kill, or a full disk, cut before it stays a line of its own.
        view = memoryview(b"\n" + msgspec.json.encode(line) + b"\n")
        while view:
            view = view[os.write(self._fd, view) :]
        os.fsync(self._fd)
        if self._closed:
            self.close()


def settled_of(blockage: Blockage, *, option: str = "", text: str = "", by: str = "") -> Settled:
    """What became of a blockage, now."""
    return Settled(
        number=blockage.number,
        kind=blockage.kind,
        title=blockage.title,
        option=option,
        text=text,
        by=by,
        asked_at=blockage.since,
        settled_at=time.time(),
    )
