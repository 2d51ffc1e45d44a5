"""Judges what a terminal program is doing, by its screen and the rules for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from cis_provider.model.blockage import BlockageKind
from cis_provider.screens.conditions import Scene
from cis_provider.screens.frame import Frame
from cis_provider.screens.regions import Regions
from cis_provider.screens.rule_files import rule_book
from cis_provider.screens.rulebook import Rule, RuleBook, State
from cis_provider.screens.screen import Screen

#: Seconds without a byte after which an unfinished turn is called stalled.
STALLED_AFTER = 300.0

_EVIDENCE_LIMIT = 400


class Judgement(msgspec.Struct, frozen=True):
    """
    What a program does.

    :param kind: Only with ``blocked``: what for.
    :param rule: Id of the rule that says so; empty: none of the file's.
    :param evidence: The text on the screen that the rule saw, or what else shows it.
    :param keys: Answers by name, and the keys that give them.
    """

    state: State
    kind: BlockageKind | None = None
    rule: str = ""
    evidence: str = ""
    keys: Mapping[str, tuple[str, ...]] = {}


@dataclass(frozen=True)
class RuleTrace:
    """One rule that was asked: what it would say, and what it saw; ``None``: it does not hold."""

    rule: Rule
    found: str | None


class ScreenWatcher:
    """
    One program on one terminal. Feed it all it writes; ask whenever you like.

    :param program: Name of a rule file, or rules.
    :param version: The program's version; empty: read from its screen.
    :param size: Columns and rows.
    :raises ConfigError: There are no rules for this program.
    """

    def __init__(self, program: str | RuleBook, version: str = "", size: tuple[int, int] = (120, 40)) -> None:
        self.book = rule_book(program) if isinstance(program, str) else program
        self.screen = Screen(*size)
        self._version = version
        self._last_byte: float | None = None
        self._exit: tuple[int | None] | None = None

    def feed(self, data: bytes, at: float) -> None:
        """What the program wrote, and when: seconds on the clock that :meth:`judge` is asked by."""
        if data:
            self._last_byte = at
            self.screen.feed(data, at)

    def resize(self, columns: int, rows: int) -> None:
        """Its window has another size."""
        self.screen.resize(columns, rows)

    def exited(self, status: int | None) -> None:
        """The program is gone: whatever its screen shows, it does nothing more."""
        self._exit = (status,)

    @property
    def version(self) -> str:
        """The program's version, as far as it is known now."""
        if not self._version and self.book.version_text is not None:
            text = "\n".join([*self.screen.head, *self.screen.frame().lines])
            if match := self.book.version_text.search(text):
                self._version = match[1]
        return self._version

    def judge(self, now: float) -> Judgement:
        """What the program is doing."""
        if self._exit is not None:
            status = "" if self._exit[0] is None else f" with status {self._exit[0]}"
            return Judgement("exited", rule="exited", evidence=f"the program exited{status}")
        scene = self._scene(now)
        for rule in self.book.for_version(self.version):
            if (found := rule.when.check(scene)) is not None:
                return self._stalled(_judged(rule, found), scene)
        return Judgement("unknown", evidence=_last_line(scene.frame))

    def explain(self, now: float) -> list[RuleTrace]:
        """Every rule in the order they are asked, and what each of them sees."""
        scene = self._scene(now)
        return [RuleTrace(rule, rule.when.check(scene)) for rule in self.book.for_version(self.version)]

    def regions(self, now: float) -> Regions:
        """Parts of the screen that the rules name."""
        return self._scene(now).regions

    def _scene(self, now: float) -> Scene:
        frame = self.screen.frame(now)
        quiet = max(now - self._last_byte, 0.0) if self._last_byte is not None else 0.0
        return Scene(frame, Regions(frame, dict(self.book.cuts)), quiet)

    def _stalled(self, judgement: Judgement, scene: Scene) -> Judgement:
        if judgement.state not in ("working", "retrying") or scene.quiet < STALLED_AFTER:
            return judgement
        return Judgement(
            "blocked",
            BlockageKind.STALLED,
            rule="stalled",
            evidence=f"no byte for {scene.quiet:.0f} s while {judgement.state}: {judgement.evidence}",
        )


def _judged(rule: Rule, found: str) -> Judgement:
    return Judgement(rule.state, rule.kind, rule.id, found[:_EVIDENCE_LIMIT], rule.keys)


def _last_line(frame: Frame) -> str:
    shown = [line.strip() for line in frame.lines if line.strip()]
    return shown[-1][:_EVIDENCE_LIMIT] if shown else ""
