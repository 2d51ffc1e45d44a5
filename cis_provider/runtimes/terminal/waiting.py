"""What a program on a screen waits for: said once, answered by keys, and never by keys meant for another."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from typing import Literal

from cis_provider.errors import InvalidAnswer, StaleAnswer
from cis_provider.model.blockage import Answer, Blockage, BlockageKind, Option
from cis_provider.runtimes.events import Blocked, Event, Unblocked
from cis_provider.runtimes.terminal import menu
from cis_provider.runtimes.terminal.menu import Menu
from cis_provider.runtimes.terminal.stage import Stage
from cis_provider.screens import keys
from cis_provider.screens.frame import Frame
from cis_provider.screens.watcher import Judgement

#: How often in a row a screen must look blocked: a frame that is half drawn does not stay.
_LOOKS = 2
#: Lines of the screen that a blockage shows.
_DETAIL_LINES = 30
#: Seconds after an answer in which a program that did nothing since is not asked again, and the same for one that
#: shows what was typed: it will take it when it comes to it, on a busy machine after many seconds.
_ANSWERED, _ECHOED = 3.0, 30.0

#: Ids of the lines of a menu, and seconds in which its marker must get to one.
_CHOICE, _MOVED = "choice-", 2.0

#: Sides of a box, a line over the whole dialog, and how many lines of it stand between its question and its end.
_SIDES = " │┃║▌"
_LINE_ACROSS = re.compile(r"^[\s╭┌]*[─━▔]{10,}")
_DIALOG_LINES = 15

_OPTION_KINDS = {
    "allow": "allow_once",
    "allow_always": "allow_always",
    "deny": "reject_once",
    "deny_always": "reject_always",
}


class ScreenWaiting:
    """
    The blockage of one program, of which there is one at a time.

    :param emit: Gets ``Blocked`` and ``Unblocked``.
    :param unasked: Name of the answer that is given without a human, by judgement and title; empty: none.
    """

    def __init__(self, emit: Callable[[Event], None], unasked: Callable[[Judgement, str], str]) -> None:
        self._emit = emit
        self._unasked = unasked
        self._count = 0
        self._open: Blockage | None = None
        self._judgement: Judgement | None = None
        self._seen: tuple[str, str] | None = None
        self._looks = 0
        self._answered_at = 0.0
        self._answered_on: Frame | None = None
        self._menu: Menu | None = None
        self._pressing = False
        #: Titles of what was denied since the caller cleared it.
        self.denied: list[str] = []

    @property
    def open(self) -> bool:
        """Whether it waits."""
        return self._open is not None

    def look(self, stage: Stage, judgement: Judgement) -> tuple[str, ...]:
        """Take in what the screen says now; the keys that are to be pressed without asking, if any."""
        if self._pressing:
            return ()
        asked = _asked(judgement)
        self._looks = self._looks + 1 if asked == self._seen else 1
        self._seen = asked
        if self._open is not None and asked == _asked(self._judgement):
            return ()
        if self._looks < _LOOKS:
            return ()
        if self._open is not None:
            self._close("elsewhere" if self._open.options else "by_itself")
        if judgement.state != "blocked" or self._just_answered(stage):
            return ()
        shown = [line for line in stage.watcher.screen.frame().lines if line.strip()]
        title = _title(judgement, shown)
        if name := self._unasked(judgement, title):
            self._answered(stage)
            return judgement.keys[name]
        self._ask(judgement, title, shown)
        return ()

    def drop(self) -> None:
        """It waits for nothing any more."""
        if self._open is not None:
            self._close("by_itself")

    async def answer(self, stage: Stage | None, answer: Answer) -> None:
        """
        Press the keys of an answer.

        :raises StaleAnswer: Nothing waits under that number, or the screen shows something else by now.
        :raises InvalidAnswer: It has no such option.
        """
        blockage, asked = self._open, self._judgement
        if stage is None or blockage is None or asked is None or blockage.number != answer.number:
            raise StaleAnswer(f"question {answer.number} waits for no answer any more; nothing was typed")
        names = self._keys(blockage, asked, answer)
        now = stage.judge()
        if _asked(now) != _asked(asked):
            raise StaleAnswer(
                f"question {answer.number} is not on the screen any more, which shows {now.state}"
                f" ({now.evidence!r}); nothing was typed"
            )
        self._answered(stage)
        if any(one.id == answer.option and one.kind.startswith("reject") for one in blockage.options):
            self.denied.append(blockage.title)
        self._pressing = True
        try:
            await self._press(stage, names, answer)
        finally:
            self._pressing = False
        if self._open is blockage:
            self._close("answered")

    async def _press(self, stage: Stage, names: tuple[str, ...], answer: Answer) -> None:
        if self._menu is None or not answer.option.startswith(_CHOICE):
            await stage.press(names, answer.text)
            return
        index = int(answer.option.removeprefix(_CHOICE)) - 1
        wanted = self._menu._replace(marked=index)
        await stage.press(self._menu.way(index))
        deadline = time.monotonic() + _MOVED
        while menu.read(stage.watcher.screen.frame().lines) != wanted:
            if time.monotonic() >= deadline:
                raise StaleAnswer(
                    f"question {answer.number}: the marker did not get to {wanted.lines[index]!r}; "
                    "nothing was confirmed"
                )
            await asyncio.sleep(0.05)
        await stage.press(["enter"])

    @staticmethod
    def _keys(blockage: Blockage, asked: Judgement, answer: Answer) -> tuple[str, ...]:
        free = next((names for names in asked.keys.values() if keys.TEXT in names), None)
        ids = [option.id for option in blockage.options]
        if answer.option:
            if answer.option not in ids:
                raise InvalidAnswer(
                    f"question {answer.number} has no option {answer.option!r}; "
                    f"it has: {', '.join(ids) or 'none'}"
                )
            return asked.keys.get(answer.option, ())
        if free is None or not answer.text.strip():
            words = " or words of one's own" if free is not None else ""
            raise InvalidAnswer(
                f"question {answer.number} takes one of: {', '.join(ids) or 'nothing that we could type'}{words}"
            )
        return free

    def _answered(self, stage: Stage) -> None:
        self._answered_on = stage.screen.frame()
        self._answered_at = time.monotonic()
        self._seen, self._looks = None, 0

    def _just_answered(self, stage: Stage) -> bool:
        passed = time.monotonic() - self._answered_at
        if self._answered_on is None or passed >= _ECHOED:
            return False
        typed = _typed(self._answered_on, stage.screen.frame())
        return typed is not None and (bool(typed) or passed < _ANSWERED)

    def _ask(self, judgement: Judgement, title: str, shown: list[str]) -> None:
        self._count += 1
        by_enter = judgement.keys.get("confirm") == ("enter",) and "allow" not in judgement.keys
        self._menu = menu.read(shown) if by_enter else None
        kind = judgement.kind or BlockageKind.QUESTION
        options = tuple(
            Option(id=name, label=name.replace("_", " ").capitalize(), kind=_OPTION_KINDS.get(name, ""))
            for name, names in judgement.keys.items()
            if keys.TEXT not in names and not (self._menu and name == "confirm")
        )
        options = (*_choices(self._menu), *options)
        self._judgement = judgement
        self._open = Blockage(
            number=self._count,
            kind=kind,
            title=title,
            detail="\n".join(shown[-_DETAIL_LINES:]),
            options=options,
            free_text=any(keys.TEXT in names for names in judgement.keys.values()),
            since=time.time(),
        )
        self._emit(Blocked(blockage=self._open))

    def _close(self, how: Literal["answered", "elsewhere", "by_itself"]) -> None:
        assert self._open is not None
        number, self._open, self._judgement = self._open.number, None, None
        self._emit(Unblocked(number=number, how=how))


def _typed(before: Frame, now: Frame) -> str | None:
    """
    What stands behind the cursor of an earlier screen now; ``None``: more has changed than that. A program that
    echoes keys by itself may be slow to take the Enter that follows them, or to say a word after it.
    """
    row, line = before.cursor_row, before.lines[before.cursor_row]
    for scrolled in (0, 1):
        at = row - scrolled
        same = at >= 0 and [*now.lines[:at]] == [*before.lines[scrolled:row]]
        rest = _text(now.lines[at + 1 :]) == _text(before.lines[row + 1 :])
        if same and rest and now.lines[at].startswith(line.rstrip()):
            return now.lines[at].removeprefix(line.rstrip()).strip()
    return None


def _text(lines: Sequence[str]) -> str:
    return "\n".join(lines).rstrip()


def _choices(found: Menu | None) -> tuple[Option, ...]:
    lines = found.lines if found else ()
    return tuple(
        Option(id=f"{_CHOICE}{number}", label=line, kind=_kind(line))
        for number, line in enumerate(lines, start=1)
    )


def _kind(line: str) -> str:
    """Of an option, by its first word: any other says neither."""
    first = re.split(r"\W", line, maxsplit=1)[0].lower()
    return {"yes": "allow_once", "no": "reject_once"}.get(first, "")


def _asked(judgement: Judgement | None) -> tuple[str, str] | None:
    """What tells one blockage from another; a stalled program's evidence counts seconds."""
    if judgement is None or judgement.state != "blocked":
        return None
    return judgement.rule, "" if judgement.kind is BlockageKind.STALLED else judgement.evidence


def _title(judgement: Judgement, lines: list[str]) -> str:
    """
    The question that stands next above what the rule saw, which may be the marked option or the last line of a
    dialog; else the whole line that it saw a part of.
    """
    first = judgement.evidence.partition("\n")[0].strip()
    at = next((number for number in reversed(range(len(lines))) if first and first in lines[number]), None)
    if at is None:
        return first or f"it waits ({judgement.rule})"
    found = lines[at].strip(_SIDES)
    if "?" in found:
        return found
    for line in reversed(lines[max(0, at - _DIALOG_LINES) : at]):
        if _LINE_ACROSS.match(line):
            break
        if line.rstrip(_SIDES).endswith("?"):
            return line.strip(_SIDES)
    return found
